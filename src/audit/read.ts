import { isAscii, isUtf8 } from "node:buffer"
import { TamperedError } from "../core/errors.ts"
import { parseJoinedLines } from "../core/line.ts"
import { checkedEntryOf, ParsedEntry } from "./entry.ts"
import type { LogExtent } from "./extent.ts"
import { Flattened } from "./flattened.ts"
import { LineReader } from "./line-reader.ts"
import type { LogFiles } from "./log-files.ts"
import type { AuditRecord, LogEntry } from "./types.ts"

/** Bytes per read. One read of a block costs about what one of a line costs. */
const BLOCK_BYTES = 512 * 1024
const NEWLINE = 0x0a
const COMMA = 0x2c
const OPEN = 0x5b
const CLOSE = 0x5d

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
  for await (const batch of readParsed(files, extent, range)) yield batch.entries()
}

/** Every record that is there when the reading starts. In memory, all of them. */
export async function readRecords(files: LogFiles, extent: LogExtent): Promise<AuditRecord[]> {
  const records: AuditRecord[] = []
  for await (const batch of readParsed(files, extent, { from: 0, to: extent.size })) {
    for (const record of batch.records) records.push(record)
  }
  return records
}

async function* readParsed(
  files: LogFiles,
  extent: LogExtent,
  range: ReadRange,
): AsyncGenerator<ParsedBatch, void, undefined> {
  for await (const block of readBlocks(files, extent, range)) {
    for (const batch of batchesOf(block, range.from, range.to)) yield batch
  }
}

/** Whole lines, as they lie in the log. Good until the next block is asked for: its buffer is used again. */
export interface LineBlock {
  readonly firstIndex: number
  readonly offset: number
  /** Ends with a newline. */
  readonly bytes: Buffer
  /** The same and one byte before them, which means nothing and may be written to. */
  readonly framed: Buffer
  /** Where each line ends in `bytes`. */
  readonly ends: readonly number[]
}

/** Blocks of whole lines that cover `[from, to)`; the first may start before `from` and the last end after `to`. */
export async function* readBlocks(
  files: LogFiles,
  extent: LogExtent,
  range: ReadRange,
): AsyncGenerator<LineBlock, void, undefined> {
  const to = Math.min(range.to, extent.size)
  if (range.from >= to) return
  const end = to === extent.size ? extent.bytes : extent.ceiling(to).offset
  let { index, offset } = extent.floor(range.from)
  const reader = new LineReader(files)
  let reading = reader.read(offset, end, BLOCK_BYTES, index)
  while (index < to && offset < end) {
    range.signal?.throwIfAborted()
    const block = blockOf(await reading, index, offset)
    index += block.ends.length
    offset += block.bytes.length
    // The disk, or the thread that asks it, works while these lines are looked at.
    if (index < to && offset < end) reading = reader.read(offset, end, BLOCK_BYTES, index)
    yield block
  }
}

function blockOf(framed: Buffer, firstIndex: number, offset: number): LineBlock {
  const bytes = framed.subarray(1)
  const ends: number[] = []
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) ends.push(at)
  return { firstIndex, offset, bytes, framed, ends }
}

/** How much is parsed at a time, in bytes: enough that a call costs nothing, little enough to stay in the cache. */
const SLICE_BYTES = 64 * 1024

/** Records that follow one another, parsed. */
interface ParsedBatch {
  readonly records: readonly AuditRecord[]
  entries(): readonly LogEntry[]
}

/**
 * The records of a block that lie in `[from, to)`, parsed.
 *
 * @throws TamperedError at a line that is no record, after what comes before it was yielded.
 */
function* batchesOf(block: LineBlock, from: number, to: number): Generator<ParsedBatch, void, undefined> {
  const { firstIndex, ends } = block
  const last = Math.min(ends.length, to - firstIndex)
  for (let n = Math.max(0, from - firstIndex); n < last;) {
    const start = startOf(ends, n)
    let next = n + 1
    while (next < last && startOf(ends, next) - start < SLICE_BYTES) next++
    const together = parsedTogether(block, n, next)
    if (together !== undefined) yield together
    else yield* parsedOneByOne(block, n, next)
    n = next
  }
}

/** Where line `n` starts. */
function startOf(ends: readonly number[], n: number): number {
  return n === 0 ? 0 : (ends[n - 1] ?? 0) + 1
}

/** Lines `[first, last)` of the block; `undefined` when that is not certain to be right. */
function parsedTogether(block: LineBlock, first: number, last: number): ParsedBatch | undefined {
  const { framed, ends } = block
  const start = startOf(ends, first)
  const end = startOf(ends, last)
  // With the byte before the first line, which is that line's bracket for a while. Our own lines are ASCII: a character is a byte.
  const slice = framed.subarray(start, end + 1)
  if (!isAscii(slice.subarray(1))) return undefined
  const within = new Array<number>(last - first)
  slice[0] = OPEN
  for (let n = first; n < last; n++) {
    const at = (ends[n] ?? 0) - start + 1
    within[n - first] = at
    slice[at] = COMMA
  }
  slice[end - start] = CLOSE
  const text = slice.toString("latin1")
  const records = parseJoinedLines(text, within)
  // The newlines are gone; where they were is in `ends`.
  if (records === undefined) return undefined
  return new JoinedBatch(records, text, within, block.firstIndex + first, block.offset + start)
}

/** Lines that were parsed as one text. */
class JoinedBatch implements ParsedBatch {
  readonly records: readonly AuditRecord[]
  readonly #text: string
  readonly #ends: readonly number[]
  readonly #firstIndex: number
  readonly #offset: number

  /** @param ends where each line ends in `text`, whose first line starts at 1 and lies at `offset` in the log */
  constructor(
    records: readonly AuditRecord[],
    text: string,
    ends: readonly number[],
    firstIndex: number,
    offset: number,
  ) {
    this.records = records
    this.#text = text
    this.#ends = ends
    this.#firstIndex = firstIndex
    this.#offset = offset
  }

  entries(): readonly LogEntry[] {
    const { records } = this
    const [text, ends, index, offset] = [this.#text, this.#ends, this.#firstIndex, this.#offset - 1]
    const entries = new Array<LogEntry>(records.length)
    for (let n = 0, start = 1; n < records.length; n++) {
      const end = ends[n] ?? start
      entries[n] = new ParsedEntry(index + n, offset + start, records[n] ?? {}, text, start, end)
      start = end + 1
    }
    return entries
  }
}

/** In two parts when there is a bad line: what comes before it, and its error. */
function* parsedOneByOne(
  { bytes, ends, firstIndex, offset }: LineBlock,
  first: number,
  last: number,
): Generator<ParsedBatch, void, undefined> {
  const entries: LogEntry[] = []
  const batch = { entries: () => entries, records: [] as AuditRecord[] }
  for (let n = first; n < last; n++) {
    const start = startOf(ends, n)
    try {
      const entry = checkedEntry(bytes.subarray(start, ends[n]), firstIndex + n, offset + start)
      entries.push(entry)
      batch.records.push(entry.record)
    } catch (error) {
      if (entries.length > 0) yield batch
      throw error
    }
  }
  yield batch
}

/**
 * The entry of a line. Those that were imported verbatim may be UTF-8, and damaged ones neither.
 *
 * @throws TamperedError when the bytes are not a record's line.
 */
export function checkedEntry(line: Buffer, index: number, offset: number): LogEntry {
  if (!isUtf8(line)) {
    throw new TamperedError(`record ${index}, at byte ${offset}, is not UTF-8`, index, offset)
  }
  return checkedEntryOf(index, offset, line.toString("utf8"))
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
