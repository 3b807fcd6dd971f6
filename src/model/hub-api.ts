import type { PendingTurn } from "./adapter.ts"
import type { CallOptions } from "../core/abort.ts"
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
 *
 * A signal stops the waiting: see {@link CallOptions}. A change that was asked for is then made or not, whole, and
 * recorded if it is; a channel that is being opened is (`AgentClient.open` closes it). What the hub would have answered is
 * heard by nobody.
 */
export interface HubApi {
  registerIdentity(registration: Registration, options?: CallOptions): Promise<Passport>
  unregister(agentId: string, options?: CallOptions): Promise<void>
  /** By name first, then by id. */
  getAgent(nameOrId: string, options?: CallOptions): Promise<Passport>
  getResume(agentId: string, options?: CallOptions): Promise<Resume>
  getSkill(agentId: string, options?: CallOptions): Promise<string | null>
  getRule(agentId: string, options?: CallOptions): Promise<Rule>
  findAgentId(name: string, options?: CallOptions): Promise<string | null>
  /** An unknown id maps to itself. */
  namesFor(agentIds: readonly string[], options?: CallOptions): Promise<Readonly<Record<string, string>>>
  listAgents(filter?: ListAgentsFilter, options?: CallOptions): Promise<readonly Passport[]>
  setResume(agentId: string, resume: ResumeRequest, options?: CallOptions): Promise<Resume>
  /** `null` removes it. */
  setSkill(agentId: string, skillMd: string | null, options?: CallOptions): Promise<void>
  setRule(agentId: string, rule: RuleRequest, options?: CallOptions): Promise<Rule>
  /** Ignored when the outcome is not terminal, the task was counted before, or the owner has gone. */
  recordObservation(observation: Observation, options?: CallOptions): Promise<void>

  /** Resolves once every invitee has accepted. */
  createChannel(request: CreateChannelRequest, options?: CallOptions): Promise<ChannelMetadata>
  getChannel(channelId: string, options?: CallOptions): Promise<ChannelMetadata>
  /** Oldest first. */
  listChannels(filter?: ListChannelsFilter, options?: CallOptions): Promise<readonly ChannelMetadata[]>
  /** The metadata as it is, if the channel has ended already. */
  closeChannel(channelId: string, reason?: string, options?: CallOptions): Promise<ChannelMetadata>
  /**
   * @returns the envelope's id, once it is durable in the channel's write-ahead log. Of one that its sender has posted
   *   already (the same `idempotency_key`, or the same answer to the same envelope), the earlier id: it is there once.
   */
  postEnvelope(envelope: EnvelopeRequest, options?: CallOptions): Promise<string>
  /** Envelopes `[since, until)` by position. */
  readWal(
    channelId: string,
    since?: number,
    until?: number,
    options?: CallOptions,
  ): Promise<readonly Envelope[]>
  findEnvelopeByCausation(
    channelId: string,
    senderId: string,
    causationId: string,
    options?: CallOptions,
  ): Promise<Envelope | null>
  /** Whether the adapter would accept a text (or `eventType`) from this sender now. */
  canSend(channelId: string, senderId: string, eventType?: string, options?: CallOptions): Promise<boolean>
  pendingTurnsFor(agentId: string, options?: CallOptions): Promise<readonly PendingTurn[]>
  /** The adapter's folded state; `null` when there is none. */
  adapterState(channelId: string, options?: CallOptions): Promise<unknown>
  reportTurnFailure(
    channelId: string,
    agentId: string,
    envelopeId: string,
    error: Error,
    options?: CallOptions,
  ): Promise<void>

  getTask(taskId: string, options?: CallOptions): Promise<TaskMetadata>
  listTasks(filter?: ListTasksFilter, options?: CallOptions): Promise<readonly TaskMetadata[]>
  observeTask(task: TaskRequest, options?: CallOptions): Promise<TaskMetadata>
  updateTask(taskId: string, update: TaskUpdate, options?: CallOptions): Promise<TaskMetadata>
  fireTaskEvent(taskId: string, kind: string, payload: JsonObject, options?: CallOptions): Promise<void>
  checkpointTask(taskId: string, state: JsonObject, options?: CallOptions): Promise<void>
  readTaskCheckpoint(taskId: string, options?: CallOptions): Promise<JsonObject | null>
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

export interface AttachmentOptions extends CallOptions {
  /** Replays what came after this envelope; `null`: nothing. Default `""`: all that was not acknowledged. */
  readonly since_envelope_id?: string | null
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
  challenge(name: string, options?: CallOptions): Promise<AuthChallenge>

  /** From now on this connection is an administrator's as well. @throws AuthError for a wrong name or token. */
  proveAdmin(name: string, token: string, options?: CallOptions): Promise<void>

  /**
   * Binds an identity that exists, proving it with the scheme that the hub has stored for it.
   *
   * An earlier binding of the identity moves here. Envelopes it has not acknowledged are delivered again, before any
   * new ones, if `since_envelope_id` is not null; default `""`, all of them.
   *
   * @throws NotFoundError for an unknown name, AuthError for a claim that does not prove it.
   */
  attach(name: string, auth?: AuthClaim, options?: AttachmentOptions): Promise<Passport>

  /**
   * `ack`: the envelope is dealt with, and the recipient's cursor in that channel moves as far as everything before it is;
   * receipts may come in any order. `nack`: it comes again, and after a few times it is a dead letter. Receipts for others'
   * deliveries are refused.
   */
  receipt(receipt: Receipt, options?: CallOptions): Promise<void>
}

/** The signal gives up the connecting; a connection that is made is closed by itself. */
export interface LinkOptions extends CallOptions {
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
