/** Shares of the log's bytes, read from its files and cut into lines: a share has the lines that start in it. */
import { closeSync, openSync, readSync } from "node:fs"
import { MAX_VERIFIED_LINE_BYTES } from "../core/verify-source.ts"
import type { FilePart } from "./scan-work.ts"
import type { Lines } from "./stretch.ts"

const NEWLINE = 0x0a
/**
 * What is read lies so far into its buffer. Buffers begin a little behind a page's start and shares of a file at one, and
 * a copy between two such places takes three times as long: the processor takes each load for one of the last stores.
 */
const ASIDE_BYTES = 2 * 1024
/** Read at a time to get to the end of a share's last line. */
const MORE_BYTES = 4 * 1024

/** In a buffer that the next cut uses again. */
export type CutLines = Omit<Lines, "firstIndex"> & { readonly tornBytes: number }

/** The lines that start in a share. */
export class ShareCutter implements Disposable {
  readonly #reader: PartReader
  readonly #end: number
  #bytes = Buffer.alloc(0)
  #ends = new Int32Array(1 << 14)

  /** @param end where the log ended when the scan began. */
  constructor(parts: readonly FilePart[], end: number) {
    this.#reader = new PartReader(parts)
    this.#end = end
  }

  [Symbol.dispose](): void {
    this.#reader[Symbol.dispose]()
  }

  /** @returns `undefined` for lines longer than any record, and when the file is shorter than it was. */
  cut(from: number, to: number, isFirst: boolean): CutLines | undefined {
    // One byte before tells whether a line starts at `from`; where the log starts, one is.
    const first = isFirst ? from : from - 1
    const spare = isFirst ? 1 : 0
    let length = spare
    const fill = (until: number): boolean => {
      const wanted = until - first + spare
      if (wanted > this.#bytes.length) {
        const larger = Buffer.alloc(ASIDE_BYTES + wanted + MORE_BYTES).subarray(ASIDE_BYTES)
        this.#bytes.copy(larger, 0, 0, length)
        this.#bytes = larger
      }
      const isRead = this.#reader.read(first - spare + length, this.#bytes.subarray(length, wanted))
      length = wanted
      return isRead
    }
    if (!fill(to)) return undefined
    const start = isFirst ? 0 : this.#bytes.subarray(0, length).indexOf(NEWLINE)
    const nothing = { bytes: this.#bytes, ends: this.#ends, count: 0, offset: to, tornBytes: 0 }
    if (start === -1) return nothing
    let count = this.#cutLines(start, length)
    if (count === undefined) return undefined
    const offsetOf = (position: number): number => first - spare + position
    // The last line that starts here may end behind it.
    let tornBytes = 0
    let last = this.#ends[count] ?? 0
    if (offsetOf(last) + 1 < to) {
      for (let searched = length; ; searched = length) {
        const until = Math.min(this.#end, offsetOf(length) + MORE_BYTES)
        if (until === offsetOf(length)) {
          tornBytes = length - last - 1
          break
        }
        if (!fill(until)) return undefined
        const end = this.#bytes.subarray(0, length).indexOf(NEWLINE, searched)
        if ((end === -1 ? length : end) - last > MAX_VERIFIED_LINE_BYTES) return undefined
        if (end === -1) continue
        last = end
        this.#addEnd(++count, end)
        break
      }
    }
    return { bytes: this.#bytes, ends: this.#ends, count, offset: offsetOf(start) + 1, tornBytes }
  }

  /** All newlines from `start` on. @returns how many lines they end. */
  #cutLines(start: number, length: number): number | undefined {
    const bytes = this.#bytes.subarray(0, length)
    let count = 0
    let before = start
    this.#addEnd(0, start)
    for (let end = bytes.indexOf(NEWLINE, start + 1); end !== -1; end = bytes.indexOf(NEWLINE, end + 1)) {
      if (end - before > MAX_VERIFIED_LINE_BYTES) return undefined
      before = end
      this.#addEnd(++count, end)
    }
    return count
  }

  #addEnd(n: number, position: number): void {
    if (n >= this.#ends.length) {
      const larger = new Int32Array(this.#ends.length * 2)
      larger.set(this.#ends)
      this.#ends = larger
    }
    this.#ends[n] = position
  }
}

/** Reads the log's bytes from its files. */
class PartReader implements Disposable {
  readonly #parts: readonly FilePart[]
  #open: { readonly part: FilePart; readonly fd: number } | undefined

  constructor(parts: readonly FilePart[]) {
    this.#parts = parts
  }

  [Symbol.dispose](): void {
    if (this.#open !== undefined) closeSync(this.#open.fd)
    this.#open = undefined
  }

  /** Fills `to` with the bytes from `offset` on. @returns whether there were so many. */
  read(offset: number, to: Buffer): boolean {
    for (let done = 0; done < to.length;) {
      const at = offset + done
      const part = this.#parts.find(({ start, end }) => at >= start && at < end)
      if (part === undefined) return false
      const length = Math.min(to.length - done, part.end - at)
      const bytes = readSync(this.#fdOf(part), to, done, length, at - part.start)
      if (bytes === 0) return false
      done += bytes
    }
    return true
  }

  #fdOf(part: FilePart): number {
    if (part.fd !== undefined) return part.fd
    if (this.#open?.part !== part) {
      if (this.#open !== undefined) closeSync(this.#open.fd)
      this.#open = { part, fd: openSync(part.path, "r") }
    }
    return this.#open.fd
  }
}
