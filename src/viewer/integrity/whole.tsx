/** Every line, on demand, in the worker. */
import type { JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import { systemClock } from "../../core/index.ts"
import { CLAIMS } from "../../core/verdict.ts"
import type { LogVerdict } from "../../core/verdict.ts"
import { number } from "../format.ts"
import { Failure } from "../parts/notice.tsx"
import { VerdictRow } from "../parts/verdict.tsx"
import { head, memory } from "../session.ts"
import { T } from "../texts.ts"
import type { Head } from "../trust/trust.ts"
import { runTask, workOn } from "../work/run.ts"

type Check =
  | { readonly status: "none" | "cancelled" }
  | { readonly status: "running"; readonly size: number; readonly lines: number }
  | { readonly status: "done"; readonly verdict: LogVerdict }
  | { readonly status: "failed"; readonly error: Error }

export function WholeCard(): JSX.Element {
  const [check, setCheck] = useState<Check>({ status: "none" })
  const stop = useRef<AbortController>(undefined)
  // Who leaves the page does not wait for it.
  useEffect(() => () => stop.current?.abort(), [])
  const start = (of: Head): void => {
    const control = new AbortController()
    stop.current = control
    setCheck({ status: "running", size: of.size, lines: 0 })
    runTask(
      { ...workOn(of), task: "verify", memory: memory(), now: systemClock() },
      { onProgress: (lines) => setCheck({ status: "running", size: of.size, lines }) },
      control.signal,
    ).then(
      ({ verdict }) => setCheck({ status: "done", verdict }),
      (error: unknown) => {
        if (control.signal.aborted) setCheck({ status: "cancelled" })
        else setCheck({ status: "failed", error: error instanceof Error ? error : new Error(String(error)) })
      },
    )
  }
  const state = head.value
  return (
    <section class="card wide">
      <h3>{T.integrity.verdicts}</h3>
      <div class="panel-row start">
        {check.status === "running" ? (
          <button type="button" class="button" onClick={() => stop.current?.abort()}>
            {T.cancel}
          </button>
        ) : (
          <button
            type="button"
            class="button"
            disabled={state.status !== "verified"}
            onClick={() => state.status === "verified" && start(state.head)}
          >
            {T.integrity.whole}
          </button>
        )}
        <span class="muted" role="status">
          {wordsOf(check)}
        </span>
      </div>
      {check.status === "running" ? (
        <progress
          class="progress"
          max={Math.max(1, check.size)}
          value={check.lines}
          aria-label={T.integrity.whole}
        />
      ) : null}
      {check.status === "failed" ? <Failure error={check.error} /> : null}
      {check.status === "done" ? (
        <dl class="verdicts">
          {CLAIMS.map((claim) => (
            <VerdictRow key={claim} claim={claim} verdict={check.verdict.claims[claim]} />
          ))}
        </dl>
      ) : null}
    </section>
  )
}

function wordsOf(check: Check): string {
  if (check.status === "running") return T.integrity.wholeRunning(number(check.lines), number(check.size))
  return check.status === "cancelled" ? T.integrity.wholeCancelled : T.integrity.wholeHint
}
