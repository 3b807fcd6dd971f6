import { isAscii, isUtf8 } from "node:buffer"
import { TamperedError } from "../core/errors.ts"
import { parseJoinedLines } from "../core/line.ts"
import { checkedEntryOf, ParsedEntry } from "./entry.ts"
import type { LogExtent } from "./extent.ts"
import { Flattened } from "./flattened.ts"
import type { LogFiles } from "./log-files.ts"
import type { LogEntry } from "./types.ts"

/** Bytes per read. One read of a block costs about what one of a line costs. */
const BLOCK_BYTES = 256 * 1024
const NEWLINE = 0x0a

export interface ReadRange {
  /** First index, inclusive. */
  readonly from: number
  /** Last index, exclusive; at most the extent's size when the reading starts. */
  readonly to: number
  readonly signal?: AbortSignal | undefined
}

/**
 * The entries `[from, to)`, oldest first, in constant memory: two blocks and one line. An entry that is kept keeps the
 * {@link SLICE_BYTES} of text alive that its line is a part of, until its `line` is asked for.
 *
 * @throws TamperedError at the first line that is not a record, after everything before it was yielded.
 * @throws the signal's reason when it aborts.
 */
export function readEntries(
  files: LogFiles,
  extent: LogExtent,
  range: ReadRange,
): AsyncGenerator<LogEntry, void, undefined> {
  return new Flattened(readBatches(files, extent, range))
}

/** The same, some hundred at a time: what each costs of itself is then most of what it costs. */
export async function* readBatches(
  files: LogFiles,
  extent: LogExtent,
  range: ReadRange,
): AsyncGenerator<readonly LogEntry[], void, undefined> {
  for await (const block of readBlocks(files, extent, range)) {
    for (const batch of batchesOf(block, range.from, range.to)) yield batch
  }
}

/** The same, newest first. Memory: the stretch between two notes of the extent. */
export async function* readEntriesBackwards(
  files: LogFiles,
  extent: LogExtent,
  range: ReadRange,
): AsyncGenerator<LogEntry, void, undefined> {
  let to = Math.min(range.to, extent.size)
  while (to > range.from) {
    const from = Math.max(range.from, extent.floor(to - 1).index)
    const stretch: LogEntry[] = []
    for await (const batch of readBatches(files, extent, { from, to, signal: range.signal })) {
      stretch.push(...batch)
    }
    for (let i = stretch.length - 1; i >= 0; i--) {
      const entry = stretch[i]
      if (entry !== undefined) yield entry
    }
    to = from
  }
}

/** Whole lines, as they lie in the log. */
export interface LineBlock {
  readonly firstIndex: number
  readonly offset: number
  /** Ends with a newline. */
  readonly bytes: Buffer
}

/** Blocks of whole lines that cover `[from, to)`; the first may start before `from` and the last end after `to`. */
export async function* readBlocks(
  files: LogFiles,
  extent: LogExtent,
  range: ReadRange,
): AsyncGenerator<LineBlock, void, undefined> {
  const to = Math.min(range.to, extent.size)
  if (range.from >= to) return
  const end = extent.bytes
  const start = extent.floor(range.from)
  let index = start.index
  let offset = start.offset
  let rest: Buffer = Buffer.alloc(0)
  const readAt = (from: number): Promise<Uint8Array> => {
    const reading = files.read(from, Math.min(from + BLOCK_BYTES, end))
    // Awaited in its turn, or never; until then its failure is nobody's.
    reading.catch(() => {})
    return reading
  }
  let next = readAt(offset)
  while (index < to && offset + rest.length < end) {
    range.signal?.throwIfAborted()
    const read = view(await next)
    if (read.length === 0) {
      throw new TamperedError(
        `the log ends at byte ${offset + rest.length}; it had ${end} bytes and ${extent.size} records`,
        index,
        offset,
      )
    }
    // The disk, or the thread that asks it, works while these lines are looked at.
    const ahead = offset + rest.length + read.length
    if (ahead < end) next = readAt(ahead)
    const bytes = rest.length === 0 ? read : Buffer.concat([rest, read])
    const lines = bytes.subarray(0, bytes.lastIndexOf(NEWLINE) + 1)
    if (lines.length > 0) {
      const firstIndex = index
      const firstOffset = offset
      index += countLines(lines)
      offset += lines.length
      yield { firstIndex, offset: firstOffset, bytes: lines }
    }
    rest = bytes.subarray(lines.length)
  }
}

/** How much is parsed at a time, in bytes: enough that a call costs nothing, little enough to stay in the cache. */
const SLICE_BYTES = 64 * 1024

/**
 * The entries of a block that lie in `[from, to)`, parsed.
 *
 * @throws TamperedError at a line that is no record, after what comes before it was yielded.
 */
export function* batchesOf(
  block: LineBlock,
  from: number,
  to: number,
): Generator<readonly LogEntry[], void, undefined> {
  const { bytes } = block
  let index = block.firstIndex
  let start = 0
  for (; index < from && start < bytes.length; index++) start = bytes.indexOf(NEWLINE, start) + 1
  while (start < bytes.length && index < to) {
    const ends: number[] = []
    let end = start
    while (end < bytes.length && index + ends.length < to && end - start < SLICE_BYTES) {
      const newline = bytes.indexOf(NEWLINE, end)
      ends.push(newline - start + 1)
      end = newline + 1
    }
    const slice = bytes.subarray(start, end)
    const offset = block.offset + start
    const entries = parsedTogether(slice, ends, index, offset)
    if (entries !== undefined) yield entries
    else yield* parsedOneByOne(slice, index, offset)
    index += ends.length
    start = end
  }
}

/** `undefined` when that is not certain to be right. */
function parsedTogether(
  lines: Buffer,
  ends: readonly number[],
  firstIndex: number,
  offset: number,
): LogEntry[] | undefined {
  // Our own lines are ASCII: a character is a byte.
  if (!isAscii(lines)) return undefined
  const joined = Buffer.allocUnsafe(lines.length + 1)
  joined[0] = 0x5b
  lines.copy(joined, 1)
  for (const end of ends) joined[end] = 0x2c
  joined[lines.length] = 0x5d
  const text = joined.toString("latin1")
  const records = parseJoinedLines(text, ends)
  if (records === undefined) return undefined
  let start = 1
  return records.map((record, i) => {
    const end = ends[i] ?? start
    const entry = new ParsedEntry(firstIndex + i, offset + start - 1, record, text, start, end)
    start = end + 1
    return entry
  })
}

/** In two parts when there is a bad line: what comes before it, and its error. */
function* parsedOneByOne(
  lines: Buffer,
  firstIndex: number,
  offset: number,
): Generator<readonly LogEntry[], void, undefined> {
  const entries: LogEntry[] = []
  // Lines that were imported verbatim may be UTF-8, and damaged ones neither.
  const whole = isUtf8(lines)
  for (let start = 0; start < lines.length;) {
    const newline = lines.indexOf(NEWLINE, start)
    const line = lines.subarray(start, newline)
    const index = firstIndex + entries.length
    try {
      if (!whole && !isUtf8(line)) {
        throw new TamperedError(
          `record ${index}, at byte ${offset + start}, is not UTF-8`,
          index,
          offset + start,
        )
      }
      entries.push(checkedEntryOf(index, offset + start, line.toString("utf8")))
    } catch (error) {
      if (entries.length > 0) yield entries
      throw error
    }
    start = newline + 1
  }
  yield entries
}

export function countLines(bytes: Buffer): number {
  let count = 0
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) count++
  return count
}

/** The same bytes as a Buffer, not a copy. */
export function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
