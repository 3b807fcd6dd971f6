import { MAX_BATCH_BYTES } from "./recover.ts"

/** The first buffer; it grows by doubling as far as a batch may. */
const FIRST_BYTES = 64 * 1024

/**
 * Where lines wait for the disk, as bytes.
 *
 * A line comes as a rope of some dozen strings. Turned into bytes at once, the pieces die young; kept until the batch
 * is written, they are copied by every collection on the way (a fifth of all time, at 4,096 callers).
 */
export class Staging {
  #buffer: Buffer = Buffer.allocUnsafe(FIRST_BYTES)
  #used = 0

  get bytes(): number {
    return this.#used
  }

  /** Whether a line of `bytes` fits into the same batch. An empty batch takes any. */
  hasRoomFor(bytes: number): boolean {
    return this.#used === 0 || this.#used + bytes <= MAX_BATCH_BYTES
  }

  /** @param bytes of the line in UTF-8, with its newline */
  add(line: string, bytes: number): void {
    const end = this.#used + bytes
    if (end > this.#buffer.length) this.#grow(end)
    if (bytes === line.length + 1) this.#buffer.write(line, this.#used, "latin1")
    else this.#buffer.write(line, this.#used, "utf8")
    this.#buffer[end - 1] = 0x0a
    this.#used = end
  }

  /** A copy of what waits; the staging is empty afterwards. */
  take(): Buffer {
    const bytes = Buffer.allocUnsafe(this.#used)
    this.#buffer.copy(bytes, 0, 0, this.#used)
    this.#used = 0
    return bytes
  }

  #grow(wanted: number): void {
    let length = this.#buffer.length
    while (length < wanted) length *= 2
    const larger = Buffer.allocUnsafe(length)
    this.#buffer.copy(larger, 0, 0, this.#used)
    this.#buffer = larger
  }
}
