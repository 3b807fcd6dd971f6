import type { JsonObject, Open } from "./json.ts"

/** One message in a channel, as it lies in the write-ahead log. */
export interface Envelope {
  readonly channel_id: string
  readonly sender_id: string
  /** Agent ids; `null`: every participant but the sender. */
  readonly audience: readonly string[] | null
  readonly event_type: Open<EventType>
  readonly event_data: JsonObject
  /** Stamped by the hub; sorts in the order of the write-ahead log. */
  readonly envelope_id: string
  readonly task_id: string | null
  /** The envelope that this one answers. */
  readonly causation_id: string | null
  /** A W3C traceparent. */
  readonly trace_id: string | null
  /** AG2's; carried, and read by nobody: the order within a channel is that of its log. */
  readonly priority: "background" | "normal" | "urgent"
  /** How many delegations deep the sender works. */
  readonly depth: number
  /** Of the sender's own: the second envelope with it in a channel is the first one. */
  readonly idempotency_key: string | null
  /** Stamped by the hub. */
  readonly created_at: string
  /** Whoever has not got it by then does not get it; it stays in the log. `null`: never. */
  readonly ttl_seconds: number | null
}

/** What a sender fills in. */
export type EnvelopeRequest = Pick<Envelope, "channel_id" | "sender_id" | "event_type" | "event_data"> &
  Partial<Envelope>

/**
 * `hansard.*` is ours, and AG2's hub and clients take it for information: `hansard.turn.pass` gives one's turn away
 * (`{text?}`, why); `hansard.participant.hidden` is the hub's word that somebody speaks no more (`{agent_id, turn, reason}`).
 */
export type EventType =
  | "ag2.msg.text"
  | "ag2.packet"
  | "ag2.channel.invite"
  | "ag2.channel.invite.ack"
  | "ag2.channel.invite.reject"
  | "ag2.channel.opened"
  | "ag2.channel.closed"
  | "ag2.channel.expired"
  | "ag2.expectation.violated"
  | "ag2.context.set"
  | "ag2.task.cancel_request"
  | "ag2.task.cancelled"
  | "hansard.turn.pass"
  | "hansard.participant.hidden"

export const TEXT = "ag2.msg.text"
export const INVITE = "ag2.channel.invite"
export const INVITE_ACK = "ag2.channel.invite.ack"
export const INVITE_REJECT = "ag2.channel.invite.reject"
export const OPENED = "ag2.channel.opened"
export const PACKET = "ag2.packet"
export const CONTEXT_SET = "ag2.context.set"
export const PASS = "hansard.turn.pass"
export const HIDDEN = "hansard.participant.hidden"
export const VIOLATED = "ag2.expectation.violated"

/** Channel and task protocol; everything else is substantive. */
export function isProtocolEvent(eventType: string): boolean {
  return eventType.startsWith("ag2.channel.") || eventType.startsWith("ag2.task.")
}

/** The sender sees its own, everybody sees what has no audience, else the audience. */
export function isVisibleTo(envelope: Pick<Envelope, "sender_id" | "audience">, agentId: string): boolean {
  return envelope.sender_id === agentId || envelope.audience === null || envelope.audience.includes(agentId)
}

/** All fourteen keys, with the defaults for what the sender left out. */
export function makeEnvelope(request: EnvelopeRequest): Envelope {
  return {
    channel_id: request.channel_id,
    sender_id: request.sender_id,
    audience: request.audience ?? null,
    event_type: request.event_type,
    event_data: request.event_data,
    envelope_id: request.envelope_id ?? "",
    task_id: request.task_id ?? null,
    causation_id: request.causation_id ?? null,
    trace_id: request.trace_id ?? null,
    priority: request.priority ?? "normal",
    depth: request.depth ?? 0,
    idempotency_key: request.idempotency_key ?? null,
    created_at: request.created_at ?? "",
    ttl_seconds: request.ttl_seconds ?? null,
  }
}

/** The text of a text envelope; `undefined` for every other. */
export function textOf(envelope: Pick<Envelope, "event_type" | "event_data">): string | undefined {
  const text = envelope.event_data["text"]
  return envelope.event_type === TEXT && typeof text === "string" ? text : undefined
}
