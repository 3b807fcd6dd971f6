import { MAX_BATCH_BYTES } from "./recover.ts"

/** The first buffer; it grows by doubling as far as a batch may. */
const FIRST_BYTES = 64 * 1024

/** So many lines are turned into bytes together: a call for each costs as much as its copying. */
const TOGETHER = 8

/**
 * Where lines wait for the disk, as bytes.
 *
 * A line comes as a rope of some dozen strings. Turned into bytes soon, the pieces die young; kept until the batch
 * is written, they are copied by every collection on the way (a fifth of all time, at 4,096 callers).
 */
export class Staging {
  #buffer: Buffer = Buffer.allocUnsafe(FIRST_BYTES)
  /** In bytes: of all that waits, as bytes or as text. */
  #used = 0
  /** The newest of it, in printable ASCII; not yet in the buffer. */
  #text = ""
  /** In lines, of `#text`. */
  #lines = 0

  get bytes(): number {
    return this.#used
  }

  /** Whether a line of `bytes` fits into the same batch. An empty batch takes any. */
  hasRoomFor(bytes: number): boolean {
    return this.#used === 0 || this.#used + bytes <= MAX_BATCH_BYTES
  }

  /** @param bytes of the line in UTF-8, with its newline */
  add(line: string, bytes: number): void {
    if (bytes === line.length + 1) {
      this.#text += line
      this.#text += "\n"
      this.#used += bytes
      if (++this.#lines === TOGETHER) this.#write()
      return
    }
    this.#write()
    this.#makeRoom(this.#used + bytes)
    this.#buffer.write(line, this.#used, "utf8")
    this.#used += bytes
    this.#buffer[this.#used - 1] = 0x0a
  }

  /** A copy of what waits; the staging is empty afterwards. */
  take(): Buffer {
    this.#write()
    const bytes = Buffer.allocUnsafe(this.#used)
    this.#buffer.copy(bytes, 0, 0, this.#used)
    this.#used = 0
    return bytes
  }

  #write(): void {
    if (this.#lines === 0) return
    this.#makeRoom(this.#used)
    this.#buffer.write(this.#text, this.#used - this.#text.length, "latin1")
    this.#text = ""
    this.#lines = 0
  }

  #makeRoom(wanted: number): void {
    if (wanted <= this.#buffer.length) return
    let length = this.#buffer.length
    while (length < wanted) length *= 2
    const larger = Buffer.allocUnsafe(length)
    this.#buffer.copy(larger, 0, 0, this.#used)
    this.#buffer = larger
  }
}
