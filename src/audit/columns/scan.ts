import { setImmediate as endOfTurn } from "node:timers/promises"
import type { LogExtent } from "../extent.ts"
import type { LogFiles } from "../log-files.ts"
import { TamperedError } from "../../core/errors.ts"
import { LineReader } from "../line-reader.ts"
import { checkedEntry, countLines } from "../read.ts"
import type { LogEntry } from "../types.ts"
import { linesWith } from "./needles.ts"
import type { Needles } from "./needles.ts"

/** Bytes of the first read, about: a page of a common kind needs no more. Each read is twice the one before. */
const FIRST_READ_BYTES = 256 * 1024
const READ_BYTES = 1024 * 1024
const NEWLINE = 0x0a

export interface ScanRange {
  /** First index, inclusive. */
  readonly from: number
  /** Last index, exclusive; at most the extent's size. */
  readonly to: number
  readonly order: "asc" | "desc"
  readonly signal: AbortSignal | undefined
}

/** Looks for lines among the raw bytes of a log. One for each search, which keeps its buffers from one range to the next. */
export class Scanner {
  readonly #extent: LogExtent
  readonly #reader: LineReader
  #readBytes = FIRST_READ_BYTES

  constructor(files: LogFiles, extent: LogExtent) {
    this.#extent = extent
    this.#reader = new LineReader(files)
  }

  /**
   * The entries `[from, to)` whose lines hold a needle, by looking at the raw bytes; some at a time, in either order.
   *
   * Only lines with a needle become text. That makes it as fast as `grep`, and blind to damage in all other lines.
   *
   * @param work is told how many records were passed over
   * @throws TamperedError at a line with a needle that is not a record; the signal's reason
   */
  async *scan(
    range: ScanRange,
    needles: Needles,
    work: { scanned: number },
  ): AsyncGenerator<LogEntry[], void, undefined> {
    if (range.order === "asc") {
      yield* this.#forwards(range, needles, work)
      return
    }
    let to = range.to
    while (to > range.from) {
      const from = Math.max(range.from, this.#extent.floor(to - 1).index)
      const stretch: LogEntry[] = []
      for await (const entries of this.#forwards({ ...range, from, to }, needles, work)) {
        stretch.push(...entries)
      }
      yield stretch.reverse()
      to = from
    }
  }

  async *#forwards(
    { from, to, signal }: ScanRange,
    needles: Needles,
    work: { scanned: number },
  ): AsyncGenerator<LogEntry[], void, undefined> {
    if (from >= to) return
    const extent = this.#extent
    const end = to === extent.size ? { index: to, offset: extent.bytes } : extent.ceiling(to)
    let piece = this.#pieceFrom(extent.floor(from), end)
    let reading = this.#read(piece)
    for (;;) {
      signal?.throwIfAborted()
      const lines = (await reading).subarray(1)
      const { start, next } = piece
      if (lines.length !== next.offset - start.offset) {
        throw new TamperedError(`no line starts at byte ${next.offset}`, start.index, next.offset)
      }
      const isLast = next.offset >= end.offset
      // The next piece is read while this one is searched, if its read, some promises away from the system, is on its way before.
      if (!isLast) {
        reading = this.#read((piece = this.#pieceFrom(next, end)))
        await endOfTurn()
      }
      const entries: LogEntry[] = []
      /** A place that is known: this many records lie before this byte. */
      let known = start
      for (const [at, stop] of needles === undefined ? allLines(lines) : linesWith(lines, needles)) {
        const offset = start.offset + at
        const noted = extent.floorOfOffset(offset)
        if (noted.offset > known.offset) known = noted
        const passed = countLines(lines.subarray(known.offset - start.offset, at))
        known = { index: known.index + passed, offset }
        if (known.index < from) continue
        if (known.index >= to) break
        entries.push(checkedEntry(lines.subarray(at, stop), known.index, offset))
      }
      work.scanned += Math.min(to, next.index) - Math.max(from, start.index)
      if (entries.length > 0) yield entries
      if (isLast) return
    }
  }

  /** Between places that are known: no line need be counted that holds no needle. */
  #pieceFrom(start: LinePlace, end: LinePlace): Piece {
    const noted = this.#extent.floorOfOffset(start.offset + this.#readBytes)
    const next = noted.offset > start.offset ? noted : this.#extent.ceiling(start.index + 1)
    this.#readBytes = Math.min(2 * this.#readBytes, READ_BYTES)
    return { start, next: next.offset < end.offset ? next : end }
  }

  #read({ start, next }: Piece): Promise<Buffer> {
    return this.#reader.read(start.offset, next.offset, next.offset - start.offset, start.index)
  }
}

/** Where a line starts. */
interface LinePlace {
  readonly index: number
  readonly offset: number
}

interface Piece {
  readonly start: LinePlace
  readonly next: LinePlace
}

function* allLines(lines: Buffer): Generator<[number, number]> {
  for (let start = 0; start < lines.length;) {
    const end = lines.indexOf(NEWLINE, start)
    yield [start, end]
    start = end + 1
  }
}
