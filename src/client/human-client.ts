import type { CallOptions } from "../core/abort.ts"
import { AccessDeniedError } from "../model/errors.ts"
import { INVITE, INVITE_ACK, INVITE_REJECT } from "../model/envelope.ts"
import type { Envelope } from "../model/envelope.ts"
import type { Passport } from "../model/passport.ts"
import type { AgentClient, OpenOptions } from "./agent-client.ts"
import type { Channel, Message } from "./channel.ts"
import { timeoutError, toError } from "./context.ts"
import type { ClientContext } from "./context.ts"
import type { EnvelopePredicate, WaitOptions } from "./mailbox.ts"

export type HumanCallback = (envelope: Envelope) => Promise<void> | void

export interface HumanOptions {
  /** Whether invitations are accepted by themselves. Default true; otherwise `accept` and `reject` answer them. */
  readonly acceptInvites?: boolean
}

/** Of what was not pulled yet. Older ones give way: the channels' logs have them. */
export const MAX_UNREAD = 1_000

interface Reader {
  readonly matches: EnvelopePredicate
  resolve(envelope: Envelope): void
  reject(reason: unknown): void
}

/** A participant without a model: a page, a terminal, a bot that only listens. */
export class HumanClient {
  readonly #agent: AgentClient
  readonly #context: ClientContext
  readonly #inbox: HumanInbox

  /** For this package: applications get humans from `HubClient.registerHuman` and `attachHuman`. */
  constructor(agent: AgentClient, context: ClientContext, inbox: HumanInbox) {
    this.#agent = agent
    this.#context = context
    this.#inbox = inbox
  }

  get passport(): Passport {
    return this.#agent.passport
  }

  get agentId(): string {
    return this.#agent.agentId
  }

  /** How many envelopes were dropped unread. */
  get dropped(): number {
    return this.#inbox.dropped
  }

  /** Called with every envelope, in order, one after another in the order of registration; errors are logged. */
  onEnvelope(callback: HumanCallback): void {
    this.#inbox.callbacks.push(callback)
  }

  /** Nothing happens for one that is not there. */
  removeEnvelopeCallback(callback: HumanCallback): void {
    this.#inbox.callbacks = this.#inbox.callbacks.filter((other) => other !== callback)
  }

  /** The next unread one that matches; those before it are passed over. @throws TimeoutError; the signal's reason. */
  async nextEnvelope(
    matches: EnvelopePredicate = () => true,
    options: Pick<WaitOptions, "signal" | "timeoutMs"> = {},
  ): Promise<Envelope> {
    return await this.#inbox.next(matches, options, this.#context)
  }

  /** Until the signal aborts, or the client is closed or unregistered. */
  async *envelopes({ signal }: CallOptions = {}): AsyncGenerator<Envelope> {
    for (;;) {
      try {
        yield await this.#inbox.next(() => true, signal === undefined ? {} : { signal }, this.#context)
      } catch (error) {
        if (signal?.aborted === true || this.#inbox.closedBy !== undefined) return
        throw error
      }
    }
  }

  /** As `AgentClient.waitFor`. */
  async waitFor(channelId: string, predicate: EnvelopePredicate, options?: WaitOptions): Promise<Envelope> {
    return await this.#agent.waitFor(channelId, predicate, options)
  }

  async open(options: OpenOptions): Promise<Channel> {
    return await this.#agent.open(options)
  }

  async channel(channelId: string, options?: CallOptions): Promise<Channel> {
    return await this.#agent.channel(channelId, options)
  }

  async send(channelId: string, message: string | Message, options?: CallOptions): Promise<string> {
    return await (await this.#agent.channel(channelId, options)).send(message, options)
  }

  async closeChannel(
    channelId: string,
    reason: string = "human_closed",
    options?: CallOptions,
  ): Promise<void> {
    await (await this.#agent.channel(channelId, options)).close(reason, options)
  }

  /** @throws AccessDeniedError for what is no invitation of this participant's. */
  async accept(invite: Envelope, options?: CallOptions): Promise<void> {
    await this.#answer(invite, { event_type: INVITE_ACK }, options)
  }

  async reject(invite: Envelope, reason: string = "declined", options?: CallOptions): Promise<void> {
    await this.#answer(invite, { event_type: INVITE_REJECT, reason }, options)
  }

  /** The name is free afterwards; whoever waits is refused. */
  async unregister(options?: CallOptions): Promise<void> {
    await this.#agent.unregister(options)
  }

  async #answer(
    invite: Envelope,
    { event_type, reason }: { readonly event_type: string; readonly reason?: string },
    options: CallOptions | undefined,
  ): Promise<void> {
    const { channel_id, envelope_id, audience } = invite
    if (invite.event_type !== INVITE || audience?.includes(this.agentId) !== true) {
      throw new AccessDeniedError(`envelope ${envelope_id} does not invite ${this.agentId}`)
    }
    const answer = {
      channel_id,
      sender_id: this.agentId,
      event_type,
      event_data: reason === undefined ? { channel_id } : { channel_id, reason },
      causation_id: envelope_id,
    }
    await this.#context.hub.postEnvelope(answer, options)
  }
}

/** What came in, for those who are called and those who pull. */
export class HumanInbox {
  callbacks: HumanCallback[] = []
  dropped = 0
  /** Set by `close`. */
  closedBy: Error | undefined
  readonly #acceptInvites: boolean
  #unread: Envelope[] = []
  readonly #readers = new Set<Reader>()

  constructor({ acceptInvites = true }: HumanOptions) {
    this.#acceptInvites = acceptInvites
  }

  /** The envelope handler of the agent behind: `byDefault` answers an invitation. */
  async receive(
    envelope: Envelope,
    byDefault: () => Promise<void>,
    context: Pick<ClientContext, "logger">,
  ): Promise<void> {
    if (envelope.event_type === INVITE && this.#acceptInvites) await byDefault()
    for (const callback of [...this.callbacks]) {
      try {
        await callback(envelope)
      } catch (error) {
        context.logger.error({ err: toError(error), envelope_id: envelope.envelope_id }, "a callback failed")
      }
    }
    for (const reader of this.#readers) {
      if (!matches(reader, envelope)) continue
      reader.resolve(envelope)
      return
    }
    this.#unread.push(envelope)
    if (this.#unread.length <= MAX_UNREAD) return
    this.#unread.shift()
    this.dropped++
  }

  async next(
    wanted: EnvelopePredicate,
    { signal, timeoutMs }: Pick<WaitOptions, "signal" | "timeoutMs">,
    { timers }: Pick<ClientContext, "timers">,
  ): Promise<Envelope> {
    signal?.throwIfAborted()
    if (this.closedBy !== undefined) throw this.closedBy
    const at = this.#unread.findIndex(wanted)
    const [found] = this.#unread.splice(0, at === -1 ? this.#unread.length : at + 1).slice(-1)
    if (at !== -1 && found !== undefined) return found
    const { promise, resolve, reject } = Promise.withResolvers<Envelope>()
    const reader: Reader = { matches: wanted, resolve, reject }
    this.#readers.add(reader)
    const onAbort = (): void => reject(signal?.reason)
    signal?.addEventListener("abort", onAbort)
    const stopTimer =
      timeoutMs === undefined
        ? () => {}
        : timers.after(timeoutMs, () => reject(timeoutError(`nothing came within ${timeoutMs} ms`)))
    try {
      return await promise
    } finally {
      this.#readers.delete(reader)
      signal?.removeEventListener("abort", onAbort)
      stopTimer()
    }
  }

  close(reason: Error): void {
    this.closedBy ??= reason
    for (const { reject } of this.#readers) reject(reason)
  }
}

/** A predicate that throws is its reader's failure, and nobody else's. */
function matches(reader: Reader, envelope: Envelope): boolean {
  try {
    return reader.matches(envelope)
  } catch (error) {
    reader.reject(error)
    return false
  }
}
