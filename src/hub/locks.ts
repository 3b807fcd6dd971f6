/**
 * One mutex per key: sections of one key run one at a time, in the order of the calls; keys do not wait for each other.
 *
 * A key costs memory only while somebody holds it or waits for it, and never loses its lock while anybody does.
 * Sections are not re-entrant: one that asks for its own key waits for itself.
 */
export class KeyedLocks {
  /** Owned by `run`: the end of the last section of each key. */
  readonly #tails = new Map<string, Promise<void>>()

  /** How many keys are held or waited for. */
  get size(): number {
    return this.#tails.size
  }

  async run<T>(key: string, section: () => Promise<T> | T): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve()
    const running = before.then(section)
    const tail = running.then(nothing, nothing)
    this.#tails.set(key, tail)
    try {
      return await running
    } finally {
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
    }
  }
}

function nothing(): void {}
