import { parseTime } from "../core/system.ts"
import {
  isProtocolEvent,
  isTerminalChannel,
  participantIds,
  type ChannelAdapter,
  type ChannelEnd,
  type ChannelMetadata,
  type Envelope,
  type JsonObject,
  type JsonValue,
} from "../model/index.ts"
import { INVITE_ACK, INVITE_REJECT } from "../model/index.ts"
import type { ChannelWal } from "./wal.ts"

/** Whoever waits for a channel to open. */
export interface Opening {
  opened(told: Promise<ChannelMetadata>): void
  failed(error: Error): void
}

/** A channel as the hub holds it. Changed only under the lock `channel:<id>`; what it points at is frozen. */
export interface Channel {
  metadata: ChannelMetadata
  /** `undefined`: nobody has registered the adapter; the channel is listed, and takes nothing. */
  readonly adapter: ChannelAdapter | undefined
  /** What the adapter has folded; `undefined` without an adapter, and once the channel has ended after a restart. */
  state: JsonValue | undefined
  readonly wal: ChannelWal
  /** Positions in the log, by {@link repeatKeys}. Empty once the channel has ended. */
  readonly causation: Map<string, number>
  /** Violations that were told, each once: see `expectation-sweeper.ts`. */
  readonly fired: Set<string>
  /** Whoever waits in `createChannel`. */
  opening: Opening | undefined
  /** An end that follows from what is in the log and could not be written: the sweeper tries again. */
  owed: { readonly end: ChannelEnd; readonly reason: string } | undefined
  /** The metadata in memory is newer than the file: the log is ahead of it, and the sweeper writes it again. */
  unsaved: boolean
  /** Fields of a newer version, kept when the metadata is written again. */
  readonly extras: JsonObject
}

export function causationKey(senderId: string, causationId: string): string {
  return JSON.stringify([senderId, causationId])
}

/** Under the same map as {@link causationKey}: three parts, where that has two. */
export function idempotencyKey(senderId: string, key: string): string {
  return JSON.stringify([senderId, "idempotency_key", key])
}

/** Under what an envelope is found again when its sender posts it once more. */
export function repeatKeys({ sender_id, causation_id, idempotency_key }: Envelope): string[] {
  const keys: string[] = []
  if (idempotency_key !== null) keys.push(idempotencyKey(sender_id, idempotency_key))
  if (causation_id !== null) keys.push(causationKey(sender_id, causation_id))
  return keys
}

/** The one of {@link repeatKeys} that decides whether a draft is a repeat; `undefined`: it can be none. */
export function repeatKey({ sender_id, causation_id, idempotency_key }: Envelope): string | undefined {
  if (idempotency_key !== null) return idempotencyKey(sender_id, idempotency_key)
  return causation_id === null ? undefined : causationKey(sender_id, causation_id)
}

/** Listed as open, and able to take envelopes. */
export function isLive(channel: Channel): boolean {
  return channel.adapter !== undefined && !isTerminalChannel(channel.metadata.state)
}

/** To whom an envelope goes: its audience, or all but the sender; answers to invitations to nobody. */
export function recipientsOf(envelope: Envelope, metadata: ChannelMetadata): readonly string[] {
  if (envelope.event_type === INVITE_ACK || envelope.event_type === INVITE_REJECT) return []
  if (envelope.audience !== null) return [...new Set(envelope.audience)]
  return participantIds(metadata).filter((id) => id !== envelope.sender_id)
}

/** Whose inbox an envelope fills: every recipient's but the sender's; protocol fills none. */
export function inboxesOf(envelope: Envelope, recipients: readonly string[]): readonly string[] {
  return isProtocolEvent(envelope.event_type) ? [] : recipients.filter((id) => id !== envelope.sender_id)
}

/**
 * How the channel ends by itself at `nowMs`, if it does: what is owed, then its time to live, then an invitation that
 * has waited for `ackTimeoutMs` with nobody waiting for the answer any more, because the process that did has gone.
 */
export function dueEnd(channel: Channel, nowMs: number, ackTimeoutMs: number): Channel["owed"] {
  const { state, created_at, expires_at } = channel.metadata
  if (channel.owed !== undefined) return channel.owed
  if ((parseTime(expires_at) ?? Infinity) <= nowMs) return { end: "expired", reason: "ttl_expired" }
  if (state !== "pending" || channel.opening !== undefined) return undefined
  const isOld = nowMs - (parseTime(created_at) ?? -Infinity) >= ackTimeoutMs
  return isOld ? { end: "closed", reason: "invite_timeout" } : undefined
}
