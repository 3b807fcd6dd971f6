import type { HubConnection } from "../model/index.ts"

/** What a connection is to whatever an operation is about. It may be several at once. */
export const STANDINGS = ["anonymous", "agent", "participant", "owner", "admin"] as const

/**
 * - `anonymous`: it has proved nothing;
 * - `agent`: it has proved some identity;
 * - `participant`: one of its identities takes part in the channel, or in that of the task; to an agent, an agent;
 * - `owner`: the agent, or the task's owner, is one of its identities;
 * - `admin`: it has proved an administrator's token.
 */
export type Standing = (typeof STANDINGS)[number]

/** `own`: yes, and the answer shows what its identities take part in. `local`: from this machine alone. */
export type Verdict = "yes" | "own" | "local" | "no"

/** Where a connection comes from, as its transport knows it. */
export type Origin = "process" | "loopback" | "network"

/** The operations of a connection, by their names on the wire. */
export type AccessOp =
  | "register"
  | "attach"
  | "challenge"
  | "prove_admin"
  | "get_agent"
  | "get_resume"
  | "get_skill"
  | "get_rule"
  | "find_agent_id"
  | "names_for"
  | "list_agents"
  | "set_resume"
  | "set_skill"
  | "set_rule"
  | "unregister"
  | "record_observation"
  | "create_channel"
  | "get_channel"
  | "list_channels"
  | "close_channel"
  | "post_envelope"
  | "read_wal"
  | "find_envelope_by_causation"
  | "can_send"
  | "adapter_state"
  | "pending_turns_for"
  | "report_turn_failure"
  | "receipt"
  | "get_task"
  | "list_tasks"
  | "observe_task"
  | "update_task"
  | "fire_task_event"
  | "checkpoint_task"
  | "read_task_checkpoint"

export interface AccessRule extends Readonly<Record<Standing, Verdict>> {
  /** What the standing is to. */
  readonly about: "nobody" | "agent" | "channel" | "task"
  /** Of {@link HubConnection}. */
  readonly method: keyof HubConnection & string
}

type Verdicts = readonly [
  anonymous: Verdict,
  agent: Verdict,
  participant: Verdict,
  owner: Verdict,
  admin: Verdict,
]

function rule(about: AccessRule["about"], method: AccessRule["method"], verdicts: Verdicts): AccessRule {
  const [anonymous, agent, participant, owner, admin] = verdicts
  return Object.freeze({ about, method, anonymous, agent, participant, owner, admin })
}

/** How one comes in: the claim decides. */
const DOOR: Verdicts = ["yes", "yes", "yes", "yes", "yes"]
/** Who there is. AG2's client asks before it says hello, which is why a local stranger may. */
const DIRECTORY: Verdicts = ["local", "yes", "yes", "yes", "yes"]
/** What is said and done in somebody's name. No administrator does that: the record would name the wrong one. */
const IN_NAME: Verdicts = ["no", "no", "no", "yes", "no"]
/** What is done to an identity. */
const ABOUT: Verdicts = ["no", "no", "no", "yes", "yes"]
/** What is in a channel. */
const INSIDE: Verdicts = ["no", "no", "yes", "yes", "yes"]
const LISTED: Verdicts = ["no", "own", "own", "own", "yes"]

/**
 * Who may ask what of a hub: the one table that connections check against, that SPEC.md shows, and that
 * `test/hub/access.test.ts` walks through. The keys are the operations of the wire.
 *
 * It judges who asks. Whether the operation is possible then, rules, adapters and states judge as ever. Code that holds
 * the hub itself is above it.
 */
export const ACCESS: Readonly<Record<AccessOp, AccessRule>> = {
  register: rule("nobody", "registerIdentity", DOOR),
  attach: rule("nobody", "attach", DOOR),
  challenge: rule("nobody", "challenge", DOOR),
  prove_admin: rule("nobody", "proveAdmin", DOOR),

  get_agent: rule("agent", "getAgent", DIRECTORY),
  get_resume: rule("agent", "getResume", DIRECTORY),
  get_skill: rule("agent", "getSkill", DIRECTORY),
  get_rule: rule("agent", "getRule", DIRECTORY),
  find_agent_id: rule("agent", "findAgentId", DIRECTORY),
  names_for: rule("agent", "namesFor", DIRECTORY),
  list_agents: rule("nobody", "listAgents", DIRECTORY),
  set_resume: rule("agent", "setResume", IN_NAME),
  set_skill: rule("agent", "setSkill", IN_NAME),
  set_rule: rule("agent", "setRule", ABOUT),
  unregister: rule("agent", "unregister", ABOUT),
  record_observation: rule("agent", "recordObservation", IN_NAME),

  create_channel: rule("agent", "createChannel", IN_NAME),
  get_channel: rule("channel", "getChannel", INSIDE),
  list_channels: rule("nobody", "listChannels", LISTED),
  close_channel: rule("channel", "closeChannel", INSIDE),
  post_envelope: rule("agent", "postEnvelope", IN_NAME),
  read_wal: rule("channel", "readWal", INSIDE),
  find_envelope_by_causation: rule("channel", "findEnvelopeByCausation", INSIDE),
  can_send: rule("channel", "canSend", INSIDE),
  adapter_state: rule("channel", "adapterState", INSIDE),
  pending_turns_for: rule("agent", "pendingTurnsFor", ABOUT),
  report_turn_failure: rule("agent", "reportTurnFailure", IN_NAME),
  receipt: rule("agent", "receipt", IN_NAME),

  get_task: rule("task", "getTask", INSIDE),
  list_tasks: rule("nobody", "listTasks", LISTED),
  observe_task: rule("agent", "observeTask", IN_NAME),
  update_task: rule("task", "updateTask", IN_NAME),
  fire_task_event: rule("task", "fireTaskEvent", IN_NAME),
  checkpoint_task: rule("task", "checkpointTask", IN_NAME),
  read_task_checkpoint: rule("task", "readTaskCheckpoint", ABOUT),
}

/** The best verdict that any of the standings gives; `no` and what is not local are refusals. */
export function judge(op: AccessOp, standings: Iterable<Standing>, origin: Origin): "yes" | "own" | "no" {
  let best: "yes" | "own" | "no" = "no"
  for (const standing of standings) {
    const verdict: Verdict = ACCESS[op][standing]
    if (verdict === "yes" || (verdict === "local" && origin !== "network")) return "yes"
    if (verdict === "own") best = "own"
  }
  return best
}

/** The table of SPEC.md. */
export function formatAccess(): string {
  const rows = Object.entries(ACCESS).map(
    ([op, one]) => `| \`${op}\` | ${one.about} | ${STANDINGS.map((standing) => one[standing]).join(" | ")} |`,
  )
  return [`| operation | about | ${STANDINGS.join(" | ")} |`, "|---|---|---|---|---|---|---|", ...rows].join(
    "\n",
  )
}
