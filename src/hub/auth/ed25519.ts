import { ed25519Verify } from "#ed25519"
import { sha256 } from "#sha256"
import { fromHex, toHex, utf8 } from "../../core/bytes.ts"
import { isoTime, systemClock, systemRandom } from "../../core/system.ts"
import type { Clock, RandomBytes } from "../../core/system.ts"
import { AuthError, challengeText } from "../../model/index.ts"
import type { AuthBlock, AuthChallenge, JsonObject } from "../../model/index.ts"
import type { AuthAdapter, StoredCredential } from "./adapter.ts"

export interface Ed25519Options {
  /** Names the hub in what is signed. */
  readonly hubId: string
  readonly clock?: Clock
  readonly random?: RandomBytes
}

/** How long an answer may take. */
export const CHALLENGE_SECONDS = 60
/** Asked for and not answered yet. The oldest give way, so that nobody fills the memory with questions. */
export const MAX_CHALLENGES = 10_000

const SCHEME = "ed25519"
const CHALLENGE_BYTES = 32

/**
 * A key of the agent's own, which signs the hub's challenge: `{ public_key, challenge, signature }`, in hexadecimal.
 *
 * Whoever registers a name first owns it, with the key that it brings; what the hub keeps is the public key, and its
 * fingerprint stands in the passport. A challenge is good for one attempt, whatever becomes of it.
 */
export class Ed25519Auth implements AuthAdapter {
  readonly scheme: string = SCHEME
  readonly #hubId: string
  readonly #clock: Clock
  readonly #random: RandomBytes
  /** Owned by `challenge` and `#take`, oldest first. */
  readonly #open = new Map<string, { readonly name: string; readonly expiresMs: number }>()

  constructor({ hubId, clock = systemClock, random = systemRandom }: Ed25519Options) {
    this.#hubId = hubId
    this.#clock = clock
    this.#random = random
  }

  challenge(name: string): AuthChallenge {
    const expiresMs = this.#clock() + CHALLENGE_SECONDS * 1000
    const challenge = toHex(this.#random(CHALLENGE_BYTES))
    if (this.#open.size >= MAX_CHALLENGES) {
      const [oldest] = this.#open.keys()
      if (oldest !== undefined) this.#open.delete(oldest)
    }
    this.#open.set(challenge, { name, expiresMs })
    return { hub_id: this.#hubId, challenge, expires_at: isoTime(expiresMs) }
  }

  async enroll(name: string, claim: JsonObject | undefined, block?: AuthBlock): Promise<StoredCredential> {
    const publicKey = fromHex(claim?.["public_key"], 32)
    if (publicKey === undefined) {
      throw new AuthError(
        `the claim of ${JSON.stringify(name)} must hold a public_key: 64 hexadecimal digits`,
      )
    }
    const key_fingerprint = fingerprintOf(publicKey)
    const named = block?.key_fingerprint ?? key_fingerprint
    if (named !== key_fingerprint) {
      throw new AuthError(`the key of ${JSON.stringify(name)} is not the one that its passport names`)
    }
    this.#check(name, claim, publicKey)
    return { scheme: SCHEME, public_key: toHex(publicKey), key_fingerprint }
  }

  async verify(name: string, claim: JsonObject | undefined, stored: StoredCredential | null): Promise<void> {
    const publicKey = fromHex(stored?.["public_key"], 32)
    if (publicKey === undefined) throw new AuthError(`no key is stored for ${JSON.stringify(name)}`)
    this.#check(name, claim, publicKey)
  }

  #check(name: string, claim: JsonObject | undefined, publicKey: Uint8Array): void {
    const challenge = claim?.["challenge"]
    const signature = fromHex(claim?.["signature"], 64)
    // Taken first: a wrong answer uses it up as well.
    const isOpen = typeof challenge === "string" && this.#take(challenge, name)
    if (!isOpen || signature === undefined) {
      throw new AuthError(`the claim of ${JSON.stringify(name)} answers no open challenge`, {
        hint: "Ask for a challenge, sign it, and send challenge and signature once.",
      })
    }
    const asked = { hub_id: this.#hubId, challenge, expires_at: "" }
    if (!ed25519Verify(publicKey, utf8(challengeText(name, asked)), signature)) {
      throw new AuthError(`the signature does not prove ${JSON.stringify(name)}`)
    }
  }

  #take(challenge: string, name: string): boolean {
    const open = this.#open.get(challenge)
    this.#open.delete(challenge)
    return open !== undefined && open.name === name && this.#clock() < open.expiresMs
  }
}

/** `sha256:` and the digest of the raw public key, in hexadecimal. */
export function fingerprintOf(publicKey: Uint8Array): string {
  return `sha256:${toHex(sha256(publicKey))}`
}
