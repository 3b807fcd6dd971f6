/**
 * What comes in batches, one by one.
 *
 * By hand, and not as a generator: what is there already then costs one promise, and no turn of a generator's queue. As with a generator, calls are answered in their order.
 */
export class Flattened<T> implements AsyncGenerator<T, void, undefined> {
  readonly #batches: AsyncGenerator<readonly T[], void, undefined>
  #batch: readonly T[] = []
  #at = 0
  /** The newest call that waits for a batch. */
  #waiting: Promise<unknown> | undefined

  constructor(batches: AsyncGenerator<readonly T[], void, undefined>) {
    this.#batches = batches
  }

  next(): Promise<IteratorResult<T, void>> {
    if (this.#waiting === undefined && this.#at < this.#batch.length) {
      return Promise.resolve({ done: false, value: this.#batch[this.#at++] as T })
    }
    return this.#inTurn(() => this.#fetch())
  }

  return(): Promise<IteratorResult<T, void>> {
    return this.#inTurn(async () => {
      this.#batch = []
      await this.#batches.return()
      return { done: true, value: undefined }
    })
  }

  throw(error: unknown): Promise<IteratorResult<T, void>> {
    return this.#inTurn(async () => {
      this.#batch = []
      await this.#batches.throw(error)
      return { done: true, value: undefined }
    })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  async #fetch(): Promise<IteratorResult<T, void>> {
    while (this.#at >= this.#batch.length) {
      const next = await this.#batches.next()
      if (next.done === true) return { done: true, value: undefined }
      this.#batch = next.value
      this.#at = 0
    }
    return { done: false, value: this.#batch[this.#at++] as T }
  }

  #inTurn<R>(work: () => Promise<R>): Promise<R> {
    const result = this.#waiting === undefined ? work() : this.#waiting.then(work, work)
    this.#waiting = result
    const ended = (): void => {
      if (this.#waiting === result) this.#waiting = undefined
    }
    result.then(ended, ended)
    return result
  }
}
