import type { Expectation } from "./expectation.ts"
import type { JsonObject, Open } from "./json.ts"

export type ChannelState = "pending" | "active" | "closing" | "closed" | "expired"
export type ChannelEnd = "closed" | "expired"
export type ParticipantRole = "initiator" | "respondent" | "participant"

export interface ChannelManifest {
  readonly type: Open<"consulting" | "conversation" | "discussion" | "workflow">
  readonly version: number
  readonly participants: {
    readonly min: number
    readonly max: number | null
    readonly roles: readonly string[]
  }
  readonly knobs_schema: JsonObject
  readonly default_view_policy: string
  readonly expectations: readonly Expectation[]
}

export interface Participant {
  readonly agent_id: string
  readonly role: ParticipantRole
  /** Position in the list of participants, from 0. */
  readonly order: number
  readonly joined_at: string
}

/** A channel as it is stored. Its manifest is a snapshot: later versions of an adapter do not reach it. */
export interface ChannelMetadata {
  readonly channel_id: string
  readonly manifest: ChannelManifest
  readonly creator_id: string
  readonly participants: readonly Participant[]
  readonly state: ChannelState
  readonly created_at: string
  /** `null`: never. */
  readonly expires_at: string | null
  readonly closed_at: string | null
  readonly close_reason: string
  readonly parent_channel_id: string | null
  /** Options of the adapter. */
  readonly knobs: JsonObject
  readonly labels: Readonly<Record<string, string>>
  /** How many invitees must accept; `null`: all of them. */
  readonly required_acks: number | null
  /** Invitees who have not answered yet. */
  readonly pending_acks: readonly string[]
  readonly rejected_by: readonly string[]
}

export function isTerminalChannel(state: ChannelState): state is ChannelEnd {
  return state === "closed" || state === "expired"
}

export function participantIds(metadata: Pick<ChannelMetadata, "participants">): string[] {
  return metadata.participants.map((participant) => participant.agent_id)
}

export function isParticipant(metadata: Pick<ChannelMetadata, "participants">, agentId: string): boolean {
  return metadata.participants.some((participant) => participant.agent_id === agentId)
}

/** The creator initiates; the other of exactly two responds; all others participate. */
export function roleOf(agentId: string, creatorId: string, count: number): ParticipantRole {
  if (agentId === creatorId) return "initiator"
  return count === 2 ? "respondent" : "participant"
}

/** The wire operation `create_channel`. */
export interface CreateChannelRequest {
  readonly creator_id: string
  readonly manifest_type: string
  readonly manifest_version?: number
  /** Agent ids. The creator is put first when it is not among them. */
  readonly participants: readonly string[]
  readonly required_acks?: number | null
  readonly ttl?: number | string | null
  readonly knobs?: JsonObject
  /** Kept as the label `intent`. */
  readonly intent?: string | null
  readonly labels?: Readonly<Record<string, string>>
}
