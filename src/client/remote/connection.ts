import type { CallOptions } from "../../core/abort.ts"
import { HansardError } from "../../core/errors.ts"
import { idSource } from "../../core/ids.ts"
import type { IdSource } from "../../core/ids.ts"
import type { PendingTurn } from "../../model/adapter.ts"
import type { AuthChallenge } from "../../model/challenge.ts"
import type { ChannelMetadata, CreateChannelRequest } from "../../model/channel.ts"
import type { Envelope, EnvelopeRequest } from "../../model/envelope.ts"
import type {
  AttachmentOptions,
  Delivery,
  HubConnection,
  ListAgentsFilter,
  ListChannelsFilter,
  ListTasksFilter,
  Observation,
  Receipt,
  Registration,
} from "../../model/hub-api.ts"
import type { JsonObject } from "../../model/json.ts"
import type { AuthClaim, Passport } from "../../model/passport.ts"
import type { Resume, ResumeRequest } from "../../model/resume.ts"
import type { Rule, RuleRequest } from "../../model/rule.ts"
import type { TaskMetadata, TaskRequest, TaskUpdate } from "../../model/task.ts"
import type { OperationName, Operations } from "../../wire/index.ts"
import { toError } from "../context.ts"
import { Deliveries } from "./deliveries.ts"
import type { SessionEvents, SessionLine } from "./line.ts"

/** An identity on this connection, and how it is bound again when the hub has forgotten the session. */
interface Bound {
  readonly name: string
  readonly auth: AuthClaim | undefined
  /** `null`: it wants no replay; then what came last is where to go on. */
  since: string | null
}

export interface RemoteHandlers {
  readonly deliver: (delivery: Delivery) => Promise<void> | void
  readonly detached: (agentId: string, reason: string) => void
  readonly prove?: (name: string, challenge: AuthChallenge) => Promise<AuthClaim> | AuthClaim
  readonly warn: (fields: object, message: string) => void
}

/**
 * A connection to a hub elsewhere. Every method is one request, answered across reconnections: while the line is down a
 * call waits. What is delivered is handed on once.
 */
export class RemoteConnection implements HubConnection, SessionEvents {
  readonly #line: SessionLine
  readonly #handlers: RemoteHandlers
  readonly #newKey: IdSource
  readonly #deliveries = new Deliveries()
  /** By agent id; owned by `registerIdentity`, `attach`, `unregister` and `detached`. */
  readonly #bound = new Map<string, Bound>()
  /** Tokens of administrators, by name; in memory alone. */
  readonly #admins = new Map<string, string>()

  constructor(line: SessionLine, handlers: RemoteHandlers, newKey: ReturnType<typeof idSource>) {
    this.#line = line
    this.#handlers = handlers
    this.#newKey = newKey
    line.events = this
  }

  get connection_id(): string {
    return this.#line.endpointId
  }

  async attach(name: string, auth?: AuthClaim, options: AttachmentOptions = {}): Promise<Passport> {
    const { since_envelope_id: since = "", signal } = options
    const passport = await this.#line.hello(name, auth, since, signal)
    // What was in hand was the earlier attachment's, which has dropped it: it comes again.
    this.#deliveries.forget(passport.agent_id)
    this.#bound.set(passport.agent_id, { name, auth, since })
    return passport
  }

  async registerIdentity(registration: Registration, options?: CallOptions): Promise<Passport> {
    const passport = await this.#ask("register", registration, options)
    const { name, auth } = registration.passport
    this.#bound.set(passport.agent_id, { name, auth, since: "" })
    return passport
  }

  async unregister(agentId: string, options?: CallOptions): Promise<void> {
    await this.#ask("unregister", { agent_id: agentId }, options)
    this.#bound.delete(agentId)
  }

  /** Resolves once the hub has taken it; sent again after a lost connection. */
  async receipt(receipt: Receipt, options?: CallOptions): Promise<void> {
    options?.signal?.throwIfAborted()
    this.#deliveries.settle(receipt)
    await this.#ask("receipt", receipt, options)
  }

  challenge(name: string, options?: CallOptions): Promise<AuthChallenge> {
    return this.#ask("challenge", { name }, options)
  }
  /** Proved again, too, when the hub has forgotten the session. */
  async proveAdmin(name: string, token: string, options?: CallOptions): Promise<void> {
    await this.#ask("prove_admin", { name, token }, options)
    this.#admins.set(name, token)
  }
  getAgent(nameOrId: string, options?: CallOptions): Promise<Passport> {
    return this.#ask("get_agent", { name_or_id: nameOrId }, options)
  }
  getResume(agentId: string, options?: CallOptions): Promise<Resume> {
    return this.#ask("get_resume", { agent_id: agentId }, options)
  }
  getSkill(agentId: string, options?: CallOptions): Promise<string | null> {
    return this.#ask("get_skill", { agent_id: agentId }, options)
  }
  getRule(agentId: string, options?: CallOptions): Promise<Rule> {
    return this.#ask("get_rule", { agent_id: agentId }, options)
  }
  findAgentId(name: string, options?: CallOptions): Promise<string | null> {
    return this.#ask("find_agent_id", { name }, options)
  }
  namesFor(agentIds: readonly string[], options?: CallOptions): Promise<Readonly<Record<string, string>>> {
    return this.#ask("names_for", { agent_ids: agentIds }, options)
  }
  listAgents(filter: ListAgentsFilter = {}, options?: CallOptions): Promise<readonly Passport[]> {
    return this.#ask("list_agents", filter, options)
  }
  setResume(agentId: string, resume: ResumeRequest, options?: CallOptions): Promise<Resume> {
    return this.#ask("set_resume", { agent_id: agentId, resume }, options)
  }
  async setSkill(agentId: string, skillMd: string | null, options?: CallOptions): Promise<void> {
    await this.#ask("set_skill", { agent_id: agentId, skill_md: skillMd }, options)
  }
  setRule(agentId: string, rule: RuleRequest, options?: CallOptions): Promise<Rule> {
    return this.#ask("set_rule", { agent_id: agentId, rule }, options)
  }
  async recordObservation(observation: Observation, options?: CallOptions): Promise<void> {
    await this.#ask("record_observation", observation, options)
  }

  createChannel(request: CreateChannelRequest, options?: CallOptions): Promise<ChannelMetadata> {
    return this.#ask("create_channel", request, options)
  }
  getChannel(channelId: string, options?: CallOptions): Promise<ChannelMetadata> {
    return this.#ask("get_channel", { channel_id: channelId }, options)
  }
  listChannels(filter: ListChannelsFilter = {}, options?: CallOptions): Promise<readonly ChannelMetadata[]> {
    return this.#ask("list_channels", filter, options)
  }
  closeChannel(channelId: string, reason: string = "", options?: CallOptions): Promise<ChannelMetadata> {
    return this.#ask("close_channel", { channel_id: channelId, reason }, options)
  }

  /**
   * Carries an idempotency key, unless it is an answer, whose cause serves as one: sent again after a lost connection, it
   * is in the log once.
   */
  postEnvelope(request: EnvelopeRequest, options?: CallOptions): Promise<string> {
    const needsKey = (request.causation_id ?? null) === null && (request.idempotency_key ?? null) === null
    const envelope = needsKey ? { ...request, idempotency_key: this.#newKey() } : request
    return this.#ask("post_envelope", { envelope }, options)
  }

  /** In as many requests as the log's size asks for. */
  async readWal(
    channelId: string,
    since: number = 0,
    until?: number,
    options?: CallOptions,
  ): Promise<readonly Envelope[]> {
    const read: Envelope[] = []
    for (let from: number | null = since; from !== null && (until === undefined || from < until);) {
      const range: { since: number; until?: number } =
        until === undefined ? { since: from } : { since: from, until }
      const page: Operations["read_wal_page"]["result"] = await this.#ask(
        "read_wal_page",
        {
          channel_id: channelId,
          ...range,
        },
        options,
      )
      read.push(...page.envelopes)
      from = page.next
    }
    return Object.freeze(read)
  }
  findEnvelopeByCausation(
    channelId: string,
    senderId: string,
    causationId: string,
    options?: CallOptions,
  ): Promise<Envelope | null> {
    return this.#ask(
      "find_envelope_by_causation",
      {
        channel_id: channelId,
        sender_id: senderId,
        causation_id: causationId,
      },
      options,
    )
  }
  canSend(channelId: string, senderId: string, eventType?: string, options?: CallOptions): Promise<boolean> {
    const type = eventType === undefined ? {} : { event_type: eventType }
    return this.#ask("can_send", { channel_id: channelId, sender_id: senderId, ...type }, options)
  }
  pendingTurnsFor(agentId: string, options?: CallOptions): Promise<readonly PendingTurn[]> {
    return this.#ask("pending_turns_for", { agent_id: agentId }, options)
  }
  adapterState(channelId: string, options?: CallOptions): Promise<unknown> {
    return this.#ask("adapter_state", { channel_id: channelId }, options)
  }
  async reportTurnFailure(
    channelId: string,
    agentId: string,
    envelopeId: string,
    error: Error,
    options?: CallOptions,
  ): Promise<void> {
    await this.#ask(
      "report_turn_failure",
      {
        channel_id: channelId,
        agent_id: agentId,
        envelope_id: envelopeId,
        error: error.message,
        error_type: error.name,
      },
      options,
    )
  }

  getTask(taskId: string, options?: CallOptions): Promise<TaskMetadata> {
    return this.#ask("get_task", { task_id: taskId }, options)
  }
  listTasks(filter: ListTasksFilter = {}, options?: CallOptions): Promise<readonly TaskMetadata[]> {
    return this.#ask("list_tasks", filter, options)
  }
  observeTask(task: TaskRequest, options?: CallOptions): Promise<TaskMetadata> {
    return this.#ask("observe_task", { metadata: task }, options)
  }
  updateTask(taskId: string, update: TaskUpdate, options?: CallOptions): Promise<TaskMetadata> {
    return this.#ask("update_task", { task_id: taskId, ...update }, options)
  }
  async fireTaskEvent(
    taskId: string,
    kind: string,
    payload: JsonObject,
    options?: CallOptions,
  ): Promise<void> {
    await this.#ask("fire_task_event", { task_id: taskId, kind, payload }, options)
  }
  async checkpointTask(taskId: string, state: JsonObject, options?: CallOptions): Promise<void> {
    await this.#ask("checkpoint_task", { task_id: taskId, state }, options)
  }
  readTaskCheckpoint(taskId: string, options?: CallOptions): Promise<JsonObject | null> {
    return this.#ask("read_task_checkpoint", { task_id: taskId }, options)
  }

  /** Unanswered calls reject; the identities stay registered. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#line.close()
  }

  // What comes in

  notified(delivery: Delivery): void {
    const { envelope, recipient_id } = delivery
    const { envelope_id, channel_id } = envelope
    const bound = this.#bound.get(recipient_id)
    if (bound !== undefined && bound.since !== "" && envelope_id > (bound.since ?? ""))
      bound.since = envelope_id
    const receipt = { envelope_id, channel_id, recipient_id }
    const fate = this.#deliveries.take(delivery)
    if (fate === "acknowledged") this.#send({ ...receipt, status: "ack" })
    if (fate !== "new") return
    new Promise<void>((resolve) => resolve(this.#handlers.deliver(delivery))).catch((thrown: unknown) =>
      this.#send({ ...receipt, status: "nack", reason: toError(thrown).message }),
    )
  }

  detached(agentId: string, reason: string): void {
    if (this.#bound.delete(agentId)) this.#handlers.detached(agentId, reason)
  }

  /** The hub has forgotten the session: every identity proves itself again. Rejects when the line is lost meanwhile. */
  async renew(): Promise<void> {
    for (const [name, token] of this.#admins) await this.#line.askNow("prove_admin", { name, token })
    for (const [agentId, bound] of [...this.#bound]) {
      try {
        await this.#line.helloNow(bound.name, await this.#claimOf(bound), bound.since)
      } catch (error) {
        if (!(error instanceof HansardError) || error.code === "disconnected" || error.code === "closed")
          throw error
        this.#handlers.warn({ err: error, name: bound.name }, "an identity could not be attached again")
        this.detached(agentId, error.message)
      }
    }
  }

  async #claimOf({ name, auth }: Bound): Promise<AuthClaim | undefined> {
    const { prove } = this.#handlers
    if (prove === undefined || auth?.scheme !== "ed25519") return auth
    return await prove(name, await this.#line.askNow("challenge", { name }))
  }

  #send(receipt: Receipt): void {
    this.receipt(receipt).catch((err: unknown) =>
      this.#handlers.warn({ err, ...receipt }, "a receipt was not taken"),
    )
  }

  #ask<Op extends OperationName>(
    op: Op,
    params: Operations[Op]["params"],
    options: CallOptions = {},
  ): Promise<Operations[Op]["result"]> {
    return this.#line.ask(op, params, options.signal)
  }
}
