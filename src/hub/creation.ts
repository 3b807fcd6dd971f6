import { InvalidInputError, NotFoundError } from "../core/errors.ts"
import { isoTime } from "../core/system.ts"
import {
  INVITE,
  isTerminalChannel,
  makeEnvelope,
  parseDuration,
  participantIds,
  ProtocolError,
  roleOf,
  type ChannelAdapter,
  type ChannelMetadata,
  type CreateChannelRequest,
} from "../model/index.ts"
import { type Channel } from "./channel.ts"
import { metadataPath, type ChannelBook } from "./channel-book.ts"
import { guardAdapter } from "./commit.ts"
import { attributed, type HubContext } from "./context.ts"
import type { ExpectationSweeper } from "./expectation-sweeper.ts"
import { Fields } from "./fields.ts"
import type { Gatekeeper } from "./gatekeeper.ts"
import type { ChannelLifecycle } from "./lifecycle.ts"
import type { Operation } from "./operation.ts"
import { copyObject, deepFreeze } from "./plain-json.ts"
import type { Posting } from "./posting.ts"
import { readManifest } from "./records.ts"
import type { Registry } from "./registry.ts"
import { writeJson } from "./stored-json.ts"
import { ChannelWal } from "./wal.ts"

const MAX_PARTICIPANTS = 1_000

/** Makes channels: checked, written, told, and then opened by their invitees. */
export class ChannelCreation {
  readonly #context: HubContext
  readonly #registry: Registry
  readonly #book: ChannelBook
  readonly #gatekeeper: Gatekeeper
  readonly #lifecycle: ChannelLifecycle
  readonly #posting: Posting
  readonly #expectations: ExpectationSweeper
  readonly #ackTimeoutMs: number
  /** Owned by `create`: those who wait for answers. */
  readonly #waiting = new Set<(error: Error) => void>()

  constructor(
    context: HubContext,
    parts: {
      registry: Registry
      book: ChannelBook
      gatekeeper: Gatekeeper
      lifecycle: ChannelLifecycle
      posting: Posting
      expectations: ExpectationSweeper
      ackTimeoutMs: number
    },
  ) {
    this.#context = context
    this.#registry = parts.registry
    this.#book = parts.book
    this.#gatekeeper = parts.gatekeeper
    this.#lifecycle = parts.lifecycle
    this.#posting = parts.posting
    this.#expectations = parts.expectations
    this.#ackTimeoutMs = parts.ackTimeoutMs
  }

  /** Ends every waiting with `error`; the channels stay pending. */
  abandon(error: Error): void {
    for (const fail of [...this.#waiting]) fail(error)
  }

  /** Resolves once the channel is open. */
  async create(request: CreateChannelRequest, operation: Operation): Promise<ChannelMetadata> {
    const { metadata, adapter } = this.#plan(request)
    const channel = await this.#context.locks.run(`opening:${metadata.creator_id}`, async () => {
      const { creator_id, pending_acks, manifest } = metadata
      const decision = this.#context.arbiter().authorizeChannelOpen(creator_id, pending_acks, manifest.type)
      await this.#gatekeeper.require("create_channel", metadata.creator_id, decision, operation)
      return await this.#store(metadata, adapter, operation)
    })
    const { channel_id } = metadata
    const wait = this.#wait(channel)
    try {
      await this.#invite(channel, operation)
    } catch (error) {
      wait.stop()
      await this.#lifecycle.end(channel_id, "closed", "invite_failed", { ...operation, actor: undefined })
      throw error
    }
    const outcome = await wait.outcome
    if (outcome !== "timeout") return outcome
    await this.#lifecycle.end(channel_id, "closed", "invite_timeout", { ...operation, actor: undefined })
    // It may have opened, or ended otherwise, at the last moment.
    const { state, close_reason } = channel.metadata
    if (state === "active") return channel.metadata
    throw new ProtocolError(`channel ${channel_id} was not opened: ${state}, ${close_reason}`)
  }

  /** Everything that can be refused without asking anybody. */
  #plan(request: CreateChannelRequest): { metadata: ChannelMetadata; adapter: ChannelAdapter } {
    const json = copyObject(request, "channel")
    const fields = new Fields(json, "channel")
    const creatorId = fields.id("creator_id")
    const creator = this.#registry.find(creatorId)
    if (creator === undefined) throw new NotFoundError(`creator not registered: ${creatorId}`)
    const asked = fields.texts("participants")
    if (asked.length === 0) throw new ProtocolError("a channel needs at least one participant")
    if (asked.length > MAX_PARTICIPANTS) {
      throw new ProtocolError(`a channel has at most ${MAX_PARTICIPANTS} participants`)
    }
    const twice = asked.find((id, i) => asked.indexOf(id) !== i)
    if (twice !== undefined) throw new ProtocolError(`participant ${twice} is listed twice`)
    for (const id of asked) {
      if (!this.#registry.has(id)) throw new NotFoundError(`participant not registered: ${id}`)
    }
    const ids = asked.includes(creatorId) ? asked : [creatorId, ...asked]
    const type = fields.id("manifest_type")
    const version = fields.whole("manifest_version", 1)
    const adapter = this.#book.adapter(type, version)
    if (adapter === undefined) throw new NotFoundError(`no adapter for ${type}@${version}`)
    const nowMs = this.#context.clock()
    const now = isoTime(nowMs)
    const ttl = fields.json("ttl") as number | string | null
    const seconds = parseDuration(ttl ?? creator.rule.limits.channel_ttl_default)
    const intent = fields.textOrNull("intent")
    const labels = fields.textMap("labels")
    const requiredAcks = fields.numberOrNull("required_acks")
    const invitees = ids.filter((id) => id !== creatorId)
    if (
      requiredAcks !== null &&
      (!Number.isSafeInteger(requiredAcks) || requiredAcks < 1 || requiredAcks > invitees.length)
    ) {
      throw new InvalidInputError(
        `required_acks must be a whole number from 1 to ${invitees.length}, or null`,
      )
    }
    const metadata: ChannelMetadata = deepFreeze({
      channel_id: this.#context.newId(),
      manifest: readManifest(copyObject(adapter.manifest, "manifest")),
      creator_id: creatorId,
      participants: ids.map((agent_id, order) => ({
        agent_id,
        role: roleOf(agent_id, creatorId, ids.length),
        order,
        joined_at: now,
      })),
      state: "pending",
      created_at: now,
      expires_at: seconds > 0 ? isoTime(nowMs + seconds * 1000) : null,
      closed_at: null,
      close_reason: "",
      parent_channel_id: null,
      knobs: fields.object("knobs", {}),
      labels: intent === null || intent === "" ? labels : { ...labels, intent },
      required_acks: requiredAcks,
      pending_acks: invitees,
      rejected_by: [],
    })
    this.#expectations.checkManifest(metadata.manifest)
    guardAdapter(type, () => adapter.validateCreate(metadata))
    return { metadata, adapter }
  }

  /** The channel exists once its file does; before, nothing in memory knows of it. */
  async #store(metadata: ChannelMetadata, adapter: ChannelAdapter, operation: Operation): Promise<Channel> {
    const { channel_id, manifest, created_at, creator_id } = metadata
    const state = deepFreeze(guardAdapter(manifest.type, () => adapter.initialState(metadata)))
    return await this.#context.locks.run(`channel:${channel_id}`, async () => {
      try {
        await writeJson(this.#context.store, metadataPath(channel_id), metadata)
      } catch (error) {
        // In case that it was written all the same: nobody will ever hear of this channel.
        await this.#context.store.delete(`/channels/${channel_id}`).catch(() => {})
        throw error
      }
      const channel: Channel = {
        metadata,
        adapter,
        state,
        wal: ChannelWal.empty(this.#context.store, channel_id),
        causation: new Map(),
        fired: new Set(),
        opening: undefined,
        owed: undefined,
        unsaved: false,
        extras: {},
      }
      this.#book.add(channel)
      this.#context.logger.info({ channel_id, type: manifest.type, creator_id }, "channel created")
      operation.events.channelEvent(channel_id, "created", {
        metadata,
        participants: participantIds(metadata),
        at: created_at,
        ...attributed(operation.actor ?? creator_id),
      })
      return channel
    })
  }

  async #invite(channel: Channel, operation: Operation): Promise<void> {
    const { channel_id, manifest, creator_id, knobs, labels, pending_acks } = channel.metadata
    if (pending_acks.length === 0) {
      await this.#context.locks.run(`channel:${channel_id}`, () =>
        isTerminalChannel(channel.metadata.state)
          ? undefined
          : this.#lifecycle.opensAtOnce(channel, operation),
      )
      return
    }
    for (const invitee of pending_acks) {
      // It may have been refused, or opened by enough others, before everybody was asked.
      if (isTerminalChannel(channel.metadata.state)) return
      const invitation = makeEnvelope({
        channel_id,
        sender_id: creator_id,
        audience: [invitee],
        event_type: INVITE,
        event_data: {
          channel_id,
          manifest_type: manifest.type,
          manifest_version: manifest.version,
          creator_id,
          knobs,
          labels,
        },
      })
      await this.#posting.invite(invitation, operation)
    }
  }

  #wait(channel: Channel): { readonly outcome: Promise<ChannelMetadata | "timeout">; stop(): void } {
    const { promise, resolve, reject } = Promise.withResolvers<ChannelMetadata | "timeout">()
    // Whoever fails to invite does not look at it.
    promise.catch(() => {})
    const cancel = this.#context.timers.after(this.#ackTimeoutMs, () => {
      stop()
      resolve("timeout")
    })
    const stop = (): void => {
      cancel()
      this.#waiting.delete(fail)
      channel.opening = undefined
    }
    const fail = (error: Error): void => {
      stop()
      reject(error)
    }
    channel.opening = {
      opened: (told) => {
        stop()
        resolve(told)
      },
      failed: fail,
    }
    this.#waiting.add(fail)
    return { outcome: promise, stop }
  }
}
