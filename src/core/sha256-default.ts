/**
 * `#sha256` wherever there is no `node:crypto`: audited JavaScript.
 *
 * Not `crypto.subtle`: it answers with a promise, and for the 65 bytes of a tree node the promise costs twenty times
 * the hash. Which variant an import means is decided by the conditions in `package.json` (in `src/package.json` when
 * the sources run unbuilt), so nothing here asks where it is running.
 */
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js"
import { latin1Text } from "./bytes.ts"

/** SHA-256 in a fresh buffer of 32 bytes. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return nobleSha256(bytes)
}

/** SHA-256 of `bytes`, as 32 characters from U+0000 to U+00FF. */
export function digestOf(bytes: Uint8Array): string {
  return latin1Text(nobleSha256(bytes))
}

/** SHA-256 of one byte and then `bytes`, as 32 characters from U+0000 to U+00FF. */
export function digestOfBytes(prefix: number, bytes: Uint8Array): string {
  const input = new Uint8Array(bytes.length + 1)
  input[0] = prefix
  input.set(bytes, 1)
  return latin1Text(nobleSha256(input))
}

/** SHA-256 of one byte and then two digests, each spelled as what is returned. */
export function digestOfPair(prefix: number, left: string, right: string): string {
  const input = new Uint8Array(65)
  input[0] = prefix
  for (let i = 0; i < 32; i++) {
    input[i + 1] = left.charCodeAt(i)
    input[i + 33] = right.charCodeAt(i)
  }
  return latin1Text(nobleSha256(input))
}
