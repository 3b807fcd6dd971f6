import type { AuthBlock, AuthChallenge, JsonObject } from "../../model/index.ts"

/** What a hub keeps of a claim: enough to verify the next one, never the claim itself. Plain JSON. */
export type StoredCredential = JsonObject & {
  /** Of the adapter that made it. */
  readonly scheme: string
  /** Of the key that proves it, where there is one: the hub stamps it into the passport. */
  readonly key_fingerprint?: string
}

/** One way to prove an identity. Whatever it throws is an `AuthError` in the end, and never holds a secret. */
export interface AuthAdapter {
  /** What the auth block of a passport calls it. */
  readonly scheme: string

  /**
   * Verifies the claim of somebody who registers as `name`.
   *
   * @param block the rest of the passport's auth block, as the registrant wrote it.
   * @returns what to keep for {@link verify}; `null` for nothing.
   * @throws AuthError for a claim that does not prove the name.
   */
  enroll(name: string, claim: JsonObject | undefined, block?: AuthBlock): Promise<StoredCredential | null>

  /**
   * Verifies the claim of somebody who attaches as `name`.
   *
   * @param stored what {@link enroll} returned. It was on disk since: it may be anything of this scheme.
   * @throws AuthError for a claim that does not prove the name.
   */
  verify(name: string, claim: JsonObject | undefined, stored: StoredCredential | null): Promise<void>

  /** What `name` has to answer in its next claim. Without it, the scheme asks for nothing. */
  challenge?(name: string): AuthChallenge
}

/** Proves nothing and asks nothing. A hub that serves strangers leaves it out. */
export const noneAuth: AuthAdapter = {
  scheme: "none",
  async enroll() {
    return null
  },
  async verify() {},
}
