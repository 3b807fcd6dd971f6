import { InvalidInputError } from "../core/errors.ts"
import type { LogExtent } from "./extent.ts"
import type { LogFiles } from "./log-files.ts"

/** In records: 2^20 of about 250 bytes make a file of a quarter of a gigabyte. */
export const DEFAULT_ROTATE: number = 2 ** 20

export interface RotationOptions {
  /** In records; `false`: never. */
  readonly every: number | false
  /** A segment is sealed. Nobody waits for it. */
  readonly onSealed: () => void
  /** What failed and harms nothing. */
  readonly onError: (error: unknown, what: string) => void
}

/**
 * Decides when the active file is sealed: between batches, once it holds as many records as it may. So a segment can
 * have more, by the rest of its last batch; its name says where it begins, and the next one's where it ends.
 *
 * A rotation that fails makes the batch fail that waits for it. Going on with the old file would be kinder, but after a
 * failure nobody knows whether the move has happened.
 */
export class Rotation {
  readonly #files: LogFiles
  readonly #extent: LogExtent
  readonly #options: RotationOptions

  /** @throws InvalidInputError for a number of records that is none. */
  constructor(files: LogFiles, extent: LogExtent, options: RotationOptions) {
    const { every } = options
    if (every !== false && !(Number.isSafeInteger(every) && every > 0)) {
      throw new InvalidInputError(
        `rotate must be a whole number of records from 1, or false, not ${String(every)}`,
      )
    }
    this.#files = files
    this.#extent = extent
    this.#options = options
  }

  /** Seals the active file if it is full. `undefined` when it is not, which costs nothing. */
  ifDue(): Promise<void> | undefined {
    const { every } = this.#options
    const { activeFirst } = this.#files
    if (every === false || activeFirst === undefined || this.#extent.size - activeFirst < every)
      return undefined
    return this.#rotate(activeFirst)
  }

  /** Guards the newest segment, in case a crash came between its move and that. */
  async guardNewest(): Promise<void> {
    const newest = this.#files.segments.at(-1)
    if (newest !== undefined && newest.frames === undefined) await this.#guard(newest.firstIndex)
  }

  async #rotate(first: number): Promise<void> {
    await this.#files.rotate(this.#extent.size, this.#extent.bytes)
    await this.#guard(first)
    this.#options.onSealed()
  }

  async #guard(firstIndex: number): Promise<void> {
    try {
      await this.#files.guard(firstIndex)
    } catch (error) {
      this.#options.onError(error, "a sealed segment could not be made read-only")
    }
  }
}
