import { NotFoundError } from "../core/errors.ts"
import {
  HIDDEN,
  INVITE_ACK,
  INVITE_REJECT,
  isParticipant,
  isTerminalChannel,
  makeEnvelope,
  participantIds,
  ProtocolError,
  VIOLATED,
  type Envelope,
  type EnvelopeRequest,
  type JsonObject,
} from "../model/index.ts"
import type { Channel } from "./channel.ts"
import type { ChannelBook } from "./channel-book.ts"
import type { Committer } from "./commit.ts"
import type { HubContext } from "./context.ts"
import type { Gatekeeper } from "./gatekeeper.ts"
import type { ChannelLifecycle } from "./lifecycle.ts"
import type { Operation } from "./operation.ts"
import { copyObject, deepFreeze } from "./plain-json.ts"
import { ended, PostQueue, requireOpen, requireValid, type PostingParts } from "./post-queue.ts"
import { readEnvelope } from "./records.ts"
import type { Registry } from "./registry.ts"
import { earlierPost } from "./repeats.ts"

/**
 * The way of an envelope: read, allowed by the arbiter, and then under the channel's lock checked, folded, written,
 * handed out and told.
 *
 * An envelope that is refused, for whatever reason, is in no log, and listeners hear of it once. Those that wait for one
 * channel together are checked one after another, each as if all before it were written already, and then share one write
 * and one sync: see {@link PostGroup}.
 */
export class Posting {
  readonly #context: HubContext
  readonly #registry: Registry
  readonly #book: ChannelBook
  readonly #gatekeeper: Gatekeeper
  readonly #committer: Committer
  readonly #lifecycle: ChannelLifecycle
  readonly #queue: PostQueue

  constructor(context: HubContext, parts: PostingParts) {
    this.#context = context
    this.#registry = parts.registry
    this.#book = parts.book
    this.#gatekeeper = parts.gatekeeper
    this.#committer = parts.committer
    this.#lifecycle = parts.lifecycle
    this.#queue = new PostQueue(context, parts)
  }

  /** @returns the envelope's id. */
  async post(request: EnvelopeRequest, operation: Operation): Promise<string> {
    let draft: Envelope | undefined
    let isWritten = false
    const written = (): void => {
      isWritten = true
    }
    try {
      const json = copyObject(request, "envelope")
      draft = Object.freeze(readEnvelope(makeEnvelope(json as unknown as EnvelopeRequest)))
      if (isHubsOwn(draft.event_type) && !isAnswer(draft)) {
        throw new ProtocolError(`only the hub posts ${draft.event_type}`)
      }
      if (!this.#registry.has(draft.sender_id)) {
        throw new NotFoundError(`sender not registered: ${draft.sender_id}`)
      }
      const { wal } = this.#book.require(draft.channel_id)
      if (draft.causation_id !== null) {
        // An answer is at least as many delegations deep as what it answers, whatever its sender says.
        const cause = await wal.find(draft.causation_id)
        if (cause !== undefined && cause.depth > draft.depth)
          draft = Object.freeze({ ...draft, depth: cause.depth })
      }
      if (draft.audience !== null) draft = deepFreeze({ ...draft, audience: await this.#resolved(draft) })
      await this.#authorize(draft, operation)
      return await (isAnswer(draft)
        ? this.#answer(draft, written, operation)
        : this.#queue.post(draft, written, operation))
    } catch (error) {
      if (!isWritten) this.#refused(draft ?? unreadable(request), error, operation)
      throw error
    }
  }

  /** Posts an invitation in the creator's name: the arbiter is asked as for any other envelope of his. */
  async invite(invitation: Envelope, operation: Operation): Promise<void> {
    const draft = deepFreeze(invitation)
    let isWritten = false
    try {
      await this.#authorize(draft, operation)
      await this.#locked(draft.channel_id, async (channel) => {
        if (isTerminalChannel(channel.metadata.state)) throw ended(channel)
        const prepared = this.#committer.prepare(channel, this.#committer.stamp(draft))
        await this.#committer.commit(channel, [prepared], operation)
        isWritten = true
        operation.events.posted(prepared.envelope, channel.metadata)
      })
    } catch (error) {
      if (!isWritten) this.#refused(draft, error, operation)
      throw error
    }
  }

  /** Posts in the hub's own name: nobody is asked, and no limit holds. Nothing happens in a channel that has ended. */
  async announce(
    channelId: string,
    eventType: string,
    eventData: JsonObject,
    audience: readonly string[] | null,
    operation: Operation,
  ): Promise<void> {
    await this.#locked(channelId, async (channel) => {
      const { metadata } = channel
      if (isTerminalChannel(metadata.state)) return
      const draft = makeEnvelope({
        channel_id: channelId,
        sender_id: metadata.creator_id,
        audience: audience ?? participantIds(metadata),
        event_type: eventType,
        event_data: copyObject(eventData, "event_data"),
      })
      const prepared = this.#committer.prepare(channel, this.#committer.stamp(draft))
      await this.#committer.commit(channel, [prepared], operation)
      operation.events.posted(prepared.envelope, metadata)
      await this.#lifecycle.follows(channel, prepared.result, operation)
    })
  }

  /** Whether the adapter would take an empty envelope of this type from the sender now. */
  canSend(channelId: string, senderId: string, eventType: string): boolean {
    const { adapter, metadata, state } = this.#book.require(channelId)
    if (isTerminalChannel(metadata.state)) return false
    if (adapter === undefined) throw new NotFoundError(`no adapter for channel ${channelId}`)
    if (metadata.state !== "active" || state === undefined || !isParticipant(metadata, senderId)) return false
    const probe = makeEnvelope({
      channel_id: channelId,
      sender_id: senderId,
      event_type: eventType,
      event_data: { text: "" },
    })
    try {
      adapter.validateSend(metadata, deepFreeze(probe), state)
      return true
    } catch {
      return false
    }
  }

  /** An answer to an invitation decides over the channel: it is written for itself. */
  async #answer(draft: Envelope, written: () => void, operation: Operation): Promise<string> {
    return await this.#locked(draft.channel_id, async (channel) => {
      const earlier = await earlierPost(channel, draft)
      if (earlier !== undefined) {
        operation.events.joins(`channel:${draft.channel_id}`)
        return earlier.envelope_id
      }
      requireOpen(channel, draft)
      const envelope = this.#committer.stamp(draft)
      requireValid(channel, envelope, channel.state)
      await this.#lifecycle.answers(channel, envelope, operation, written)
      return envelope.envelope_id
    })
  }

  /** The audience, with what the arbiter makes of those who do not take part. */
  async #resolved(draft: Envelope): Promise<readonly string[] | null> {
    if (draft.audience === null) return null
    const { metadata } = this.#book.require(draft.channel_id)
    const audience: string[] = []
    for (const id of draft.audience) {
      if (isParticipant(metadata, id)) audience.push(id)
      else audience.push(...((await this.#context.arbiter().resolveUnknownAudience(draft, id)) ?? [id]))
    }
    return audience
  }

  async #authorize(draft: Envelope, operation: Operation): Promise<void> {
    const recipients = (draft.audience ?? []).filter((id) => id !== draft.sender_id && this.#registry.has(id))
    const decision = this.#context.arbiter().authorizeSend(draft, recipients)
    await this.#gatekeeper.require("post_envelope", draft.sender_id, decision, operation)
  }

  #locked<T>(channelId: string, section: (channel: Channel) => Promise<T>): Promise<T> {
    const channel = this.#book.require(channelId)
    return this.#context.locks.run(`channel:${channelId}`, () => section(channel))
  }

  /** Tells of a refusal, once. */
  #refused(envelope: Envelope, error: unknown, operation: Operation): void {
    const reason = error instanceof Error ? error : new Error(String(error))
    const { channel_id, sender_id, event_type } = envelope
    this.#context.logger.warn({ err: reason, channel_id, sender_id, event_type }, "post_envelope rejected")
    operation.events.rejected(envelope, reason)
  }
}

function isAnswer(envelope: Envelope): boolean {
  return envelope.event_type === INVITE_ACK || envelope.event_type === INVITE_REJECT
}

/** What the hub alone says: whoever reads it in a log can trust that. */
function isHubsOwn(eventType: string): boolean {
  return eventType.startsWith("ag2.channel.") || eventType === VIOLATED || eventType === HIDDEN
}

/** What can be said of a request that is no envelope. */
function unreadable(request: unknown): Envelope {
  const fields = typeof request === "object" && request !== null ? (request as Record<string, unknown>) : {}
  const text = (key: string): string => {
    const value = fields[key]
    return typeof value === "string" ? value : ""
  }
  return deepFreeze(
    makeEnvelope({
      channel_id: text("channel_id"),
      sender_id: text("sender_id"),
      event_type: text("event_type"),
      event_data: {},
      envelope_id: text("envelope_id"),
    }),
  )
}
