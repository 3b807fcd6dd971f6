import { ed25519PublicKey, ed25519Sign } from "#ed25519"
import { sha256 } from "#sha256"
import { toHex, utf8 } from "../core/bytes.ts"
import { InvalidInputError } from "../core/errors.ts"
import { systemRandom } from "../core/system.ts"
import type { RandomBytes } from "../core/system.ts"
import { challengeText } from "../model/challenge.ts"
import type { AuthChallenge } from "../model/challenge.ts"
import { AuthError } from "../model/errors.ts"
import type { AuthClaim } from "../model/passport.ts"

const SEED_BYTES = 32

/** An agent's own Ed25519 key, which proves it to a hub. Nothing that is logged or sent holds the seed. */
export class AgentKey {
  /** In hexadecimal. */
  readonly publicKey: string
  /** As it stands in the passport: `sha256:` and a digest. */
  readonly fingerprint: string
  readonly #seed: Uint8Array

  /** @param seed 32 bytes, copied. @throws InvalidInputError for any other number. */
  constructor(seed: Uint8Array) {
    if (seed.length !== SEED_BYTES) throw new InvalidInputError(`a key's seed has ${SEED_BYTES} bytes`)
    this.#seed = seed.slice()
    const publicKey = ed25519PublicKey(this.#seed)
    this.publicKey = toHex(publicKey)
    this.fingerprint = `sha256:${toHex(sha256(publicKey))}`
  }

  /** A new one. To keep it, make the seed yourself. */
  static generate(random: RandomBytes = systemRandom): AgentKey {
    return new AgentKey(random(SEED_BYTES))
  }

  /**
   * The claim that proves `name`.
   *
   * @param hubId the hub that is meant. Without it the key signs for whatever hub asks, and a hub in between could pass the
   *   question on.
   * @throws AuthError when another hub asks.
   */
  answer(name: string, challenge: AuthChallenge, hubId?: string): AuthClaim {
    if (hubId !== undefined && challenge.hub_id !== hubId) {
      throw new AuthError(`${JSON.stringify(challenge.hub_id)} asks, not ${JSON.stringify(hubId)}`)
    }
    const signature = toHex(ed25519Sign(this.#seed, utf8(challengeText(name, challenge))))
    return {
      scheme: "ed25519",
      key_fingerprint: this.fingerprint,
      claim: { public_key: this.publicKey, challenge: challenge.challenge, signature },
    }
  }
}
