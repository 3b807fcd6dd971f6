/** What the log is worth: the head, who signed it, what this browser saw of it, what it says about itself. */
import type { JSX } from "preact"
import { useState } from "preact/hooks"
import { formatHash } from "../../core/hash-types.ts"
import { isoTime, systemClock } from "../../core/index.ts"
import type { HealthAnswer } from "../../wire/http.ts"
import { askJson } from "../api.ts"
import { save } from "../file.ts"
import { ago, dateTime, number } from "../format.ts"
import { HeadBadge } from "../parts/badge.tsx"
import { Icon } from "../parts/icons.tsx"
import { Failure } from "../parts/notice.tsx"
import { say } from "../parts/toast.tsx"
import { Sentence } from "../parts/values.tsx"
import { NO_FILTER } from "../place.ts"
import { askPage } from "../records/ask.ts"
import { useResource } from "../resource.ts"
import { forget, head, logSize, memory, standing, trust } from "../session.ts"
import { go } from "../state.ts"
import { useTick } from "../story/view.tsx"
import { T } from "../texts.ts"
import type { SeenCheckpoint } from "../trust/memory.ts"
import { WholeCard } from "./whole.tsx"
import { WitnessCard } from "./witnesses.tsx"

const REFRESH_MS = 4_000

export function IntegrityView(): JSX.Element {
  const tick = useTick(REFRESH_MS)
  // What is remembered changes with it.
  void head.value
  const health = useResource(`health ${tick}`, (signal) => askJson<HealthAnswer>("health", [], signal))
  const gaps = useResource(`gaps`, (signal) =>
    askPage({ ...NO_FILTER, kind: ["audit_gap", "audit_recovered"] }, "desc", undefined, 50, signal),
  )
  return (
    <div class="cards page">
      <HeadCard />
      <KeyCard />
      <SeenCard seen={memory()?.seen ?? []} />
      <WitnessCard />
      <WholeCard />
      <section class="card">
        <h3>{T.integrity.gaps}</h3>
        {gaps.error === undefined ? null : <Failure error={gaps.error} />}
        {gaps.data?.records.length === 0 ? <p>{T.integrity.noGaps}</p> : null}
        <ol class="history">
          {gaps.data?.records.map(({ index, record }) => (
            <li key={index}>
              <span class="cell-time">{dateTime(record["at"])}</span>
              <span>
                <Sentence record={record} />
              </span>
              <button
                type="button"
                class="text-button"
                onClick={() => go({ view: "records", filter: NO_FILTER, record: index })}
              >
                {number(index)}
              </button>
            </li>
          ))}
        </ol>
      </section>
      <section class="card">
        <h3>{T.integrity.health}</h3>
        {health.error === undefined ? null : <Failure error={health.error} />}
        <dl class="facts stacked">
          {Object.entries(health.data ?? {}).map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{typeof value === "number" ? number(value) : String(value)}</dd>
            </div>
          ))}
        </dl>
      </section>
    </div>
  )
}

function HeadCard(): JSX.Element {
  const state = standing.value
  return (
    <section class="card wide">
      <h3>{T.integrity.head}</h3>
      <div class="panel-row start">
        <HeadBadge state={state} onClick={() => void trust.refresh()} />
        <span>
          {state.status === "verified"
            ? state.continues === undefined
              ? T.firstVisit
              : T.continues(number(state.continues))
            : "because" in state
              ? state.because
              : ""}
        </span>
      </div>
      {state.status === "refused" && state.evidence !== undefined ? (
        <button
          type="button"
          class="button small"
          onClick={() => save("hansard.fork-evidence", "text/plain", [new Uint8Array(state.evidence ?? [])])}
        >
          <Icon name="save" /> {T.integrity.evidence}
        </button>
      ) : null}
      {state.status !== "verified" ? null : (
        <>
          <dl class="facts stacked">
            <div>
              <dt>{T.integrity.origin}</dt>
              <dd>{state.head.origin}</dd>
            </div>
            <div>
              <dt>{T.integrity.size}</dt>
              <dd>{number(state.head.size)}</dd>
            </div>
            <div>
              <dt>{T.integrity.uncovered}</dt>
              <dd>{number(Math.max(0, logSize.value - state.head.size))}</dd>
            </div>
            <div>
              <dt>{T.integrity.root}</dt>
              <dd>
                <code>{formatHash(state.head.root)}</code>
              </dd>
            </div>
          </dl>
          <details>
            <summary>{T.integrity.raw}</summary>
            <pre class="raw">{state.head.checkpoint}</pre>
          </details>
        </>
      )}
    </section>
  )
}

function KeyCard(): JSX.Element {
  const [text, setText] = useState("")
  const [isAsking, setAsking] = useState(false)
  const known = memory()
  const pin = (): void => {
    try {
      trust.pin(text.trim())
      setText("")
      void trust.refresh()
    } catch {
      say(T.integrity.pinBad)
    }
  }
  return (
    <section class="card">
      <h3>{T.integrity.key}</h3>
      {known === undefined ? null : (
        <>
          <code class="break">{known.vkey}</code>
          <p class="muted">
            {known.pin === "given" ? T.integrity.keyGiven : T.integrity.keyFirst} ·{" "}
            {dateTime(isoTime(known.pinned_at))}
          </p>
        </>
      )}
      <form
        class="pin"
        onSubmit={(event) => {
          event.preventDefault()
          pin()
        }}
      >
        <label>
          {T.integrity.pinLabel}
          <input
            class="text-input"
            value={text}
            maxLength={1_200}
            spellcheck={false}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="button" disabled={text.trim() === ""}>
          {T.integrity.pinButton}
        </button>
      </form>
      {known === undefined ? null : isAsking ? (
        <p>
          {T.integrity.forgetWarn}{" "}
          <button type="button" class="button small" onClick={forget}>
            {T.integrity.forget}
          </button>
        </p>
      ) : (
        <button type="button" class="text-button start" onClick={() => setAsking(true)}>
          {T.integrity.forget}
        </button>
      )}
    </section>
  )
}

/** Sizes over time, as a line of steps from the first that was seen to the last. */
function SeenCard({ seen }: { readonly seen: readonly SeenCheckpoint[] }): JSX.Element {
  const [first, last] = [seen[0], seen.at(-1)]
  const span = Math.max(1, (last?.at ?? 0) - (first?.at ?? 0))
  const [least, most] = [first?.size ?? 0, last?.size ?? 0]
  const grown = Math.max(1, most - least)
  const steps = seen.map(({ size, at }, i) => {
    const x = (((at - (first?.at ?? 0)) / span) * 300).toFixed(1)
    const y = (78 - ((size - least) / grown) * 70).toFixed(1)
    return i === 0 ? `M${x} ${y}` : `H${x}V${y}`
  })
  return (
    <section class="card">
      <h3>{T.integrity.seen}</h3>
      {seen.length < 2 ? null : (
        <svg
          class="steps"
          viewBox="0 0 300 80"
          preserveAspectRatio="none"
          role="img"
          aria-label={T.integrity.seen}
        >
          <path d={steps.join("")} />
        </svg>
      )}
      <table>
        <tbody>
          {seen
            .toReversed()
            .slice(0, 6)
            .map(({ size, at }) => (
              <tr key={size}>
                <td>{dateTime(isoTime(at))}</td>
                <td class="muted">{ago(at, systemClock())}</td>
                <td class="num">{number(size)}</td>
              </tr>
            ))}
        </tbody>
      </table>
    </section>
  )
}
