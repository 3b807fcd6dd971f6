interface Handed {
  /** How often the recipient has said that it could not deal with it. */
  nacks: number
  /** How often it was tried again, for whatever reason: the waits grow with it. */
  retries: number
  /** Cancels the next try. */
  cancel: (() => void) | undefined
}

interface Lane {
  /** Handed out and not settled, in the order of the log. */
  readonly open: Map<string, Handed>
  /** Settled behind one that is not. */
  readonly settled: Set<string>
  /** Everything up to here is settled. */
  cursor: string
}

/**
 * What each agent was handed and has not dealt with, by channel.
 *
 * A cursor may only pass what is settled: acknowledging a later envelope never loses an earlier one that failed. In
 * memory; what is settled behind an open one and not yet below the cursor comes again after a restart.
 */
export class Outstanding {
  /** By agent, then channel. */
  readonly #lanes = new Map<string, Map<string, Lane>>()

  /** Ids of one channel come in the order of the log. */
  handed(agentId: string, channelId: string, envelopeId: string): void {
    this.#lane(agentId, channelId).open.set(envelopeId, { nacks: 0, retries: 0, cancel: undefined })
  }

  find(agentId: string, channelId: string, envelopeId: string): Handed | undefined {
    return this.#lanes.get(agentId)?.get(channelId)?.open.get(envelopeId)
  }

  /** Whether it was settled, before one that is not. */
  isSettled(agentId: string, channelId: string, envelopeId: string): boolean {
    return this.#lanes.get(agentId)?.get(channelId)?.settled.has(envelopeId) === true
  }

  /** @returns how far everything is settled now; empty when nothing is. */
  settle(agentId: string, channelId: string, envelopeId: string): string {
    const lane = this.#lane(agentId, channelId)
    lane.open.get(envelopeId)?.cancel?.()
    lane.open.delete(envelopeId)
    if (envelopeId > lane.cursor) lane.settled.add(envelopeId)
    const [oldest] = lane.open.keys()
    // Nothing moves while an earlier one is open.
    if (oldest !== undefined && envelopeId > oldest) return lane.cursor
    for (const id of lane.settled) {
      if (oldest !== undefined && id > oldest) continue
      lane.settled.delete(id)
      if (id > lane.cursor) lane.cursor = id
    }
    const { cursor } = lane
    if (oldest === undefined) this.#drop(agentId, channelId)
    return cursor
  }

  /** The agent's connection has gone: what is open comes again with the next one. */
  detach(agentId: string): void {
    for (const { open } of this.#lanes.get(agentId)?.values() ?? []) {
      for (const { cancel } of open.values()) cancel?.()
      open.clear()
    }
  }

  forget(agentId: string): void {
    this.detach(agentId)
    this.#lanes.delete(agentId)
  }

  #lane(agentId: string, channelId: string): Lane {
    const lanes = this.#lanes.get(agentId) ?? new Map<string, Lane>()
    this.#lanes.set(agentId, lanes)
    const lane = lanes.get(channelId) ?? { open: new Map(), settled: new Set(), cursor: "" }
    lanes.set(channelId, lane)
    return lane
  }

  #drop(agentId: string, channelId: string): void {
    const lanes = this.#lanes.get(agentId)
    lanes?.delete(channelId)
    if (lanes?.size === 0) this.#lanes.delete(agentId)
  }
}
