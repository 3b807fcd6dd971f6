import { systemRandom } from "../core/system.ts"

/** Numbers from a seed: mulberry32. Good enough to choose operations with, and it fits in a report. */
export class SeededRandom {
  #state: number

  constructor(seed: number) {
    this.#state = seed
  }

  /** A whole number from 0 up to, and not including, `limit`. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }

  pick<T>(choices: readonly [T, ...T[]]): T {
    return choices[this.below(choices.length)] ?? choices[0]
  }
}

/** `HANSARD_SEED` if it is set, else another one each time. */
export function freshSeed(): number {
  const given = Number(globalThis.process?.env["HANSARD_SEED"])
  if (Number.isSafeInteger(given)) return given
  return systemRandom(4).reduce((seed, byte) => seed * 256 + byte, 0)
}
