import { InvalidInputError } from "../core/errors.ts"
import type { Logger } from "../core/logger.ts"
import type { Timers } from "../core/system.ts"

export type Sweep = () => Promise<void> | void

interface Sweeper {
  readonly seconds: number
  readonly sweep: Sweep
  cancel: () => void
  running: Promise<void> | undefined
  stopped: boolean
}

/**
 * What the hub does again and again: first after one interval, then an interval after each end. What a sweep throws is
 * logged; it runs again all the same.
 */
export class Sweepers {
  readonly #timers: Timers
  readonly #logger: Logger
  readonly #sweepers = new Map<string, Sweeper>()
  #started = false

  constructor(timers: Timers, logger: Logger) {
    this.#timers = timers
    this.#logger = logger
  }

  /** @throws InvalidInputError for a name that is taken, or an interval that is not positive. */
  register(name: string, seconds: number, sweep: Sweep): void {
    if (this.#sweepers.has(name))
      throw new InvalidInputError(`a sweeper ${JSON.stringify(name)} is registered already`)
    if (!(seconds > 0) || !Number.isFinite(seconds)) {
      throw new InvalidInputError(`a sweeper's interval is a number of seconds above 0, not ${seconds}`)
    }
    const sweeper: Sweeper = { seconds, sweep, cancel: () => {}, running: undefined, stopped: false }
    this.#sweepers.set(name, sweeper)
    if (this.#started) this.#schedule(name, sweeper)
  }

  /** Waits for the one that runs. Nothing happens for an unknown name. */
  async unregister(name: string): Promise<void> {
    const sweeper = this.#sweepers.get(name)
    if (sweeper === undefined) return
    this.#sweepers.delete(name)
    sweeper.stopped = true
    sweeper.cancel()
    await sweeper.running
  }

  start(): void {
    if (this.#started) return
    this.#started = true
    for (const [name, sweeper] of this.#sweepers) this.#schedule(name, sweeper)
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#sweepers.keys()].map((name) => this.unregister(name)))
  }

  #schedule(name: string, sweeper: Sweeper): void {
    sweeper.cancel = this.#timers.after(sweeper.seconds * 1000, () => {
      sweeper.running = this.#run(name, sweeper)
    })
  }

  async #run(name: string, sweeper: Sweeper): Promise<void> {
    try {
      await sweeper.sweep()
    } catch (error) {
      this.#logger.error({ err: error, sweeper: name }, "a sweeper failed")
    }
    sweeper.running = undefined
    if (!sweeper.stopped) this.#schedule(name, sweeper)
  }
}
