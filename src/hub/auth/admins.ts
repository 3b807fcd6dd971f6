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

/** The administrators of a hub, by name. */
export class Admins {
  readonly #hashes: ReadonlyMap<string, Uint8Array>

  /** @throws InvalidInputError for what `hashAdminToken` would not have made. */
  constructor(hashes: Readonly<Record<string, string>> = {}) {
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
  verify(name: unknown, token: unknown): string {
    const digest = sha256(utf8(typeof token === "string" && token.length <= MAX_TOKEN_LENGTH ? token : ""))
    const hash = typeof name === "string" ? this.#hashes.get(name) : undefined
    if (typeof name !== "string" || hash === undefined || !timingSafeEqual(hash, digest)) {
      throw new AuthError(
        `the token does not prove administrator ${JSON.stringify(String(name).slice(0, 256))}`,
      )
    }
    return name
  }
}
