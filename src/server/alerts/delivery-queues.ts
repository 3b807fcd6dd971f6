/**
 * One queue a destination, worked off one after another in the order of arrival; what waits for one destination holds up
 * no other. Bounded: whoever adds takes a place first, and is told when there is none.
 */
export class DeliveryQueues<T> {
  readonly #max: number
  readonly #work: (item: T) => Promise<void>
  /** Places that are taken, waiting items and the one that is worked on. */
  readonly #taken = new Map<string, number>()
  /** By destination: settles when everything that was added so far has been dealt with. Never rejects. */
  readonly #ends = new Map<string, Promise<void>>()

  /** @param work deals with an item; a rejection ends nothing but it */
  constructor(options: { readonly max: number; readonly work: (item: T) => Promise<void> }) {
    this.#max = options.max
    this.#work = options.work
  }

  /** @returns whether there was a place for one more. */
  reserve(destination: string): boolean {
    const taken = this.#taken.get(destination) ?? 0
    if (taken >= this.#max) return false
    this.#taken.set(destination, taken + 1)
    return true
  }

  /** For what has a place. */
  add(destination: string, item: T): void {
    const before = this.#ends.get(destination) ?? Promise.resolve()
    const end = before
      .then(() => this.#work(item))
      .catch(() => {})
      .finally(() => {
        const taken = (this.#taken.get(destination) ?? 1) - 1
        if (taken > 0) this.#taken.set(destination, taken)
        else this.#taken.delete(destination)
        if (this.#ends.get(destination) === end) this.#ends.delete(destination)
      })
    this.#ends.set(destination, end)
  }

  /** Resolves when nothing waits any more. */
  async idle(): Promise<void> {
    while (this.#ends.size > 0) await Promise.all(this.#ends.values())
  }
}
