import { createHash, scrypt, timingSafeEqual } from "node:crypto"
import { fromHex, toHex } from "../../core/bytes.ts"
import { systemRandom } from "../../core/system.ts"
import type { RandomBytes } from "../../core/system.ts"
import { AuthError } from "../../model/index.ts"
import type { JsonObject } from "../../model/index.ts"
import type { AuthAdapter, StoredCredential } from "./adapter.ts"

export interface ApiKeyOptions {
  /** The token of each name. Copied. */
  readonly tokens?: Readonly<Record<string, string>>
  /** Asked for names that `tokens` does not hold; `null` or `undefined` for names that may not enter. */
  readonly resolve?: (name: string) => Promise<string | null | undefined>
  /**
   * Whoever registers a name first owns it, with the token that it brings. Only without `tokens` and `resolve`.
   * Default false: without either, nobody can register.
   */
  readonly allowEnrolment?: boolean
  /** Of the salts. Default: the system's. */
  readonly random?: RandomBytes
}

/** In UTF-16 units. */
export const MAX_TOKEN_LENGTH = 4096

const SCHEME = "api_key"
/** 4 MiB and some ten milliseconds: keys are long and random, so it only has to make guessing dear. */
const ALGORITHM = "scrypt-4096-8-1"
const COST = { N: 4096, r: 8, p: 1 }
const SALT_BYTES = 16
const HASH_BYTES = 32

/**
 * A secret that the identity brings as `{ token }`.
 *
 * The hub keeps a salted scrypt hash, from which the token cannot be had again. With `tokens` or `resolve`, the token
 * must be the configured one, at registration and ever after; a token that is changed there needs a new registration.
 * No error and nothing that is returned holds a token.
 */
export class ApiKeyAuth implements AuthAdapter {
  readonly scheme: string = SCHEME
  readonly #tokens: ReadonlyMap<string, string> | undefined
  readonly #resolve: ApiKeyOptions["resolve"]
  readonly #allowEnrolment: boolean
  readonly #random: RandomBytes

  constructor(options: ApiKeyOptions = {}) {
    this.#tokens = options.tokens && new Map(Object.entries(options.tokens))
    this.#resolve = options.resolve
    this.#allowEnrolment = options.allowEnrolment ?? false
    this.#random = options.random ?? systemRandom
  }

  async enroll(name: string, claim: JsonObject | undefined): Promise<StoredCredential> {
    const token = tokenOf(name, claim)
    if (this.#configured) await this.#requireConfigured(name, token)
    else if (!this.#allowEnrolment) {
      throw new AuthError("no API keys are configured, and enrolment is off", {
        hint: "Give the hub's ApiKeyAuth tokens, a resolver or allowEnrolment.",
      })
    }
    const salt = this.#random(SALT_BYTES)
    const hash = await hashToken(token, salt)
    return { scheme: SCHEME, algorithm: ALGORITHM, salt: toHex(salt), hash: toHex(hash) }
  }

  async verify(name: string, claim: JsonObject | undefined, stored: StoredCredential | null): Promise<void> {
    const token = tokenOf(name, claim)
    const { salt, hash } = parseCredential(name, stored)
    if (!timingSafeEqual(await hashToken(token, salt), hash)) throw wrongToken(name)
    if (this.#configured) await this.#requireConfigured(name, token)
  }

  get #configured(): boolean {
    return this.#tokens !== undefined || this.#resolve !== undefined
  }

  async #requireConfigured(name: string, token: string): Promise<void> {
    const wanted = this.#tokens?.get(name) ?? (await this.#resolve?.(name))
    if (typeof wanted !== "string" || !timingSafeEqual(sha256(token), sha256(wanted))) throw wrongToken(name)
  }
}

/** The same for an unknown name as for a wrong token. */
function wrongToken(name: string): AuthError {
  return new AuthError(`the API key does not prove ${JSON.stringify(name)}`)
}

/** Text that is not well-formed is refused: in UTF-8 its broken halves would all be the same. */
function tokenOf(name: string, claim: JsonObject | undefined): string {
  const token = claim?.["token"]
  if (typeof token !== "string" || token === "" || !token.isWellFormed()) {
    throw new AuthError(`the claim of ${JSON.stringify(name)} must hold a token: text that is not empty`)
  }
  if (token.length > MAX_TOKEN_LENGTH) {
    throw new AuthError(`the token of ${JSON.stringify(name)} is longer than ${MAX_TOKEN_LENGTH} characters`)
  }
  return token
}

function parseCredential(
  name: string,
  stored: StoredCredential | null,
): { salt: Uint8Array; hash: Uint8Array } {
  const salt = fromHex(stored?.["salt"], SALT_BYTES)
  const hash = fromHex(stored?.["hash"], HASH_BYTES)
  if (stored?.["algorithm"] !== ALGORITHM || salt === undefined || hash === undefined) {
    throw new AuthError(`no API key that this hub can verify is stored for ${JSON.stringify(name)}`, {
      hint: "Unregister the identity and register it again with its key.",
    })
  }
  return { salt, hash }
}

function hashToken(token: string, salt: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(token, salt, HASH_BYTES, COST, (error, hash) => {
      if (error === null) resolve(hash)
      else reject(error)
    })
  })
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest()
}
