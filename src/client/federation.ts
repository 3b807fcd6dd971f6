import type { CallOptions } from "../core/abort.ts"
import { HansardError, NotFoundError } from "../core/errors.ts"
import { silentLogger } from "../core/logger.ts"
import type { Logger } from "../core/logger.ts"
import { hubAddress } from "../model/address.ts"
import type { ChannelMetadata } from "../model/channel.ts"
import { INVITE, isProtocolEvent } from "../model/envelope.ts"
import type { Envelope } from "../model/envelope.ts"
import type { PassportRequest } from "../model/passport.ts"
import type { AgentClient, AgentHandlers } from "./agent-client.ts"
import type { AgentKey } from "./agent-key.ts"
import type { HubClient } from "./hub-client.ts"

/** One of the two hubs. */
export interface FederatedHub {
  /** As the hub calls itself: `HubOptions.hubId`. */
  readonly hubId: string
  readonly client: HubClient
  /** Proves the identities that stand for the other side there. */
  readonly key?: AgentKey
}

/** The signal gives up joining the far hub. */
export interface FederationOptions extends CallOptions {
  /** Where others meet the agents that are brought. */
  readonly near: FederatedHub
  /** Where they live. */
  readonly far: FederatedHub
  /** Default: silent. */
  readonly logger?: Logger
}

/** Envelopes whose counterpart is remembered, so that answers name what they answer. */
const MAX_REMEMBERED = 10_000
/** What no second attempt changes. */
const FINAL: readonly string[] = ["protocol_error", "access_denied", "not_found", "invalid_input"]
/** Channels of two are the same on both sides; of others the far agent sees a conversation with the near hub. */
const TWO_PARTY: readonly string[] = ["consulting", "conversation"]

/** A channel of the near hub, and the one that stands for it on the far one. */
interface Pair {
  readonly standIn: AgentClient
  readonly near: string
  readonly far: string
}

/**
 * Agents of one hub as participants of another, over any two `HubLink`s.
 *
 * The near hub is one participant of the far one, named `hub://<its id>`; each agent that is brought is a participant of
 * the near hub, of kind `remote_agent`, named by its address `hub://<far id>/<agent id>`. What is said in a channel with it
 * is said in a channel of the far hub as well, and back: at least once by delivery, and once by `idempotency_key`. Each
 * passage is one delegation deeper, so that hubs that point at each other end at `limits.delegation_depth`. Both hubs keep
 * their own record; `from` in the far envelope's data is the near sender's address, as the near hub's word.
 *
 * For the other way make a second one with near and far exchanged, over the same two clients: then far agents invite the
 * near ones that it brings. An invitation to the near hub itself names nobody, and is refused.
 */
export class Federation {
  readonly #near: FederatedHub
  readonly #far: FederatedHub
  readonly #logger: Logger
  /** The near hub, on the far one. Set by `open`. */
  #embassy: AgentClient | undefined
  /** By near channel, and by far channel. */
  readonly #pairs = new Map<string, Pair>()
  /** By the id of the agent on the far hub. */
  readonly #standIns = new Map<string, AgentClient>()
  /** Envelope ids on the other side, both ways; the oldest give way. */
  readonly #counterparts = new Map<string, string>()

  private constructor({ near, far, logger = silentLogger }: FederationOptions) {
    this.#near = near
    this.#far = far
    this.#logger = logger
  }

  /** @throws as `HubClient.register` and `attach`. */
  static async open(options: FederationOptions): Promise<Federation> {
    const federation = new Federation(options)
    const { near, far, signal } = options
    const passport = { name: `hub://${near.hubId}`, kind: "remote_agent", hub_id: near.hubId } as const
    federation.#embassy = await join(far, passport, {
      signal,
      onInvite: () => false,
      onEnvelope: async (envelope, next) => {
        if (envelope.event_type === INVITE) await next()
        else await federation.#inward(envelope)
      },
    })
    return federation
  }

  /**
   * Makes an agent of the far hub, by name or id, a participant of the near one.
   *
   * @throws NotFoundError for an unknown one; and as `HubClient.register` and `attach`.
   */
  async bring(nameOrId: string, { signal }: CallOptions = {}): Promise<AgentClient> {
    const { agent_id, owner } = await this.#far.client.hub.getAgent(nameOrId, { signal })
    const passport: PassportRequest = {
      name: hubAddress(this.#far.hubId, agent_id),
      kind: "remote_agent",
      hub_id: this.#far.hubId,
      owner,
    }
    const standIn: AgentClient = await join(this.#near, passport, {
      signal,
      onInvite: async (channel) => void (await this.#pair(standIn, channel, agent_id)),
      onEnvelope: async (envelope, next) => {
        if (envelope.event_type === INVITE) await next()
        else await this.#outward(standIn, envelope, agent_id)
      },
    })
    this.#standIns.set(agent_id, standIn)
    return standIn
  }

  get #ambassador(): AgentClient {
    if (this.#embassy === undefined) throw new Error("bug: a federation is made by open")
    return this.#embassy
  }

  /** The far channel of a near one: found again after a restart by its labels, opened if there is none. */
  async #pair(standIn: AgentClient, channel: ChannelMetadata, farAgent: string): Promise<Pair> {
    const near = channel.channel_id
    const known = this.#pairs.get(near)
    if (known !== undefined) return known
    const labels = { federated_hub: this.#near.hubId, federated_channel: near }
    const mine = { agent_id: this.#ambassador.agentId, state: "active", limit: 100_000 } as const
    const all = await this.#far.client.hub.listChannels(mine)
    const earlier = all.find((one) => one.labels["federated_channel"] === near)
    const { type } = channel.manifest
    const far =
      earlier?.channel_id ??
      (
        await this.#ambassador.open({
          type: TWO_PARTY.includes(type) ? type : "conversation",
          target: farAgent,
          labels,
        })
      ).channelId
    const pair = { standIn, near, far }
    this.#pairs.set(near, pair)
    this.#pairs.set(far, pair)
    return pair
  }

  /** From the near hub to the far agent. */
  async #outward(standIn: AgentClient, envelope: Envelope, farAgent: string): Promise<void> {
    const { channel_id, event_type, event_data, sender_id } = envelope
    if (isEnd(event_type)) return await this.#end(channel_id, "far")
    if (isProtocolEvent(event_type) || sender_id === standIn.agentId) return
    await this.#pass(envelope, this.#ambassador, async () => {
      const channel = await this.#near.client.hub.getChannel(channel_id)
      const { far } = await this.#pair(standIn, channel, farAgent)
      return { channel: far, event_data: { ...event_data, from: hubAddress(this.#near.hubId, sender_id) } }
    })
  }

  /** From the far agent to the near hub. */
  async #inward(envelope: Envelope): Promise<void> {
    const { channel_id, event_type, event_data, sender_id } = envelope
    if (isEnd(event_type)) return await this.#end(channel_id, "near")
    if (isProtocolEvent(event_type) || sender_id === this.#ambassador.agentId) return
    const pair = this.#pairs.get(channel_id) ?? (await this.#found(channel_id))
    await this.#pass(envelope, pair.standIn, async () => ({ channel: pair.near, event_data }))
  }

  /** The pair of a far channel that an earlier process has opened. */
  async #found(far: string): Promise<Pair> {
    const { labels, participants } = await this.#far.client.hub.getChannel(far)
    const standIn = participants
      .map(({ agent_id }) => this.#standIns.get(agent_id))
      .find((one) => one !== undefined)
    const near = labels["federated_channel"]
    if (standIn === undefined || near === undefined) {
      // Refused, so that it comes again: its agent may be brought in a moment.
      throw new NotFoundError(`nobody stands on the near hub for who speaks in channel ${far}`)
    }
    const pair = { standIn, near, far }
    this.#pairs.set(near, pair)
    this.#pairs.set(far, pair)
    return pair
  }

  /** Posts it on the other side. What is refused there for good is logged; anything else comes again. */
  async #pass(
    envelope: Envelope,
    poster: AgentClient,
    place: () => Promise<{ channel: string; event_data: Envelope["event_data"] }>,
  ): Promise<void> {
    const { envelope_id, event_type, causation_id, depth, trace_id } = envelope
    try {
      const { channel, event_data } = await place()
      const posted = await (
        await poster.channel(channel)
      ).send({
        event_type,
        event_data,
        trace_id,
        depth: depth + 1,
        idempotency_key: envelope_id,
        causation_id: this.#counterparts.get(causation_id ?? "") ?? null,
      })
      this.#remember(envelope_id, posted)
      this.#remember(posted, envelope_id)
    } catch (error) {
      if (!(error instanceof HansardError) || !FINAL.includes(error.code)) throw error
      this.#logger.warn({ err: error, envelope_id }, "not passed on")
    }
  }

  async #end(channelId: string, side: "near" | "far"): Promise<void> {
    const pair = this.#pairs.get(channelId)
    if (pair === undefined) return
    this.#pairs.delete(pair.near)
    this.#pairs.delete(pair.far)
    const poster = side === "far" ? this.#ambassador : pair.standIn
    await (await poster.channel(pair[side])).close("ended_on_the_other_hub")
  }

  #remember(id: string, counterpart: string): void {
    this.#counterparts.set(id, counterpart)
    const [oldest] = this.#counterparts.keys()
    if (this.#counterparts.size > MAX_REMEMBERED && oldest !== undefined) this.#counterparts.delete(oldest)
  }
}

/** Registers, or takes over what an earlier process has registered. */
async function join(
  { client, key }: FederatedHub,
  passport: PassportRequest,
  handlers: AgentHandlers & CallOptions,
): Promise<AgentClient> {
  const options = key === undefined ? handlers : { ...handlers, key }
  try {
    return await client.register(passport, options)
  } catch (error) {
    if (!(error instanceof HansardError) || error.code !== "protocol_error") throw error
    return await client.attach(passport.name, options)
  }
}

function isEnd(eventType: string): boolean {
  return eventType === "ag2.channel.closed" || eventType === "ag2.channel.expired"
}
