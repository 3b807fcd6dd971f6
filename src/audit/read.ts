import { isUtf8 } from "node:buffer"
import { TamperedError } from "../core/errors.ts"
import { checkedEntryOf } from "./entry.ts"
import type { LogExtent } from "./extent.ts"
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
 * The entries `[from, to)`, oldest first, in constant memory: one block and one line.
 *
 * @throws TamperedError at the first line that is not a record, after everything before it was yielded.
 * @throws the signal's reason when it aborts.
 */
export async function* readEntries(
  files: LogFiles,
  extent: LogExtent,
  range: ReadRange,
): AsyncGenerator<LogEntry, void, undefined> {
  for await (const block of readBlocks(files, extent, range)) {
    for (const entry of entriesOf(block, range.from, range.to)) yield entry
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
    for await (const entry of readEntries(files, extent, { from, to, signal: range.signal }))
      stretch.push(entry)
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
  while (index < to && offset + rest.length < end) {
    range.signal?.throwIfAborted()
    const from = offset + rest.length
    const read = view(await files.read(from, Math.min(from + BLOCK_BYTES, end)))
    if (read.length === 0) {
      throw new TamperedError(
        `the log ends at byte ${from}; it had ${end} bytes and ${extent.size} records`,
        index,
        offset,
      )
    }
    const bytes = rest.length === 0 ? read : Buffer.concat([rest, read])
    const lines = bytes.subarray(0, bytes.lastIndexOf(NEWLINE) + 1)
    if (lines.length > 0) {
      yield { firstIndex: index, offset, bytes: lines }
      index += countLines(lines)
      offset += lines.length
    }
    rest = bytes.subarray(lines.length)
  }
}

/** The parsed entries of a block that lie in `[from, to)`. */
export function* entriesOf(block: LineBlock, from: number, to: number): Generator<LogEntry, void, undefined> {
  let { firstIndex: index, offset } = block
  let position = 0
  const { bytes } = block
  // Our own lines are ASCII; lines that were imported verbatim may be UTF-8, and damaged ones neither.
  const whole = isUtf8(bytes)
  while (position < bytes.length && index < to) {
    const newline = bytes.indexOf(NEWLINE, position)
    if (index >= from) {
      const line = bytes.subarray(position, newline)
      if (!whole && !isUtf8(line)) {
        throw new TamperedError(`record ${index}, at byte ${offset}, is not UTF-8`, index, offset)
      }
      yield checkedEntryOf(index, offset, line.toString("utf8"))
    }
    offset += newline + 1 - position
    position = newline + 1
    index++
  }
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
