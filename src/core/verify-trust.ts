/** Whose checkpoint it is: pinned keys, the keys that took over from them, and the witnesses of a policy. */
import { equalBytes } from "./bytes.ts"
import { parseCheckpoint, type Checkpoint } from "./checkpoint.ts"
import { cosignatureTime, cosignatureVerifier } from "./cosignature.ts"
import { HansardError } from "./errors.ts"
import type { Hash } from "./hash-types.ts"
import { describeKey, formatVerifierKey, parseVerifierKey, type VerifierKey } from "./key.ts"
import { noteVerifier, parseNote, type Note } from "./note.ts"
import { isQuorum, type Policy } from "./policy.ts"
import type { KeyChange } from "./verify-scan.ts"

/** A checkpoint as it came, parsed, with nothing verified. */
export interface SignedHead extends Checkpoint {
  readonly bytes: Uint8Array
  readonly note: Note
}

/** @returns what is wrong with it instead, in words, when it is no checkpoint. */
export function readHead(bytes: Uint8Array): SignedHead | string {
  try {
    const note = parseNote(bytes)
    const { origin, size, root } = parseCheckpoint(note.text)
    return { origin, size, root, note, bytes }
  } catch (error) {
    if (error instanceof HansardError) return error.message
    throw error
  }
}

/** How far a checkpoint's signature carries. */
export type Trust =
  /** Signed by a key that the caller vouches for, or by one that took over from it. */
  | { readonly status: "vouched"; readonly key: VerifierKey; readonly chain: readonly string[] }
  /** The same, but the first key came from the log's own side. */
  | { readonly status: "found"; readonly key: VerifierKey; readonly chain: readonly string[] }
  /** There is no key to check the signature with. */
  | { readonly status: "no_key" }
  /** There are keys, and they do not say that the checkpoint is theirs. */
  | { readonly status: "refused"; readonly because: string }

export interface TrustQuestion {
  readonly head: SignedHead
  /** Where the chain of keys starts. */
  readonly keys: readonly VerifierKey[]
  /** Whether the caller vouches for them. */
  readonly areVouched: boolean
  /** The keys in whose name the remembered checkpoint was accepted. */
  readonly rememberedKeys: readonly string[]
  readonly keyChanges: readonly KeyChange[]
  /** Checkpoints that may show what an earlier key covered. */
  readonly witnesses: readonly SignedHead[]
  /** The roots that the lines give. */
  readonly roots: ReadonlyMap<number, Hash>
}

/**
 * A record that names the next key counts if a checkpoint signed by the key before it covers the record, and the lines
 * give that checkpoint's root: then the old key has itself committed to its successor. Without such a checkpoint anybody could
 * write a log in which an old key seems to hand over to theirs.
 */
export function trustIn(question: TrustQuestion): Trust {
  const { head, areVouched } = question
  const start = startingKeys(question)
  if (start.length === 0) return { status: "no_key" }
  const chain = start.filter(({ name }) => name === head.origin)
  const status = areVouched ? "vouched" : "found"
  for (const change of [undefined, ...question.keyChanges]) {
    if (change !== undefined && !follow(chain, change, question)) continue
    const key = chain.find((candidate) => namesIn(head.note, candidate))
    if (key === undefined) continue
    return isSignedBy(head.note, key)
      ? { status, key, chain: chain.map(formatVerifierKey) }
      : { status: "refused", because: `the signature by ${describeKey(key)} is bad` }
  }
  return { status: "refused", because: refusal(question, start) }
}

/** Keys that were only found beside the log give way to those that were met before. */
function startingKeys({ keys, areVouched, rememberedKeys }: TrustQuestion): VerifierKey[] {
  const remembered = rememberedKeys.map(parseVerifierKey)
  if (!areVouched) return remembered.length > 0 ? remembered : [...keys]
  const isContinued = keys.some((key) => rememberedKeys.includes(formatVerifierKey(key)))
  return isContinued ? distinct([...keys, ...remembered]) : [...keys]
}

function distinct(keys: readonly VerifierKey[]): VerifierKey[] {
  return [...new Map(keys.map((key) => [formatVerifierKey(key), key])).values()]
}

/** Adds the key that the record names, if one of the chain has committed to it. @returns whether it did. */
function follow(chain: VerifierKey[], change: KeyChange, question: TrustQuestion): boolean {
  const previous = chain.find((key) => formatVerifierKey(key) === change.previousVkey)
  const next = logKey(change.vkey, question.head.origin)
  if (previous === undefined || next === undefined) return false
  const isCovered = [...question.witnesses, question.head].some(
    ({ origin, size, root, note }) =>
      origin === question.head.origin &&
      size > change.index &&
      isSignedBy(note, previous) &&
      isSameRoot(question.roots.get(size), root),
  )
  if (isCovered) chain.push(next)
  return isCovered
}

function refusal({ head, keyChanges }: TrustQuestion, keys: readonly VerifierKey[]): string {
  const signers = head.note.signatures.map(describeKey).join(", ")
  const known = keys.map(describeKey).join(", ")
  const change = keyChanges.at(-1)
  const hint =
    change === undefined
      ? ""
      : `; record ${change.index} names another key, but no checkpoint by the key before it shows that it agreed`
  return `the checkpoint of ${head.origin} is signed by ${signers}, not by ${known}${hint}`
}

function logKey(vkey: string, origin: string): VerifierKey | undefined {
  try {
    const key = parseVerifierKey(vkey)
    return key.type === "log" && key.name === origin ? key : undefined
  } catch (error) {
    if (error instanceof HansardError) return undefined
    throw error
  }
}

/** Whether a signature claims to be by the key. */
function namesIn({ signatures }: Note, key: VerifierKey): boolean {
  return signatures.some((signature) => describeKey(signature) === describeKey(key))
}

/** All that claim to be by the key must be good: a note with a bad one is refused as a whole. */
function isSignedBy(note: Note, key: VerifierKey): boolean {
  const verifier = noteVerifier(key)
  const own = note.signatures.filter((signature) => describeKey(signature) === describeKey(key))
  return own.length > 0 && own.every(({ signature }) => verifier.verify(note.text, signature))
}

function isSameRoot(a: Hash | undefined, b: Hash): boolean {
  return a !== undefined && equalBytes(a, b)
}

/** What the policy's witnesses say of a checkpoint. */
export interface Cosigned {
  /** By their names in the policy, with the latest time in Unix seconds. */
  readonly times: ReadonlyMap<string, number>
  /** A witness whose cosignature is there and is bad. */
  readonly bad: string | undefined
  readonly isQuorum: boolean
}

export function cosignedBy({ note }: SignedHead, policy: Policy): Cosigned {
  const times = new Map<string, number>()
  let bad: string | undefined
  for (const { name, key } of policy.witnesses) {
    const verifier = cosignatureVerifier(key)
    for (const signature of note.signatures) {
      if (describeKey(signature) !== describeKey(key)) continue
      if (!verifier.verify(note.text, signature.signature)) bad = name
      else times.set(name, Math.max(times.get(name) ?? 0, cosignatureTime(signature)))
    }
  }
  return { times, bad, isQuorum: bad === undefined && isQuorum(policy, times.keys()) }
}
