import { AuthError } from "../../model/index.ts"
import type { AuthBlock, AuthChallenge, JsonObject } from "../../model/index.ts"
import { noneAuth } from "./adapter.ts"
import type { AuthAdapter, StoredCredential } from "./adapter.ts"

/**
 * The ways to prove an identity that a hub knows, by scheme.
 *
 * Callers verify by the scheme that is stored for the identity, not by one that a client names; a credential of another
 * scheme is refused here all the same.
 */
export class AuthRegistry {
  readonly #adapters = new Map<string, AuthAdapter>()

  /** @param adapters default: `none` alone. Without `none` in the list, everybody has to prove something. */
  constructor(adapters: Iterable<AuthAdapter> = [noneAuth]) {
    for (const adapter of adapters) this.register(adapter)
  }

  /** Replaces the adapter of the same scheme. */
  register(adapter: AuthAdapter): void {
    this.#adapters.set(adapter.scheme, adapter)
  }

  /**
   * @returns what to keep for {@link verify}; `null` for nothing.
   * @throws AuthError for an unknown scheme, or a claim that does not prove the name.
   */
  async enroll(
    scheme: string,
    name: string,
    claim: JsonObject | undefined,
    block?: AuthBlock,
  ): Promise<StoredCredential | null> {
    const adapter = this.#adapter(scheme)
    return await asAuthError(name, () => adapter.enroll(name, claim, block))
  }

  /** @throws AuthError when no scheme of this hub asks for an answer. */
  challenge(name: string): AuthChallenge {
    for (const adapter of this.#adapters.values()) {
      if (adapter.challenge !== undefined) return adapter.challenge(name)
    }
    throw new AuthError("no auth scheme of this hub asks for an answer to a challenge")
  }

  /**
   * @param stored what {@link enroll} returned for this identity.
   * @throws AuthError for an unknown scheme, or a claim that does not prove the name.
   */
  async verify(
    scheme: string,
    name: string,
    claim: JsonObject | undefined,
    stored: StoredCredential | null,
  ): Promise<void> {
    const adapter = this.#adapter(scheme)
    if (stored !== null && stored.scheme !== scheme) {
      throw new AuthError(`what is stored for ${JSON.stringify(name)} is not a credential of its scheme`)
    }
    await asAuthError(name, () => adapter.verify(name, claim, stored))
  }

  #adapter(scheme: string): AuthAdapter {
    const adapter = this.#adapters.get(scheme)
    if (adapter !== undefined) return adapter
    throw new AuthError(`no adapter is registered for the auth scheme ${JSON.stringify(scheme)}`)
  }
}

/** An adapter that fails proves nothing. Its own error is the cause. */
async function asAuthError<T>(name: string, prove: () => Promise<T>): Promise<T> {
  try {
    return await prove()
  } catch (error) {
    if (error instanceof AuthError) throw error
    throw new AuthError(`the claim of ${JSON.stringify(name)} could not be verified`, { cause: error })
  }
}
