import { TEXT } from "../../model/index.ts"
import type { ChannelAdapter, ChannelManifest } from "../../model/index.ts"
import { requireParticipant, requireTwoParties, TWO_PARTIES } from "./two-party.ts"

/** As it is handed out and stored: snake_case JSON. */
export type ConversationState = {
  /** How many texts there were. */
  readonly turn_count: number
  readonly last_speaker_id: string | null
  /** Of the latest text. */
  readonly last_envelope_id: string | null
}

const manifest: ChannelManifest = {
  type: "conversation",
  version: 1,
  participants: TWO_PARTIES,
  knobs_schema: {},
  default_view_policy: "windowed_summary",
  expectations: [{ name: "max_silence", on_violation: "audit", params: { seconds: 3600 }, applies_to: null }],
}

/** Free talk between two: either may send anything at any time, nobody is ever due, and it never ends by itself. */
export const conversationAdapter: ChannelAdapter<ConversationState> = {
  manifest,

  initialState() {
    return { turn_count: 0, last_speaker_id: null, last_envelope_id: null }
  },

  fold(envelope, state) {
    if (envelope.event_type !== TEXT) return state
    return {
      turn_count: state.turn_count + 1,
      last_speaker_id: envelope.sender_id,
      last_envelope_id: envelope.envelope_id,
    }
  },

  validateCreate: requireTwoParties,

  validateSend(metadata, envelope) {
    requireParticipant(metadata, envelope)
  },

  onAccepted() {
    return {}
  },

  expectedNext() {
    return undefined
  },
}
