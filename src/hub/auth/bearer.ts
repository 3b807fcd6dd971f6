import { AuthError } from "../../model/index.ts"
import type { AuthBlock, JsonObject } from "../../model/index.ts"
import type { AuthAdapter, StoredCredential } from "./adapter.ts"
import { MAX_TOKEN_LENGTH } from "./api-key.ts"

/** Whom a verified token is about. */
export interface TokenSubject {
  readonly issuer: string
  readonly subject: string
}

/**
 * Verifies a token: its signature, its times, its audience. It is the embedder's, with the library of his choice.
 *
 * @param block what the registrant's auth block says of issuer and audience; `undefined` when somebody attaches.
 * @throws anything for a token that is not good.
 */
export type VerifyToken = (
  token: string,
  about: { readonly name: string; readonly block: AuthBlock | undefined },
) => Promise<TokenSubject>

/**
 * A token that somebody else has issued, such as an OpenID Connect one, as `{ token }`.
 *
 * The hub keeps issuer and subject, never the token: whoever brings another good token of the same two is the same.
 */
export class BearerAuth implements AuthAdapter {
  readonly scheme: string
  readonly #verify: VerifyToken

  constructor(verify: VerifyToken, scheme: string = "oidc") {
    this.scheme = scheme
    this.#verify = verify
  }

  async enroll(name: string, claim: JsonObject | undefined, block?: AuthBlock): Promise<StoredCredential> {
    return { scheme: this.scheme, ...(await this.#subject(name, claim, block)) }
  }

  async verify(name: string, claim: JsonObject | undefined, stored: StoredCredential | null): Promise<void> {
    const { issuer, subject } = await this.#subject(name, claim, undefined)
    if (issuer !== stored?.["issuer"] || subject !== stored["subject"]) {
      throw new AuthError(`the token does not prove ${JSON.stringify(name)}`)
    }
  }

  async #subject(
    name: string,
    claim: JsonObject | undefined,
    block: AuthBlock | undefined,
  ): Promise<{ issuer: string; subject: string }> {
    const token = claim?.["token"]
    if (typeof token !== "string" || token === "" || token.length > MAX_TOKEN_LENGTH * 4) {
      throw new AuthError(`the claim of ${JSON.stringify(name)} must hold a token`)
    }
    const { issuer, subject } = await this.#verify(token, { name, block })
    if (typeof issuer !== "string" || issuer === "" || typeof subject !== "string" || subject === "") {
      throw new AuthError(`the token of ${JSON.stringify(name)} names no issuer and subject`)
    }
    return { issuer, subject }
  }
}
