import { InvalidInputError } from "../core/errors.ts"
import {
  participantIds,
  TEXT,
  type ChannelMetadata,
  type CreateChannelRequest,
  type Delivery,
  type Envelope,
  type EnvelopeRequest,
  type HubConnection,
  type HubLink,
  type JsonObject,
  type ListAgentsFilter,
  type ListChannelsFilter,
  type ListTasksFilter,
  type Observation,
  type Passport,
  type PendingTurn,
  type Registration,
  type Resume,
  type ResumeRequest,
  type Rule,
  type RuleRequest,
  type TaskMetadata,
  type TaskRequest,
  type TaskUpdate,
} from "../model/index.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import { causationKey } from "./channel.ts"
import { LocalConnection } from "./connection.ts"
import type { AttributedHubApi, HubConnector } from "./connector.ts"
import type { OperationOptions } from "./context.ts"
import type { ConnectOptions } from "./entrance.ts"
import { HubBase } from "./hub-base.ts"
import type { HubOptions } from "./options.ts"
import { deepFreeze } from "./plain-json.ts"

/**
 * Where agents meet: who they are, the channels they talk in, the tasks they run, and the record of it all.
 *
 * A change is written before it is told, and told before its promise resolves; what is returned is frozen. Calls may
 * overlap: changes to one agent, channel or task happen one at a time.
 *
 * The methods of the listener protocol are the hub's own hooks: extend the class and override them. They hear an event
 * after the audit log and before every other listener.
 */
export class Hub extends HubBase implements AttributedHubApi, HubLink {
  /** @throws the store's errors. What is stored and broken is quarantined instead: see `health().quarantined`. */
  static async open<H extends Hub>(
    this: new (store: KnowledgeStore, options: HubOptions) => H,
    store: KnowledgeStore,
    options: HubOptions = {},
  ): Promise<H> {
    const hub = new this(store, options)
    await hub.start()
    return hub
  }

  // Identities

  registerIdentity(registration: Registration, options?: OperationOptions): Promise<Passport> {
    return this.operate((operation) => this.parts.registry.register(registration, operation), options)
  }

  unregister(agentId: string, options?: OperationOptions): Promise<void> {
    return this.operate(async (operation) => {
      const { registry, desk, cursors, inboxes, rates } = this.parts
      await registry.unregister(agentId, operation, () => {
        desk.forget(agentId)
        cursors.forget(agentId)
        inboxes.counter.forget(agentId)
        rates.forget(agentId)
      })
    }, options)
  }

  async getAgent(nameOrId: string): Promise<Passport> {
    return this.parts.registry.named(nameOrId).passport
  }

  async getResume(agentId: string): Promise<Resume> {
    return this.parts.registry.require(agentId).resume
  }

  async getSkill(agentId: string): Promise<string | null> {
    return await this.parts.registry.skill(agentId)
  }

  async getRule(agentId: string): Promise<Rule> {
    return this.parts.registry.require(agentId).rule
  }

  async findAgentId(name: string): Promise<string | null> {
    return this.parts.registry.idOf(name) ?? null
  }

  async namesFor(agentIds: readonly string[]): Promise<Readonly<Record<string, string>>> {
    return deepFreeze(Object.fromEntries(agentIds.map((id) => [id, this.nameFor(id)])))
  }

  /** The name; for an unknown id `missing`, by default the id. */
  nameFor(agentId: string, missing: string = agentId): string {
    return this.parts.registry.nameOf(agentId) ?? missing
  }

  /** A copy. */
  nameToIdMap(): Map<string, string> {
    return new Map(this.parts.registry.names())
  }

  async listAgents(filter?: ListAgentsFilter): Promise<readonly Passport[]> {
    return Object.freeze(this.parts.registry.list(filter))
  }

  /** Ids of those that claim it or were seen to have it, sorted. */
  agentsWithCapability(capability: string): string[] {
    return this.parts.registry.capabilities.agentsWith(capability)
  }

  setResume(agentId: string, resume: ResumeRequest, options?: OperationOptions): Promise<Resume> {
    return this.operate((operation) => this.parts.registry.setResume(agentId, resume, operation), options)
  }

  setSkill(agentId: string, skillMd: string | null, options?: OperationOptions): Promise<void> {
    return this.operate((operation) => this.parts.registry.setSkill(agentId, skillMd, operation), options)
  }

  setRule(agentId: string, rule: RuleRequest, options?: OperationOptions): Promise<Rule> {
    return this.operate((operation) => this.parts.registry.setRule(agentId, rule, operation), options)
  }

  recordObservation(observation: Observation, options?: OperationOptions): Promise<void> {
    const { registry, tasks } = this.parts
    return this.operate((operation) => {
      // Of a task whose end the hub has seen, its own word counts.
      const outcome = tasks.outcomeOf(observation?.task_id) ?? observation?.outcome
      const seen = { ...observation, outcome }
      return registry.recordObservation(seen, (taskId) => tasks.countOnce(taskId), operation)
    }, options)
  }

  // Channels

  createChannel(request: CreateChannelRequest, options?: OperationOptions): Promise<ChannelMetadata> {
    return this.operate((operation) => this.parts.creation.create(request, operation), options)
  }

  async getChannel(channelId: string): Promise<ChannelMetadata> {
    return this.parts.book.require(channelId).metadata
  }

  /** @param shows which of them may be in the list; default all. */
  async listChannels(
    filter?: ListChannelsFilter,
    shows?: (channel: ChannelMetadata) => boolean,
  ): Promise<readonly ChannelMetadata[]> {
    return Object.freeze(this.parts.book.list(filter, shows))
  }

  closeChannel(channelId: string, reason: string = "", options?: OperationOptions): Promise<ChannelMetadata> {
    return this.operate(async (operation) => {
      if (typeof reason !== "string") throw new InvalidInputError("a reason is text")
      return await this.parts.lifecycle.end(channelId, "closed", reason || "explicit_close", operation)
    }, options)
  }

  postEnvelope(envelope: EnvelopeRequest, options?: OperationOptions): Promise<string> {
    return this.operate((operation) => this.parts.posting.post(envelope, operation), options)
  }

  async readWal(channelId: string, since: number = 0, until?: number): Promise<readonly Envelope[]> {
    for (const position of [since, until ?? 0]) {
      if (!Number.isSafeInteger(position) || position < 0) {
        throw new InvalidInputError(`a position is a whole number from 0, not ${position}`)
      }
    }
    return Object.freeze(await this.parts.book.require(channelId).wal.read(since, until))
  }

  /** In channels that have not ended. */
  async findEnvelopeByCausation(
    channelId: string,
    senderId: string,
    causationId: string,
  ): Promise<Envelope | null> {
    const { causation, wal } = this.parts.book.require(channelId)
    const position = causation.get(causationKey(senderId, causationId))
    if (position === undefined) return null
    const [envelope] = await wal.read(position, position + 1)
    return envelope ?? null
  }

  async canSend(channelId: string, senderId: string, eventType: string = TEXT): Promise<boolean> {
    return this.parts.posting.canSend(channelId, senderId, eventType)
  }

  async pendingTurnsFor(agentId: string): Promise<readonly PendingTurn[]> {
    const turns: PendingTurn[] = []
    for (const { metadata, adapter, state, wal } of this.parts.book.ofAgent(agentId)) {
      if (metadata.state !== "active" || state === undefined) continue
      const turn = adapter?.expectedNext(metadata, state)
      if (turn?.agent_id !== agentId) continue
      const { triggering_envelope_id } = turn
      const trigger = triggering_envelope_id === null ? undefined : await wal.find(triggering_envelope_id)
      const expected_at = trigger?.created_at ?? metadata.created_at
      turns.push(Object.freeze({ channel_id: metadata.channel_id, triggering_envelope_id, expected_at }))
    }
    return Object.freeze(turns)
  }

  async adapterState(channelId: string): Promise<unknown> {
    const { metadata, state, wal } = this.parts.book.require(channelId)
    if (state !== undefined) return state
    // It had ended before this process began: folded when somebody asks, and not kept.
    const adapter = this.parts.book.adapter(metadata.manifest.type, metadata.manifest.version)
    if (adapter === undefined) return null
    const envelopes = await wal.read()
    return deepFreeze(
      envelopes.reduce((folded, envelope) => adapter.fold(envelope, folded), adapter.initialState(metadata)),
    )
  }

  /** How far the agent has acknowledged the channel: the id of an envelope, or nothing. */
  inboxCursor(agentId: string, channelId: string): string {
    return this.parts.cursors.get(agentId, channelId)
  }

  /** Envelopes that were sent to the agent and not acknowledged. */
  pendingInbox(agentId: string): number {
    return this.parts.inboxes.counter.count(agentId)
  }

  reportTurnFailure(
    channelId: string,
    agentId: string,
    envelopeId: string,
    error: Error,
    options?: OperationOptions,
  ): Promise<void> {
    return this.operate((operation) => {
      this.parts.book.require(channelId)
      operation.events.turnFailed(channelId, agentId, envelopeId, error)
    }, options)
  }

  // Tasks

  async getTask(taskId: string): Promise<TaskMetadata> {
    return this.parts.tasks.require(taskId)
  }

  /** @param shows which of them may be in the list; default all. */
  async listTasks(
    filter?: ListTasksFilter,
    shows?: (task: TaskMetadata) => boolean,
  ): Promise<readonly TaskMetadata[]> {
    return Object.freeze(this.parts.tasks.list(filter, shows))
  }

  observeTask(task: TaskRequest, options?: OperationOptions): Promise<TaskMetadata> {
    return this.operate((operation) => this.parts.tasks.observe(task, operation), options)
  }

  updateTask(taskId: string, update: TaskUpdate, options?: OperationOptions): Promise<TaskMetadata> {
    return this.operate((operation) => this.parts.tasks.update(taskId, update, operation), options)
  }

  fireTaskEvent(
    taskId: string,
    kind: string,
    payload: JsonObject,
    options?: OperationOptions,
  ): Promise<void> {
    return this.operate((operation) => {
      this.parts.tasks.fireEvent(taskId, kind, payload, operation)
    }, options)
  }

  checkpointTask(taskId: string, state: JsonObject): Promise<void> {
    return this.operate(() => this.parts.tasks.checkpoint(taskId, state))
  }

  async readTaskCheckpoint(taskId: string): Promise<JsonObject | null> {
    return await this.parts.tasks.readCheckpoint(taskId)
  }

  // Connections

  /** Without options, a connection from this process: see {@link ConnectOptions}. */
  async connect(
    deliver: (delivery: Delivery) => Promise<void> | void,
    options: ConnectOptions = {},
  ): Promise<HubConnection> {
    const { desk, registry, book, tasks, entrance } = this.parts
    const { origin = "process", peer, detached } = options
    const outlet = desk.outlet(deliver, detached)
    const connector: HubConnector = {
      hub: this,
      desk,
      challenge: (name) => entrance.challenge(name),
      register: (visitor, registration) =>
        this.operate((operation) => entrance.register(visitor, registration, operation)),
      attach: (visitor, name, auth, since) =>
        this.operate((operation) => entrance.attach(visitor, name, auth, since, operation)),
      proveAdmin: (visitor, name, token) =>
        this.operate((operation) => entrance.proveAdmin(visitor, name, token, operation)),
      receipt: (visitor, receipt) => desk.receipt(receipt, visitor.outlet),
      denied: (op, agentId, error) =>
        this.operate((operation) => operation.events.accessDenied(op, agentId, error)),
      isRegistered: (agentId) => registry.has(agentId),
      participantsOf: (channelId) => {
        const channel = book.find(channelId)
        return channel === undefined ? undefined : participantIds(channel.metadata)
      },
      task: (taskId) => tasks.find(taskId),
    }
    return new LocalConnection(connector, { outlet, origin, peer: peer ?? outlet.id })
  }
}
