/**
 * The client's side of https://c2sp.org/tlog-witness: a log asks several witnesses to cosign a checkpoint.
 *
 * Nothing that a witness says is believed before its signature was verified, and no witness is waited for beyond its
 * deadline, whatever it or the network does.
 */
import { textWithin } from "../core/canonical.ts"
import { parseCheckpoint } from "../core/checkpoint.ts"
import { cosignatureTime, cosignatureVerifier } from "../core/cosignature.ts"
import { InvalidInputError } from "../core/errors.ts"
import { logSize, type Hash, type LogSize } from "../core/hash-types.ts"
import { describeKey } from "../core/key.ts"
import { formatNote, parseNote, type NoteSignature } from "../core/note.ts"
import { openCheckpointBy, type Policy, type PolicyWitness } from "../core/policy.ts"
import { BadSignatureError } from "../core/proof-errors.ts"
import { systemTimers, type Timers } from "../core/system.ts"
import { readBody } from "./body.ts"
import { formatAddCheckpoint, parseKnownSize, parseSignatureLines } from "./messages.ts"

/** Of an answer: a hundred signature lines take a tenth of it. */
const MAX_ANSWER_BYTES: number = 2 ** 16
const DEFAULT_DEADLINE_MS = 5_000

export interface CollectOptions {
  /** The consistency proof between two sizes of the log, with `1 <= from < to`. May be asked again for each witness. */
  readonly proofFrom: (from: LogSize, to: LogSize) => Promise<readonly Hash[]>
  /** The size that a witness cosigned last, if known: saves a round trip. Default: 0, and learn it from the answer. */
  readonly oldSizeOf?: (witness: PolicyWitness) => LogSize | undefined
  /** Whose quorum is asked for in the result. It must list the log's key. */
  readonly policy?: Policy
  /** For each witness, proofs and the second attempt included. Default: 5,000. */
  readonly deadlineMs?: number
  /**
   * Once the policy's quorum is met, how long the other witnesses may still take: more cosignatures are worth
   * something, but not a wait for a dead witness at every checkpoint. Default: until their deadlines.
   */
  readonly graceMs?: number
  /** Ends the asking; what has come until then is kept. */
  readonly signal?: AbortSignal
  readonly timers?: Timers
  /** Default: the global one. A witness of this process may stand in for it: `createWitness` makes such a function. */
  readonly fetch?: (request: Request) => Promise<Response>
}

export interface Collected {
  /** With every good cosignature at its end. An older one by the same key has made room. */
  readonly note: string
  /** One for each witness, in the order in which they were given. */
  readonly outcomes: readonly WitnessOutcome[]
  /** Whether the note satisfies the policy; `undefined` when none was given. */
  readonly isQuorum: boolean | undefined
}

/**
 * How it went with one witness.
 *
 * - `cosigned`: its cosignature is in the note, and bears this time, in Unix seconds.
 * - `late`: no answer until the deadline, the end of the grace, or the caller's signal.
 * - `unreachable`: it has no URL, or the request failed.
 * - `no_proof`: it could not be asked, as `proofFrom` failed: see to the log.
 * - `refused`: it answered that it does not cosign. `knownSize` is what it has cosigned, if it said so: if that is
 *   larger than the checkpoint's, somebody has shown it more of the log than we have.
 * - `false_answer`: its answer is none, or has no good cosignature by its key.
 */
export type WitnessOutcome =
  | { readonly witness: string; readonly status: "cosigned"; readonly time: number }
  | {
      readonly witness: string
      readonly status: "late" | "unreachable" | "no_proof" | "refused" | "false_answer"
      readonly reason: string
      readonly httpStatus?: number
      readonly knownSize?: LogSize
    }

/**
 * The note with the cosignatures of those witnesses that gave one in time.
 *
 * They are asked at the same time, each at most twice: the second time with the size that it says it knows. Resolves
 * when each has answered or is late, so within `deadlineMs`; a witness that does not cosign is never an error. Costs two
 * requests and one proof for each witness, at most.
 *
 * @throws InvalidInputError when the note is no checkpoint, or has no room for so many signatures.
 */
export async function collectCosignatures(
  note: string,
  witnesses: readonly PolicyWitness[],
  options: CollectOptions,
): Promise<Collected> {
  const { text } = parseNote(note)
  const { size } = parseCheckpoint(text)
  const { policy, signal } = options
  const grace = new Grace(options)
  const end = signal === undefined ? grace.over : AbortSignal.any([signal, grace.over])
  const cosigned = (answers: readonly Answer[]): string => withCosignatures(note, answers)
  const answered: Answer[] = []
  const answers = await Promise.all(
    witnesses.map(async (witness) => {
      const answer = await withinDeadline(witness, options, end, (stopped) => ask(witness, stopped))
      answered.push(answer)
      if (policy !== undefined && satisfies(policy, cosigned(answered))) grace.start()
      return answer
    }),
  ).finally(() => grace.cancel())
  return {
    note: cosigned(answers),
    outcomes: answers.map(({ outcome }) => outcome),
    isQuorum: policy === undefined ? undefined : satisfies(policy, cosigned(answers)),
  }

  async function ask(witness: PolicyWitness, signal: AbortSignal): Promise<Answer> {
    const believed = options.oldSizeOf?.(witness) ?? logSize(0)
    // It would be refused as a bad request; from 0 the witness says what it knows.
    const first = await submit(witness, believed > size ? logSize(0) : believed, signal)
    const { knownSize } = first
    if (knownSize === undefined || knownSize === first.old || knownSize > size) return first
    return await submit(witness, knownSize, signal)
  }

  async function submit(witness: PolicyWitness, old: LogSize, signal: AbortSignal): Promise<Submitted> {
    let message: string
    try {
      const proof = old === 0 || old === size ? [] : await options.proofFrom(old, size)
      message = formatAddCheckpoint({ old, proof, note })
    } catch (error) {
      return { old, ...without(witness, "no_proof", messageOf(error)) }
    }
    const response = await request(witness, message, signal, options)
    if (response instanceof Error) {
      return { old, ...without(witness, "unreachable", response.message) }
    }
    const { status } = response
    let body: string
    try {
      body = textWithin(await readBody(response, MAX_ANSWER_BYTES), MAX_ANSWER_BYTES, "the answer")
    } catch (error) {
      return { old, ...without(witness, "false_answer", messageOf(error), { httpStatus: status }) }
    }
    if (status === 200) return { old, ...cosignatureIn(body, text, witness) }
    const reason = `it answered ${status}: ${body.slice(0, 200).trim()}`
    const knownSize = status === 409 ? knownSizeIn(body) : undefined
    const facts = { httpStatus: status, ...(knownSize === undefined ? {} : { knownSize }) }
    return { old, ...facts, ...without(witness, "refused", reason, facts) }
  }
}

interface Answer {
  readonly outcome: WitnessOutcome
  readonly cosignature?: NoteSignature
}

interface Submitted extends Answer {
  readonly old: LogSize
  readonly knownSize?: LogSize
}

type Failed = Exclude<WitnessOutcome, { readonly status: "cosigned" }>

function without(
  { name }: PolicyWitness,
  status: Failed["status"],
  reason: string,
  facts: Pick<Failed, "httpStatus" | "knownSize"> = {},
): Answer {
  return { outcome: { witness: name, status, reason, ...facts } }
}

/** The time that is left to the others when a quorum is met. */
class Grace {
  readonly #graceMs: number | undefined
  readonly #timers: Timers
  readonly #controller = new AbortController()
  #cancel: (() => void) | undefined

  constructor({ graceMs, timers = systemTimers }: CollectOptions) {
    this.#graceMs = graceMs
    this.#timers = timers
  }

  /** Aborts when it has passed. */
  get over(): AbortSignal {
    return this.#controller.signal
  }

  start(): void {
    if (this.#graceMs === undefined) return
    this.#cancel ??= this.#timers.after(this.#graceMs, () =>
      this.#controller.abort(new Error("the quorum was met without it")),
    )
  }

  cancel(): void {
    this.#cancel?.()
  }
}

function withCosignatures(note: string, answers: readonly Answer[]): string {
  const { text, signatures } = parseNote(note)
  const found = answers.flatMap(({ cosignature }) => (cosignature === undefined ? [] : [cosignature]))
  const replaced = new Set(found.map(describeKey))
  const kept = signatures.filter((signature) => !replaced.has(describeKey(signature)))
  return formatNote({ text, signatures: [...kept, ...found] })
}

/** Does not rely on anybody to heed the signal: what comes after the deadline comes to nobody. */
async function withinDeadline(
  witness: PolicyWitness,
  { deadlineMs = DEFAULT_DEADLINE_MS, timers = systemTimers }: CollectOptions,
  end: AbortSignal,
  ask: (stopped: AbortSignal) => Promise<Answer>,
): Promise<Answer> {
  const stop = new AbortController()
  const late = Promise.withResolvers<Answer>()
  const giveUp = (reason: string): void => late.resolve(without(witness, "late", reason))
  const onEnd = (): void => giveUp(messageOf(end.reason))
  const cancel = timers.after(deadlineMs, () => giveUp(`no answer within ${deadlineMs} ms`))
  end.addEventListener("abort", onEnd)
  if (end.aborted) onEnd()
  try {
    return await Promise.race([late.promise, ...(end.aborted ? [] : [ask(stop.signal)])])
  } finally {
    cancel()
    end.removeEventListener("abort", onEnd)
    stop.abort()
  }
}

/** Returns the error that the network makes. */
async function request(
  { url }: PolicyWitness,
  body: string,
  signal: AbortSignal,
  { fetch = globalThis.fetch }: CollectOptions,
): Promise<Response | Error> {
  if (url === undefined) return new Error("it has no URL")
  try {
    const address = `${url.replace(/\/+$/, "")}/add-checkpoint`
    const headers = { "content-type": "text/plain; charset=utf-8" }
    return await fetch(new Request(address, { method: "POST", body, headers, signal, redirect: "error" }))
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

/** Signatures by other keys are ignored; one by this witness's key that is bad spoils the others, as in a note. */
function cosignatureIn(body: string, text: string, witness: PolicyWitness): Answer {
  try {
    const verifier = cosignatureVerifier(witness.key)
    const own = parseSignatureLines(body).filter((line) => describeKey(line) === describeKey(verifier))
    const [cosignature] = own
    if (cosignature === undefined) throw new InvalidInputError("it has not signed with its key")
    if (!own.every(({ signature }) => verifier.verify(text, signature))) {
      throw new BadSignatureError("its signature is bad", describeKey(verifier))
    }
    const time = cosignatureTime(cosignature)
    return { outcome: { witness: witness.name, status: "cosigned", time }, cosignature }
  } catch (error) {
    return without(witness, "false_answer", messageOf(error), { httpStatus: 200 })
  }
}

/** Witnesses older than the specification answer 409 with other bodies; theirs say nothing. */
function knownSizeIn(body: string): LogSize | undefined {
  try {
    return parseKnownSize(body)
  } catch {
    return undefined
  }
}

function satisfies(policy: Policy, note: string): boolean {
  try {
    openCheckpointBy(policy, note)
    return true
  } catch (error) {
    // A cosignature that was in the note before may have a time that makes no sense.
    if (error instanceof BadSignatureError || error instanceof InvalidInputError) return false
    throw error
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
