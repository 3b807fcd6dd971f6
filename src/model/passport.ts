import { InvalidInputError } from "../core/errors.ts"
import type { JsonObject } from "./json.ts"

export type AgentKind = "agent" | "human" | "remote_agent"

/** How an identity proves itself, as the hub keeps it: never the claim itself. */
export interface AuthBlock {
  /** Names an adapter of the hub's auth registry; `none` proves nothing. */
  readonly scheme: string
  readonly issuer: string | null
  readonly audience: string | null
  readonly key_fingerprint: string | null
}

/** The same as a registrant sends it: the claim is verified once and then dropped. */
export interface AuthClaim extends Partial<AuthBlock> {
  readonly claim?: JsonObject
}

export interface CostProfile {
  readonly input_per_mtok: number | null
  readonly output_per_mtok: number | null
  /** `fast`, `balanced` or `deep` by convention. */
  readonly latency_tier: string | null
}

/** Who an agent is. Immutable: changing anything means unregister and register again. */
export interface Passport {
  /** The address; unique in a hub. */
  readonly name: string
  readonly owner: string
  readonly provider: string | null
  readonly model: string | null
  readonly cost: CostProfile | null
  readonly region: string | null
  readonly auth: AuthBlock
  /** `null` means `agent`. */
  readonly kind: AgentKind | null
  /** Set only on remote peers that a hub has cached. */
  readonly hub_id: string | null
  readonly version: number
  /** Stamped by the hub. */
  readonly agent_id: string
  /** Stamped by the hub: ISO 8601. */
  readonly created_at: string
}

/** What a registrant says about itself; the hub fills in the rest. */
export interface PassportRequest extends Partial<Omit<Passport, "auth" | "agent_id" | "created_at">> {
  readonly name: string
  readonly auth?: AuthClaim
  /** Left over in passports that were read back; the hub stamps its own. */
  readonly agent_id?: string | null
  readonly created_at?: string
}

export const AGENT_KINDS: readonly AgentKind[] = ["agent", "human", "remote_agent"]

/** In UTF-16 units. Names stand in paths of logs and in rules; nobody needs longer ones. */
export const MAX_NAME_LENGTH = 256

/** `null` counts as `agent`. */
export function effectiveKind(passport: Pick<Passport, "kind">): AgentKind {
  return passport.kind ?? "agent"
}

/**
 * The passport a hub stamps and keeps. The claim is not in it.
 *
 * @throws InvalidInputError for a name that is empty or too long, or a kind that does not exist.
 */
export function makePassport(request: PassportRequest, agentId: string, createdAt: string): Passport {
  const { name, kind = null, auth = {} } = request
  if (typeof name !== "string" || name.trim() === "") throw new InvalidInputError("a passport needs a name")
  if (name.length > MAX_NAME_LENGTH) {
    throw new InvalidInputError(`a name has at most ${MAX_NAME_LENGTH} characters, not ${name.length}`)
  }
  if (kind !== null && !AGENT_KINDS.includes(kind)) {
    throw new InvalidInputError(
      `a passport's kind is one of ${AGENT_KINDS.join(", ")}, not ${JSON.stringify(kind)}`,
    )
  }
  return {
    name,
    owner: request.owner ?? "",
    provider: request.provider ?? null,
    model: request.model ?? null,
    cost: request.cost ?? null,
    region: request.region ?? null,
    auth: {
      scheme: auth.scheme ?? "none",
      issuer: auth.issuer ?? null,
      audience: auth.audience ?? null,
      key_fingerprint: auth.key_fingerprint ?? null,
    },
    kind,
    hub_id: request.hub_id ?? null,
    version: request.version ?? 1,
    agent_id: agentId,
    created_at: createdAt,
  }
}
