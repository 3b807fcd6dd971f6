import type { PendingTurn } from "./adapter.ts"
import type { AuthChallenge } from "./challenge.ts"
import type { ChannelMetadata, ChannelState, CreateChannelRequest } from "./channel.ts"
import type { Envelope, EnvelopeRequest } from "./envelope.ts"
import type { JsonObject } from "./json.ts"
import type { AgentKind, AuthClaim, Passport, PassportRequest } from "./passport.ts"
import type { Resume, ResumeRequest } from "./resume.ts"
import type { Rule, RuleRequest } from "./rule.ts"
import type { TaskMetadata, TaskOutcome, TaskRequest, TaskState, TaskUpdate } from "./task.ts"

/** Everything an identity is made of. */
export interface Registration {
  readonly passport: PassportRequest
  readonly resume?: ResumeRequest
  /** Markdown. */
  readonly skill_md?: string | null
  readonly rule?: RuleRequest
}

export interface ListAgentsFilter {
  readonly capability?: string
  /** A part of the resume's summary, in either case. */
  readonly query?: string
  readonly kind?: AgentKind
  /** Default: the order of registration. */
  readonly sort_by?: "name"
  /** Default 50. */
  readonly limit?: number
}

export interface ListChannelsFilter {
  readonly agent_id?: string
  readonly state?: ChannelState
  /** Default 50. */
  readonly limit?: number
}

export interface ListTasksFilter {
  readonly agent_id?: string
  readonly channel_id?: string
  readonly state?: TaskState
  /** Default 50. */
  readonly limit?: number
}

export interface Observation {
  readonly owner_id: string
  readonly capability: string
  readonly outcome: TaskOutcome
  readonly latency_ms?: number | null
  /** Counted once per task. */
  readonly task_id?: string | null
}

/**
 * What a participant can ask of a hub: the same in its process and across a wire.
 *
 * Every method rejects with a `HansardError`: `NotFoundError` for what does not exist, `AccessDeniedError`,
 * `AuthError`, `ProtocolError`, `InboxFullError`, `InvalidInputError` for what does not parse, and
 * `AuditUnavailableError` when the hub must record and cannot. What is returned is frozen.
 */
export interface HubApi {
  registerIdentity(registration: Registration): Promise<Passport>
  unregister(agentId: string): Promise<void>
  /** By name first, then by id. */
  getAgent(nameOrId: string): Promise<Passport>
  getResume(agentId: string): Promise<Resume>
  getSkill(agentId: string): Promise<string | null>
  getRule(agentId: string): Promise<Rule>
  findAgentId(name: string): Promise<string | null>
  /** An unknown id maps to itself. */
  namesFor(agentIds: readonly string[]): Promise<Readonly<Record<string, string>>>
  listAgents(filter?: ListAgentsFilter): Promise<readonly Passport[]>
  setResume(agentId: string, resume: ResumeRequest): Promise<Resume>
  /** `null` removes it. */
  setSkill(agentId: string, skillMd: string | null): Promise<void>
  setRule(agentId: string, rule: RuleRequest): Promise<Rule>
  /** Ignored when the outcome is not terminal, the task was counted before, or the owner has gone. */
  recordObservation(observation: Observation): Promise<void>

  /** Resolves once every invitee has accepted. */
  createChannel(request: CreateChannelRequest): Promise<ChannelMetadata>
  getChannel(channelId: string): Promise<ChannelMetadata>
  /** Oldest first. */
  listChannels(filter?: ListChannelsFilter): Promise<readonly ChannelMetadata[]>
  /** The metadata as it is, if the channel has ended already. */
  closeChannel(channelId: string, reason?: string): Promise<ChannelMetadata>
  /**
   * @returns the envelope's id, once it is durable in the channel's write-ahead log. Of one that its sender has posted
   *   already (the same `idempotency_key`, or the same answer to the same envelope), the earlier id: it is there once.
   */
  postEnvelope(envelope: EnvelopeRequest): Promise<string>
  /** Envelopes `[since, until)` by position. */
  readWal(channelId: string, since?: number, until?: number): Promise<readonly Envelope[]>
  findEnvelopeByCausation(channelId: string, senderId: string, causationId: string): Promise<Envelope | null>
  /** Whether the adapter would accept a text (or `eventType`) from this sender now. */
  canSend(channelId: string, senderId: string, eventType?: string): Promise<boolean>
  pendingTurnsFor(agentId: string): Promise<readonly PendingTurn[]>
  /** The adapter's folded state; `null` when there is none. */
  adapterState(channelId: string): Promise<unknown>
  reportTurnFailure(channelId: string, agentId: string, envelopeId: string, error: Error): Promise<void>

  getTask(taskId: string): Promise<TaskMetadata>
  listTasks(filter?: ListTasksFilter): Promise<readonly TaskMetadata[]>
  observeTask(task: TaskRequest): Promise<TaskMetadata>
  updateTask(taskId: string, update: TaskUpdate): Promise<TaskMetadata>
  fireTaskEvent(taskId: string, kind: string, payload: JsonObject): Promise<void>
  checkpointTask(taskId: string, state: JsonObject): Promise<void>
  readTaskCheckpoint(taskId: string): Promise<JsonObject | null>
}

/** One envelope on its way to one participant. */
export interface Delivery {
  readonly envelope: Envelope
  readonly recipient_id: string
}

/** What the participant says when it has dealt with a delivery. */
export interface Receipt {
  readonly envelope_id: string
  readonly status: "ack" | "nack"
  readonly recipient_id: string
  readonly channel_id: string
  readonly reason?: string
}

/**
 * One connection to a hub. It acts for the identities that were registered or attached on it, for nobody else, and the
 * hub names one of them as the actor of what is asked here. SPEC.md ("Who may do what") says which operation is whose.
 */
export interface HubConnection extends HubApi, AsyncDisposable {
  readonly connection_id: string

  /**
   * What the key of `name` has to sign to prove itself by `ed25519`: see `challengeText`. Asked before `attach`, and
   * before `registerIdentity`; good for one attempt, until `expires_at`.
   *
   * @throws AuthError when the hub knows no scheme that asks for one.
   */
  challenge(name: string): Promise<AuthChallenge>

  /** From now on this connection is an administrator's as well. @throws AuthError for a wrong name or token. */
  proveAdmin(name: string, token: string): Promise<void>

  /**
   * Binds an identity that exists, proving it with the scheme that the hub has stored for it.
   *
   * An earlier binding of the identity moves here. Envelopes it has not acknowledged are delivered again, before any
   * new ones, if `since_envelope_id` is not null; default `""`, all of them.
   *
   * @throws NotFoundError for an unknown name, AuthError for a claim that does not prove it.
   */
  attach(
    name: string,
    auth?: AuthClaim,
    options?: { readonly since_envelope_id?: string | null },
  ): Promise<Passport>

  /**
   * `ack`: the envelope is dealt with, and the recipient's cursor in that channel moves as far as everything before it is;
   * receipts may come in any order. `nack`: it comes again, and after a few times it is a dead letter. Receipts for others'
   * deliveries are refused.
   */
  receipt(receipt: Receipt): Promise<void>
}

export interface LinkOptions {
  /** An identity is no longer bound here: it was attached on another connection, or unregistered. */
  readonly detached?: (agentId: string, reason: string) => void
}

/** The way to a hub: in this process the hub itself, elsewhere a socket. */
export interface HubLink {
  /**
   * @param deliver is called once per delivery, in order per channel; the hub does not wait for the handling, and a
   * rejection counts as a failed dispatch.
   */
  connect(
    deliver: (delivery: Delivery) => Promise<void> | void,
    options?: LinkOptions,
  ): Promise<HubConnection>
}
