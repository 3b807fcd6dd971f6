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

  run<T>(key: string, section: () => Promise<T> | T): Promise<T> {
    const running = (this.#tails.get(key) ?? FREE).then(section)
    const ended = (): void => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
    }
    const tail: Promise<void> = running.then(ended, ended)
    this.#tails.set(key, tail)
    return running
  }
}

const FREE: Promise<void> = Promise.resolve()
