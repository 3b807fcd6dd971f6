import { ProtocolError } from "../../model/index.ts"
import type {
  CreateChannelRequest,
  EnvelopeRequest,
  HubConnection,
  JsonObject,
  Observation,
  Registration,
  ResumeRequest,
  RuleRequest,
  TaskRequest,
  TaskUpdate,
} from "../../model/index.ts"
import { AGENT_KINDS } from "../../model/index.ts"
import { MAX_PAGE_BYTES, MAX_PAGE_ENVELOPES, readReceipt, WireFields } from "../../wire/index.ts"
import type { OperationName, Operations } from "../../wire/index.ts"

type Run<Op extends OperationName> = (
  hub: HubConnection,
  fields: WireFields,
  params: JsonObject,
) => Promise<Operations[Op]["result"]>

/**
 * Does what a request asks, in the name of the identities that are bound to the connection. Types of the outermost fields
 * are checked here; everything deeper, and who may do what, is the hub's to judge.
 *
 * @throws ProtocolError for an operation that does not exist, InvalidInputError for parameters of another type, and what
 *   the hub refuses with.
 */
export async function runOperation(hub: HubConnection, op: string, params: JsonObject): Promise<unknown> {
  if (!isOperation(op)) {
    throw new ProtocolError(`there is no operation ${JSON.stringify(op.slice(0, 60))}`, {
      hint: "SPEC.md lists the operations.",
    })
  }
  return (await OPERATIONS[op](hub, new WireFields(params, op), params)) ?? null
}

const TASK_STATES = ["created", "running", "completed", "failed", "expired", "cancelled"] as const
const CHANNEL_STATES = ["pending", "active", "closing", "closed", "expired"] as const
const OUTCOMES = ["completed", "failed", "expired", "cancelled"] as const

const OPERATIONS: { readonly [Op in OperationName]: Run<Op> } = {
  register: (hub, fields) => hub.registerIdentity(registration(fields)),
  get_agent: (hub, fields) => hub.getAgent(fields.text("name_or_id")),
  get_resume: (hub, fields) => hub.getResume(fields.text("agent_id")),
  get_skill: (hub, fields) => hub.getSkill(fields.text("agent_id")),
  get_rule: (hub, fields) => hub.getRule(fields.text("agent_id")),
  find_agent_id: (hub, fields) => hub.findAgentId(fields.text("name")),
  names_for: (hub, fields) => hub.namesFor(fields.texts("agent_ids")),
  list_agents: (hub, fields) =>
    hub.listAgents(
      given({
        capability: fields.textOr("capability", undefined),
        query: fields.textOr("query", undefined),
        kind: fields.oneOfOr("kind", AGENT_KINDS, undefined),
        // Another order than by name is ignored, as AG2's hub does.
        sort_by: fields.textOr("sort_by", undefined) === "name" ? ("name" as const) : undefined,
        limit: fields.countOr("limit", undefined),
      }),
    ),
  set_resume: (hub, fields) =>
    hub.setResume(fields.text("agent_id"), fields.object("resume") as unknown as ResumeRequest),
  set_skill: async (hub, fields) => {
    await hub.setSkill(fields.text("agent_id"), fields.textOr("skill_md", null))
    return null
  },
  set_rule: (hub, fields) =>
    hub.setRule(fields.text("agent_id"), fields.object("rule") as unknown as RuleRequest),
  unregister: async (hub, fields) => {
    await hub.unregister(fields.text("agent_id"))
    return null
  },

  create_channel: (hub, fields, params) => {
    fields.text("creator_id")
    return hub.createChannel(withoutNulls(params) as unknown as CreateChannelRequest)
  },
  get_channel: (hub, fields) => hub.getChannel(fields.text("channel_id")),
  list_channels: (hub, fields) =>
    hub.listChannels(
      given({
        agent_id: fields.textOr("agent_id", undefined),
        state: fields.oneOfOr("state", CHANNEL_STATES, undefined),
        limit: fields.countOr("limit", undefined),
      }),
    ),
  close_channel: (hub, fields) => hub.closeChannel(fields.text("channel_id"), fields.textOr("reason", "")),
  post_envelope: (hub, fields) => hub.postEnvelope(fields.object("envelope") as unknown as EnvelopeRequest),
  read_wal: (hub, fields) =>
    hub.readWal(fields.text("channel_id"), fields.countOr("since", 0), fields.countOr("until", undefined)),
  find_envelope_by_causation: (hub, fields) =>
    hub.findEnvelopeByCausation(
      fields.text("channel_id"),
      fields.text("sender_id"),
      fields.text("causation_id"),
    ),
  can_send: (hub, fields) =>
    hub.canSend(fields.text("channel_id"), fields.text("sender_id"), fields.textOr("event_type", undefined)),
  pending_turns_for: (hub, fields) => hub.pendingTurnsFor(fields.text("agent_id")),
  report_turn_failure: async (hub, fields) => {
    const error = new Error(fields.textOr("error", ""))
    error.name = fields.textOr("error_type", "RuntimeError")
    await hub.reportTurnFailure(
      fields.text("channel_id"),
      fields.text("agent_id"),
      fields.text("envelope_id"),
      error,
    )
    return null
  },

  get_task: (hub, fields) => hub.getTask(fields.text("task_id")),
  list_tasks: (hub, fields) =>
    hub.listTasks(
      given({
        agent_id: fields.textOr("agent_id", undefined),
        channel_id: fields.textOr("channel_id", undefined),
        state: fields.oneOfOr("state", TASK_STATES, undefined),
        limit: fields.countOr("limit", undefined),
      }),
    ),
  observe_task: (hub, fields) => hub.observeTask(fields.object("metadata") as unknown as TaskRequest),
  update_task: (hub, fields, params) => {
    const { task_id, ...update } = withoutNulls(params)
    return hub.updateTask(fields.text("task_id"), update as unknown as TaskUpdate)
  },
  record_observation: async (hub, fields) => {
    const observation: Observation = {
      owner_id: fields.text("owner_id"),
      capability: fields.text("capability"),
      outcome: fields.oneOf("outcome", OUTCOMES),
      latency_ms: fields.numberOr("latency_ms", null),
      task_id: fields.textOr("task_id", null),
    }
    await hub.recordObservation(observation)
    return null
  },
  fire_task_event: async (hub, fields) => {
    await hub.fireTaskEvent(fields.text("task_id"), fields.text("kind"), fields.objectOr("payload", {}))
    return null
  },
  checkpoint_task: async (hub, fields) => {
    await hub.checkpointTask(fields.text("task_id"), fields.object("state"))
    return null
  },
  read_task_checkpoint: (hub, fields) => hub.readTaskCheckpoint(fields.text("task_id")),

  challenge: (hub, fields) => hub.challenge(fields.text("name")),
  prove_admin: async (hub, fields) => {
    await hub.proveAdmin(fields.text("name"), fields.text("token"))
    return null
  },
  receipt: async (hub, fields) => {
    await hub.receipt(readReceipt(fields))
    return null
  },
  adapter_state: (hub, fields) => hub.adapterState(fields.text("channel_id")),
  read_wal_page: (hub, fields) =>
    readPage(hub, fields.text("channel_id"), fields.countOr("since", 0), fields.countOr("until", undefined)),
}

function isOperation(op: string): op is OperationName {
  return Object.hasOwn(OPERATIONS, op)
}

function registration(fields: WireFields): Registration {
  return given({
    passport: fields.object("passport") as unknown as Registration["passport"],
    resume: fields.objectOr("resume", undefined) as ResumeRequest | undefined,
    skill_md: fields.textOr("skill_md", undefined),
    rule: fields.objectOr("rule", undefined) as RuleRequest | undefined,
  })
}

async function readPage(
  hub: HubConnection,
  channelId: string,
  since: number,
  until: number = Number.MAX_SAFE_INTEGER,
): Promise<Operations["read_wal_page"]["result"]> {
  const end = Math.min(until, since + MAX_PAGE_ENVELOPES)
  const read = await hub.readWal(channelId, since, end)
  let bytes = 0
  const fitting = read.findIndex((envelope, i) => {
    bytes += Buffer.byteLength(JSON.stringify(envelope))
    return i > 0 && bytes > MAX_PAGE_BYTES
  })
  const envelopes = fitting === -1 ? read : read.slice(0, fitting)
  const next = since + envelopes.length
  const isEnd = fitting === -1 && (next < end || next >= until)
  return { envelopes, next: isEnd ? null : next }
}

/** AG2's clients send `null` for what they do not say. */
function withoutNulls(params: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(params).filter(([, value]) => value !== null))
}

type Given<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>
}

/** Without what is `undefined`. */
function given<T extends object>(values: T): Given<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Given<T>
}
