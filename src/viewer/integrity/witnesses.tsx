/** What witnesses say, checked in this browser with the keys of the reader's own policy. */
import type { JSX } from "preact"
import { useState } from "preact/hooks"
import { isoTime } from "../../core/index.ts"
import { describeKey, parseVerifierKey } from "../../core/key.ts"
import { parseNote } from "../../core/note.ts"
import { MAX_POLICY_BYTES } from "../../core/policy.ts"
import type { Verdict } from "../../core/verdict.ts"
import { dateTime, number } from "../format.ts"
import { say } from "../parts/toast.tsx"
import { VerdictRow } from "../parts/verdict.tsx"
import { head, memory, trust } from "../session.ts"
import { T } from "../texts.ts"
import type { Head } from "../trust/trust.ts"
import type { Witnesses } from "../trust/witnesses.ts"

export function WitnessCard(): JSX.Element {
  const state = head.value
  const verified = state.status === "verified" ? state : undefined
  const witnesses = verified?.witnesses
  return (
    <section class="card wide">
      <h3>{T.integrity.witnesses}</h3>
      {verified === undefined ? null : (
        <dl class="verdicts">
          <VerdictRow claim="no_split_view" verdict={splitView(witnesses, verified.head)} />
          <VerdictRow claim="time" verdict={time(witnesses)} />
        </dl>
      )}
      {witnesses === undefined ? <Named head={verified?.head} /> : <Each witnesses={witnesses} />}
      <PolicyForm text={memory()?.policy} />
    </section>
  )
}

/** Witnesses of the policy, one by one. */
function Each({ witnesses: { each } }: { readonly witnesses: Witnesses }): JSX.Element {
  return (
    <ul class="witnesses">
      {each.map(({ name, at }) => (
        <li key={name} data-cosigned={at !== undefined}>
          <b>{name}</b>{" "}
          <span class="muted">
            {at === undefined ? T.integrity.notCosigned : T.integrity.cosigned(dateTime(isoTime(at * 1_000)))}
          </span>
        </li>
      ))}
    </ul>
  )
}

/** Without a policy: who says that they signed. */
function Named({ head: of }: { readonly head: Head | undefined }): JSX.Element {
  const names = of === undefined ? [] : cosignersOf(of)
  if (names.length === 0) return <p class="muted">{T.integrity.noWitness}</p>
  return (
    <>
      <ul class="witnesses">
        {names.map((name) => (
          <li key={name}>
            <b>{name}</b>
          </li>
        ))}
      </ul>
      <p class="muted">{T.integrity.witnessNames}</p>
    </>
  )
}

function PolicyForm({ text: kept }: { readonly text: string | undefined }): JSX.Element {
  const [text, setText] = useState("")
  const use = (policy: string | undefined): void => {
    try {
      trust.usePolicy(policy)
      setText("")
      trust.refresh().catch(() => say(T.failed))
    } catch (error) {
      say(error instanceof Error ? error.message : T.failed)
    }
  }
  if (kept !== undefined) {
    return (
      <details>
        <summary>{T.integrity.policyShow}</summary>
        <pre class="raw">{kept}</pre>
        <button type="button" class="button small" onClick={() => use(undefined)}>
          {T.integrity.policyForget}
        </button>
      </details>
    )
  }
  return (
    <details>
      <summary>{T.integrity.policyGive}</summary>
      <form
        class="policy"
        onSubmit={(event) => {
          event.preventDefault()
          use(text)
        }}
      >
        <label>
          {T.integrity.policyLabel}
          <textarea
            class="text-input"
            rows={4}
            maxLength={MAX_POLICY_BYTES}
            spellcheck={false}
            value={text}
            placeholder={"log <vkey>\nwitness <name> <vkey>\nquorum <name>"}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="button" disabled={text.trim() === ""}>
          {T.integrity.policyUse}
        </button>
      </form>
    </details>
  )
}

function splitView(witnesses: Witnesses | undefined, of: Head): Verdict {
  if (witnesses === undefined) return { status: "unprovable", because: T.integrity.splitNoPolicy }
  const { covered, quorum } = witnesses
  if (quorum === "none") return { status: "unprovable", because: T.integrity.splitNone }
  if (covered === undefined) return { status: "unprovable", because: T.integrity.splitNobody }
  const because = T.integrity.splitQuorum(covered.by.join(", "), number(covered.size))
  const newer = of.size - covered.size
  return newer > 0
    ? { status: "proved", because: `${because}; ${T.integrity.sinceQuorum(number(newer))}` }
    : { status: "proved", because }
}

function time(witnesses: Witnesses | undefined): Verdict {
  const { covered } = witnesses ?? {}
  if (covered === undefined) return { status: "unprovable", because: T.integrity.timeNobody }
  const at = dateTime(isoTime(covered.at * 1_000))
  return { status: "proved", because: T.integrity.timeQuorum(number(covered.size), at) }
}

/** By their keys' names; nothing of them is verified. */
function cosignersOf({ checkpoint, vkey }: Head): string[] {
  const own = describeKey(parseVerifierKey(vkey))
  return parseNote(checkpoint)
    .signatures.filter((signature) => describeKey(signature) !== own)
    .map(({ name }) => name)
}
