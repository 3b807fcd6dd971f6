import {
  isParticipant,
  isProtocolEvent,
  isTerminalChannel,
  ProtocolError,
  type Envelope,
  type JsonValue,
} from "../model/index.ts"
import { inboxesOf, recipientsOf, type Channel } from "./channel.ts"
import type { ChannelBook } from "./channel-book.ts"
import { guardAdapter, type Committer } from "./commit.ts"
import type { HubContext } from "./context.ts"
import { insideListener, outsideListeners } from "./fan-out.ts"
import type { Gatekeeper } from "./gatekeeper.ts"
import type { Inboxes } from "./inboxes.ts"
import type { ChannelLifecycle } from "./lifecycle.ts"
import type { Operation } from "./operation.ts"
import { PostGroup, type WaitingPost } from "./post-group.ts"
import type { RateLimits } from "./rate-limits.ts"
import type { Registry } from "./registry.ts"
import { earlierPost } from "./repeats.ts"

/** What an envelope meets on its way. */
export interface PostingParts {
  readonly registry: Registry
  readonly book: ChannelBook
  readonly gatekeeper: Gatekeeper
  readonly inboxes: Inboxes
  readonly rates: RateLimits
  readonly committer: Committer
  readonly lifecycle: ChannelLifecycle
}

/**
 * Group commit. Posts that wait for one channel are checked one after another, each as if all before it were written
 * already, and then share one write and one sync.
 *
 * What fails a check is refused alone. When the write fails, none of the group has happened, and each poster is told.
 * Nothing is handed out or told before it is durable.
 */
export class PostQueue {
  readonly #context: HubContext
  readonly #registry: Registry
  readonly #book: ChannelBook
  readonly #gatekeeper: Gatekeeper
  readonly #inboxes: Inboxes
  readonly #rates: RateLimits
  readonly #committer: Committer
  readonly #lifecycle: ChannelLifecycle
  /** Owned by `#begin` and `#take`: posts that the next group of a channel will take. */
  readonly #waiting = new Map<Channel, WaitingPost[]>()

  constructor(context: HubContext, parts: PostingParts) {
    this.#context = context
    this.#registry = parts.registry
    this.#book = parts.book
    this.#gatekeeper = parts.gatekeeper
    this.#inboxes = parts.inboxes
    this.#rates = parts.rates
    this.#committer = parts.committer
    this.#lifecycle = parts.lifecycle
  }

  /** @returns the envelope's id, once it is durable, handed out and told. @param written see {@link WaitingPost}. */
  post(draft: Envelope, written: () => void, operation: Operation): Promise<string> {
    const channel = this.#book.require(draft.channel_id)
    return new Promise((resolve, reject) => {
      const post = { draft, operation, written, resolve, reject }
      const waiting = this.#waiting.get(channel)
      if (waiting === undefined) this.#begin(channel, [post])
      else waiting.push(post)
    })
  }

  /** The lock's queue is the only timer: what comes while a group is on its way to the disk is the next one. */
  #begin(channel: Channel, posts: WaitingPost[]): void {
    this.#waiting.set(channel, posts)
    // A group has many callers: that a listener is one of them must not be taken for all.
    if (insideListener()) outsideListeners(() => this.#run(channel, posts))
    else this.#run(channel, posts)
  }

  #run(channel: Channel, posts: WaitingPost[]): void {
    this.#context.locks
      .run(`channel:${channel.metadata.channel_id}`, () => this.#take(channel, posts))
      .catch((error: unknown) => {
        for (const { reject } of posts) reject(error)
      })
  }

  /** Makes one group of what waits, and of what comes while it is being made. */
  async #take(channel: Channel, posts: WaitingPost[]): Promise<void> {
    let group = new PostGroup(channel)
    let next = 0
    for (let post = posts[next]; post !== undefined && !group.isFull; post = posts[++next]) {
      try {
        const ends = await this.#admit(channel, group, post)
        if (!ends) continue
      } catch (error) {
        post.reject(error)
        continue
      }
      // What comes after the end meets a channel that has ended.
      await this.#write(channel, group)
      group = new PostGroup(channel)
    }
    if (next < posts.length) this.#begin(channel, posts.splice(next))
    else this.#waiting.delete(channel)
    await this.#write(channel, group)
  }

  /**
   * Checks a post against the channel as the group will leave it, and takes it into the group.
   *
   * @returns whether it ends the channel.
   */
  async #admit(channel: Channel, group: PostGroup, post: WaitingPost): Promise<boolean> {
    const { draft, operation } = post
    const inGroup = group.earlier(draft)
    if (inGroup != null) {
      group.repeats.push({ post, of: inGroup })
      return false
    }
    const written = inGroup === null ? undefined : await earlierPost(channel, draft)
    if (written !== undefined) {
      operation.events.joins(`channel:${draft.channel_id}`)
      post.resolve(written.envelope_id)
      return false
    }
    requireOpen(channel, draft)
    const { metadata } = channel
    const envelope = this.#committer.stamp(draft)
    requireValid(channel, envelope, group.state)
    const recipients = await this.#gatekeeper.permitted(envelope, recipientsOf(envelope, metadata), operation)
    const prepared = this.#committer.prepare(channel, envelope, group.state)
    const release = await this.#takeRoom(envelope, recipients, operation)
    group.add({ prepared, recipients, operation, post, release })
    return prepared.result.nextState !== undefined
  }

  /** Writes the group, and tells each of its posts what became of it. Does not throw. */
  async #write(channel: Channel, group: PostGroup): Promise<void> {
    const { members, repeats } = group
    try {
      if (!group.isEmpty) await this.#committer.write(channel, members)
    } catch (error) {
      for (const { post } of [...members, ...repeats]) post.reject(error)
      return
    } finally {
      for (const { release } of members) release()
    }
    const { metadata } = channel
    for (const { post, prepared, operation } of members) {
      post.written()
      operation.events.posted(prepared.envelope, metadata)
      await this.#lifecycle.follows(channel, prepared.result, operation)
      post.resolve(prepared.envelope.envelope_id)
    }
    for (const { post, of } of repeats) {
      post.operation.events.joins(`channel:${metadata.channel_id}`)
      post.resolve(of.envelope_id)
    }
  }

  /**
   * Takes room in every recipient's inbox, and what the sender's rate allows.
   *
   * @returns how to give the room back, once the envelope counts itself or is not written after all.
   */
  async #takeRoom(
    envelope: Envelope,
    recipients: readonly string[],
    operation: Operation,
  ): Promise<() => void> {
    const releases: (() => void)[] = []
    const release = (): void => releases.forEach((giveBack) => giveBack())
    try {
      for (const agentId of inboxesOf(envelope, recipients)) {
        if (!this.#registry.has(agentId)) continue
        const { before, release: giveBack } = this.#inboxes.reserve(agentId)
        releases.push(giveBack)
        const decision = this.#context.arbiter().authorizeInbox(agentId, before, envelope)
        await this.#gatekeeper.require("inbox", envelope.sender_id, decision, operation)
      }
      if (!isProtocolEvent(envelope.event_type)) {
        this.#rates.take(envelope.sender_id, this.#registry.find(envelope.sender_id)?.rule)
      }
      return release
    } catch (error) {
      release()
      throw error
    }
  }
}

/** What may have changed while the envelope waited for the lock. */
export function requireOpen(channel: Channel, draft: Envelope): void {
  const { metadata } = channel
  if (isTerminalChannel(metadata.state)) throw ended(channel)
  if (!isProtocolEvent(draft.event_type) && metadata.state !== "active") {
    throw new ProtocolError(`channel ${metadata.channel_id} is ${metadata.state}, not active`)
  }
  for (const id of [draft.sender_id, ...(draft.audience ?? [])]) {
    if (!isParticipant(metadata, id)) {
      throw new ProtocolError(`${id} does not take part in channel ${metadata.channel_id}`)
    }
  }
}

/** @throws ProtocolError when the adapter refuses the envelope, fails, or is not there. */
export function requireValid(
  { adapter, metadata }: Channel,
  envelope: Envelope,
  state: JsonValue | undefined,
): void {
  const { type, version } = metadata.manifest
  if (adapter === undefined || state === undefined) {
    throw new ProtocolError(`no registered adapter for ${type}@${version}`)
  }
  guardAdapter(type, () => adapter.validateSend(metadata, envelope, state))
}

export function ended({ metadata }: Channel): ProtocolError {
  return new ProtocolError(`channel ${metadata.channel_id} is ${metadata.state}`)
}
