import { StoreUnavailableError, type Timers } from "../../core/index.ts"

/** Aborts when nothing has been heard for a while. */
export class Silence {
  readonly #controller = new AbortController()
  readonly #timers: Timers
  readonly #ms: number
  #cancel: () => void

  constructor(timers: Timers, ms: number) {
    this.#timers = timers
    this.#ms = ms
    this.#cancel = this.#arm()
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  broken(): void {
    this.#cancel()
    this.#cancel = this.#arm()
  }

  end(): void {
    this.#cancel()
  }

  #arm(): () => void {
    return this.#timers.after(this.#ms, () => {
      this.#controller.abort(new StoreUnavailableError(`nothing was heard for ${this.#ms} ms`))
    })
  }
}
