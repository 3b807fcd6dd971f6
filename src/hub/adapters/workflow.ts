import { CONTEXT_SET, isParticipant, PACKET, parseObject, ProtocolError, TEXT } from "../../model/index.ts"
import type { ChannelAdapter, ChannelManifest, Envelope, JsonObject, JsonValue } from "../../model/index.ts"
import { inOrder } from "./discussion.ts"
import { BUILT_IN, follow, loadGraph, type GraphKinds, type NextSpeaker } from "./graph.ts"
import { requireParticipant } from "./two-party.ts"

/** As it is handed out and stored: snake_case JSON, as in AG2. */
export type WorkflowState = {
  readonly participant_order: readonly string[]
  /** `null`: the workflow is over. */
  readonly expected_next_speaker: string | null
  readonly last_speaker_id: string | null
  readonly last_envelope_id: string | null
  readonly turn_count: number
  readonly pending_close_reason: string
  readonly creator_id: string
  readonly graph_data: JsonObject
  readonly context_vars: JsonObject
}

const manifest: ChannelManifest = {
  type: "workflow",
  version: 1,
  participants: { min: 2, max: null, roles: ["initiator", "respondent", "participant"] },
  knobs_schema: { graph: "object", context_vars: "object" },
  default_view_policy: "named_windowed_summary",
  expectations: [
    { name: "turn_within", on_violation: "warn", params: { seconds: 120 }, applies_to: null },
    { name: "turn_within", on_violation: "auto_close", params: { seconds: 600 }, applies_to: null },
  ],
}

/** The knob `graph` decides who speaks after whom: see `WorkflowGraph`. */
export const workflowAdapter: ChannelAdapter<WorkflowState> = makeWorkflowAdapter()

/**
 * A workflow that also knows the given kinds of conditions and targets.
 *
 * Texts and packets take turns. A packet may change variables, hand off to somebody and finish; anything else that it
 * does not decide, the graph does. `ag2.context.set` changes variables, at any time and by anybody who takes part.
 */
export function makeWorkflowAdapter(more: Partial<GraphKinds> = {}): ChannelAdapter<WorkflowState> {
  const kinds: GraphKinds = {
    conditions: { ...BUILT_IN.conditions, ...more.conditions },
    targets: { ...BUILT_IN.targets, ...more.targets },
  }
  return {
    manifest,

    initialState(metadata) {
      const graph_data = parseObject(metadata.knobs["graph"]) ?? {}
      const { initial_speaker } = graph_data
      return {
        participant_order: inOrder(metadata),
        expected_next_speaker: typeof initial_speaker === "string" ? initial_speaker : null,
        last_speaker_id: null,
        last_envelope_id: null,
        turn_count: 0,
        pending_close_reason: "",
        creator_id: metadata.creator_id,
        graph_data,
        context_vars: parseObject(metadata.knobs["context_vars"]) ?? {},
      }
    },

    fold(envelope, state) {
      const { event_type, event_data, sender_id } = envelope
      if (event_type === CONTEXT_SET)
        return { ...state, context_vars: changed(state.context_vars, event_data) }
      if (!takesTurn(envelope)) return state
      const packet = event_type === PACKET ? event_data : {}
      const context_vars = changed(state.context_vars, contextOf(packet))
      const { speaker, reason = "" } =
        routed(packet) ?? follow(loadGraph(state.graph_data, kinds), envelope, { ...state, context_vars })
      return {
        ...state,
        context_vars,
        expected_next_speaker: speaker,
        pending_close_reason: speaker === null ? reason : "",
        last_speaker_id: sender_id,
        last_envelope_id: envelope.envelope_id,
        turn_count: state.turn_count + 1,
      }
    },

    validateCreate(metadata) {
      if (metadata.participants.length < 2)
        throw new ProtocolError("a workflow needs at least 2 participants")
      const { graph, context_vars = {} } = metadata.knobs
      loadGraph(graph, kinds, metadata)
      if (parseObject(context_vars) === undefined)
        throw new ProtocolError("the knob context_vars is an object")
    },

    validateSend(metadata, envelope, state) {
      requireParticipant(metadata, envelope)
      const { event_type, event_data, sender_id } = envelope
      if (event_type === CONTEXT_SET) checkChange(event_data, CONTEXT_SET)
      if (!takesTurn(envelope)) return
      if (sender_id !== state.expected_next_speaker) {
        throw new ProtocolError(
          `it is the turn of ${state.expected_next_speaker ?? "nobody"}, not of ${sender_id}`,
        )
      }
      if (event_type !== PACKET) return
      checkChange(contextOf(event_data), "context_updates")
      const target = targetOf(event_data)
      if (target !== undefined && !isParticipant(metadata, target)) {
        throw new ProtocolError(`the target of the hand-off, ${target}, does not take part in the channel`, {
          hint: "Targets are agent ids: translate names before sending.",
        })
      }
    },

    onAccepted(_metadata, envelope, state) {
      if (!takesTurn(envelope)) return {}
      if (state.expected_next_speaker === null) {
        return { nextState: "closed", closeReason: state.pending_close_reason || "workflow_terminated" }
      }
      const { max_turns } = state.graph_data
      if (typeof max_turns !== "number" || state.turn_count < max_turns) return {}
      return { nextState: "closed", closeReason: "max_turns" }
    },

    expectedNext(_metadata, state) {
      const { expected_next_speaker: agentId, last_envelope_id } = state
      return agentId === null ? undefined : { agent_id: agentId, triggering_envelope_id: last_envelope_id }
    },
  }
}

function takesTurn({ event_type }: Envelope): boolean {
  return event_type === TEXT || event_type === PACKET
}

/** What the packet decides by itself. */
function routed(packet: JsonObject): NextSpeaker | undefined {
  const routing = parseObject(packet["routing"])
  if (routing?.["kind"] === "finish") {
    const { reason } = routing
    return { speaker: null, reason: typeof reason === "string" && reason !== "" ? reason : "finished" }
  }
  const target = targetOf(packet)
  return target === undefined ? undefined : { speaker: target }
}

/** @throws ProtocolError for a routing that is none: what is in the log can always be folded. */
function targetOf(packet: JsonObject): string | undefined {
  const { routing: given = null } = packet
  if (given === null) return undefined
  const routing = parseObject(given)
  if (routing === undefined || !["text", "handoff", "finish"].includes(String(routing["kind"]))) {
    throw new ProtocolError("a packet's routing is an object whose kind is text, handoff or finish")
  }
  const { kind, target = null } = routing
  if (kind !== "handoff" || target === null || target === "") return undefined
  if (typeof target !== "string") throw new ProtocolError("the target of a hand-off is an agent id")
  return target
}

/** AG2's packet helper writes variables as `context`, where its fold reads `context_updates`; here both are heard. */
function contextOf(packet: JsonObject): JsonValue {
  const { context_updates = null, context = null } = packet
  return context_updates ?? (context === null ? {} : { set: context })
}

function checkChange(value: JsonValue, what: string): void {
  const change = parseObject(value)
  const { set = null, delete: gone = null } = change ?? {}
  const isSet = set === null || parseObject(set) !== undefined
  const isGone = gone === null || (Array.isArray(gone) && gone.every((key) => typeof key === "string"))
  if (change === undefined || !isSet || !isGone) {
    throw new ProtocolError(`${what} is {set: object, delete: list of keys}, both optional`)
  }
}

/** Deletes first, then sets. */
function changed(before: JsonObject, value: JsonValue): JsonObject {
  const { set, delete: gone } = parseObject(value) ?? {}
  const keys = Array.isArray(gone) ? (gone as readonly JsonValue[]) : []
  const kept = Object.entries(before).filter(([key]) => !keys.includes(key))
  return Object.fromEntries([...kept, ...Object.entries(parseObject(set) ?? {})])
}
