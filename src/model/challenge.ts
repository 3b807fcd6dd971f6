/** What a hub asks a key to sign, once. */
export interface AuthChallenge {
  /** Signed too, so that an answer to one hub is none to another. */
  readonly hub_id: string
  /** Random, and forgotten with the first attempt. */
  readonly challenge: string
  /** ISO 8601. */
  readonly expires_at: string
}

/** The exact text that an agent's Ed25519 key signs, as UTF-8. JSON, so that no name can run into its neighbour. */
export function challengeText(name: string, { hub_id, challenge }: AuthChallenge): string {
  return JSON.stringify(["hansard-auth/v1", hub_id, name, challenge])
}
