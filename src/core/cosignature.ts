/**
 * Cosignatures of witnesses, https://c2sp.org/tlog-cosignature, version 1: Ed25519 with a time.
 *
 * One says: at that time, this was the largest consistent tree that I had seen of this log. It covers a header, the
 * time and the whole text of the checkpoint, but not the witness's name: so a key belongs to one witness only.
 *
 * In the note's signature, 8 bytes of big-endian Unix seconds stand before the 64 of Ed25519.
 */
import { ed25519Sign, ed25519Verify } from "#ed25519"
import { concatBytes, utf8 } from "./bytes.ts"
import { parseCheckpoint } from "./checkpoint.ts"
import { InvalidInputError } from "./errors.ts"
import { parseVerifierKey, type SignerKey, type VerifierKey } from "./key.ts"
import type { NoteSignature, NoteSigner, NoteVerifier } from "./note.ts"

/** Time and signature. */
const COSIGNATURE_BYTES = 8 + 64
/** The specification's, in seconds. */
const MAX_TIME = 2n ** 63n - 1n

/** Verifies one witness's cosignatures, whatever their time. @throws InvalidInputError for a key of another type. */
export function cosignatureVerifier(key: VerifierKey | string): NoteVerifier {
  const { name, keyId, type, publicKey } = typeof key === "string" ? parseVerifierKey(key) : key
  if (type !== "cosigner") throw new InvalidInputError(`${name} is the key of a ${type}, not of a cosigner`)
  return {
    name,
    keyId,
    verify(text, signature) {
      if (signature.length !== COSIGNATURE_BYTES) return false
      const time = timeOf(signature)
      return time <= MAX_TIME && ed25519Verify(publicKey, cosignedMessage(text, time), signature.subarray(8))
    },
  }
}

/**
 * Signs checkpoints as a witness, at `unixSeconds()` each.
 *
 * The witness must have verified the log's signature and the consistency with the last checkpoint it cosigned, and
 * have stored this one, before it calls.
 *
 * @throws InvalidInputError for a key of another type; from `sign`, for a text that is no checkpoint.
 */
export function cosigner({ name, keyId, type, seed }: SignerKey, unixSeconds: () => number): NoteSigner {
  if (type !== "cosigner") throw new InvalidInputError(`${name} is the key of a ${type}, not of a cosigner`)
  return {
    name,
    keyId,
    sign(text) {
      parseCheckpoint(text)
      const time = unixSeconds()
      if (!Number.isSafeInteger(time) || time < 0) {
        throw new InvalidInputError(
          `the time of a cosignature is a whole number of seconds since 1970, not ${time}`,
        )
      }
      const bytes = new Uint8Array(8)
      new DataView(bytes.buffer).setBigUint64(0, BigInt(time))
      return concatBytes([bytes, ed25519Sign(seed, cosignedMessage(text, BigInt(time)))])
    },
  }
}

/**
 * When a verified cosignature was made, in Unix seconds.
 *
 * @throws InvalidInputError when it is no cosignature, or of a year beyond 285 million.
 */
export function cosignatureTime({ signature }: Pick<NoteSignature, "signature">): number {
  const time = signature.length === COSIGNATURE_BYTES ? Number(timeOf(signature)) : -1
  if (time < 0 || !Number.isSafeInteger(time))
    throw new InvalidInputError("the signature has no time that makes sense")
  return time
}

/** A bigint, for here alone the number comes from outside in 64 bits, and is signed digit by digit. */
function timeOf(signature: Uint8Array): bigint {
  return new DataView(signature.buffer, signature.byteOffset).getBigUint64(0)
}

function cosignedMessage(text: string, time: bigint): Uint8Array {
  return utf8(`cosignature/v1\ntime ${time}\n${text}`)
}
