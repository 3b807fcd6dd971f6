import { unlessAborted, type CallOptions } from "../core/abort.ts"
import { HansardError } from "../core/errors.ts"
import { INVITE, INVITE_ACK, INVITE_REJECT, isProtocolEvent, textOf } from "../model/envelope.ts"
import type { ChannelMetadata } from "../model/channel.ts"
import type { Duration } from "../model/duration.ts"
import type { Envelope } from "../model/envelope.ts"
import { ProtocolError } from "../model/errors.ts"
import type { JsonObject, JsonValue } from "../model/json.ts"
import type { Passport } from "../model/passport.ts"
import type { Resume, ResumeRequest } from "../model/resume.ts"
import type { Rule, RuleRequest } from "../model/rule.ts"
import { Channel } from "./channel.ts"
import { toError } from "./context.ts"
import type { ClientContext } from "./context.ts"
import { Mailbox } from "./mailbox.ts"
import type { EnvelopePredicate, WaitOptions } from "./mailbox.ts"
import { runTask, TaskHandle } from "./task.ts"
import type { TaskOptions, TaskSpecRequest } from "./task.ts"
import { Turn, turnInput } from "./turn.ts"
import type { TurnHandler } from "./turn.ts"

/** Deals with every envelope that comes in. `next` is what would have been done without it. */
export type EnvelopeHandler = (envelope: Envelope, next: () => Promise<void>) => Promise<void> | void

/** `false`, or a throw, rejects the invitation; everything else accepts it. */
export type InviteHandler = (
  channel: ChannelMetadata,
  invite: Envelope,
) => Promise<boolean | void> | boolean | void

/** Handlers given here are in place before the first delivery; later ones may miss what comes in at once. */
export interface AgentHandlers {
  readonly onTurn?: TurnHandler
  readonly onInvite?: InviteHandler
  readonly onEnvelope?: EnvelopeHandler
}

export interface OpenOptions {
  /** Default `"conversation"`. */
  readonly type?: string
  /** Names or ids of the others. */
  readonly target: string | readonly string[]
  readonly ttl?: Duration
  readonly knobs?: JsonObject
  readonly intent?: string
  readonly labels?: Readonly<Record<string, string>>
  /** Stops waiting for the invitees; the channel is closed if it opens all the same. */
  readonly signal?: AbortSignal | undefined
  /** How many delegations deep what is sent in it is. Default 0; `Turn.open` counts by itself. */
  readonly depth?: number
}

export interface DelegateOptions {
  /** Kept as the channel's label `capability`. */
  readonly capability?: string
  /** Default 300,000. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal | undefined
  /** How many delegations deep the prompt is. Default 1; `Turn.delegate` counts by itself. */
  readonly depth?: number
}

/**
 * One agent on a connection.
 *
 * By default it accepts invitations, answers substantive envelopes with its turn handler, and ignores the rest. In one
 * channel it has at most one turn at a time; its channels run beside each other.
 *
 * A turn is skipped when the channel is not active, the agent has answered this envelope already, it may not speak
 * now, or there is no turn handler. A turn that throws is reported to the hub as failed, posts nothing, and is
 * acknowledged: it is not tried again.
 */
export class AgentClient {
  readonly passport: Passport
  readonly #context: ClientContext
  readonly #mailbox: Mailbox
  readonly #abort = new AbortController()
  /** Channels whose answers this client waits for itself: no turns in them. */
  readonly #quiet = new Set<string>()
  #onTurn: TurnHandler | undefined
  #onInvite: InviteHandler | undefined
  #onEnvelope: EnvelopeHandler | undefined

  /** For this package: applications get agents from `HubClient.register` and `HubClient.attach`. */
  constructor(passport: Passport, context: ClientContext, handlers: AgentHandlers) {
    this.passport = passport
    this.#context = context
    this.#mailbox = new Mailbox(passport.agent_id, context, (envelope) => this.#handle(envelope))
    this.#onTurn = handlers.onTurn
    this.#onInvite = handlers.onInvite
    this.#onEnvelope = handlers.onEnvelope
  }

  get agentId(): string {
    return this.passport.agent_id
  }

  get name(): string {
    return this.passport.name
  }

  /** Replaces the turn handler. */
  onTurn(handler: TurnHandler): void {
    this.#onTurn = handler
  }

  /** Replaces the invite handler; without one every invitation is accepted. */
  onInvite(handler: InviteHandler): void {
    this.#onInvite = handler
  }

  /**
   * Replaces the default handling of every envelope, invitations included. When the handler rejects, the envelope is
   * not acknowledged.
   */
  onEnvelope(handler: EnvelopeHandler): void {
    this.#onEnvelope = handler
  }

  /**
   * Opens a channel and waits until every invitee has accepted.
   *
   * @throws NotFoundError for an unknown target; ProtocolError when nobody but this agent would be in it, or an invitee
   *   refuses or does not answer; whatever else the hub refuses with.
   */
  async open(options: OpenOptions): Promise<Channel> {
    const { type = "conversation", target, signal, depth = 0, ...rest } = options
    signal?.throwIfAborted()
    const { hub } = this.#context
    const found = await Promise.all([target].flat().map((nameOrId) => hub.getAgent(nameOrId, { signal })))
    const participants = found.map((passport) => passport.agent_id)
    if (participants.every((id) => id === this.agentId)) {
      throw new ProtocolError(`${this.name} cannot open a channel with itself alone`)
    }
    const opening = hub.createChannel({
      ...rest,
      creator_id: this.agentId,
      manifest_type: type,
      participants,
    })
    const abandon = (): void => {
      opening.then(
        (metadata) => this.#closeQuietly(this.#channel(metadata), "opener_aborted"),
        () => {},
      )
    }
    signal?.addEventListener("abort", abandon, { once: true })
    try {
      return this.#channel(await unlessAborted(() => opening, signal), depth)
    } finally {
      signal?.removeEventListener("abort", abandon)
    }
  }

  /** A handle on a channel that exists. */
  async channel(channelId: string, options?: CallOptions): Promise<Channel> {
    return this.#channel(await this.#context.hub.getChannel(channelId, options))
  }

  /**
   * The first envelope in the channel that matches; it is acknowledged, and starts no turn. The predicate sees every
   * envelope delivered to this agent, the channel's own events included, and must be quick: it runs during delivery.
   *
   * Nothing is kept for later waits. To wait for the answer to something, pass the id of what was sent as `after`.
   * Costs one read of the channel's log.
   *
   * @throws ProtocolError when the channel ends first; a `TimeoutError` after `timeoutMs`; the signal's reason.
   */
  async waitFor(channelId: string, predicate: EnvelopePredicate, options?: WaitOptions): Promise<Envelope> {
    return await this.#mailbox.wait(channelId, predicate, options)
  }

  /**
   * Asks one agent one question in a `consulting` channel of its own, and waits for the answer. The channel is closed
   * when no answer comes.
   *
   * Aborted, the question may have been asked: its channel is closed.
   *
   * @throws ProtocolError when the other ends the channel without answering, or is this agent; and as `open`, `waitFor`.
   */
  async delegate(target: string, prompt: string, options: DelegateOptions = {}): Promise<string> {
    const { capability, depth = 1, signal, timeoutMs } = options
    const channel = await this.open({
      type: "consulting",
      target,
      ...(capability === undefined ? {} : { labels: { capability } }),
      signal,
    })
    this.#quiet.add(channel.channelId)
    try {
      const sent = await channel.send({ text: prompt, depth }, { signal })
      const isAnswer = ({ sender_id, event_type }: Envelope): boolean =>
        sender_id !== this.agentId && !isProtocolEvent(event_type)
      const answer = await channel.waitFor(isAnswer, {
        after: sent,
        signal,
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      })
      return textOf(answer) ?? ""
    } catch (error) {
      await this.#closeQuietly(channel, `delegation_failed: ${toError(error).name}`)
      throw error
    } finally {
      this.#quiet.delete(channel.channelId)
    }
  }

  /**
   * Runs a piece of work that the hub is told about: its start, its progress and how it ended, and, when the spec
   * names a capability, the observation for this agent's track record.
   *
   * What `work` returns completes the task; what it throws fails it, and is thrown on. A hub that cannot be told never
   * breaks the work.
   */
  async runTask<T extends JsonValue | void>(
    spec: TaskSpecRequest,
    work: (task: TaskHandle) => Promise<T> | T,
    options: TaskOptions = {},
  ): Promise<T> {
    options.signal?.throwIfAborted()
    return await runTask(new TaskHandle(spec, this.agentId, this.#context, options), work)
  }

  /**
   * Takes up the turns that are this agent's and that it has not taken: after a failure, or with another handler.
   *
   * @returns how many.
   */
  async resumePendingTurns(options?: CallOptions): Promise<number> {
    const { hub } = this.#context
    let count = 0
    for (const turn of await hub.pendingTurnsFor(this.agentId, options)) {
      const { channel_id, triggering_envelope_id: id } = turn
      if (id === null) continue
      const wal = await hub.readWal(channel_id, 0, undefined, options)
      const trigger = wal.find(({ envelope_id }) => envelope_id === id)
      if (trigger === undefined) continue
      this.receive(trigger)
      count++
    }
    return count
  }

  async setResume(resume: ResumeRequest, options?: CallOptions): Promise<Resume> {
    return await this.#context.hub.setResume(this.agentId, resume, options)
  }

  /** Markdown; `null` removes it. */
  async setSkill(skillMd: string | null, options?: CallOptions): Promise<void> {
    await this.#context.hub.setSkill(this.agentId, skillMd, options)
  }

  async setRule(rule: RuleRequest, options?: CallOptions): Promise<Rule> {
    return await this.#context.hub.setRule(this.agentId, rule, options)
  }

  /** The name is free afterwards; running turns are told to stop. */
  async unregister(options?: CallOptions): Promise<void> {
    await this.#context.hub.unregister(this.agentId, options)
    this.#context.forget(this.agentId, new ProtocolError(`${this.name} was unregistered`))
  }

  /** By name or id. @throws NotFoundError */
  async idOf(nameOrId: string, options?: CallOptions): Promise<string> {
    return (await this.#context.hub.getAgent(nameOrId, options)).agent_id
  }

  /** An unknown id is its own name. */
  async namesOf(
    agentIds: readonly string[],
    options?: CallOptions,
  ): Promise<Readonly<Record<string, string>>> {
    return await this.#context.hub.namesFor([...new Set(agentIds)], options)
  }

  /** For `HubClient`. @throws when it cannot be queued. */
  receive(envelope: Envelope): void {
    this.#mailbox.receive(envelope)
  }

  /** For `HubClient`: stops turns and waits; the registration stays. */
  stop(reason: Error): void {
    this.#mailbox.close(reason)
    this.#abort.abort(reason)
  }

  /** For `HubClient`: called once, when the agent is stopped. */
  onStop(callback: (reason: Error) => void): void {
    const { signal } = this.#abort
    if (signal.aborted) callback(toError(signal.reason))
    else signal.addEventListener("abort", () => callback(toError(signal.reason)), { once: true })
  }

  async #handle(envelope: Envelope): Promise<void> {
    const next = (): Promise<void> => this.#handleByDefault(envelope)
    if (this.#onEnvelope === undefined) await next()
    else await this.#onEnvelope(envelope, next)
  }

  /** Rejects only when a failed turn could be neither answered nor reported. */
  async #handleByDefault(envelope: Envelope): Promise<void> {
    if (envelope.event_type === INVITE) return await this.#answerInvite(envelope)
    if (isProtocolEvent(envelope.event_type) || this.#quiet.has(envelope.channel_id)) return
    const text = turnInput(envelope)
    if (text === undefined || this.#onTurn === undefined) return
    try {
      await this.#takeTurn(this.#onTurn, envelope, text)
    } catch (thrown) {
      if (this.#abort.signal.aborted) return
      await this.#reportFailure(envelope, toError(thrown))
    }
  }

  async #takeTurn(handler: TurnHandler, envelope: Envelope, text: string): Promise<void> {
    const { hub } = this.#context
    const { channel_id, envelope_id, sender_id } = envelope
    const metadata = await hub.getChannel(channel_id)
    if (metadata.state !== "active") return
    // A redelivery of something answered before the acknowledgement was lost.
    if ((await hub.findEnvelopeByCausation(channel_id, this.agentId, envelope_id)) !== null) return
    if (!(await hub.canSend(channel_id, this.agentId))) return
    // Where turns are given, this one must be what gave it: an earlier envelope is not answered with what came since unread.
    const due = (await hub.pendingTurnsFor(this.agentId)).find((turn) => turn.channel_id === channel_id)
    if ((due?.triggering_envelope_id ?? envelope_id) !== envelope_id) return
    const senderName = (await hub.namesFor([sender_id]))[sender_id] ?? sender_id
    const turn = new Turn(this, this.#channel(metadata), envelope, {
      text,
      senderName,
      signal: this.#abort.signal,
    })
    const answer = await handler(turn)
    if (typeof answer !== "string" || answer === "" || this.#abort.signal.aborted) return
    // A model that has spoken by a tool and then says what it has said: the channel may have no more turn for it.
    if (turn.answered && !(await hub.canSend(channel_id, this.agentId))) return
    await turn.reply(answer)
  }

  async #reportFailure(envelope: Envelope, error: Error): Promise<void> {
    const { channel_id, envelope_id } = envelope
    this.#context.logger.error({ err: error, channel_id, agent_id: this.agentId, envelope_id }, "turn failed")
    await this.#context.hub.reportTurnFailure(channel_id, this.agentId, envelope_id, error)
  }

  /** Never rejects: an invitation that cannot be answered runs into its timeout. */
  async #answerInvite(invite: Envelope): Promise<void> {
    const { channel_id, envelope_id } = invite
    try {
      const refusal = await this.#refusal(invite)
      await this.#context.hub.postEnvelope({
        channel_id,
        sender_id: this.agentId,
        event_type: refusal === undefined ? INVITE_ACK : INVITE_REJECT,
        event_data: refusal === undefined ? { channel_id } : { channel_id, reason: refusal },
        causation_id: envelope_id,
      })
    } catch (error) {
      if (this.#abort.signal.aborted) return
      const level = error instanceof HansardError ? "warn" : "error"
      this.#context.logger[level]({ err: error, channel_id, agent_id: this.agentId }, "invite not answered")
    }
  }

  async #refusal(invite: Envelope): Promise<string | undefined> {
    if (this.#onInvite === undefined) return undefined
    const metadata = await this.#context.hub.getChannel(invite.channel_id)
    try {
      return (await this.#onInvite(metadata, invite)) === false ? "declined" : undefined
    } catch (thrown) {
      return toError(thrown).message
    }
  }

  #channel(metadata: ChannelMetadata, depth: number = 0): Channel {
    const wait: AgentClient["waitFor"] = (id, predicate, options) => this.waitFor(id, predicate, options)
    return new Channel(metadata, this.agentId, this.#context, wait, depth)
  }

  async #closeQuietly(channel: Channel, reason: string): Promise<void> {
    try {
      await channel.close(reason)
    } catch (error) {
      this.#context.logger.warn({ err: error, channel_id: channel.channelId }, "channel not closed")
    }
  }
}
