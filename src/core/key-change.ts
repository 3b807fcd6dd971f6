/**
 * How a log's signing key hands over to the next: a record that the old key has signed.
 *
 * The signature is in the record and not only in a checkpoint over it, for two reasons. Whoever may append could write a
 * record that names a key of their own, and the next checkpoint would cover it. And a record that proves itself travels
 * with the lines, on every way that lines take; a checkpoint that must be kept beside them gets lost on one of them.
 */
import { formatBase64, parseBase64 } from "./canonical.ts"
import { HansardError, InvalidInputError } from "./errors.ts"
import { formatVerifierKey, parseVerifierKey, type SignerKey, type VerifierKey } from "./key.ts"
import { SIGNING_KEY_SET } from "./kinds.ts"
import { noteSigner, noteVerifier } from "./note.ts"
import type { Policy } from "./policy.ts"

/** How many changes of key are followed: nobody changes it so often. */
export const MAX_KEY_CHANGES = 1_000

/** What a `signing_key_set` record says, beside `at` and `kind`. */
export interface KeyChangeFields {
  /** The key that follows. */
  readonly vkey: string
  /** The key that signs this. */
  readonly previous_vkey: string
  /** Base64 of the Ed25519 signature of {@link statement} by `previous_vkey`. */
  readonly signature: string
}

/** A record in which one signing key hands over to the next. */
export interface KeyChange {
  readonly index: number
  readonly vkey: string
  readonly previousVkey: string
}

/** @throws InvalidInputError for a key of another name or type: the name is the log's origin, and stays. */
export function signKeyChange(previous: SignerKey, next: VerifierKey): KeyChangeFields {
  if (previous.type !== "log" || next.type !== "log" || previous.name !== next.name) {
    throw new InvalidInputError("a log's key hands over to a log key of its own name")
  }
  const [vkey, previousVkey] = [formatVerifierKey(next), formatVerifierKey(previous)]
  const signature = formatBase64(noteSigner(previous).sign(statement(previousVkey, vkey)))
  return { vkey, previous_vkey: previousVkey, signature }
}

/** What is signed. No checkpoint reads like this: its second line is a number. */
function statement(previousVkey: string, vkey: string): string {
  return `${SIGNING_KEY_SET}\n${previousVkey}\n${vkey}\n`
}

/** The keys that follow from some that are trusted, record by record. */
export class KeyChain {
  readonly #changes: KeyChange[] = []
  /** Verifier keys that may hand over. */
  readonly #known: Set<string>

  constructor(trusted: readonly VerifierKey[]) {
    this.#known = new Set(trusted.map(formatVerifierKey))
  }

  /** In the order of the records. */
  get changes(): readonly KeyChange[] {
    return this.#changes
  }

  /** Takes the record if it is a key change that a known key has signed. Anybody may have written it: never throws. */
  offer(index: number, record: Readonly<Record<string, unknown>>): void {
    const { kind, vkey, previous_vkey: previousVkey, signature } = record
    if (kind !== SIGNING_KEY_SET || typeof vkey !== "string" || typeof previousVkey !== "string") return
    if (typeof signature !== "string" || !this.#known.has(previousVkey) || this.#known.has(vkey)) return
    if (this.#changes.length >= MAX_KEY_CHANGES || !isSigned(vkey, previousVkey, signature)) return
    this.#known.add(vkey)
    this.#changes.push({ index, vkey, previousVkey })
  }
}

/**
 * The policy that also trusts the keys which took over from its logs' keys, by some records in the order of the log.
 *
 * Every change bears the signature of the key before it, so that it does not matter who brings the records, nor what else
 * is among them.
 */
export function followKeys(policy: Policy, records: Iterable<Readonly<Record<string, unknown>>>): Policy {
  const chain = new KeyChain(policy.logs.map(({ key }) => key))
  let index = 0
  for (const record of records) chain.offer(index++, record)
  const next = chain.changes.map(({ vkey }) => ({ key: parseVerifierKey(vkey), url: undefined }))
  return { ...policy, logs: [...policy.logs, ...next] }
}

function isSigned(vkey: string, previousVkey: string, signature: string): boolean {
  try {
    const [next, previous] = [parseVerifierKey(vkey), parseVerifierKey(previousVkey)]
    if (next.type !== "log" || next.name !== previous.name) return false
    const bytes = parseBase64(signature, "the signature")
    return noteVerifier(previous).verify(statement(previousVkey, vkey), bytes)
  } catch (error) {
    if (error instanceof HansardError) return false
    throw error
  }
}
