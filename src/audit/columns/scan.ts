import { TamperedError } from "../../core/errors.ts"
import type { LogExtent } from "../extent.ts"
import type { LogFiles } from "../log-files.ts"
import { checkedEntry, countLines, view } from "../read.ts"
import type { LogEntry } from "../types.ts"
import { linesWith } from "./needles.ts"
import type { Needles } from "./needles.ts"

/** Bytes of the first read: a page of a common kind needs no more. Each read is twice the one before. */
const FIRST_READ_BYTES = 64 * 1024
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

/**
 * The entries `[from, to)` whose lines hold a needle, by looking at the raw bytes; some at a time, in either order.
 *
 * Only lines with a needle become text. That makes it as fast as `grep`, and blind to damage in all other lines.
 *
 * @param work is told how many records were passed over
 * @throws TamperedError at a line with a needle that is not a record; the signal's reason
 */
export async function* scan(
  files: LogFiles,
  extent: LogExtent,
  range: ScanRange,
  needles: Needles,
  work: { scanned: number },
): AsyncGenerator<LogEntry[], void, undefined> {
  if (range.order === "asc") {
    yield* scanForwards(files, extent, range, needles, work)
    return
  }
  let to = range.to
  while (to > range.from) {
    const from = Math.max(range.from, extent.floor(to - 1).index)
    const stretch: LogEntry[] = []
    for await (const entries of scanForwards(files, extent, { ...range, from, to }, needles, work)) {
      stretch.push(...entries)
    }
    yield stretch.reverse()
    to = from
  }
}

async function* scanForwards(
  files: LogFiles,
  extent: LogExtent,
  { from, to, signal }: ScanRange,
  needles: Needles,
  work: { scanned: number },
): AsyncGenerator<LogEntry[], void, undefined> {
  if (from >= to) return
  const end = to === extent.size ? extent.bytes : extent.ceiling(to).offset
  /** A place that is known: this many records lie before this byte. */
  let known = extent.floor(from)
  let offset = known.offset
  let size = FIRST_READ_BYTES
  let reading = wholeLines(files, offset, end, known.index, size)
  while (offset < end) {
    signal?.throwIfAborted()
    const lines = await reading
    const base = offset
    const first = Math.max(from, known.index)
    offset += lines.length
    // The next piece is read while this one is searched.
    if (offset < end) {
      size = Math.min(2 * size, READ_BYTES)
      reading = wholeLines(files, offset, end, known.index, size)
      reading.catch(() => {})
    }
    const entries: LogEntry[] = []
    /** Moves what is known to the line at `position`. */
    const indexAt = (position: number): number => {
      const noted = extent.floorOfOffset(base + position)
      if (noted.offset > known.offset && noted.offset >= base) known = noted
      const passed = countLines(lines.subarray(known.offset - base, position))
      known = { index: known.index + passed, offset: base + position }
      return known.index
    }
    for (const [start, stop] of needles === undefined ? allLines(lines) : linesWith(lines, needles)) {
      const index = indexAt(start)
      if (index < from) continue
      if (index >= to) break
      entries.push(checkedEntry(lines.subarray(start, stop), index, base + start))
    }
    const next = indexAt(lines.length)
    work.scanned += Math.max(0, Math.min(to, next) - first)
    if (entries.length > 0) yield entries
    if (next >= to) return
  }
}

/** Lines from `offset` on, at least one, with the last newline. */
async function wholeLines(
  files: LogFiles,
  offset: number,
  end: number,
  index: number,
  about: number,
): Promise<Buffer> {
  for (let size = about; ; size *= 2) {
    const bytes = view(await files.read(offset, Math.min(end, offset + size)))
    const whole = bytes.lastIndexOf(NEWLINE) + 1
    if (whole > 0) return bytes.subarray(0, whole)
    if (bytes.length < size) {
      throw new TamperedError(
        `the log ends at byte ${offset + bytes.length}; it had ${end} bytes`,
        index,
        offset,
      )
    }
  }
}

function* allLines(lines: Buffer): Generator<[number, number]> {
  for (let start = 0; start < lines.length;) {
    const end = lines.indexOf(NEWLINE, start)
    yield [start, end]
    start = end + 1
  }
}
