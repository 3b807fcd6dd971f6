import { HIDDEN, PASS, ProtocolError, TEXT } from "../../model/index.ts"
import type { ChannelAdapter, ChannelManifest, ChannelMetadata, Envelope } from "../../model/index.ts"
import { requireParticipant } from "./two-party.ts"

/** As it is handed out and stored: snake_case JSON. The first five as in AG2. */
export type DiscussionState = {
  readonly participant_order: readonly string[]
  /** `null`: nobody is left to speak. */
  readonly expected_next_speaker: string | null
  readonly last_speaker_id: string | null
  /** What gave the expected speaker the turn. */
  readonly last_envelope_id: string | null
  readonly turn_count: number
  /** Who was silent for too long. */
  readonly hidden: readonly string[]
  /** Passes since anything was said. */
  readonly passes: number
}

const manifest: ChannelManifest = {
  type: "discussion",
  version: 1,
  participants: { min: 2, max: null, roles: ["initiator", "respondent", "participant"] },
  knobs_schema: { ordering: "string" },
  default_view_policy: "named_windowed_summary",
  expectations: [
    { name: "turn_within", on_violation: "warn", params: { seconds: 120 }, applies_to: null },
    { name: "turn_within", on_violation: "hide", params: { seconds: 600 }, applies_to: null },
  ],
}

/**
 * Each in turn, the creator first, in the order of the participants. Texts take turns; a pass gives one away.
 *
 * Whoever is silent for too long is hidden by the hub: the rotation goes on without it, and it hears but does not speak.
 * It ends by itself when everybody has passed one after another, or fewer than two are left.
 */
export const discussionAdapter: ChannelAdapter<DiscussionState> = {
  manifest,

  initialState(metadata) {
    return {
      participant_order: inOrder(metadata),
      expected_next_speaker: metadata.creator_id,
      last_speaker_id: null,
      last_envelope_id: null,
      turn_count: 0,
      hidden: [],
      passes: 0,
    }
  },

  fold(envelope, state) {
    const { event_type, sender_id } = envelope
    if (event_type === TEXT) {
      return { ...advanced(state, envelope, sender_id), last_speaker_id: sender_id, passes: 0 }
    }
    if (event_type === PASS && sender_id === state.expected_next_speaker) {
      return { ...advanced(state, envelope, sender_id), passes: state.passes + 1 }
    }
    if (event_type !== HIDDEN) return state
    const { expected_next_speaker: silent } = state
    const { agent_id, turn } = envelope.event_data
    // It may have spoken while the hub was making up its mind.
    if (silent === null || agent_id !== silent || turn !== state.turn_count) return state
    return advanced({ ...state, hidden: [...state.hidden, silent] }, envelope, silent)
  },

  validateCreate(metadata) {
    if (metadata.participants.length < 2)
      throw new ProtocolError("a discussion needs at least 2 participants")
    const { ordering = "round_robin" } = metadata.knobs
    if (ordering !== "round_robin") {
      throw new ProtocolError(`a discussion's ordering is round_robin, not ${JSON.stringify(ordering)}`)
    }
  },

  validateSend(metadata, envelope, state) {
    requireParticipant(metadata, envelope)
    const { event_type, sender_id } = envelope
    if (event_type !== TEXT && event_type !== PASS) return
    if (state.hidden.includes(sender_id)) {
      throw new ProtocolError(`${sender_id} was silent for too long and speaks no more in this discussion`)
    }
    if (sender_id === state.expected_next_speaker) return
    throw new ProtocolError(
      `it is the turn of ${state.expected_next_speaker ?? "nobody"}, not of ${sender_id}`,
    )
  },

  onAccepted(_metadata, envelope, state) {
    const speakers = state.participant_order.length - state.hidden.length
    if (envelope.event_type === HIDDEN && speakers < 2) {
      return { nextState: "closed", closeReason: "too_few_speakers" }
    }
    if (envelope.event_type === PASS && state.passes >= speakers) {
      return { nextState: "closed", closeReason: "everybody_passed" }
    }
    return {}
  },

  expectedNext(_metadata, state) {
    const { expected_next_speaker: agentId, last_envelope_id } = state
    return agentId === null ? undefined : { agent_id: agentId, triggering_envelope_id: last_envelope_id }
  },
}

export function inOrder({ participants }: Pick<ChannelMetadata, "participants">): readonly string[] {
  return participants.toSorted((a, b) => a.order - b.order).map(({ agent_id }) => agent_id)
}

/** The turn passes on from `from`, to the next who is not hidden. */
function advanced(state: DiscussionState, envelope: Envelope, from: string): DiscussionState {
  const { participant_order: order, hidden } = state
  const at = order.indexOf(from)
  const others = [...order.slice(at + 1), ...order.slice(0, at + 1)]
  return {
    ...state,
    expected_next_speaker: others.find((id) => !hidden.includes(id)) ?? null,
    last_envelope_id: envelope.envelope_id,
    turn_count: state.turn_count + 1,
  }
}
