/** `#sha256` on Node: one call into OpenSSL a hash. The contracts stand in `sha256-default.ts`. */
import { hash } from "node:crypto"

/** "binary" is Node's older name of latin1, and the one that its types know here. */
const LATIN1 = "binary"

/** Owned by the functions of this file; no call keeps it. Grows to the longest input seen. */
let scratch = Buffer.alloc(4_096)
/** Of {@link digestOfPair}: a prefix and two digests. */
const pair = Buffer.alloc(65)

export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(hash("sha256", bytes, "buffer"))
}

export function digestOf(bytes: Uint8Array): string {
  return hash("sha256", bytes, LATIN1)
}

export function digestOfBytes(prefix: number, bytes: Uint8Array): string {
  const length = bytes.length + 1
  if (length > scratch.length) scratch = Buffer.alloc(length * 2)
  scratch[0] = prefix
  scratch.set(bytes, 1)
  return hash("sha256", scratch.subarray(0, length), LATIN1)
}

export function digestOfPair(prefix: number, left: string, right: string): string {
  pair[0] = prefix
  // Two writes: to join the texts first costs half as much again.
  pair.write(left, 1, 32, LATIN1)
  pair.write(right, 33, 32, LATIN1)
  return hash("sha256", pair, LATIN1)
}
