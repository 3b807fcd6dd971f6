import { isParticipant, PACKET, parseObject, ProtocolError, sameJson } from "../../model/index.ts"
import type { ChannelMetadata, Envelope, JsonObject, JsonValue } from "../../model/index.ts"

/** What a condition and a target see: the channel as it is after the envelope, but for who is next. */
export interface GraphView {
  readonly participant_order: readonly string[]
  readonly creator_id: string
  readonly context_vars: JsonObject
}

/** Who is next, or why nobody is. */
export type NextSpeaker =
  | { readonly speaker: string; readonly reason?: undefined }
  | { readonly speaker: null; readonly reason: string }

/** A kind of condition. Pure. */
export interface ConditionKind {
  /** @throws ProtocolError for arguments that it cannot use: a graph is checked when its channel is made. */
  check?(args: JsonObject, metadata: ChannelMetadata): void
  holds(args: JsonObject, envelope: Envelope, view: GraphView): boolean
}

/** A kind of target. Pure. */
export interface TargetKind {
  /** @throws ProtocolError for arguments that it cannot use. */
  check?(args: JsonObject, metadata: ChannelMetadata): void
  next(args: JsonObject, envelope: Envelope, view: GraphView): NextSpeaker
}

export interface GraphKinds {
  readonly conditions: Readonly<Record<string, ConditionKind>>
  readonly targets: Readonly<Record<string, TargetKind>>
}

interface Node<Kind> {
  readonly kind: Kind
  readonly args: JsonObject
}

/** A graph that was read: every kind is known. */
export interface LoadedGraph {
  readonly initialSpeaker: string
  /** In the order in which they are tried. */
  readonly transitions: readonly { readonly when: Node<ConditionKind>; readonly then: Node<TargetKind> }[]
  readonly defaultTarget: Node<TargetKind>
  readonly maxTurns: number | null
}

/** Of one graph. */
export const MAX_TRANSITIONS = 1_000

const DEFAULT_REASON = "after_work"

export const BUILT_IN: GraphKinds = {
  conditions: {
    always: { holds: () => true },
    from_speaker: {
      check: (args, metadata) => requireSpeaker(args["agent_id"], "from_speaker", metadata),
      holds: (args, envelope) => envelope.sender_id === args["agent_id"],
    },
    tool_called: {
      check: ({ tool_name }) => {
        if (typeof tool_name !== "string" || tool_name === "") throw wrong("tool_called needs a tool_name")
      },
      holds: (args, { event_type, event_data }) =>
        event_type === PACKET && parseObject(event_data["routing"])?.["tool"] === args["tool_name"],
    },
    context_equals: {
      check: ({ key }) => {
        if (typeof key !== "string") throw wrong("context_equals needs a key")
      },
      holds: ({ key, value = null }, _envelope, { context_vars }) => {
        const has = Object.hasOwn(context_vars, String(key))
        return sameJson(has ? (context_vars[String(key)] ?? null) : null, value)
      },
    },
  },
  targets: {
    agent: {
      check: (args, metadata) => requireSpeaker(args["agent_id"], "agent", metadata),
      next: ({ agent_id }) => ({ speaker: String(agent_id) }),
    },
    round_robin: {
      next: (_args, { sender_id }, { participant_order: order }) => {
        const speaker = order[(order.indexOf(sender_id) + 1) % order.length]
        return speaker === undefined ? { speaker: null, reason: "no_participants" } : { speaker }
      },
    },
    stay: { next: (_args, { sender_id }) => ({ speaker: sender_id }) },
    revert_to_initiator: { next: (_args, _envelope, { creator_id }) => ({ speaker: creator_id }) },
    terminate: {
      next: ({ reason }) => ({ speaker: null, reason: typeof reason === "string" ? reason : DEFAULT_REASON }),
    },
  },
}

/** @throws ProtocolError for what is no graph, names an unknown kind, or a speaker who does not take part. */
export function loadGraph(value: unknown, kinds: GraphKinds, metadata?: ChannelMetadata): LoadedGraph {
  const graph = parseObject(value)
  if (graph === undefined) throw wrong("a workflow needs the knob graph, an object")
  const { initial_speaker, transitions = [], default_target, max_turns = null } = graph
  if (typeof initial_speaker !== "string") throw wrong("a graph needs an initial_speaker")
  if (!Array.isArray(transitions)) throw wrong("a graph's transitions are a list")
  if (transitions.length > MAX_TRANSITIONS) throw wrong(`a graph has at most ${MAX_TRANSITIONS} transitions`)
  if (max_turns !== null && (!Number.isSafeInteger(max_turns) || Number(max_turns) < 1)) {
    throw wrong("a graph's max_turns is a whole number from 1, or null")
  }
  const condition = (at: unknown): Node<ConditionKind> => load(at, kinds.conditions, "condition", metadata)
  const target = (at: unknown): Node<TargetKind> => load(at, kinds.targets, "target", metadata)
  const read = (transitions as readonly JsonValue[]).map((one) => {
    const { when, then, priority = 0 } = parseObject(one) ?? {}
    if (typeof priority !== "number") throw wrong("a transition's priority is a number")
    return { when: condition(when), then: target(then), priority }
  })
  if (metadata !== undefined) requireSpeaker(initial_speaker, "initial_speaker", metadata)
  return {
    initialSpeaker: initial_speaker,
    transitions: read.toSorted((a, b) => a.priority - b.priority),
    defaultTarget: target(default_target ?? { name: "terminate", args: {} }),
    maxTurns: typeof max_turns === "number" ? max_turns : null,
  }
}

/** The first transition that holds, else the default. */
export function follow(graph: LoadedGraph, envelope: Envelope, view: GraphView): NextSpeaker {
  const found = graph.transitions.find(({ when }) => when.kind.holds(when.args, envelope, view))
  const { kind, args } = found?.then ?? graph.defaultTarget
  return kind.next(args, envelope, view)
}

function load<Kind extends ConditionKind | TargetKind>(
  value: unknown,
  kinds: Readonly<Record<string, Kind>>,
  what: string,
  metadata: ChannelMetadata | undefined,
): Node<Kind> {
  const { name, args: given = {} } = parseObject(value) ?? {}
  const kind = typeof name === "string" && Object.hasOwn(kinds, name) ? kinds[name] : undefined
  if (kind === undefined) throw wrong(`no ${what} of a graph is called ${JSON.stringify(name ?? null)}`)
  const args = parseObject(given)
  if (args === undefined) throw wrong(`the args of the ${what} ${String(name)} are an object`)
  if (metadata !== undefined) kind.check?.(args, metadata)
  return { kind, args }
}

function requireSpeaker(agentId: unknown, where: string, metadata: ChannelMetadata): void {
  if (typeof agentId === "string" && isParticipant(metadata, agentId)) return
  throw wrong(
    `the ${where} of the graph, ${JSON.stringify(agentId ?? null)}, does not take part in the channel`,
  )
}

function wrong(message: string): ProtocolError {
  return new ProtocolError(message, { hint: "Mend the graph: its speakers are agent ids of participants." })
}
