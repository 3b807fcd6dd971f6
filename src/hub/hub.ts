import { InvalidInputError } from "../core/errors.ts"
import {
  participantIds,
  TEXT,
  type CallOptions,
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
import type { AttributedHubApi, HubConnector, ListOptions } from "./connector.ts"
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

  getAgent(nameOrId: string, options?: CallOptions): Promise<Passport> {
    return this.look(() => this.parts.registry.named(nameOrId).passport, options)
  }

  getResume(agentId: string, options?: CallOptions): Promise<Resume> {
    return this.look(() => this.parts.registry.require(agentId).resume, options)
  }

  getSkill(agentId: string, options?: CallOptions): Promise<string | null> {
    return this.look(() => this.parts.registry.skill(agentId), options)
  }

  getRule(agentId: string, options?: CallOptions): Promise<Rule> {
    return this.look(() => this.parts.registry.require(agentId).rule, options)
  }

  findAgentId(name: string, options?: CallOptions): Promise<string | null> {
    return this.look(() => this.parts.registry.idOf(name) ?? null, options)
  }

  namesFor(agentIds: readonly string[], options?: CallOptions): Promise<Readonly<Record<string, string>>> {
    return this.look(
      () => deepFreeze(Object.fromEntries(agentIds.map((id) => [id, this.nameFor(id)]))),
      options,
    )
  }

  /** The name; for an unknown id `missing`, by default the id. */
  nameFor(agentId: string, missing: string = agentId): string {
    return this.parts.registry.nameOf(agentId) ?? missing
  }

  /** A copy. */
  nameToIdMap(): Map<string, string> {
    return new Map(this.parts.registry.names())
  }

  listAgents(filter?: ListAgentsFilter, options?: CallOptions): Promise<readonly Passport[]> {
    return this.look(() => Object.freeze(this.parts.registry.list(filter)), options)
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

  getChannel(channelId: string, options?: CallOptions): Promise<ChannelMetadata> {
    return this.look(() => this.parts.book.require(channelId).metadata, options)
  }

  listChannels(
    filter?: ListChannelsFilter,
    options?: ListOptions<ChannelMetadata>,
  ): Promise<readonly ChannelMetadata[]> {
    return this.look(() => Object.freeze(this.parts.book.list(filter, options?.shows)), options)
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

  readWal(
    channelId: string,
    since: number = 0,
    until?: number,
    options?: CallOptions,
  ): Promise<readonly Envelope[]> {
    return this.look(async () => {
      for (const position of [since, until ?? 0]) {
        if (!Number.isSafeInteger(position) || position < 0) {
          throw new InvalidInputError(`a position is a whole number from 0, not ${position}`)
        }
      }
      return Object.freeze(await this.parts.book.require(channelId).wal.read(since, until))
    }, options)
  }

  /** In channels that have not ended. */
  findEnvelopeByCausation(
    channelId: string,
    senderId: string,
    causationId: string,
    options?: CallOptions,
  ): Promise<Envelope | null> {
    return this.look(async () => {
      const { causation, wal } = this.parts.book.require(channelId)
      const position = causation.get(causationKey(senderId, causationId))
      if (position === undefined) return null
      const [envelope] = await wal.read(position, position + 1)
      return envelope ?? null
    }, options)
  }

  canSend(
    channelId: string,
    senderId: string,
    eventType: string = TEXT,
    options?: CallOptions,
  ): Promise<boolean> {
    return this.look(() => this.parts.posting.canSend(channelId, senderId, eventType), options)
  }

  pendingTurnsFor(agentId: string, options?: CallOptions): Promise<readonly PendingTurn[]> {
    return this.look(() => this.#pendingTurns(agentId), options)
  }

  async #pendingTurns(agentId: string): Promise<readonly PendingTurn[]> {
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

  adapterState(channelId: string, options?: CallOptions): Promise<unknown> {
    return this.look(() => this.#adapterState(channelId), options)
  }

  async #adapterState(channelId: string): Promise<unknown> {
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

  getTask(taskId: string, options?: CallOptions): Promise<TaskMetadata> {
    return this.look(() => this.parts.tasks.require(taskId), options)
  }

  listTasks(filter?: ListTasksFilter, options?: ListOptions<TaskMetadata>): Promise<readonly TaskMetadata[]> {
    return this.look(() => Object.freeze(this.parts.tasks.list(filter, options?.shows)), options)
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

  checkpointTask(taskId: string, state: JsonObject, options?: OperationOptions): Promise<void> {
    return this.operate(() => this.parts.tasks.checkpoint(taskId, state), options)
  }

  readTaskCheckpoint(taskId: string, options?: CallOptions): Promise<JsonObject | null> {
    return this.look(() => this.parts.tasks.readCheckpoint(taskId), options)
  }

  // Connections

  /** Without options, a connection from this process: see {@link ConnectOptions}. */
  connect(
    deliver: (delivery: Delivery) => Promise<void> | void,
    options: ConnectOptions = {},
  ): Promise<HubConnection> {
    return this.look(() => this.#connect(deliver, options), options)
  }

  #connect(deliver: (delivery: Delivery) => Promise<void> | void, options: ConnectOptions): HubConnection {
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
