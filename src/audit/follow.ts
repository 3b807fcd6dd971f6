import { TamperedError } from "../core/errors.ts"
import type { LogExtent } from "./extent.ts"
import type { LogFiles } from "./log-files.ts"
import { measure } from "./recover.ts"

/**
 * Keeps the extent of a log that another process writes up to date.
 *
 * It sees whole lines as soon as they are in the file; whether they are durable only the writer knows.
 */
export class Follower implements AsyncDisposable {
  readonly #files: LogFiles
  readonly #extent: LogExtent
  readonly #onError: (error: unknown) => void
  #subscription: AsyncDisposable | undefined
  /** Looks happen one after another. */
  #looking: Promise<void> = Promise.resolve()

  constructor(files: LogFiles, extent: LogExtent, onError: (error: unknown) => void) {
    this.#files = files
    this.#extent = extent
    this.#onError = onError
  }

  /**
   * Looks how far the log reaches now.
   *
   * @throws TamperedError when whole lines have disappeared.
   */
  look(): Promise<void> {
    const looked = this.#looking.then(async () => {
      const bytes = await this.#files.size()
      if (bytes < this.#extent.bytes) {
        throw new TamperedError(
          `the log was ${this.#extent.bytes} bytes long and is now ${bytes}`,
          this.#extent.size,
          this.#extent.bytes,
        )
      }
      if (bytes > this.#extent.bytes) await measure(this.#files, this.#extent)
    })
    this.#looking = looked.catch(() => {})
    return looked
  }

  /** From now on, looks whenever the store says that the log has changed. */
  async start(): Promise<void> {
    if (this.#subscription !== undefined) return
    this.#subscription = await this.#files.onChange(() => {
      this.look().catch(this.#onError)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#subscription?.[Symbol.asyncDispose]()
    await this.#looking
  }
}
