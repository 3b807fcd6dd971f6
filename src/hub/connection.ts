import {
  AccessDeniedError,
  type AuthClaim,
  type ChannelMetadata,
  type CreateChannelRequest,
  type Envelope,
  type EnvelopeRequest,
  type HubApi,
  type HubConnection,
  type JsonObject,
  type ListAgentsFilter,
  type ListChannelsFilter,
  type ListTasksFilter,
  type Observation,
  type Passport,
  type PendingTurn,
  type Receipt,
  type Registration,
  type Resume,
  type ResumeRequest,
  type Rule,
  type RuleRequest,
  type TaskMetadata,
  type TaskRequest,
  type TaskUpdate,
} from "../model/index.ts"
import { ClosedError } from "../core/errors.ts"
import type { HubConnector } from "./connector.ts"
import type { Outlet } from "./delivery.ts"

/**
 * A connection in the hub's own process.
 *
 * It sends, opens channels, observes tasks and reports for the identities bound to it and nobody else. Every change
 * names its actor: the identity that it is about when that one is bound here, else the only one that is.
 */
export class LocalConnection implements HubConnection {
  readonly connection_id: string
  readonly #hub: HubConnector
  readonly #outlet: Outlet

  constructor(hub: HubConnector, outlet: Outlet) {
    this.connection_id = outlet.id
    this.#hub = hub
    this.#outlet = outlet
  }

  async attach(
    name: string,
    auth?: AuthClaim,
    options: { readonly since_envelope_id?: string | null } = {},
  ): Promise<Passport> {
    this.#requireOpen()
    return await this.#hub.attach(this.#outlet, name, auth, options.since_envelope_id)
  }

  async receipt(receipt: Receipt): Promise<void> {
    this.#requireOpen()
    await this.#hub.receipt(this.#outlet, receipt)
  }

  /** Ends the deliveries; the identities stay registered. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#hub.desk.close(this.#outlet)
  }

  async registerIdentity(registration: Registration): Promise<Passport> {
    this.#requireOpen()
    return await this.#hub.register(this.#outlet, registration)
  }
  async unregister(agentId: string): Promise<void> {
    await this.#hub.hub.unregister(agentId, this.#as(agentId))
  }
  getAgent(nameOrId: string): Promise<Passport> {
    return this.#api.getAgent(nameOrId)
  }
  getResume(agentId: string): Promise<Resume> {
    return this.#api.getResume(agentId)
  }
  getSkill(agentId: string): Promise<string | null> {
    return this.#api.getSkill(agentId)
  }
  getRule(agentId: string): Promise<Rule> {
    return this.#api.getRule(agentId)
  }
  findAgentId(name: string): Promise<string | null> {
    return this.#api.findAgentId(name)
  }
  namesFor(agentIds: readonly string[]): Promise<Readonly<Record<string, string>>> {
    return this.#api.namesFor(agentIds)
  }
  listAgents(filter?: ListAgentsFilter): Promise<readonly Passport[]> {
    return this.#api.listAgents(filter)
  }
  async setResume(agentId: string, resume: ResumeRequest): Promise<Resume> {
    return await this.#hub.hub.setResume(agentId, resume, this.#as(agentId))
  }
  async setSkill(agentId: string, skillMd: string | null): Promise<void> {
    await this.#hub.hub.setSkill(agentId, skillMd, this.#as(agentId))
  }
  async setRule(agentId: string, rule: RuleRequest): Promise<Rule> {
    return await this.#hub.hub.setRule(agentId, rule, this.#as(agentId))
  }
  async recordObservation(observation: Observation): Promise<void> {
    await this.#own("record_observation", observation?.owner_id)
    await this.#hub.hub.recordObservation(observation, this.#as(observation.owner_id))
  }

  async createChannel(request: CreateChannelRequest): Promise<ChannelMetadata> {
    await this.#own("create_channel", request?.creator_id)
    return await this.#hub.hub.createChannel(request, this.#as(request.creator_id))
  }
  getChannel(channelId: string): Promise<ChannelMetadata> {
    return this.#api.getChannel(channelId)
  }
  listChannels(filter?: ListChannelsFilter): Promise<readonly ChannelMetadata[]> {
    return this.#api.listChannels(filter)
  }
  async closeChannel(channelId: string, reason?: string): Promise<ChannelMetadata> {
    const ids = this.#hub.participantsOf(channelId)
    const bound = this.#hub.desk.boundTo(this.#outlet).filter((id) => ids.includes(id))
    return await this.#hub.hub.closeChannel(channelId, reason, this.#as(bound[0]))
  }
  async postEnvelope(envelope: EnvelopeRequest): Promise<string> {
    await this.#own("post_envelope", envelope?.sender_id)
    return await this.#hub.hub.postEnvelope(envelope, this.#as(envelope.sender_id))
  }
  readWal(channelId: string, since?: number, until?: number): Promise<readonly Envelope[]> {
    return this.#api.readWal(channelId, since, until)
  }
  findEnvelopeByCausation(
    channelId: string,
    senderId: string,
    causationId: string,
  ): Promise<Envelope | null> {
    return this.#api.findEnvelopeByCausation(channelId, senderId, causationId)
  }
  canSend(channelId: string, senderId: string, eventType?: string): Promise<boolean> {
    return this.#api.canSend(channelId, senderId, eventType)
  }
  pendingTurnsFor(agentId: string): Promise<readonly PendingTurn[]> {
    return this.#api.pendingTurnsFor(agentId)
  }
  adapterState(channelId: string): Promise<unknown> {
    return this.#api.adapterState(channelId)
  }
  async reportTurnFailure(
    channelId: string,
    agentId: string,
    envelopeId: string,
    error: Error,
  ): Promise<void> {
    await this.#own("report_turn_failure", agentId)
    await this.#hub.hub.reportTurnFailure(channelId, agentId, envelopeId, error)
  }

  getTask(taskId: string): Promise<TaskMetadata> {
    return this.#api.getTask(taskId)
  }
  listTasks(filter?: ListTasksFilter): Promise<readonly TaskMetadata[]> {
    return this.#api.listTasks(filter)
  }
  async observeTask(task: TaskRequest): Promise<TaskMetadata> {
    await this.#own("observe_task", task?.owner_id)
    return await this.#hub.hub.observeTask(task, this.#as(task.owner_id))
  }
  async updateTask(taskId: string, update: TaskUpdate): Promise<TaskMetadata> {
    return await this.#hub.hub.updateTask(taskId, update, this.#as(this.#hub.ownerOf(taskId)))
  }
  async fireTaskEvent(taskId: string, kind: string, payload: JsonObject): Promise<void> {
    await this.#hub.hub.fireTaskEvent(taskId, kind, payload, this.#as(this.#hub.ownerOf(taskId)))
  }
  checkpointTask(taskId: string, state: JsonObject): Promise<void> {
    return this.#api.checkpointTask(taskId, state)
  }
  readTaskCheckpoint(taskId: string): Promise<JsonObject | null> {
    return this.#api.readTaskCheckpoint(taskId)
  }

  get #api(): HubApi {
    return this.#hub.hub
  }

  /** Who acts, in a change about `agentId`. */
  #as(agentId: string | undefined): { actor?: string } {
    this.#requireOpen()
    if (agentId !== undefined && this.#hub.desk.isBound(agentId, this.#outlet)) return { actor: agentId }
    const bound = this.#hub.desk.boundTo(this.#outlet)
    return bound.length === 1 && bound[0] !== undefined ? { actor: bound[0] } : {}
  }

  /** @throws AccessDeniedError for an identity that is bound elsewhere or nowhere. */
  async #own(op: string, agentId: string): Promise<void> {
    this.#requireOpen()
    if (this.#hub.desk.isBound(agentId, this.#outlet)) return
    const error = new AccessDeniedError(`connection ${this.connection_id} does not act for ${agentId}`, {
      hint: "Register or attach the identity on this connection first.",
    })
    await this.#hub.denied(op, this.#as(undefined).actor ?? null, error)
    throw error
  }

  #requireOpen(): void {
    if (this.#outlet.closed) throw new ClosedError("the connection")
  }
}
