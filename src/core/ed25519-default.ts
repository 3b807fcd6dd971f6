/** `#ed25519` wherever there is no `node:crypto`: audited JavaScript, without promises. See `sha256-default.ts`. */
import { getPublicKey, hashes, sign, verify } from "@noble/ed25519"
import { sha512 } from "@noble/hashes/sha2.js"

// The library leaves SHA-512 to its user so that it need not choose one.
hashes.sha512 = sha512

/** The public key of a 32-byte seed. */
export function ed25519PublicKey(seed: Uint8Array): Uint8Array {
  return getPublicKey(seed)
}

/** 64 bytes, the same each time: Ed25519 draws nothing at random. */
export function ed25519Sign(seed: Uint8Array, message: Uint8Array): Uint8Array {
  return sign(message, seed)
}

/**
 * Whether the signature is good. Nothing that came from outside makes it throw.
 *
 * By RFC 8032 and not the laxer ZIP 215, the library's default: signatures that OpenSSL refuses are refused here too,
 * or a browser would accept a log that Node rejects.
 */
export function ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false
  try {
    return verify(signature, message, publicKey, { zip215: false })
  } catch {
    return false
  }
}
