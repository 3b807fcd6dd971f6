/** Whose checkpoint it is: pinned keys, the keys that took over from them, and the witnesses of a policy. */
import { parseCheckpoint, type Checkpoint } from "./checkpoint.ts"
import { cosignatureTime, cosignatureVerifier } from "./cosignature.ts"
import { HansardError } from "./errors.ts"
import { describeKey, formatVerifierKey, parseVerifierKey, type VerifierKey } from "./key.ts"
import { noteVerifier, parseNote, type Note } from "./note.ts"
import { isQuorum, type Policy } from "./policy.ts"
import type { KeyChange } from "./key-change.ts"

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
  /** Where the chain of keys starts: {@link startingKeys}. */
  readonly keys: readonly VerifierKey[]
  /** Whether the caller vouches for them. */
  readonly areVouched: boolean
  /** The records in which the chain goes on, each signed by a key before it. */
  readonly keyChanges: readonly KeyChange[]
}

/** By the log's own name alone: a policy may list other logs, and each hands over only to itself. */
export function trustIn({ head, keys, areVouched, keyChanges }: TrustQuestion): Trust {
  if (keys.length === 0) return { status: "no_key" }
  const candidates = distinct([...keys, ...keyChanges.map(({ vkey }) => parseVerifierKey(vkey))])
  const key = candidates.find((each) => each.name === head.origin && namesIn(head.note, each))
  if (key === undefined) return { status: "refused", because: refusal(head, keys, keyChanges) }
  if (!isSignedBy(head.note, key)) {
    return { status: "refused", because: `the signature by ${describeKey(key)} is bad` }
  }
  return { status: areVouched ? "vouched" : "found", key, chain: chainTo(key, keys, keyChanges) }
}

/** From the key that is trusted by itself to the one that signed. Others that are trusted have no part in it. */
function chainTo(key: VerifierKey, keys: readonly VerifierKey[], keyChanges: readonly KeyChange[]): string[] {
  const trusted = keys.map(formatVerifierKey)
  const chain = [formatVerifierKey(key)]
  for (let first = chain[0]; first !== undefined && !trusted.includes(first);) {
    const last: string = first
    first = keyChanges.find(({ vkey }) => vkey === last)?.previousVkey
    if (first !== undefined) chain.unshift(first)
  }
  return chain
}

/** Whether a signature claims to be by one of the keys. */
export function isSignedByOneOf({ note, origin }: SignedHead, keys: readonly VerifierKey[]): boolean {
  return keys.some((key) => key.name === origin && namesIn(note, key))
}

export interface KnownKeys {
  readonly keys: readonly VerifierKey[]
  /** Whether the caller vouches for `keys`. */
  readonly areVouched: boolean
  /** The keys in whose name the remembered checkpoint was accepted. */
  readonly rememberedKeys: readonly string[]
}

/** Keys that were only found beside the log give way to those that were met before. */
export function startingKeys({ keys, areVouched, rememberedKeys }: KnownKeys): VerifierKey[] {
  const remembered = rememberedKeys.map(parseVerifierKey)
  if (!areVouched) return remembered.length > 0 ? remembered : [...keys]
  const isContinued = keys.some((key) => rememberedKeys.includes(formatVerifierKey(key)))
  return isContinued ? distinct([...keys, ...remembered]) : [...keys]
}

function distinct(keys: readonly VerifierKey[]): VerifierKey[] {
  return [...new Map(keys.map((key) => [formatVerifierKey(key), key])).values()]
}

function refusal(head: SignedHead, keys: readonly VerifierKey[], keyChanges: readonly KeyChange[]): string {
  const signers = head.note.signatures.map(describeKey).join(", ")
  const known = [...keys, ...keyChanges.map(({ vkey }) => parseVerifierKey(vkey))].map(describeKey).join(", ")
  return `the checkpoint of ${head.origin} is signed by ${signers}, not by ${known}`
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
