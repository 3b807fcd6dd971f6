import {
  isTerminalChannel,
  INVITE_ACK,
  INVITE_REJECT,
  OPENED,
  type AdapterResult,
  type ChannelAdapter,
  type ChannelMetadata,
  type Envelope,
  type JsonValue,
} from "../model/index.ts"
import { inboxesOf, recipientsOf, repeatKeys, type Channel } from "./channel.ts"
import { metadataPath } from "./channel-book.ts"
import type { HubContext } from "./context.ts"
import { violationsPath } from "./expectation-sweeper.ts"
import { agentPath } from "./identity-files.ts"
import type { Operation } from "./operation.ts"
import type { HubParts } from "./parts.ts"
import { copyObject, deepFreeze, unknownFields } from "./plain-json.ts"
import { readMetadata, readTextMap } from "./records.ts"
import { readJson } from "./stored-json.ts"
import { taskPath } from "./tasks.ts"
import { ChannelWal } from "./wal.ts"

/**
 * Takes in what is stored and not known yet. What is known stays as it is, so that it may run at any time.
 *
 * One identity, channel or task that cannot be read back is quarantined: it is reported, its files stay untouched, and
 * the rest is served. A channel whose adapter fails is reported as well, and served without one: it takes nothing, and can be
 * read and ended. What a crash left between a channel's log and its metadata is put right from the log.
 */
export class Hydration {
  readonly #context: HubContext
  readonly #parts: HubParts
  readonly #operation: Operation
  /** The ids of channels whose end is in the audit log: the end of no channel is told twice. */
  readonly #endsOnRecord: () => Promise<ReadonlySet<string>>
  /** Set by `run`. */
  #quarantined = new Set<string>()

  constructor(
    context: HubContext,
    parts: HubParts,
    operation: Operation,
    endsOnRecord: () => Promise<ReadonlySet<string>>,
  ) {
    this.#context = context
    this.#parts = parts
    this.#operation = operation
    this.#endsOnRecord = endsOnRecord
  }

  /** @param quarantined what was found broken before; what is found now is added. */
  async run(quarantined: Set<string>): Promise<void> {
    const { registry, tasks, book } = this.#parts
    this.#quarantined = quarantined
    const guard = async (path: string, load: () => Promise<void>): Promise<string | undefined> => {
      if (quarantined.has(path)) return undefined
      try {
        await load()
        return undefined
      } catch (error) {
        quarantined.add(path)
        return this.#quarantine(path, error)
      }
    }
    for (const agentId of await this.#names("/agents")) {
      await guard(`/agents/${agentId}`, () =>
        this.#context.locks.run(`agent:${agentId}`, () => this.#agent(agentId)),
      )
    }
    await registry.saveIndex()
    for (const taskId of await this.#names("/tasks")) {
      await guard(`/tasks/${taskId}`, async () => {
        const stored = await readJson(this.#context.store, taskPath(taskId, "metadata.json"))
        if (stored !== undefined) tasks.adopt(stored, taskId)
      })
    }
    for (const channelId of await this.#names("/channels")) {
      const reason = await guard(`/channels/${channelId}`, () =>
        this.#context.locks.run(`channel:${channelId}`, () => this.#channel(channelId)),
      )
      if (reason !== undefined) book.quarantine(channelId, reason)
    }
  }

  async #agent(agentId: string): Promise<void> {
    const { registry, cursors } = this.#parts
    if (registry.has(agentId)) return
    this.#context.newIdsAbove(agentId)
    const identity = await registry.files.load(agentId)
    // Without a passport it is what a crash left of a registration or an unregistration.
    if (identity === undefined) return
    if (!registry.adopt(identity)) throw new Error(`the name ${identity.passport.name} is taken`)
    const path = agentPath(agentId, "inbox.cursors.json")
    try {
      const stored = readTextMap((await readJson(this.#context.store, path)) ?? {}, "cursors")
      cursors.adopt(agentId, stored)
      for (const envelopeId of Object.values(stored)) this.#context.envelopeIds.atLeast(envelopeId)
    } catch (error) {
      // At least once: without cursors everything is delivered again.
      this.#context.logger.warn({ err: error, path }, "an agent's cursors could not be read")
    }
  }

  async #channel(channelId: string): Promise<void> {
    const { book } = this.#parts
    const { store } = this.#context
    if (book.find(channelId) !== undefined) return
    this.#context.newIdsAbove(channelId)
    const stored = await readJson(store, metadataPath(channelId))
    if (stored === undefined) throw new Error("it has no metadata.json")
    const json = copyObject(stored, "channel")
    const metadata = deepFreeze(readMetadata(json))
    if (metadata.channel_id !== channelId) throw new Error(`the metadata is that of ${metadata.channel_id}`)
    const base = {
      metadata,
      causation: new Map<string, number>(),
      fired: new Set<string>(),
      opening: undefined,
      owed: undefined,
      unsaved: false,
      extras: unknownFields(json, metadata),
    }
    if (isTerminalChannel(metadata.state)) {
      const wal = await ChannelWal.sealed(store, channelId)
      this.#context.envelopeIds.atLeast(wal.lastId)
      book.add({ ...base, adapter: undefined, state: undefined, wal })
      return
    }
    await this.#openChannel({ ...base }, channelId)
  }

  async #openChannel(base: Omit<Channel, "adapter" | "state" | "wal">, channelId: string): Promise<void> {
    const { book } = this.#parts
    const { metadata } = base
    const adapter = book.adapter(metadata.manifest.type, metadata.manifest.version)
    const folding = new Folding(adapter, metadata)
    const seen: Envelope[] = []
    const { wal, torn } = await ChannelWal.recover(this.#context.store, channelId, (envelope, position) => {
      folding.take(envelope)
      for (const key of repeatKeys(envelope)) base.causation.set(key, position)
      seen.push(envelope)
      this.#context.envelopeIds.atLeast(envelope.envelope_id)
    })
    if (torn !== undefined) {
      this.#context.logger.warn(
        { channel_id: channelId, ...torn },
        "a torn tail of a write-ahead log was set aside",
      )
    }
    const fired = await readJson(this.#context.store, violationsPath(channelId))
    if (Array.isArray(fired)) for (const key of fired as unknown[]) base.fired.add(String(key))
    const channel: Channel = { ...base, ...folding.outcome(), wal }
    if (folding.failure !== undefined) {
      const path = `/channels/${channelId}`
      this.#quarantined.add(path)
      this.#quarantine(path, folding.failure.error)
    }
    book.add(channel)
    await this.#countInboxes(channel, seen)
    await this.#putRight(channel, seen)
  }

  /** What lies past each recipient's cursor and was let through to it. Nobody is signalled. */
  async #countInboxes(channel: Channel, envelopes: readonly Envelope[]): Promise<void> {
    const { cursors, inboxes, registry, gatekeeper } = this.#parts
    const { metadata } = channel
    const silent: Operation = { actor: undefined, events: this.#context.fanOut.silence() }
    for (const envelope of envelopes) {
      const unread = inboxesOf(envelope, recipientsOf(envelope, metadata)).filter(
        (id) => registry.has(id) && envelope.envelope_id > cursors.get(id, metadata.channel_id),
      )
      for (const id of await gatekeeper.permitted(envelope, unread, silent)) {
        inboxes.counter.add(id, metadata.channel_id, envelope.envelope_id)
      }
    }
  }

  /** The log says what has happened; the metadata may be one step behind. */
  async #putRight(channel: Channel, envelopes: readonly Envelope[]): Promise<void> {
    const { book, lifecycle } = this.#parts
    const { metadata, adapter, state } = channel
    const creator = metadata.creator_id
    const pending = new Set(metadata.pending_acks)
    const rejected = new Set(metadata.rejected_by)
    let opened: Envelope | undefined
    let closing: Envelope | undefined
    for (const envelope of envelopes) {
      const { event_type, sender_id } = envelope
      if (event_type === INVITE_ACK) pending.delete(sender_id)
      if (event_type === INVITE_REJECT && pending.delete(sender_id)) rejected.add(sender_id)
      if (event_type === OPENED && sender_id === creator) opened ??= envelope
      if (isClosing(envelope, creator)) closing ??= envelope
    }
    const agreed = deepFreeze({ ...metadata, pending_acks: [...pending], rejected_by: [...rejected] })
    const answered = agreed.pending_acks.length !== metadata.pending_acks.length
    if (opened !== undefined && metadata.state === "pending") {
      this.#report(channel, "its opening")
      await lifecycle.hasOpened(channel, agreed, [], opened, this.#operation)
    } else if (answered) {
      this.#report(channel, "answers to invitations")
      await book.save(channel, agreed)
    }
    if (closing !== undefined) {
      this.#report(channel, "its end")
      const told = (await this.#endsOnRecord()).has(metadata.channel_id)
      await lifecycle.hasEnded(channel, closing, this.#operation, told)
      return
    }
    await lifecycle.decides(channel, this.#operation)
    const last = envelopes.at(-1)
    if (adapter === undefined || state === undefined || last === undefined) return
    let result: AdapterResult = {}
    try {
      result = adapter.onAccepted(channel.metadata, last, state)
    } catch (error) {
      this.#context.logger.error({ err: error, channel_id: metadata.channel_id }, "an adapter failed")
    }
    const { nextState, closeReason = "" } = result
    if (nextState === undefined) return
    this.#report(channel, "the adapter's end")
    await lifecycle.ends(channel, nextState, closeReason, this.#operation)
  }

  #report(channel: Channel, what: string): void {
    const { channel_id } = channel.metadata
    this.#context.logger.warn({ channel_id }, `a channel's metadata was behind its log by ${what}; put right`)
  }

  #quarantine(path: string, error: unknown): string {
    const reason = error instanceof Error ? error.message : String(error)
    this.#context.logger.error({ err: error, path }, "quarantined: it cannot be read back and is not served")
    this.#operation.events.hubEvent("quarantined", { path, reason, at: this.#context.now() })
    return reason
  }

  /** Names of folders, sorted by id: by time, that is. */
  async #names(path: string): Promise<string[]> {
    return (await this.#context.store.list(path))
      .filter((name) => name.endsWith("/"))
      .map((name) => name.slice(0, -1))
  }
}

/** A channel's state as its log is read. An adapter that fails has none from there on. */
class Folding {
  failure: { readonly error: unknown } | undefined
  readonly #adapter: ChannelAdapter | undefined
  #state: JsonValue | undefined

  constructor(adapter: ChannelAdapter | undefined, metadata: ChannelMetadata) {
    this.#adapter = adapter
    this.#attempt(() => adapter?.initialState(metadata))
  }

  take(envelope: Envelope): void {
    const state = this.#state
    if (state !== undefined) this.#attempt(() => this.#adapter?.fold(envelope, state))
  }

  outcome(): Pick<Channel, "adapter" | "state"> {
    const failed = this.failure !== undefined
    return failed ? { adapter: undefined, state: undefined } : { adapter: this.#adapter, state: this.#state }
  }

  #attempt(fold: () => JsonValue | undefined): void {
    if (this.failure !== undefined) return
    try {
      this.#state = deepFreeze(fold())
    } catch (error) {
      this.failure = { error }
    }
  }
}

function isClosing(envelope: Envelope, creatorId: string): boolean {
  const { event_type, sender_id } = envelope
  return (
    sender_id === creatorId && (event_type === "ag2.channel.closed" || event_type === "ag2.channel.expired")
  )
}
