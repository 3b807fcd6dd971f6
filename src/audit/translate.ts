import { HansardError } from "../core/errors.ts"
import type { Envelope, Violation } from "../model/index.ts"
import type { Coverage } from "./types.ts"

/** A record before it is a line. Keys are written sorted, whatever their order here. */
export type Draft = Record<string, unknown>

/** Payloads as they come: a forged or foreign event may lack anything, and its record must still be written. */
type Payload = Readonly<Record<string, unknown>>

/** An event's own time, else the log's. */
type At = (payload: Payload) => string

/**
 * Hub events as records: SPEC.md "Record kinds". Each function returns `undefined` for what the coverage leaves out.
 *
 * Pure. Missing values become null. Message bodies, tool arguments and credentials are never read here.
 */
export function agentRecord(
  agentId: string,
  kind: string,
  payload: Payload,
  coverage: Coverage,
  at: At,
): Draft | undefined {
  const base = { at: at(payload), agent_id: agentId, ...actor(payload, coverage) }
  switch (kind) {
    case "registered":
      return { ...base, kind: "agent_registered", name: field(payload["passport"], "name") ?? null }
    case "unregistered":
      return { ...base, kind: "agent_unregistered", name: payload["name"] ?? null }
    case "resume_set":
      return { ...base, kind, version: versionOf(payload, "resume"), source: "tenant" }
    case "observation_recorded":
      return {
        ...base,
        kind: "resume_set",
        version: versionOf(payload, "resume"),
        source: "observed",
        capability: payload["capability"] ?? null,
        outcome: payload["outcome"] ?? null,
      }
    case "skill_set":
      return { ...base, kind, removed: payload["removed"] ?? false }
    case "rule_set":
      return { ...base, kind, version: versionOf(payload, "rule") }
    default:
      return undefined
  }
}

export function channelRecord(
  channelId: string,
  kind: string,
  payload: Payload,
  coverage: Coverage,
  at: At,
): Draft | undefined {
  const base = { at: at(payload), channel_id: channelId, ...actor(payload, coverage) }
  switch (kind) {
    case "created":
      return { ...base, kind: "channel_created", ...createdFields(payload) }
    case "closed":
      return { ...base, kind: "channel_closed", reason: payload["reason"] ?? null }
    case "expired":
      return { ...base, kind: "channel_expired", reason: payload["reason"] ?? null }
    case "opened":
      return coverage === "full" ? { ...base, kind: "channel_opened" } : undefined
    default:
      return undefined
  }
}

export function taskRecord(
  taskId: string,
  kind: string,
  payload: Payload,
  coverage: Coverage,
  at: At,
): Draft | undefined {
  const base = {
    at: at(payload),
    task_id: taskId,
    owner_id: payload["owner_id"] ?? null,
    channel_id: payload["channel_id"] ?? null,
    capability: payload["capability"] ?? null,
    ...actor(payload, coverage),
  }
  switch (kind) {
    case "completed":
    case "failed":
    case "expired":
    case "cancelled":
      return {
        ...base,
        kind: "task_terminated",
        outcome: payload["outcome"] ?? kind,
        reason: payload["reason"] ?? null,
      }
    case "started":
      return coverage === "full" ? { ...base, kind: "task_started" } : undefined
    default:
      return undefined
  }
}

export function expectationRecord(channelId: string, violation: Violation, now: string): Draft {
  const { expectation } = violation
  return {
    at: now,
    kind: "expectation_violated",
    channel_id: channelId,
    expectation: expectation.name,
    on_violation: expectation.on_violation,
    params: expectation.params,
    violators: violation.violator_ids,
    detail: violation.detail,
  }
}

export function turnFailedRecord(
  channelId: string,
  agentId: string,
  envelopeId: string,
  error: Error,
  coverage: Coverage,
  now: string,
): Draft {
  return {
    at: now,
    kind: "turn_failed",
    channel_id: channelId,
    agent_id: agentId,
    envelope_id: envelopeId,
    exc_type: errorType(error),
    exc_message: error.message,
    ...(coverage === "full" ? { actor_id: agentId } : {}),
  }
}

export function envelopeRejectedRecord(envelope: Envelope, reason: Error, now: string): Draft {
  return {
    at: now,
    kind: "envelope_rejected",
    channel_id: envelope.channel_id,
    sender_id: envelope.sender_id,
    event_type: envelope.event_type,
    code: reason instanceof HansardError ? reason.code : "error",
    reason: reason.message,
    actor_id: envelope.sender_id,
  }
}

/** The name by which Python would know the exception: its class. */
function errorType(error: Error): string {
  if (error.name !== "" && error.name !== "Error") return error.name
  return error.constructor.name === "" ? "Error" : error.constructor.name
}

function createdFields(payload: Payload): Draft {
  const metadata = payload["metadata"]
  const participants = payload["participants"] ?? idsOf(field(metadata, "participants"))
  if (typeof metadata !== "object" || metadata === null) return { participants }
  const manifest = field(metadata, "manifest")
  return {
    manifest_type: field(manifest, "type") ?? null,
    manifest_version: field(manifest, "version") ?? null,
    creator_id: field(metadata, "creator_id") ?? null,
    participants,
  }
}

function idsOf(participants: unknown): unknown[] {
  if (!Array.isArray(participants)) return []
  return participants.map((participant: unknown) => field(participant, "agent_id") ?? null)
}

function versionOf(payload: Payload, holder: string): unknown {
  return payload["version"] ?? field(payload[holder], "version") ?? null
}

function actor(payload: Payload, coverage: Coverage): Draft {
  const actorId = payload["actor_id"]
  return coverage === "full" && typeof actorId === "string" ? { actor_id: actorId } : {}
}

function field(holder: unknown, name: string): unknown {
  return typeof holder === "object" && holder !== null ? (holder as Payload)[name] : undefined
}
