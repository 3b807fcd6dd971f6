/** A channel's story as something that can be walked: who did it, to whom, and what made them. Pure. */
import {
  INVITE,
  INVITE_ACK,
  INVITE_REJECT,
  isProtocolEvent,
  OPENED,
  textOf,
  VIOLATED,
} from "../../model/index.ts"
import type { StoryEvent } from "../../wire/http.ts"

/** The lane of what the hub does by itself. */
export const HUB = ""

/** As it stands in the address: `a12` or `w3`. */
export function keyOf(event: StoryEvent): string {
  return event.source === "audit" ? `a${event.index}` : `w${event.position}`
}

/** Whose doing it is. */
export function laneOf(event: StoryEvent): string {
  if (event.source === "wal") return event.envelope.sender_id
  const { record } = event
  for (const field of ["agent_id", "owner_id", "sender_id", "creator_id", "recipient_id"]) {
    const id = record[field]
    if (typeof id === "string") return id
  }
  const { violators } = record
  const [first] = Array.isArray(violators) ? violators : []
  return typeof first === "string" ? first : HUB
}

/** To whom an envelope went, among those with a lane. Records go to nobody. */
export function targetsOf(event: StoryEvent, lanes: readonly string[]): string[] {
  if (event.source === "audit") return []
  const { audience, sender_id, event_type } = event.envelope
  if (event_type === INVITE_ACK || event_type === INVITE_REJECT) return []
  return lanes.filter((id) => id !== HUB && id !== sender_id && (audience === null || audience.includes(id)))
}

/** Everybody with a lane: the hub, the participants in their order, then whoever else did something. */
export function lanesOf(events: readonly StoryEvent[], participants: readonly string[]): string[] {
  return [...new Set([HUB, ...participants, ...events.map(laneOf)])]
}

/**
 * The event that made this one happen, as far as ids tell it, and where they do not, as far as the protocol does: an
 * answer to an invitation comes of it, a broken promise of the message that nobody answered.
 *
 * @returns its place in `events`.
 */
export function causeOf(events: readonly StoryEvent[], at: number): number | undefined {
  const event = events[at]
  if (event === undefined) return undefined
  const found = event.source === "wal" ? causeOfEnvelope(events, at) : causeOfRecord(events, at)
  // Nothing is caused by what comes after it.
  return found !== undefined && found >= 0 && found < at ? found : undefined
}

/** From the event back to the first cause that is known; the event itself first. */
export function causesOf(events: readonly StoryEvent[], at: number): number[] {
  const chain = [at]
  for (let next = causeOf(events, at); next !== undefined; next = causeOf(events, next)) chain.push(next)
  return chain
}

function causeOfEnvelope(events: readonly StoryEvent[], at: number): number | undefined {
  const event = events[at]
  if (event?.source !== "wal") return undefined
  const { causation_id, event_type, task_id, sender_id } = event.envelope
  if (causation_id !== null) return findEnvelope(events, causation_id)
  switch (event_type) {
    case INVITE_ACK:
    case INVITE_REJECT:
      return lastBefore(events, at, (other) => isEnvelope(other, INVITE))
    case OPENED:
      return lastBefore(events, at, (other) => isEnvelope(other, INVITE_ACK) || isEnvelope(other, INVITE))
    case VIOLATED:
      return lastMessageNotBy(events, at, violatorsIn(event.envelope.event_data["violators"]))
    case "ag2.channel.closed":
    case "ag2.channel.expired":
      return lastBefore(events, at, isViolation)
  }
  if (task_id === null) return undefined
  return lastBefore(
    events,
    at,
    (other) =>
      other.source === "wal" && other.envelope.task_id === task_id && other.envelope.sender_id !== sender_id,
  )
}

function causeOfRecord(events: readonly StoryEvent[], at: number): number | undefined {
  const event = events[at]
  if (event?.source !== "audit") return undefined
  const { kind, envelope_id, task_id, owner_id, violators } = event.record
  if (typeof envelope_id === "string") return findEnvelope(events, envelope_id)
  switch (kind) {
    case "expectation_violated":
      return lastMessageNotBy(events, at, violatorsIn(violators))
    case "task_terminated":
      return lastBefore(
        events,
        at,
        (other) => isRecord(other, "task_started") && other.record["task_id"] === task_id,
      )
    case "task_started":
      return lastMessageNotBy(events, at, typeof owner_id === "string" ? [owner_id] : [])
    case "channel_opened":
      return lastBefore(events, at, (other) => isEnvelope(other, OPENED) || isEnvelope(other, INVITE_ACK))
    case "channel_closed":
    case "channel_expired":
      return lastBefore(
        events,
        at,
        (other) =>
          isEnvelope(other, "ag2.channel.closed") ||
          isEnvelope(other, "ag2.channel.expired") ||
          isViolation(other),
      )
    default:
      return undefined
  }
}

type RecordEvent = Extract<StoryEvent, { source: "audit" }>

function isRecord(event: StoryEvent, kind: string): event is RecordEvent {
  return event.source === "audit" && event.record["kind"] === kind
}

function isEnvelope(event: StoryEvent, type: string): boolean {
  return event.source === "wal" && event.envelope.event_type === type
}

function isViolation(event: StoryEvent): boolean {
  return isRecord(event, "expectation_violated") || isEnvelope(event, VIOLATED)
}

function findEnvelope(events: readonly StoryEvent[], id: string): number | undefined {
  const found = events.findIndex((event) => event.source === "wal" && event.envelope.envelope_id === id)
  return found < 0 ? undefined : found
}

function lastBefore(
  events: readonly StoryEvent[],
  at: number,
  matches: (event: StoryEvent) => boolean,
): number | undefined {
  for (let i = at - 1; i >= 0; i--) {
    const event = events[i]
    if (event !== undefined && matches(event)) return i
  }
  return undefined
}

/** What they were asked, and what nobody answered. */
function lastMessageNotBy(
  events: readonly StoryEvent[],
  at: number,
  ids: readonly string[],
): number | undefined {
  return lastBefore(
    events,
    at,
    (event) =>
      event.source === "wal" &&
      !isProtocolEvent(event.envelope.event_type) &&
      event.envelope.event_type !== VIOLATED &&
      !ids.includes(event.envelope.sender_id),
  )
}

function violatorsIn(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((id) => typeof id === "string") : []
}

/** What an envelope says, in a line. */
export function wordsOf(event: Extract<StoryEvent, { source: "wal" }>): {
  readonly type: string
  readonly text: string
} {
  const { envelope } = event
  const text = textOf(envelope)
  if (text !== undefined) return { type: "", text }
  const data = JSON.stringify(envelope.event_data)
  return { type: envelope.event_type.replace(/^ag2\./, ""), text: data === "{}" ? "" : data }
}
