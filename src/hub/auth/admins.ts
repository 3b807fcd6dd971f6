import { timingSafeEqual } from "node:crypto"
import { sha256 } from "#sha256"
import { fromHex, toHex, utf8 } from "../../core/bytes.ts"
import { InvalidInputError } from "../../core/errors.ts"
import { AuthError } from "../../model/index.ts"
import { MAX_TOKEN_LENGTH } from "./api-key.ts"

/** In UTF-16 units. A token is made by a machine: `openssl rand -hex 32`. */
export const MIN_ADMIN_TOKEN_LENGTH = 24

/**
 * What a hub's options hold in place of an administrator's token: `sha256:` and a digest.
 *
 * One plain hash suffices, because such a token cannot be guessed: short ones are refused here.
 *
 * @throws InvalidInputError
 */
export function hashAdminToken(token: string): string {
  if (token.length < MIN_ADMIN_TOKEN_LENGTH || token.length > MAX_TOKEN_LENGTH || !token.isWellFormed()) {
    throw new InvalidInputError(
      `an administrator's token has ${MIN_ADMIN_TOKEN_LENGTH} to ${MAX_TOKEN_LENGTH} characters`,
    )
  }
  return `sha256:${toHex(sha256(utf8(token)))}`
}

/** Somebody who has proved to be an administrator. */
export interface Administrator {
  readonly name: string
  /** Asked before each operation, so it must be quick. Default: the proof holds as long as the connection. */
  readonly isStillGood?: () => Promise<boolean>
}

/**
 * Judges an administrator's token where tokens are kept elsewhere, and may be revoked there.
 *
 * @throws AuthError, the same for an unknown name as for a wrong token.
 */
export type VerifyAdmin = (name: string, token: string) => Promise<Administrator>

/** The administrators of a hub, by name. */
export class Admins {
  readonly #hashes: ReadonlyMap<string, Uint8Array>
  readonly #elsewhere: VerifyAdmin | undefined

  /** @throws InvalidInputError for what `hashAdminToken` would not have made. */
  constructor(admins: Readonly<Record<string, string>> | VerifyAdmin = {}) {
    this.#elsewhere = typeof admins === "function" ? admins : undefined
    const hashes = typeof admins === "function" ? {} : admins
    this.#hashes = new Map(
      Object.entries(hashes).map(([name, text]) => {
        const hash = text.startsWith("sha256:") ? fromHex(text.slice(7), 32) : undefined
        if (hash === undefined) {
          throw new InvalidInputError(
            `the token of administrator ${JSON.stringify(name)} must be a sha256 hash`,
            {
              hint: "Give what hashAdminToken returns, never the token itself.",
            },
          )
        }
        return [name, hash]
      }),
    )
  }

  /** @throws AuthError, the same for an unknown name as for a wrong token. */
  async verify(name: string, token: unknown): Promise<Administrator> {
    const text = typeof token === "string" && token.length <= MAX_TOKEN_LENGTH ? token : ""
    if (this.#elsewhere !== undefined) return await this.#elsewhere(name, text)
    const digest = sha256(utf8(text))
    const hash = this.#hashes.get(name)
    if (hash === undefined || !timingSafeEqual(hash, digest)) throw notProved(name)
    return { name }
  }
}

/** In the same words, whatever is wrong. */
export function notProved(name: string): AuthError {
  return new AuthError(`the token does not prove administrator ${JSON.stringify(name.slice(0, 256))}`)
}
