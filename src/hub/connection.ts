import { ClosedError, NotFoundError } from "../core/errors.ts"
import type {
  AuthChallenge,
  AuthClaim,
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
import { Standings } from "./standings.ts"

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

  async challenge(name: string): Promise<AuthChallenge> {
    await this.#may("challenge")
    return this.#connector.challenge(name)
  }

  async attach(
    name: string,
    auth?: AuthClaim,
    options: { readonly since_envelope_id?: string | null } = {},
  ): Promise<Passport> {
    await this.#may("attach")
    const { since_envelope_id: since = "" } = options
    return await this.#connector.attach(this.#visitor, name, auth, since)
  }

  async proveAdmin(name: string, token: string): Promise<void> {
    await this.#may("prove_admin")
    this.#standings.admin = await this.#connector.proveAdmin(this.#visitor, name, token)
  }

  async registerIdentity(registration: Registration): Promise<Passport> {
    await this.#may("register")
    return await this.#connector.register(this.#visitor, registration)
  }

  async receipt(receipt: Receipt): Promise<void> {
    // Those without a recipient are ignored, as in AG2: there is nobody to ask for.
    if (receipt?.recipient_id !== "") await this.#may("receipt", { agent: receipt?.recipient_id })
    await this.#connector.receipt(this.#visitor, receipt)
  }

  /** Ends the deliveries; the identities stay registered. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#connector.desk.close(this.#visitor.outlet)
  }

  async getAgent(nameOrId: string): Promise<Passport> {
    await this.#may("get_agent", { agent: nameOrId })
    return await this.#hub.getAgent(nameOrId)
  }
  async getResume(agentId: string): Promise<Resume> {
    await this.#may("get_resume", { agent: agentId })
    return await this.#hub.getResume(agentId)
  }
  async getSkill(agentId: string): Promise<string | null> {
    await this.#may("get_skill", { agent: agentId })
    return await this.#hub.getSkill(agentId)
  }
  async getRule(agentId: string): Promise<Rule> {
    await this.#may("get_rule", { agent: agentId })
    return await this.#hub.getRule(agentId)
  }
  async findAgentId(name: string): Promise<string | null> {
    await this.#may("find_agent_id", { agent: name })
    return await this.#hub.findAgentId(name)
  }
  async namesFor(agentIds: readonly string[]): Promise<Readonly<Record<string, string>>> {
    await this.#may("names_for")
    return await this.#hub.namesFor(agentIds)
  }
  async listAgents(filter?: ListAgentsFilter): Promise<readonly Passport[]> {
    await this.#may("list_agents")
    return await this.#hub.listAgents(filter)
  }
  async setResume(agentId: string, resume: ResumeRequest): Promise<Resume> {
    await this.#may("set_resume", { agent: agentId })
    return await this.#hub.setResume(agentId, resume, this.#as(agentId))
  }
  async setSkill(agentId: string, skillMd: string | null): Promise<void> {
    await this.#may("set_skill", { agent: agentId })
    await this.#hub.setSkill(agentId, skillMd, this.#as(agentId))
  }
  async setRule(agentId: string, rule: RuleRequest): Promise<Rule> {
    await this.#may("set_rule", { agent: agentId })
    return await this.#hub.setRule(agentId, rule, this.#as(agentId))
  }
  async unregister(agentId: string): Promise<void> {
    await this.#may("unregister", { agent: agentId })
    await this.#hub.unregister(agentId, this.#as(agentId))
  }
  async recordObservation(observation: Observation): Promise<void> {
    await this.#may("record_observation", { agent: observation?.owner_id })
    await this.#hub.recordObservation(observation, this.#as(observation.owner_id))
  }

  async createChannel(request: CreateChannelRequest): Promise<ChannelMetadata> {
    await this.#may("create_channel", { agent: request?.creator_id })
    return await this.#hub.createChannel(request, this.#as(request?.creator_id))
  }
  async getChannel(channelId: string): Promise<ChannelMetadata> {
    await this.#may("get_channel", { channel: channelId })
    return await this.#hub.getChannel(channelId)
  }
  async listChannels(filter?: ListChannelsFilter): Promise<readonly ChannelMetadata[]> {
    const everything = (await this.#may("list_channels")) === "yes"
    const shows = (metadata: ChannelMetadata): boolean =>
      everything || participantIds(metadata).some((id) => this.#standings.isMine(id))
    return await this.#hub.listChannels(filter, shows)
  }
  async closeChannel(channelId: string, reason?: string): Promise<ChannelMetadata> {
    await this.#may("close_channel", { channel: channelId })
    const mine = this.#connector.participantsOf(channelId)?.find((id) => this.#standings.isMine(id))
    return await this.#hub.closeChannel(channelId, reason, this.#as(mine))
  }
  async postEnvelope(envelope: EnvelopeRequest): Promise<string> {
    await this.#may("post_envelope", { agent: envelope?.sender_id })
    return await this.#hub.postEnvelope(envelope, this.#as(envelope?.sender_id))
  }
  async readWal(channelId: string, since?: number, until?: number): Promise<readonly Envelope[]> {
    await this.#may("read_wal", { channel: channelId })
    return await this.#hub.readWal(channelId, since, until)
  }
  async findEnvelopeByCausation(
    channelId: string,
    senderId: string,
    causationId: string,
  ): Promise<Envelope | null> {
    await this.#may("find_envelope_by_causation", { channel: channelId })
    return await this.#hub.findEnvelopeByCausation(channelId, senderId, causationId)
  }
  async canSend(channelId: string, senderId: string, eventType?: string): Promise<boolean> {
    await this.#may("can_send", { channel: channelId })
    return await this.#hub.canSend(channelId, senderId, eventType)
  }
  async pendingTurnsFor(agentId: string): Promise<readonly PendingTurn[]> {
    await this.#may("pending_turns_for", { agent: agentId })
    return await this.#hub.pendingTurnsFor(agentId)
  }
  async adapterState(channelId: string): Promise<unknown> {
    await this.#may("adapter_state", { channel: channelId })
    return await this.#hub.adapterState(channelId)
  }
  async reportTurnFailure(
    channelId: string,
    agentId: string,
    envelopeId: string,
    error: Error,
  ): Promise<void> {
    await this.#may("report_turn_failure", { agent: agentId })
    await this.#inside("report_turn_failure", channelId, agentId)
    await this.#hub.reportTurnFailure(channelId, agentId, envelopeId, error)
  }

  async getTask(taskId: string): Promise<TaskMetadata> {
    await this.#may("get_task", { task: taskId })
    return await this.#hub.getTask(taskId)
  }
  async listTasks(filter?: ListTasksFilter): Promise<readonly TaskMetadata[]> {
    const everything = (await this.#may("list_tasks")) === "yes"
    const shows = (task: TaskMetadata): boolean => everything || this.#standings.sees(task)
    return await this.#hub.listTasks(filter, shows)
  }
  async observeTask(task: TaskRequest): Promise<TaskMetadata> {
    await this.#may("observe_task", { agent: task?.owner_id })
    if (typeof task?.channel_id === "string")
      await this.#inside("observe_task", task.channel_id, task.owner_id)
    return await this.#hub.observeTask(task, this.#as(task?.owner_id))
  }
  async updateTask(taskId: string, update: TaskUpdate): Promise<TaskMetadata> {
    await this.#may("update_task", { task: taskId })
    return await this.#hub.updateTask(taskId, update, this.#as(this.#ownerOf(taskId)))
  }
  async fireTaskEvent(taskId: string, kind: string, payload: JsonObject): Promise<void> {
    const owner = this.#ownerOf(taskId) ?? payload?.["owner_id"]
    // Of a task that the hub refused to observe, the owner alone can tell.
    if (typeof owner === "string") await this.#may("fire_task_event", { agent: owner })
    else throw unknownTask(taskId)
    await this.#hub.fireTaskEvent(taskId, kind, payload, this.#as(owner))
  }
  async checkpointTask(taskId: string, state: JsonObject): Promise<void> {
    await this.#may("checkpoint_task", { task: taskId })
    if (this.#ownerOf(taskId) === undefined) throw unknownTask(taskId)
    await this.#hub.checkpointTask(taskId, state)
  }
  async readTaskCheckpoint(taskId: string): Promise<JsonObject | null> {
    await this.#may("read_task_checkpoint", { task: taskId })
    if (this.#ownerOf(taskId) === undefined) throw unknownTask(taskId)
    return await this.#hub.readTaskCheckpoint(taskId)
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

  async #may(...asked: Parameters<Standings["require"]>): Promise<"yes" | "own"> {
    if (this.#visitor.outlet.closed) throw new ClosedError("the connection")
    return await this.#standings.require(...asked)
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
