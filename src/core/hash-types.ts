import { InvalidInputError } from "./errors.ts"
import { latin1Text } from "./bytes.ts"
import { formatBase64, parseBase64 } from "./canonical.ts"

/**
 * The numbers and hashes of a log that are silently exchangeable and must not be exchanged.
 *
 * Brands exist for the compiler alone. They are made by the functions below and nowhere else, and each function checks,
 * so that no later arithmetic on a size or an index can leave the exact range of a `number`.
 */
declare const brand: unique symbol
interface Brand<Name extends string> {
  readonly [brand]: Name
}

/** Which record, from 0. */
export type RecordIndex = number & Brand<"RecordIndex">
/** How many records; also the index after the last one. */
export type LogSize = number & Brand<"LogSize">
/** Which hash, in the order in which a log completes them: see `stored-hash.ts`. */
export type HashIndex = number & Brand<"HashIndex">
/** 32 bytes. Copied in and copied out: nobody else holds the same buffer. */
export type Hash = Uint8Array & Brand<"Hash">
/**
 * The same 32 bytes as a text of 32 characters, U+0000 to U+00FF each.
 *
 * For hot paths: a text is immutable, compares by value, and comes out of Node's `hash()` four times faster than a
 * buffer does. It is no encoding to print; {@link formatHash} is.
 */
export type Digest = string & Brand<"Digest">

/** Of a SHA-256 hash, in bytes. */
export const HASH_BYTES = 32
/** How many bytes become one text, of which each digest is a part. */
const TEXT_BYTES = 256 * HASH_BYTES

/** In records. A log of 2^52 records has fewer than 2^53 hashes, so that hash indexes are exact as well. */
export const MAX_LOG_SIZE: number = 2 ** 52

/** @throws InvalidInputError unless `value` is a whole number from 0 to 2^52 - 1. */
export function recordIndex(value: number): RecordIndex {
  return checked(value, MAX_LOG_SIZE - 1, "a record index") as RecordIndex
}

/** @throws InvalidInputError unless `value` is a whole number from 0 to 2^52. */
export function logSize(value: number): LogSize {
  return checked(value, MAX_LOG_SIZE, "a log size") as LogSize
}

/** @throws InvalidInputError unless `value` is a whole number from 0 to 2^53 - 1. */
export function hashIndex(value: number): HashIndex {
  return checked(value, Number.MAX_SAFE_INTEGER, "a hash index") as HashIndex
}

/**
 * A copy of the 32 bytes.
 *
 * @throws InvalidInputError for any other number of bytes.
 */
export function hashFrom(bytes: Uint8Array): Hash {
  if (bytes.length !== HASH_BYTES) throw new InvalidInputError(`a hash has 32 bytes, not ${bytes.length}`)
  return new Uint8Array(bytes) as Hash
}

/** The bytes of a digest. */
export function hashOfDigest(digest: Digest): Hash {
  const hash = new Uint8Array(HASH_BYTES)
  for (let i = 0; i < HASH_BYTES; i++) hash[i] = digest.charCodeAt(i)
  return hash as Hash
}

/** The digest that 32 of `bytes` are, from `start`. */
export function digestAt(bytes: Uint8Array, start = 0): Digest {
  if (bytes.length < start + HASH_BYTES) throw new InvalidInputError("a hash is cut short")
  return latin1Text(bytes.subarray(start, start + HASH_BYTES)) as Digest
}

/** The digests that `bytes` are one after another: of a tile, or a part of a row. A tenth of {@link digestAt} for each. */
export function digestsIn(bytes: Uint8Array): Digest[] {
  if (bytes.length % HASH_BYTES !== 0) throw new InvalidInputError("a hash is cut short")
  const digests: Digest[] = []
  for (let start = 0; start < bytes.length; start += TEXT_BYTES) {
    const text = latin1Text(bytes.subarray(start, start + TEXT_BYTES))
    for (let at = 0; at < text.length; at += HASH_BYTES)
      digests.push(text.slice(at, at + HASH_BYTES) as Digest)
  }
  return digests
}

/** The inverse of {@link digestsIn}. */
export function bytesOfDigests(digests: readonly Digest[]): Uint8Array {
  const bytes = new Uint8Array(digests.length * HASH_BYTES)
  let at = 0
  for (const digest of digests) for (let i = 0; i < HASH_BYTES; i++) bytes[at++] = digest.charCodeAt(i)
  return bytes
}

/** As checkpoints and proof files spell it: base64, 44 characters. */
export function formatHash(hash: Hash): string {
  return formatBase64(hash)
}

/** @throws InvalidInputError for whatever {@link formatHash} would not print. */
export function parseHash(text: string): Hash {
  return hashFrom(parseBase64(text, "a hash"))
}

function checked(value: number, most: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < 0 || value > most || Object.is(value, -0)) {
    throw new InvalidInputError(`${what} is a whole number from 0 to ${most}, not ${value}`)
  }
  return value
}
