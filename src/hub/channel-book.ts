import { InvalidInputError, NotFoundError } from "../core/errors.ts"
import { isTerminalChannel, participantIds } from "../model/index.ts"
import type { ChannelAdapter, ChannelManifest, ChannelMetadata, ListChannelsFilter } from "../model/index.ts"
import { isLive, type Channel } from "./channel.ts"
import type { HubContext } from "./context.ts"
import { writeJson } from "./stored-json.ts"

export function metadataPath(channelId: string): string {
  return `/channels/${channelId}/metadata.json`
}

/** All channels and adapters, by what they are looked up by. */
export class ChannelBook {
  readonly #context: HubContext
  /** Owned by `add`, oldest first. Ended channels stay, without their envelopes. */
  readonly #channels = new Map<string, Channel>()
  readonly #byAgent = new Map<string, Set<Channel>>()
  /** Those that have not ended: what the sweepers look at. Owned by `add` and `ended`. */
  readonly #open = new Set<Channel>()
  readonly #adapters = new Map<string, ChannelAdapter>()
  /** Why a channel that is stored is not served. */
  readonly #quarantined = new Map<string, string>()

  constructor(context: HubContext) {
    this.#context = context
  }

  registerAdapter(adapter: ChannelAdapter): void {
    this.#adapters.set(adapterKey(adapter.manifest), adapter)
  }

  get adapterCount(): number {
    return this.#adapters.size
  }

  adapter(type: string, version: number): ChannelAdapter | undefined {
    return this.#adapters.get(adapterKey({ type, version }))
  }

  /** Those that have not ended and whose adapter is there. */
  get activeCount(): number {
    let count = 0
    for (const channel of this.#open) if (isLive(channel)) count++
    return count
  }

  add(channel: Channel): void {
    const { channel_id } = channel.metadata
    this.#channels.set(channel_id, channel)
    if (!isTerminalChannel(channel.metadata.state)) this.#open.add(channel)
    for (const agentId of participantIds(channel.metadata)) {
      const channels = this.#byAgent.get(agentId)
      if (channels === undefined) this.#byAgent.set(agentId, new Set([channel]))
      else channels.add(channel)
    }
  }

  ended(channel: Channel): void {
    this.#open.delete(channel)
  }

  quarantine(channelId: string, reason: string): void {
    this.#quarantined.set(channelId, reason)
  }

  find(channelId: string): Channel | undefined {
    return this.#channels.get(channelId)
  }

  /** @throws NotFoundError, for a quarantined channel too. */
  require(channelId: string): Channel {
    const channel = this.#channels.get(channelId)
    if (channel !== undefined) return channel
    const reason = this.#quarantined.get(channelId)
    if (reason === undefined) throw new NotFoundError(`channel not found: ${channelId}`)
    throw new NotFoundError(`channel ${channelId} is not served: ${reason}`, {
      hint: "Its files are as they were found; mend them and open the hub again.",
    })
  }

  /** A copy: channels may end while a sweeper goes through it. */
  open(): readonly Channel[] {
    return [...this.#open]
  }

  /** Those of an agent, ended ones included, oldest first. */
  ofAgent(agentId: string): readonly Channel[] {
    return [...(this.#byAgent.get(agentId) ?? [])]
  }

  openCount(creatorId: string): number {
    return this.ofAgent(creatorId).filter(
      ({ metadata }) => metadata.creator_id === creatorId && !isTerminalChannel(metadata.state),
    ).length
  }

  list(
    filter: ListChannelsFilter = {},
    shows: (metadata: ChannelMetadata) => boolean = () => true,
  ): readonly ChannelMetadata[] {
    const { agent_id, state, limit = 50 } = filter
    if (!Number.isSafeInteger(limit) || limit < 0)
      throw new InvalidInputError("limit must be a whole number from 0")
    const channels = agent_id === undefined ? this.#channels.values() : this.ofAgent(agent_id)
    const found: ChannelMetadata[] = []
    for (const { metadata } of channels) {
      if (found.length >= limit) break
      if ((state === undefined || metadata.state === state) && shows(metadata)) found.push(metadata)
    }
    return found
  }

  /**
   * Takes over metadata that the write-ahead log already says, and writes it.
   *
   * The log is the truth: when the file cannot be written, that is logged, and the sweeper tries again.
   */
  async save(channel: Channel, metadata: ChannelMetadata): Promise<void> {
    channel.metadata = metadata
    channel.unsaved = true
    try {
      await writeJson(this.#context.store, metadataPath(metadata.channel_id), metadata, channel.extras)
      channel.unsaved = false
    } catch (error) {
      const { channel_id } = metadata
      this.#context.logger.error({ err: error, channel_id }, "a channel's metadata could not be written")
    }
  }

  /** Writes again what could not be written. */
  async saveUnsaved(): Promise<void> {
    for (const channel of this.#channels.values()) {
      if (!channel.unsaved) continue
      await this.#context.locks.run(`channel:${channel.metadata.channel_id}`, async () => {
        if (channel.unsaved) await this.save(channel, channel.metadata)
      })
    }
  }
}

function adapterKey(manifest: Pick<ChannelManifest, "type" | "version">): string {
  return `${manifest.type}@${manifest.version}`
}
