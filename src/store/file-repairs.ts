import type { Logger } from "../core/logger.ts"
import { isAtOrUnder } from "./paths.ts"

/** How to take back a change that failed, and could not be taken back at once. */
export interface Repair {
  /** Puts things back. Safe to run again after it failed halfway. */
  run(): Promise<void>
  /**
   * Until then, in bytes, the part of the file that may be shown; `undefined` when nothing is certain and a reader has
   * to wait for the repair as well.
   */
  readonly visibleBytes?: number
}

/**
 * Failed changes that have still to be taken back.
 *
 * A failing disk may refuse the rollback too. Then the paths are kept here, and the next call that concerns them first
 * repairs or itself fails: so a change that was reported as failed is never shown, and nothing is built on it.
 */
export class Repairs {
  readonly #logger: Logger
  readonly #waiting = new Map<string, Repair>()
  readonly #running = new Map<Repair, Promise<void>>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** Whether there are any: saves the common case a turn. */
  get areWaiting(): boolean {
    return this.#waiting.size > 0
  }

  /** Takes a failed change back now, or keeps it for later. Never rejects. */
  async undo(paths: readonly string[], repair: Repair): Promise<void> {
    try {
      await repair.run()
    } catch (error) {
      for (const path of paths) this.#waiting.set(path, repair)
      this.#logger.error(
        { err: error, paths },
        "could not take back a failed change; the next call will try again",
      )
    }
  }

  /** @throws whatever a repair throws that concerns `path`, or anything under it. */
  async mend(path: string, forReading = false): Promise<void> {
    if (this.#waiting.size === 0) return
    for (const [broken, repair] of [...this.#waiting]) {
      if (!isAtOrUnder(path, broken) && !isAtOrUnder(broken, path)) continue
      if (!forReading || repair.visibleBytes === undefined) await this.#run(repair)
    }
  }

  /** How many bytes of the file readers may see; `undefined` when all. */
  visibleBytes(path: string): number | undefined {
    return this.#waiting.get(path)?.visibleBytes
  }

  #run(repair: Repair): Promise<void> {
    const running = this.#running.get(repair) ?? this.#once(repair)
    this.#running.set(repair, running)
    return running
  }

  async #once(repair: Repair): Promise<void> {
    try {
      await repair.run()
      for (const [path, waiting] of this.#waiting) if (waiting === repair) this.#waiting.delete(path)
    } finally {
      this.#running.delete(repair)
    }
  }
}
