import type { CallOptions } from "../core/abort.ts"
import { isVisibleTo, TEXT } from "../model/envelope.ts"
import type { ChannelMetadata } from "../model/channel.ts"
import type { Envelope } from "../model/envelope.ts"
import type { JsonObject } from "../model/json.ts"
import type { ClientContext } from "./context.ts"
import type { EnvelopePredicate, WaitOptions } from "./mailbox.ts"

/** What `Channel.send` takes beside a plain text. */
export interface Message extends Partial<
  Pick<
    Envelope,
    "audience" | "causation_id" | "depth" | "idempotency_key" | "task_id" | "trace_id" | "ttl_seconds"
  >
> {
  /** Shorthand for `event_data: { text }` of a text envelope. */
  readonly text?: string
  /** Default: text. */
  readonly event_type?: string
  readonly event_data?: JsonObject
}

/** One agent's hold on one channel. It keeps nothing but the metadata it saw last. */
export class Channel {
  readonly channelId: string
  readonly #agentId: string
  readonly #context: ClientContext
  readonly #wait: Wait
  /** How many delegations deep what is sent here is. */
  readonly #depth: number
  /** Owned by `info` and `close`. */
  #metadata: ChannelMetadata

  /** For this package: applications get channels from `AgentClient.open` and `AgentClient.channel`. */
  constructor(
    metadata: ChannelMetadata,
    agentId: string,
    context: ClientContext,
    wait: Wait,
    depth: number = 0,
  ) {
    this.#depth = depth
    this.channelId = metadata.channel_id
    this.#metadata = metadata
    this.#agentId = agentId
    this.#context = context
    this.#wait = wait
  }

  /** As it was when the channel was opened, or `info` was last called. */
  get metadata(): ChannelMetadata {
    return this.#metadata
  }

  /** Asks the hub again. */
  async info(options?: CallOptions): Promise<ChannelMetadata> {
    this.#metadata = await this.#context.hub.getChannel(this.channelId, options)
    return this.#metadata
  }

  /** @returns the envelope's id, once it is in the channel's write-ahead log. */
  async send(message: string | Message, options?: CallOptions): Promise<string> {
    const {
      text,
      event_type = TEXT,
      event_data,
      ...rest
    } = typeof message === "string" ? { text: message } : message
    const envelope = {
      ...(this.#depth > 0 ? { depth: this.#depth } : {}),
      ...rest,
      channel_id: this.channelId,
      sender_id: this.#agentId,
      event_type,
      event_data: text === undefined ? (event_data ?? {}) : { ...event_data, text },
    }
    return await this.#context.hub.postEnvelope(envelope, options)
  }

  /** What this agent may see, oldest first: messages, and the channel's own events. Costs a read of the whole log. */
  async envelopes(options?: CallOptions): Promise<Envelope[]> {
    const all = await this.#context.hub.readWal(this.channelId, 0, undefined, options)
    return all.filter((envelope) => isVisibleTo(envelope, this.#agentId))
  }

  /** `AgentClient.waitFor` in this channel. */
  async waitFor(predicate: EnvelopePredicate, options?: WaitOptions): Promise<Envelope> {
    return await this.#wait(this.channelId, predicate, options)
  }

  /** Nothing happens when it has ended already. */
  async close(reason?: string, options?: CallOptions): Promise<ChannelMetadata> {
    this.#metadata = await this.#context.hub.closeChannel(this.channelId, reason, options)
    return this.#metadata
  }
}

type Wait = (channelId: string, predicate: EnvelopePredicate, options?: WaitOptions) => Promise<Envelope>
