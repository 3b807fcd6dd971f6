import type { ChannelManifest, ChannelMetadata, ChannelEnd } from "./channel.ts"
import type { Envelope } from "./envelope.ts"
import type { JsonValue } from "./json.ts"

/** What an accepted envelope does to its channel. */
export interface AdapterResult {
  /** The channel ends; `undefined` leaves it open. */
  readonly nextState?: ChannelEnd
  readonly closeReason?: string
}

/** Whose turn it is, and which envelope made it so. */
export interface ExpectedTurn {
  readonly agent_id: string
  readonly triggering_envelope_id: string | null
}

export interface PendingTurn {
  readonly channel_id: string
  readonly triggering_envelope_id: string | null
  readonly expected_at: string
}

/**
 * The rules of one type of channel. Stateless, and every method pure: the hub folds a channel's write-ahead log through
 * it again after a restart and must get the same state.
 *
 * The state is JSON and is never changed in place: `fold` returns a new one.
 */
export interface ChannelAdapter<State extends JsonValue = JsonValue> {
  readonly manifest: ChannelManifest

  initialState(metadata: ChannelMetadata): State

  /** The state after `envelope`. Unknown event types leave it as it is. */
  fold(envelope: Envelope, state: State): State

  /** @throws ProtocolError to refuse the channel. */
  validateCreate(metadata: ChannelMetadata): void

  /** @throws ProtocolError to refuse the envelope. `state` is the one before it. */
  validateSend(metadata: ChannelMetadata, envelope: Envelope, state: State): void

  /** Told once the envelope is accepted; `state` is the one after it. */
  onAccepted(metadata: ChannelMetadata, envelope: Envelope, state: State): AdapterResult

  /** Whose turn it is; `undefined` when anybody's or nobody's. */
  expectedNext(metadata: ChannelMetadata, state: State): ExpectedTurn | undefined
}
