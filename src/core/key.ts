/**
 * Keys as texts, https://c2sp.org/signed-note#verifier-keys
 *
 * A verifier key is `<name>+<key id>+<base64(type ‖ public key)>`, a signer key the same with `PRIVATE+KEY+` before it
 * and the seed in the public key's place, as `golang.org/x/mod/sumdb/note` writes them. The key id is made from name,
 * type and public key, so one seed under two names or two types is two keys that nobody mistakes for one another.
 */
import { ed25519PublicKey } from "#ed25519"
import { sha256 } from "#sha256"
import { concatBytes, utf8 } from "./bytes.ts"
import { formatBase64, parseBase64 } from "./canonical.ts"
import { InvalidInputError } from "./errors.ts"
import type { RandomBytes } from "./system.ts"

/** Which signatures a key makes. Others exist (ECDSA, ML-DSA-44); a key of theirs is refused by its number. */
export type KeyType = "log" | "cosigner"

/** The signature type bytes of signed-note: plain Ed25519, and Ed25519 cosignatures with a time. */
const TYPE_BYTES: Readonly<Record<KeyType, number>> = { log: 0x01, cosigner: 0x04 }

/** Of an Ed25519 seed and of its public key, in bytes. */
const KEY_BYTES = 32
/** Of a key's text, in characters. Room for names of a thousand. */
const MAX_KEY_LENGTH = 1_200
/** Of a key name, in characters. */
const MAX_NAME_LENGTH = 1_024

/** What tells keys apart, and what a signature line says of its key. */
export interface KeyIdentity {
  readonly name: string
  /** 8 lower-case hexadecimal digits. An identifier and no more: two keys can be made to share one. */
  readonly keyId: string
}

/** Whoever has one can verify, and give it to anyone. */
export interface VerifierKey extends KeyIdentity {
  readonly type: KeyType
  /** 32 bytes. */
  readonly publicKey: Uint8Array
}

/** Whoever has one can sign. */
export interface SignerKey extends VerifierKey {
  /** 32 bytes, secret. */
  readonly seed: Uint8Array
}

/** @throws InvalidInputError for a name that no key has, or a public key that is not 32 bytes. */
export function verifierKey(name: string, type: KeyType, publicKey: Uint8Array): VerifierKey {
  checkKeyName(name)
  if (publicKey.length !== KEY_BYTES) {
    throw new InvalidInputError(`an Ed25519 key has ${KEY_BYTES} bytes, not ${publicKey.length}`)
  }
  const digest = sha256(concatBytes([utf8(name), utf8("\n"), Uint8Array.of(TYPE_BYTES[type]), publicKey]))
  return { name, keyId: formatKeyId(digest), type, publicKey: new Uint8Array(publicKey) }
}

/** @throws InvalidInputError for a name that no key has, or a seed that is not 32 bytes. */
export function signerKey(name: string, type: KeyType, seed: Uint8Array): SignerKey {
  if (seed.length !== KEY_BYTES) {
    throw new InvalidInputError(`an Ed25519 seed has ${KEY_BYTES} bytes, not ${seed.length}`)
  }
  return { ...verifierKey(name, type, ed25519PublicKey(seed)), seed: new Uint8Array(seed) }
}

/** A new key. `randomBytes` must be unpredictable: `systemRandom`. */
export function generateSignerKey(name: string, type: KeyType, randomBytes: RandomBytes): SignerKey {
  return signerKey(name, type, randomBytes(KEY_BYTES))
}

/** Public: hand it out. */
export function formatVerifierKey({ name, keyId, type, publicKey }: VerifierKey): string {
  return `${name}+${keyId}+${formatMaterial(type, publicKey)}`
}

/** @throws InvalidInputError for whatever {@link formatVerifierKey} would not print, a wrong key id included. */
export function parseVerifierKey(text: string): VerifierKey {
  const [, name = "", keyId = "", material = ""] = matchKey(/^([^+]+)\+([0-9a-f]{8})\+(.+)$/, text)
  const { type, bytes } = parseMaterial(material)
  return withKeyId(verifierKey(name, type, bytes), keyId)
}

/** Secret: keep it in a file that nobody else can read. */
export function formatSignerKey({ name, keyId, type, seed }: SignerKey): string {
  return `PRIVATE+KEY+${name}+${keyId}+${formatMaterial(type, seed)}`
}

/** @throws InvalidInputError for whatever {@link formatSignerKey} would not print. The error does not quote the text. */
export function parseSignerKey(text: string): SignerKey {
  const [, name = "", keyId = "", material = ""] = matchKey(
    /^PRIVATE\+KEY\+([^+]+)\+([0-9a-f]{8})\+(.+)$/,
    text,
  )
  const { type, bytes } = parseMaterial(material)
  return withKeyId(signerKey(name, type, bytes), keyId)
}

/** `name+keyid`: how errors and verdicts name a key. */
export function describeKey({ name, keyId }: KeyIdentity): string {
  return `${name}+${keyId}`
}

/** @throws InvalidInputError unless `name` is not empty and has neither Unicode spaces nor `+`. */
export function checkKeyName(name: string): void {
  // Control characters would break the note's own lines, and half a surrogate pair is no UTF-8.
  if (
    name === "" ||
    name.length > MAX_NAME_LENGTH ||
    /[\p{White_Space}\0-\x1f+]/u.test(name) ||
    !name.isWellFormed()
  ) {
    throw new InvalidInputError(
      `a key name has 1 to ${MAX_NAME_LENGTH} characters, no spaces and no "+": ${JSON.stringify(name.slice(0, 80))}`,
    )
  }
}

/** The first four bytes, in hexadecimal. */
export function formatKeyId(bytes: Uint8Array): string {
  return Array.from(bytes.subarray(0, 4), (byte) => byte.toString(16).padStart(2, "0")).join("")
}

function formatMaterial(type: KeyType, bytes: Uint8Array): string {
  return formatBase64(concatBytes([Uint8Array.of(TYPE_BYTES[type]), bytes]))
}

function parseMaterial(material: string): { type: KeyType; bytes: Uint8Array } {
  const bytes = parseBase64(material, "the key's material")
  const byte = bytes[0] ?? 0
  // The type comes first for those who know it: what follows has another length for each.
  for (const type of ["log", "cosigner"] as const) {
    if (byte === TYPE_BYTES[type]) return { type, bytes: bytes.subarray(1) }
  }
  throw new InvalidInputError(
    `key type 0x${byte.toString(16).padStart(2, "0")} is not known here; 0x01 and 0x04 are`,
  )
}

/** Bounded before the pattern runs over it. The text may be secret, so no error quotes it. */
function matchKey(pattern: RegExp, text: string): RegExpExecArray {
  const match = text.length > MAX_KEY_LENGTH ? null : pattern.exec(text)
  if (match === null) throw new InvalidInputError("the key is not <name>+<8 hexadecimal digits>+<base64>")
  return match
}

/** The id is written in the text only to catch damage and mix-ups; the one that counts is computed. */
function withKeyId<K extends KeyIdentity>(key: K, keyId: string): K {
  if (key.keyId !== keyId) {
    throw new InvalidInputError(
      `the key id of ${key.name} is ${key.keyId}, not ${keyId}: the key's text is damaged`,
    )
  }
  return key
}
