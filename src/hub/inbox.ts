/**
 * How many substantive envelopes each agent has been sent and has not acknowledged, across all channels.
 *
 * It counts and decides nothing. In memory, and proportional to what is pending: whoever is restarted counts again what
 * lies past each delivery cursor. Ids of one channel come in increasing order, as the hub mints them.
 */
export class InboxCounter {
  /** By channel, then agent: the pending ids. Owned by `add`, `acknowledge`, `forget` and `forgetChannel`. */
  readonly #channels = new Map<string, Map<string, PendingIds>>()
  /** By agent; nobody with 0. Same owners. */
  readonly #counts = new Map<string, number>()
  #total = 0
  #everCounted = false

  /**
   * One more for this agent. An id that is not above the newest pending one of the channel was counted already.
   *
   * @returns the agent's new count.
   */
  add(agentId: string, channelId: string, envelopeId: string): number {
    this.#everCounted = true
    let agents = this.#channels.get(channelId)
    if (agents === undefined) this.#channels.set(channelId, (agents = new Map()))
    let pending = agents.get(agentId)
    if (pending === undefined) agents.set(agentId, (pending = new PendingIds()))
    return this.#change(agentId, pending.add(envelopeId) ? 1 : 0)
  }

  /**
   * Takes off every id of the channel up to this one, by text comparison. What is not pending changes nothing.
   *
   * @returns the agent's new count.
   */
  acknowledge(agentId: string, channelId: string, upToEnvelopeId: string): number {
    const agents = this.#channels.get(channelId)
    const pending = agents?.get(agentId)
    if (agents === undefined || pending === undefined) return this.count(agentId)
    const removed = pending.removeUpTo(upToEnvelopeId)
    if (pending.size === 0) this.#drop(channelId, agents, agentId)
    return this.#change(agentId, -removed)
  }

  count(agentId: string): number {
    return this.#counts.get(agentId) ?? 0
  }

  /** Of all agents. */
  get total(): number {
    return this.#total
  }

  /** The largest count; `null` as long as nobody was ever counted. Looks at each agent that has something pending. */
  get maxDepth(): number | null {
    if (!this.#everCounted) return null
    let deepest = 0
    for (const count of this.#counts.values()) if (count > deepest) deepest = count
    return deepest
  }

  /** The agent has gone. Looks at each channel with something pending. */
  forget(agentId: string): void {
    for (const [channelId, agents] of this.#channels) {
      const pending = agents.get(agentId)
      if (pending === undefined) continue
      this.#drop(channelId, agents, agentId)
      this.#change(agentId, -pending.size)
    }
  }

  /** Nothing of this channel will be acknowledged any more. */
  forgetChannel(channelId: string): void {
    const agents = this.#channels.get(channelId)
    if (agents === undefined) return
    this.#channels.delete(channelId)
    for (const [agentId, pending] of agents) this.#change(agentId, -pending.size)
  }

  #change(agentId: string, by: number): number {
    const count = this.count(agentId) + by
    this.#total += by
    if (count === 0) this.#counts.delete(agentId)
    else this.#counts.set(agentId, count)
    return count
  }

  #drop(channelId: string, agents: Map<string, PendingIds>, agentId: string): void {
    agents.delete(agentId)
    if (agents.size === 0) this.#channels.delete(channelId)
  }
}

/** Ascending ids, added at the end and removed from the front, in constant time each on average. */
class PendingIds {
  #ids: string[] = []
  /** How many at the front of `#ids` are removed already; less than half of them. */
  #removed = 0

  get size(): number {
    return this.#ids.length - this.#removed
  }

  add(id: string): boolean {
    const newest = this.#ids.at(-1)
    if (newest !== undefined && id <= newest) return false
    this.#ids.push(id)
    return true
  }

  /** @returns how many. */
  removeUpTo(id: string): number {
    const before = this.#removed
    for (let next = this.#ids[before]; next !== undefined && next <= id; next = this.#ids[this.#removed]) {
      this.#removed++
    }
    const count = this.#removed - before
    if (this.#removed * 2 >= this.#ids.length) {
      this.#ids = this.#ids.slice(this.#removed)
      this.#removed = 0
    }
    return count
  }
}
