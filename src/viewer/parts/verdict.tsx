/** One claim, how far it holds, and why: always in words. */
import type { JSX } from "preact"
import type { Claim, Verdict } from "../../core/verdict.ts"
import { T } from "../texts.ts"

export function VerdictRow({
  claim,
  verdict,
}: {
  readonly claim: Claim
  readonly verdict: Verdict
}): JSX.Element {
  return (
    <div data-verdict={verdict.status}>
      <dt>{T.claims[claim]}</dt>
      <dd>
        <b class="verdict">{T.statuses[verdict.status]}</b>
        <span>
          {verdict.because}
          {verdict.status === "conditional" ? (
            <span class="muted">
              {" "}
              — {T.ifSo} {verdict.on}
            </span>
          ) : null}
        </span>
      </dd>
    </div>
  )
}
