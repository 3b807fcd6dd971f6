import { unlessAborted } from "../core/abort.ts"
import { ClosedError, NotFoundError } from "../core/errors.ts"
import type {
  AttachmentOptions,
  AuthChallenge,
  AuthClaim,
  CallOptions,
  ChannelMetadata,
  CreateChannelRequest,
  Envelope,
  EnvelopeRequest,
  HubConnection,
  JsonObject,
  ListAgentsFilter,
  ListChannelsFilter,
  ListTasksFilter,
  Observation,
  Passport,
  PendingTurn,
  Receipt,
  Registration,
  Resume,
  ResumeRequest,
  Rule,
  RuleRequest,
  TaskMetadata,
  TaskRequest,
  TaskUpdate,
} from "../model/index.ts"
import { participantIds } from "../model/index.ts"
import type { AttributedHubApi, HubConnector } from "./connector.ts"
import type { Visitor } from "./entrance.ts"
import type { AccessOp } from "./access.ts"
import { Standings, type Subject } from "./standings.ts"

/**
 * The hub's end of every connection, in this process and behind every transport.
 *
 * Each operation is held against {@link ACCESS} before it reaches the hub. Every change names its actor: the identity
 * that it is about when that one is bound here, else the only one that is, else the administrator.
 */
export class LocalConnection implements HubConnection {
  readonly connection_id: string
  readonly #connector: HubConnector
  readonly #visitor: Visitor
  readonly #standings: Standings

  constructor(connector: HubConnector, visitor: Visitor) {
    this.connection_id = visitor.outlet.id
    this.#connector = connector
    this.#visitor = visitor
    this.#standings = new Standings(connector, visitor)
  }

  challenge(name: string, options?: CallOptions): Promise<AuthChallenge> {
    return this.#ask("challenge", {}, options, async () => this.#connector.challenge(name))
  }

  attach(name: string, auth?: AuthClaim, options: AttachmentOptions = {}): Promise<Passport> {
    const { since_envelope_id: since = "" } = options
    return this.#ask("attach", {}, options, () => this.#connector.attach(this.#visitor, name, auth, since))
  }

  proveAdmin(name: string, token: string, options?: CallOptions): Promise<void> {
    return this.#ask("prove_admin", {}, options, async () => {
      this.#standings.admin = await this.#connector.proveAdmin(this.#visitor, name, token)
    })
  }

  registerIdentity(registration: Registration, options?: CallOptions): Promise<Passport> {
    return this.#ask("register", {}, options, () => this.#connector.register(this.#visitor, registration))
  }

  receipt(receipt: Receipt, options?: CallOptions): Promise<void> {
    const take = (): Promise<void> => this.#connector.receipt(this.#visitor, receipt)
    // Those without a recipient are ignored, as in AG2: there is nobody to ask for.
    if (receipt?.recipient_id === "") return unlessAborted(take, options?.signal)
    return this.#ask("receipt", { agent: receipt?.recipient_id }, options, take)
  }

  /** Ends the deliveries; the identities stay registered. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#connector.desk.close(this.#visitor.outlet)
  }

  getAgent(nameOrId: string, options?: CallOptions): Promise<Passport> {
    return this.#ask("get_agent", { agent: nameOrId }, options, () => this.#hub.getAgent(nameOrId))
  }
  getResume(agentId: string, options?: CallOptions): Promise<Resume> {
    return this.#ask("get_resume", { agent: agentId }, options, () => this.#hub.getResume(agentId))
  }
  getSkill(agentId: string, options?: CallOptions): Promise<string | null> {
    return this.#ask("get_skill", { agent: agentId }, options, () => this.#hub.getSkill(agentId))
  }
  getRule(agentId: string, options?: CallOptions): Promise<Rule> {
    return this.#ask("get_rule", { agent: agentId }, options, () => this.#hub.getRule(agentId))
  }
  findAgentId(name: string, options?: CallOptions): Promise<string | null> {
    return this.#ask("find_agent_id", { agent: name }, options, () => this.#hub.findAgentId(name))
  }
  namesFor(agentIds: readonly string[], options?: CallOptions): Promise<Readonly<Record<string, string>>> {
    return this.#ask("names_for", {}, options, () => this.#hub.namesFor(agentIds))
  }
  listAgents(filter?: ListAgentsFilter, options?: CallOptions): Promise<readonly Passport[]> {
    return this.#ask("list_agents", {}, options, () => this.#hub.listAgents(filter))
  }
  setResume(agentId: string, resume: ResumeRequest, options?: CallOptions): Promise<Resume> {
    return this.#ask("set_resume", { agent: agentId }, options, () =>
      this.#hub.setResume(agentId, resume, this.#as(agentId)),
    )
  }
  setSkill(agentId: string, skillMd: string | null, options?: CallOptions): Promise<void> {
    return this.#ask("set_skill", { agent: agentId }, options, () =>
      this.#hub.setSkill(agentId, skillMd, this.#as(agentId)),
    )
  }
  setRule(agentId: string, rule: RuleRequest, options?: CallOptions): Promise<Rule> {
    return this.#ask("set_rule", { agent: agentId }, options, () =>
      this.#hub.setRule(agentId, rule, this.#as(agentId)),
    )
  }
  unregister(agentId: string, options?: CallOptions): Promise<void> {
    return this.#ask("unregister", { agent: agentId }, options, () =>
      this.#hub.unregister(agentId, this.#as(agentId)),
    )
  }
  recordObservation(observation: Observation, options?: CallOptions): Promise<void> {
    return this.#ask("record_observation", { agent: observation?.owner_id }, options, () =>
      this.#hub.recordObservation(observation, this.#as(observation.owner_id)),
    )
  }

  createChannel(request: CreateChannelRequest, options?: CallOptions): Promise<ChannelMetadata> {
    return this.#ask("create_channel", { agent: request?.creator_id }, options, () =>
      this.#hub.createChannel(request, this.#as(request?.creator_id)),
    )
  }
  getChannel(channelId: string, options?: CallOptions): Promise<ChannelMetadata> {
    return this.#ask("get_channel", { channel: channelId }, options, () => this.#hub.getChannel(channelId))
  }
  listChannels(filter?: ListChannelsFilter, options?: CallOptions): Promise<readonly ChannelMetadata[]> {
    return this.#ask("list_channels", {}, options, (verdict) => {
      const isMine = (id: string): boolean => this.#standings.isMine(id)
      const shows = (metadata: ChannelMetadata): boolean =>
        verdict === "yes" || participantIds(metadata).some(isMine)
      return this.#hub.listChannels(filter, { shows })
    })
  }
  closeChannel(channelId: string, reason?: string, options?: CallOptions): Promise<ChannelMetadata> {
    return this.#ask("close_channel", { channel: channelId }, options, () => {
      const mine = this.#connector.participantsOf(channelId)?.find((id) => this.#standings.isMine(id))
      return this.#hub.closeChannel(channelId, reason, this.#as(mine))
    })
  }
  postEnvelope(envelope: EnvelopeRequest, options?: CallOptions): Promise<string> {
    return this.#ask("post_envelope", { agent: envelope?.sender_id }, options, () =>
      this.#hub.postEnvelope(envelope, this.#as(envelope?.sender_id)),
    )
  }
  readWal(
    channelId: string,
    since?: number,
    until?: number,
    options?: CallOptions,
  ): Promise<readonly Envelope[]> {
    return this.#ask("read_wal", { channel: channelId }, options, () =>
      this.#hub.readWal(channelId, since, until),
    )
  }
  findEnvelopeByCausation(
    channelId: string,
    senderId: string,
    causationId: string,
    options?: CallOptions,
  ): Promise<Envelope | null> {
    return this.#ask("find_envelope_by_causation", { channel: channelId }, options, () =>
      this.#hub.findEnvelopeByCausation(channelId, senderId, causationId),
    )
  }
  canSend(channelId: string, senderId: string, eventType?: string, options?: CallOptions): Promise<boolean> {
    return this.#ask("can_send", { channel: channelId }, options, () =>
      this.#hub.canSend(channelId, senderId, eventType),
    )
  }
  pendingTurnsFor(agentId: string, options?: CallOptions): Promise<readonly PendingTurn[]> {
    return this.#ask("pending_turns_for", { agent: agentId }, options, () =>
      this.#hub.pendingTurnsFor(agentId),
    )
  }
  adapterState(channelId: string, options?: CallOptions): Promise<unknown> {
    return this.#ask("adapter_state", { channel: channelId }, options, () =>
      this.#hub.adapterState(channelId),
    )
  }
  reportTurnFailure(
    channelId: string,
    agentId: string,
    envelopeId: string,
    error: Error,
    options?: CallOptions,
  ): Promise<void> {
    return this.#ask("report_turn_failure", { agent: agentId }, options, async () => {
      await this.#inside("report_turn_failure", channelId, agentId)
      await this.#hub.reportTurnFailure(channelId, agentId, envelopeId, error)
    })
  }

  getTask(taskId: string, options?: CallOptions): Promise<TaskMetadata> {
    return this.#ask("get_task", { task: taskId }, options, () => this.#hub.getTask(taskId))
  }
  listTasks(filter?: ListTasksFilter, options?: CallOptions): Promise<readonly TaskMetadata[]> {
    return this.#ask("list_tasks", {}, options, (verdict) => {
      const shows = (task: TaskMetadata): boolean => verdict === "yes" || this.#standings.sees(task)
      return this.#hub.listTasks(filter, { shows })
    })
  }
  observeTask(task: TaskRequest, options?: CallOptions): Promise<TaskMetadata> {
    return this.#ask("observe_task", { agent: task?.owner_id }, options, async () => {
      if (typeof task?.channel_id === "string")
        await this.#inside("observe_task", task.channel_id, task.owner_id)
      return await this.#hub.observeTask(task, this.#as(task?.owner_id))
    })
  }
  updateTask(taskId: string, update: TaskUpdate, options?: CallOptions): Promise<TaskMetadata> {
    return this.#ask("update_task", { task: taskId }, options, () =>
      this.#hub.updateTask(taskId, update, this.#as(this.#ownerOf(taskId))),
    )
  }
  async fireTaskEvent(
    taskId: string,
    kind: string,
    payload: JsonObject,
    options?: CallOptions,
  ): Promise<void> {
    const owner = this.#ownerOf(taskId) ?? payload?.["owner_id"]
    // Of a task that the hub refused to observe, the owner alone can tell.
    if (typeof owner !== "string") throw unknownTask(taskId)
    await this.#ask("fire_task_event", { agent: owner }, options, () =>
      this.#hub.fireTaskEvent(taskId, kind, payload, this.#as(owner)),
    )
  }
  checkpointTask(taskId: string, state: JsonObject, options?: CallOptions): Promise<void> {
    return this.#ask("checkpoint_task", { task: taskId }, options, async () => {
      if (this.#ownerOf(taskId) === undefined) throw unknownTask(taskId)
      await this.#hub.checkpointTask(taskId, state)
    })
  }
  readTaskCheckpoint(taskId: string, options?: CallOptions): Promise<JsonObject | null> {
    return this.#ask("read_task_checkpoint", { task: taskId }, options, async () => {
      if (this.#ownerOf(taskId) === undefined) throw unknownTask(taskId)
      return await this.#hub.readTaskCheckpoint(taskId)
    })
  }

  get #hub(): AttributedHubApi {
    return this.#connector.hub
  }

  #as(agentId: string | undefined): { actor?: string } {
    const actor = this.#standings.actor(agentId)
    return actor === undefined ? {} : { actor }
  }

  #ownerOf(taskId: string): string | undefined {
    return this.#connector.task(taskId)?.owner_id
  }

  /** Does it, if it may be done by who is here. The hub is not told of an abort: what it has begun, it does. */
  #ask<T>(
    op: AccessOp,
    subject: Subject,
    options: CallOptions | undefined,
    act: (verdict: "yes" | "own") => Promise<T>,
  ): Promise<T> {
    const signal = options?.signal
    return unlessAborted(async () => {
      if (this.#visitor.outlet.closed) throw new ClosedError("the connection")
      const verdict = await this.#standings.require(op, subject)
      signal?.throwIfAborted()
      return await act(verdict)
    }, signal)
  }

  /** The agent takes part in the channel, if there is one. */
  async #inside(
    op: "report_turn_failure" | "observe_task",
    channelId: string,
    agentId: string,
  ): Promise<void> {
    const ids = this.#connector.participantsOf(channelId)
    if (ids !== undefined && !ids.includes(agentId)) await this.#standings.deny(op)
  }
}

function unknownTask(taskId: string): NotFoundError {
  return new NotFoundError(`task ${String(taskId)} was never observed`)
}
