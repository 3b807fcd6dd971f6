/** `#ed25519` on Node. The contracts stand in `ed25519-default.ts`. */
import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from "node:crypto"

/** What ASN.1 puts before the 32 bytes of a key: PKCS #8 for a seed, SubjectPublicKeyInfo for a public key. */
const SEED_HEADER = Buffer.from("302e020100300506032b657004220420", "hex")
const PUBLIC_HEADER = Buffer.from("302a300506032b6570032100", "hex")

export function ed25519PublicKey(seed: Uint8Array): Uint8Array {
  const spki = createPublicKey(privateKey(seed)).export({ format: "der", type: "spki" })
  return new Uint8Array(spki.subarray(PUBLIC_HEADER.length))
}

export function ed25519Sign(seed: Uint8Array, message: Uint8Array): Uint8Array {
  return new Uint8Array(sign(null, message, privateKey(seed)))
}

export function ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  // Node would throw for a key that is no key; what came from outside is only ever good or bad.
  if (publicKey.length !== 32 || signature.length !== 64) return false
  const key = Buffer.concat([PUBLIC_HEADER, publicKey])
  return verify(null, message, { key, format: "der", type: "spki" }, signature)
}

function privateKey(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([SEED_HEADER, seed]), format: "der", type: "pkcs8" })
}
