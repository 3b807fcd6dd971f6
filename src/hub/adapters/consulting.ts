import { ProtocolError, TEXT } from "../../model/index.ts"
import type { ChannelAdapter, ChannelManifest } from "../../model/index.ts"
import { requireParticipant, requireTwoParties, respondentOf, TWO_PARTIES } from "./two-party.ts"

/** As it is handed out and stored: snake_case JSON. */
export type ConsultingState = {
  readonly initiator_sent: boolean
  readonly respondent_replied: boolean
  /** Of the latest text. */
  readonly last_envelope_id: string | null
}

const manifest: ChannelManifest = {
  type: "consulting",
  version: 1,
  participants: TWO_PARTIES,
  knobs_schema: {},
  default_view_policy: "full_transcript",
  expectations: [
    { name: "acks_within", on_violation: "auto_close", params: { seconds: 30 }, applies_to: null },
    { name: "reply_within", on_violation: "auto_close", params: { seconds: 600 }, applies_to: null },
  ],
}

/**
 * One question, one answer: the creator sends a text, the other one answers with a text, and the channel closes.
 *
 * Only texts take turns. Any other event is information that either of the two may send while the channel is open.
 */
export const consultingAdapter: ChannelAdapter<ConsultingState> = {
  manifest,

  initialState() {
    return { initiator_sent: false, respondent_replied: false, last_envelope_id: null }
  },

  fold(envelope, state) {
    if (envelope.event_type !== TEXT) return state
    return {
      initiator_sent: true,
      respondent_replied: state.initiator_sent,
      last_envelope_id: envelope.envelope_id,
    }
  },

  validateCreate: requireTwoParties,

  validateSend(metadata, envelope, state) {
    requireParticipant(metadata, envelope)
    if (envelope.event_type !== TEXT) return
    if (state.respondent_replied) {
      throw new ProtocolError(`the consulting in channel ${metadata.channel_id} is already complete`)
    }
    const { sender_id } = envelope
    if (!state.initiator_sent) {
      if (sender_id === metadata.creator_id) return
      throw new ProtocolError(`the initiator ${metadata.creator_id} sends the first text, not ${sender_id}`)
    }
    if (sender_id === respondentOf(metadata)) return
    throw new ProtocolError(`the respondent ${respondentOf(metadata)} sends the reply, not ${sender_id}`)
  },

  onAccepted(_metadata, envelope, state) {
    if (envelope.event_type !== TEXT || !state.respondent_replied) return {}
    return { nextState: "closed", closeReason: "consulting_complete" }
  },

  expectedNext(metadata, state) {
    if (state.respondent_replied) return undefined
    const agentId = state.initiator_sent ? respondentOf(metadata) : metadata.creator_id
    if (agentId === undefined) return undefined
    return { agent_id: agentId, triggering_envelope_id: state.last_envelope_id }
  },
}
