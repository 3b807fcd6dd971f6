import type { Clock, RandomBytes } from "./system.ts"

/** 32 lower-case hexadecimal digits: 8 bytes of big-endian wall-clock nanoseconds, then 8 random bytes. */
export type Id = string

/** Makes one id a call. */
export type IdSource = () => Id

const NANOSECONDS_PER_MILLISECOND = 1_000_000n

/** Ids that sort roughly by time: agents, channels, connections. Two in one millisecond may sort either way. */
export function idSource(clock: Clock, random: RandomBytes): IdSource {
  return () => formatId(BigInt(Math.floor(clock())) * NANOSECONDS_PER_MILLISECOND, random)
}

/**
 * Ids that sort exactly in the order they were made, whatever the clock does: envelopes.
 *
 * Delivery cursors and replay compare these ids as texts. `atLeast` seeds the source after a restart, so that a clock
 * that was set back cannot mint an id below one that is already stored.
 */
export class IncreasingIds {
  readonly #clock: Clock
  readonly #random: RandomBytes
  /** Owned by `next` and `atLeast`: the time part of the newest id, in nanoseconds. */
  #latest = 0n

  constructor(clock: Clock, random: RandomBytes) {
    this.#clock = clock
    this.#random = random
  }

  next(): Id {
    const now = BigInt(Math.floor(this.#clock())) * NANOSECONDS_PER_MILLISECOND
    this.#latest = now > this.#latest ? now : this.#latest + 1n
    return formatId(this.#latest, this.#random)
  }

  /** Every later id will sort after `id`. An id of another shape (AG2's older ones) is passed over. */
  atLeast(id: Id): void {
    if (!/^[0-9a-f]{32}$/.test(id)) return
    const time = BigInt(`0x${id.slice(0, 16)}`)
    if (time > this.#latest) this.#latest = time
  }
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))

function formatId(nanoseconds: bigint, random: RandomBytes): Id {
  const time = BigInt.asUintN(64, nanoseconds).toString(16).padStart(16, "0")
  // In two halves: a text that grows by more is kept as the tree of its pieces, and ids are kept by the million.
  let high = ""
  let low = ""
  for (const [i, byte] of random(8).entries()) {
    if (i < 4) high += HEX[byte] ?? ""
    else low += HEX[byte] ?? ""
  }
  return time + high + low
}
