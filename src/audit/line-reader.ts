import { TamperedError } from "../core/errors.ts"
import type { LogFiles } from "./log-files.ts"

const NEWLINE = 0x0a

/**
 * Whole lines of a log, a piece at a time, in two buffers that take turns: one is filled while the other is looked at. A
 * new buffer for every read would cost more than the read.
 */
export class LineReader {
  readonly #files: LogFiles
  readonly #turns: readonly [Turn, Turn] = [new Turn(), new Turn()]
  #next: 0 | 1 = 0

  constructor(files: LogFiles) {
    this.#files = files
  }

  /**
   * The lines from `offset` on, at least one, whose bytes are about as many as asked for: after one byte that means
   * nothing, and may be written to as all of it may. What the call before the last gave is overwritten.
   *
   * @param end where the log ends, or lines that nobody wants begin
   * @param index of the line at `offset`, for an error
   * @throws TamperedError when the log has no whole line there
   */
  read(offset: number, end: number, about: number, index: number): Promise<Buffer> {
    const turn = this.#turns[this.#next]
    this.#next = this.#next === 0 ? 1 : 0
    const reading = turn.after(() => this.#fill(turn, offset, end, about, index))
    // Awaited in its turn, or never; until then its failure is nobody's.
    reading.catch(() => {})
    return reading
  }

  async #fill(turn: Turn, offset: number, end: number, about: number, index: number): Promise<Buffer> {
    for (let size = about; ; size *= 2) {
      const length = Math.min(size, end - offset)
      const buffer = turn.buffer(length + 1)
      const got = await this.#files.readInto(offset, buffer.subarray(1, length + 1))
      const whole = buffer.subarray(1, got + 1).lastIndexOf(NEWLINE) + 1
      if (whole > 0) return buffer.subarray(0, whole + 1)
      if (got < size) {
        throw new TamperedError(
          `the log ends at byte ${offset + got}, within a line; it had ${end} bytes`,
          index,
          offset,
        )
      }
    }
  }
}

/** One of the buffers. */
class Turn {
  #buffer = Buffer.alloc(0)
  /** What fills it; never rejects. */
  #filling: Promise<unknown> = Promise.resolve()

  /** A buffer is not handed out while an earlier read, that nobody waits for any more, still fills it. */
  after(fill: () => Promise<Buffer>): Promise<Buffer> {
    const filling = this.#filling.then(fill)
    this.#filling = filling.catch(() => {})
    return filling
  }

  buffer(length: number): Buffer {
    if (this.#buffer.length < length) this.#buffer = Buffer.allocUnsafeSlow(length)
    return this.#buffer
  }
}
