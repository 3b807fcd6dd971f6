import {
  INVITE_ACK,
  isTerminalChannel,
  makeEnvelope,
  OPENED,
  participantIds,
  ProtocolError,
  type AdapterResult,
  type ChannelEnd,
  type ChannelMetadata,
  type Envelope,
  type JsonObject,
} from "../model/index.ts"
import type { Channel } from "./channel.ts"
import type { ChannelBook } from "./channel-book.ts"
import type { Committer, Prepared } from "./commit.ts"
import { attributed, type HubContext } from "./context.ts"
import type { Inboxes } from "./inboxes.ts"
import type { Operation } from "./operation.ts"
import { deepFreeze } from "./plain-json.ts"
import type { Tasks } from "./tasks.ts"

/**
 * How a channel opens and ends: `pending` → `active` → `closed` or `expired`, each step once.
 *
 * Every step is written to the channel's log first, then to its metadata, then told. What a crash leaves between the
 * first two, opening the hub puts right from the log. Methods whose name begins with a verb in the third person run
 * under the channel's lock already.
 */
export class ChannelLifecycle {
  readonly #context: HubContext
  readonly #book: ChannelBook
  readonly #committer: Committer
  readonly #inboxes: Inboxes
  readonly #tasks: Tasks

  constructor(
    context: HubContext,
    parts: { book: ChannelBook; committer: Committer; inboxes: Inboxes; tasks: Tasks },
  ) {
    this.#context = context
    this.#book = parts.book
    this.#committer = parts.committer
    this.#inboxes = parts.inboxes
    this.#tasks = parts.tasks
  }

  /** Ends a channel, unless it has ended. The first reason stays. @throws NotFoundError; the store's errors. */
  async end(
    channelId: string,
    end: ChannelEnd,
    reason: string,
    operation: Operation,
  ): Promise<ChannelMetadata> {
    this.#book.require(channelId)
    return await this.#context.locks.run(`channel:${channelId}`, async () => {
      const channel = this.#book.require(channelId)
      if (isTerminalChannel(channel.metadata.state)) operation.events.joins(`channel:${channelId}`)
      await this.ends(channel, end, reason, operation)
      return channel.metadata
    })
  }

  async ends(channel: Channel, end: ChannelEnd, reason: string, operation: Operation): Promise<void> {
    if (isTerminalChannel(channel.metadata.state)) return
    const closed_by = operation.actor ?? null
    const notice = systemEnvelope(channel.metadata, `ag2.channel.${end}`, { reason, closed_by })
    const closing = this.#committer.stamp(notice)
    await this.#committer.commit(channel, [this.#ending(channel, closing)], operation)
    await this.hasEnded(channel, closing, operation)
  }

  /** No adapter keeps a channel from ending: without its fold, the state stays what it was. */
  #ending(channel: Channel, closing: Envelope): Prepared {
    try {
      return this.#committer.prepare(channel, closing)
    } catch (error) {
      const { channel_id } = channel.metadata
      this.#context.logger.error({ err: error, channel_id }, "an adapter failed at the end of its channel")
      return this.#committer.prepare({ ...channel, adapter: undefined }, closing)
    }
  }

  /** Ends the channel when the adapter has said so of an envelope that is in the log: the hub ends it, not the sender. */
  async follows(channel: Channel, result: AdapterResult, operation: Operation): Promise<void> {
    const { nextState, closeReason = "" } = result
    if (nextState === undefined) return
    await this.endsSurely(channel, nextState, closeReason, { ...operation, actor: undefined })
  }

  /** For an end that follows from an envelope that is in the log: it happens, if not now then at the next sweep. */
  async endsSurely(channel: Channel, end: ChannelEnd, reason: string, operation: Operation): Promise<void> {
    try {
      await this.ends(channel, end, reason, operation)
    } catch (error) {
      channel.owed = { end, reason }
      const { channel_id } = channel.metadata
      this.#context.logger.error({ err: error, channel_id, reason }, "a channel could not be ended yet")
    }
  }

  /**
   * The closing envelope is in the log: everything else follows from it. Also how a crash is put right; then the end
   * may have been `told` already.
   */
  async hasEnded(channel: Channel, closing: Envelope, operation: Operation, told = false): Promise<void> {
    const end: ChannelEnd = closing.event_type === "ag2.channel.expired" ? "expired" : "closed"
    const reason = typeof closing.event_data["reason"] === "string" ? closing.event_data["reason"] : ""
    const { channel_id } = channel.metadata
    const at = closing.created_at
    const metadata = deepFreeze({ ...channel.metadata, state: end, closed_at: at, close_reason: reason })
    channel.causation.clear()
    channel.wal.seal()
    this.#book.ended(channel)
    this.#inboxes.counter.forgetChannel(channel_id)
    channel.metadata = metadata
    // Before the file says so: what a crash leaves of it, opening the hub does again.
    await this.#tasks.channelEnded(channel_id, operation)
    await this.#book.save(channel, metadata)
    this.#context.logger.info({ channel_id, reason }, `channel ${end}`)
    if (!told) {
      operation.events.posted(closing, metadata)
      operation.events.channelEvent(channel_id, end, { reason, metadata, at, ...attributed(operation.actor) })
    }
    const { opening } = channel
    channel.opening = undefined
    opening?.failed(new ProtocolError(`channel ${channel_id} was not opened: ${end}, ${reason}`))
  }

  /**
   * Takes in an invitee's answer, and opens or closes the channel when it decides it.
   *
   * @param written is called once the answer is in the log.
   * @throws ProtocolError for anybody who has no answer to give.
   */
  async answers(
    channel: Channel,
    answer: Envelope,
    operation: Operation,
    written: () => void,
  ): Promise<void> {
    const before = channel.metadata
    const { sender_id } = answer
    if (!before.pending_acks.includes(sender_id)) {
      throw new ProtocolError(`${sender_id} has no invitation to channel ${before.channel_id} to answer`)
    }
    const accepts = answer.event_type === INVITE_ACK
    const metadata = deepFreeze({
      ...before,
      pending_acks: before.pending_acks.filter((id) => id !== sender_id),
      rejected_by: accepts ? before.rejected_by : [...before.rejected_by, sender_id],
    })
    const prepared = [this.#committer.prepare(channel, answer)]
    if (before.state === "pending" && isAgreed(metadata)) {
      await this.#opens(channel, metadata, prepared, operation, written)
      return
    }
    await this.#committer.commit(channel, prepared, operation)
    written()
    await this.#book.save(channel, metadata)
    operation.events.posted(answer, metadata)
    if (before.state === "pending" && isRefused(metadata)) {
      await this.endsSurely(channel, "closed", "invite_rejected", operation)
    }
  }

  /** Does what the answers in the log decide and a crash has left undone. */
  async decides(channel: Channel, operation: Operation): Promise<void> {
    const { metadata } = channel
    if (metadata.state !== "pending") return
    if (isRefused(metadata)) await this.ends(channel, "closed", "invite_rejected", operation)
    else if (isAgreed(metadata)) await this.opensAtOnce(channel, operation)
  }

  /** For a channel that waits for nobody. */
  async opensAtOnce(channel: Channel, operation: Operation): Promise<void> {
    await this.#opens(channel, channel.metadata, [], operation, () => {})
  }

  /** The answers and the opening go into the log together. */
  async #opens(
    channel: Channel,
    agreed: ChannelMetadata,
    answers: readonly Prepared[],
    operation: Operation,
    written: () => void,
  ): Promise<void> {
    const opened = this.#committer.stamp(systemEnvelope(agreed, OPENED, {}))
    const last = this.#committer.prepare(channel, opened, answers.at(-1)?.state ?? channel.state)
    await this.#committer.commit(channel, [...answers, last], operation)
    written()
    await this.hasOpened(
      channel,
      agreed,
      answers.map(({ envelope }) => envelope),
      opened,
      operation,
    )
  }

  /** The opening envelope is in the log. */
  async hasOpened(
    channel: Channel,
    agreed: ChannelMetadata,
    answers: readonly Envelope[],
    opened: Envelope,
    operation: Operation,
  ): Promise<void> {
    const { channel_id } = agreed
    const metadata: ChannelMetadata = deepFreeze({ ...agreed, state: "active" })
    await this.#book.save(channel, metadata)
    this.#context.logger.info({ channel_id }, "channel opened")
    for (const answer of answers) operation.events.posted(answer, agreed)
    operation.events.channelEvent(channel_id, "opened", { metadata, at: opened.created_at })
    operation.events.posted(opened, metadata)
    const { opening } = channel
    channel.opening = undefined
    opening?.opened(operation.events.done().then(() => metadata))
  }
}

/**
 * An envelope of the hub's own, to everybody: the creator as well. Its sender is the creator, as in AG2, whose clients know no
 * other; who wrote it stands in its type, which nobody but the hub may post.
 */
export function systemEnvelope(metadata: ChannelMetadata, eventType: string, data: JsonObject): Envelope {
  const { channel_id, creator_id } = metadata
  return makeEnvelope({
    channel_id,
    sender_id: creator_id,
    audience: participantIds(metadata),
    event_type: eventType,
    event_data: { channel_id, ...data },
  })
}

/** Without `required_acks` everybody must accept; with it, so many. */
function isAgreed(metadata: ChannelMetadata): boolean {
  const { required_acks, pending_acks, rejected_by } = metadata
  if (required_acks === null) return pending_acks.length === 0 && rejected_by.length === 0
  return inviteeCount(metadata) - pending_acks.length - rejected_by.length >= required_acks
}

/** Whether no answer that is still to come can make it agreed. */
function isRefused(metadata: ChannelMetadata): boolean {
  const { required_acks, rejected_by } = metadata
  if (required_acks === null) return rejected_by.length > 0
  return inviteeCount(metadata) - rejected_by.length < required_acks
}

function inviteeCount(metadata: ChannelMetadata): number {
  return metadata.participants.filter(({ agent_id }) => agent_id !== metadata.creator_id).length
}
