import { InvalidInputError } from "../core/errors.ts"
import type { JsonObject, JsonValue, Open } from "./json.ts"

/** A condition or a target: the name of its kind, and what it is given. */
export interface GraphNode<Name extends string> {
  readonly name: Open<Name>
  readonly args: JsonObject
}

/**
 * - `always`;
 * - `from_speaker {agent_id}`: the sender is that agent;
 * - `tool_called {tool_name}`: a packet whose `routing.tool` it is;
 * - `context_equals {key, value}`: the variable has that value; a missing one is null.
 */
export type GraphCondition = GraphNode<"always" | "from_speaker" | "tool_called" | "context_equals">

/**
 * Who speaks next: `agent {agent_id}`, `round_robin` (the next in the order of participants), `stay`,
 * `revert_to_initiator`, or nobody: `terminate {reason}` (default `after_work`).
 */
export type GraphTarget = GraphNode<"agent" | "round_robin" | "stay" | "revert_to_initiator" | "terminate">

export interface GraphTransition {
  readonly when: GraphCondition
  readonly then: GraphTarget
  /** Lower ones are tried first; equal ones in the order of the list. Default 0. */
  readonly priority?: number
}

/** Who may speak after whom: the knob `graph` of a workflow channel. Speakers are agent ids. */
export interface WorkflowGraph {
  readonly initial_speaker: string
  readonly transitions: readonly GraphTransition[]
  /** When no transition matches. Default: terminate. */
  readonly default_target?: GraphTarget
  readonly max_turns?: number | null
}

/** What a packet says of the way on. A hand-off without a target leaves it to the `tool_called` transitions. */
export type PacketRouting =
  | { readonly kind: "text" }
  | { readonly kind: "handoff"; readonly tool: string; readonly reason: string; readonly target?: string }
  | { readonly kind: "finish"; readonly tool: string; readonly reason: string; readonly summary: string }

export interface ContextChange {
  readonly set?: Readonly<Record<string, JsonValue>>
  readonly delete?: readonly string[]
}

/** Each in turn, the first one first, until `max_turns` or a finish. @throws InvalidInputError for an empty list. */
export function roundRobinGraph(
  speakers: readonly string[],
  options: { readonly maxTurns?: number; readonly reason?: string } = {},
): WorkflowGraph {
  const { maxTurns = null, reason = "round_robin_complete" } = options
  return {
    initial_speaker: firstOf(speakers),
    transitions: [
      { when: { name: "always", args: {} }, then: { name: "round_robin", args: {} }, priority: 0 },
    ],
    default_target: { name: "terminate", args: { reason } },
    max_turns: maxTurns,
  }
}

/** Each once, in this order. @throws InvalidInputError for an empty list, or a speaker who comes twice. */
export function sequenceGraph(steps: readonly string[], reason: string = "sequence_complete"): WorkflowGraph {
  if (new Set(steps).size !== steps.length) {
    throw new InvalidInputError(
      "in a sequence everybody comes once: a graph cannot tell the second time from the first",
    )
  }
  return {
    initial_speaker: firstOf(steps),
    transitions: steps.slice(1).map((agent_id, i) => ({
      when: { name: "from_speaker", args: { agent_id: steps[i] ?? "" } },
      then: { name: "agent", args: { agent_id } },
      priority: 0,
    })),
    default_target: { name: "terminate", args: { reason } },
    max_turns: steps.length,
  }
}

function firstOf(speakers: readonly string[]): string {
  const [first] = speakers
  if (first === undefined) throw new InvalidInputError("a graph needs at least one speaker")
  return first
}
