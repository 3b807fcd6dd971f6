import type { Clock, RandomBytes, Timers } from "../../src/core/system.ts"

/** A clock and timers that move only when a test says so. Starts at 2026-05-05T10:00:00.000Z. */
export class FakeTime {
  #now = Date.UTC(2026, 4, 5, 10)
  #pending: { at: number; order: number; callback: () => void }[] = []
  #order = 0

  readonly clock: Clock = () => this.#now

  readonly timers: Timers = {
    after: (milliseconds, callback) => {
      const entry = { at: this.#now + Math.max(0, milliseconds), order: this.#order++, callback }
      this.#pending.push(entry)
      return () => {
        this.#pending = this.#pending.filter((other) => other !== entry)
      }
    },
  }

  /** How many timers wait. */
  get waiting(): number {
    return this.#pending.length
  }

  /** Moves time on, calling what falls due in order; lets promises run after each call. */
  async advance(milliseconds: number): Promise<void> {
    const target = this.#now + milliseconds
    for (;;) {
      await settle()
      const next = this.#pending.sort((a, b) => a.at - b.at || a.order - b.order)[0]
      if (next === undefined || next.at > target) break
      this.#pending.shift()
      this.#now = Math.max(this.#now, next.at)
      next.callback()
    }
    this.#now = target
    await settle()
  }

  /** Sets the clock alone, backwards too. */
  set(milliseconds: number): void {
    this.#now = milliseconds
  }
}

/** Lets everything that can run now run: promises, and what they schedule for the end of the turn. */
export async function settle(turns = 20): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise<void>((resolve) => setImmediate(resolve))
}

/** Numbers in [0, 1) from a seed: mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

export function seededBytes(seed: number): RandomBytes {
  const next = seeded(seed)
  return (length) => Uint8Array.from({ length }, () => Math.floor(next() * 256))
}

/** The seed of a property test: `HANSARD_SEED` repeats one that was printed. */
export function testSeed(): number {
  return Number(process.env["HANSARD_SEED"] ?? Math.floor(Math.random() * 2 ** 31))
}
