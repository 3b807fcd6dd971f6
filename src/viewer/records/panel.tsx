/** One record in full: in words, field by field, byte for byte, and what this browser can say about it. */
import type { JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import { utf8 } from "../../core/bytes.ts"
import { parseLine } from "../../core/line.ts"
import type { RecordAnswer } from "../../wire/http.ts"
import { ApiError, askJson } from "../api.ts"
import { save } from "../file.ts"
import { number } from "../format.ts"
import { useKeys } from "../keys.ts"
import { LineBadge } from "../parts/badge.tsx"
import { Icon } from "../parts/icons.tsx"
import { Failure } from "../parts/notice.tsx"
import { copy } from "../parts/toast.tsx"
import { filterOf, Kind, Sentence, Value } from "../parts/values.tsx"
import type { Literal } from "../parts/values.tsx"
import { useResource } from "../resource.ts"
import { head, memory, refusedRecord, trust } from "../session.ts"
import { goView, nameOf } from "../state.ts"
import { T } from "../texts.ts"
import type { LineState } from "../trust/trust.ts"

export function RecordPanel({
  index,
  onStep,
  onClose,
}: {
  readonly index: number
  /** 1: older, -1: newer. */
  readonly onStep: (by: number) => void
  readonly onClose: () => void
}): JSX.Element {
  const [again, setAgain] = useState(0)
  const answer = useResource(`${index} ${again}`, (signal) => loadRecord(index, signal))
  const data = answer.data?.index === index ? answer.data : undefined
  const channel = data === undefined ? undefined : parsed(data.line)["channel_id"]
  const toCause = (): void => {
    if (typeof channel === "string") goView("channels", channel, `a${index}`)
  }
  useKeys([
    { keys: ["Escape", "q"], text: T.close, group: T.keys.panel, run: onClose },
    { keys: ["c"], text: T.keys.cause, group: T.keys.panel, run: toCause },
  ])
  return (
    <aside class="panel" aria-label={T.record(number(index))}>
      <header class="panel-head">
        <h2>{T.record(number(index))}</h2>
        <div class="buttons">
          <button
            type="button"
            class="icon-button"
            aria-label={T.newer}
            title={T.newer}
            onClick={() => onStep(-1)}
          >
            <Icon name="up" />
          </button>
          <button
            type="button"
            class="icon-button"
            aria-label={T.older}
            title={T.older}
            onClick={() => onStep(1)}
          >
            <Icon name="down" />
          </button>
          <button
            type="button"
            class="icon-button"
            aria-label={T.copyLink}
            title={T.copyLink}
            onClick={() => copy(location.href)}
          >
            <Icon name="link" />
          </button>
          <button type="button" class="icon-button" aria-label={T.close} title={T.close} onClick={onClose}>
            <Icon name="close" />
          </button>
        </div>
      </header>
      <div class="panel-body">
        {answer.error === undefined ? null : isMissing(answer.error) ? (
          <div class="notice muted">{T.notFound}</div>
        ) : (
          <Failure error={answer.error} retry={() => setAgain((n) => n + 1)} />
        )}
        {data === undefined ? null : (
          <RecordBody answer={data} toCause={toCause} hasCause={typeof channel === "string"} />
        )}
      </div>
    </aside>
  )
}

function RecordBody({
  answer: { index, line },
  toCause,
  hasCause,
}: {
  readonly answer: RecordAnswer
  readonly toCause: () => void
  readonly hasCause: boolean
}): JSX.Element {
  // From the line that is hashed, and from nothing else that the service says: what is proved is what is shown.
  const record = parsed(line)
  return (
    <>
      <p class="told">
        <Sentence record={record} />
      </p>
      <div class="panel-row">
        <Kind record={record} />
        {hasCause ? (
          <button type="button" class="button small" onClick={toCause}>
            <Icon name="cause" /> {T.cause}
          </button>
        ) : null}
      </div>
      <Proof index={index} line={line} />
      <h3>{T.fields}</h3>
      <dl class="fields">
        {Object.entries(record).map(([field, value]) => (
          <FieldRow key={field} field={field} value={value} />
        ))}
      </dl>
      <h3>{T.rawLine}</h3>
      <pre class="raw" tabIndex={0}>
        {line}
      </pre>
      <div class="buttons">
        <button type="button" class="button small" onClick={() => copy(line)}>
          <Icon name="copy" /> {T.copyLine}
        </button>
        <button
          type="button"
          class="button small"
          onClick={() => save(`record-${index}.json`, "application/json", [`${line}\n`])}
        >
          <Icon name="save" /> {T.saveLine}
        </button>
      </div>
    </>
  )
}

function FieldRow({ field, value }: { readonly field: string; readonly value: unknown }): JSX.Element {
  const isList = Array.isArray(value) && filterOf(field) !== undefined
  const texts = isList ? (value as unknown[]).filter((each) => typeof each === "string") : []
  return (
    <>
      <dt>{field}</dt>
      <dd>
        {isList ? (
          texts.map((each) => <Value key={each} field={field} value={each} />)
        ) : typeof value === "string" ? (
          <Value field={field} value={value}>
            {filterOf(field) === "agent"
              ? [<b>{nameOf(value)}</b>, ` ${value}`]
              : value === ""
                ? '""'
                : value}
          </Value>
        ) : typeof value === "object" && value !== null ? (
          <code>{JSON.stringify(value, null, 1)}</code>
        ) : (
          <Value field={field} value={value as Literal} class="literal">
            {String(value)}
          </Value>
        )}
      </dd>
    </>
  )
}

/** The badge and its words. Tried again whenever a newer checkpoint was accepted, until the record is covered. */
function Proof({ index, line }: { readonly index: number; readonly line: string }): JSX.Element {
  const [state, setState] = useState<LineState>({ status: "checking" })
  const headState = head.value
  const covered = headState.status === "verified" ? headState.head.size > index : headState.status
  useEffect(() => {
    let isCurrent = true
    setState((old) => (old.status === "pending" ? old : { status: "checking" }))
    trust.prove(index, utf8(line)).then(
      (next) => {
        if (next.status === "refused") refusedRecord.value ??= index
        if (isCurrent) setState(next)
      },
      (error: unknown) => {
        const because = error instanceof Error ? error.message : String(error)
        if (isCurrent) setState({ status: "unprovable", because })
      },
    )
    return () => {
      isCurrent = false
    }
  }, [index, line, covered])
  return (
    <section class="proof" data-status={state.status} aria-label={T.views.integrity}>
      <LineBadge state={state} />
      <ProofWords index={index} state={state} />
    </section>
  )
}

function ProofWords({
  index,
  state,
}: {
  readonly index: number
  readonly state: LineState
}): JSX.Element | null {
  const headState = head.value
  switch (state.status) {
    case "checking":
      return null
    case "pending":
      return <p>{T.pending(number(state.size))}</p>
    case "unprovable":
      return <p>{state.because}.</p>
    case "refused":
      return (
        <>
          <p>
            <b>{state.because}.</b>
          </p>
          <p>{T.refusedWhat}</p>
        </>
      )
    case "proved": {
      const continues = headState.status === "verified" ? headState.continues : undefined
      return (
        <>
          <p>
            {T.proved(number(index), number(state.head.size))}{" "}
            <span class="muted">({T.proofHashes(state.hashes)})</span>
          </p>
          <p>
            {continues === undefined ? T.firstVisit : T.continues(number(continues))}{" "}
            {memory()?.pin === "given" ? T.pinGiven : T.pinFirst}
          </p>
          <details>
            <summary>{T.notProvedTitle}</summary>
            <ul>
              {T.notProved.map((text) => (
                <li key={text}>{text}</li>
              ))}
            </ul>
          </details>
          <button
            type="button"
            class="button small"
            onClick={() => save(`record-${index}.tlog-proof`, "text/plain", [state.proof])}
          >
            <Icon name="save" /> {T.saveProof}
          </button>
        </>
      )
    }
  }
}

async function loadRecord(index: number, signal: AbortSignal): Promise<RecordAnswer> {
  return await askJson<RecordAnswer>(`v1/records/${index}`, [], signal)
}

function isMissing(error: Error): boolean {
  return error instanceof ApiError && error.status === 404
}

function parsed(line: string): Readonly<Record<string, unknown>> {
  try {
    return parseLine(line)
  } catch {
    return {}
  }
}
