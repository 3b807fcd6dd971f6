import { isUtf8 } from "node:buffer"
import { parseLine } from "../../core/line.ts"
import { makeBloom } from "./bloom.ts"
import { bytesOf, textOf, VarintWriter, zigzag } from "./coding.ts"
import { ColumnBuilder } from "./column.ts"
import { timeOf } from "../time.ts"
import type { Fields, Value } from "./fields.ts"
import { formatBlock } from "./file.ts"
import { GramFilter } from "./grams.ts"

/** A line is never longer, in our logs; a block with one that is cannot be indexed. */
const MAX_LENGTH = 65_535

/** Of a full block: rows that share a time range. */
export const CHUNKS = 64

/** What the index wants to know of one record. */
export interface Row {
  /** Of the line, without its newline. */
  readonly bytes: number
  readonly time: number | undefined
  readonly values: readonly Value[]
}

/**
 * The rows of whole lines, by parsing them: what a filter would see is what is indexed.
 *
 * @throws InvalidInputError for a line that is no record: the block is not indexed, and who reads it hears of it.
 */
export function rowsOf(lines: Buffer, fields: Fields): Row[] {
  if (!isUtf8(lines)) throw new Error("the lines are not UTF-8")
  const text = textOf(lines)
  const ascii = text.length === lines.length
  const rows: Row[] = []
  for (let start = 0; start < text.length;) {
    const end = text.indexOf("\n", start)
    const line = text.slice(start, end)
    const record = parseLine(line)
    const bytes = ascii ? line.length : Buffer.byteLength(line)
    rows.push({ bytes, time: timeOf(record), values: fields.valuesOf(record) })
    start = end + 1
  }
  return rows
}

/**
 * Makes the file of one block of the index from its rows and lines, added in order. Pure: no clock, no store.
 *
 * Memory: some 20 bytes a row, and the block's texts.
 */
export class BlockBuilder {
  readonly #fields: Fields
  readonly #chunkRows: number
  readonly firstIndex: number
  /** Logical: where the first line starts. */
  readonly start: number
  readonly #columns: readonly ColumnBuilder[]
  readonly #grams: GramFilter
  readonly #lengths: number[] = []
  readonly #anchors: number[] = []
  readonly #times: (number | undefined)[] = []
  #end: number

  constructor(fields: Fields, chunkRows: number, firstIndex: number, start: number) {
    this.#fields = fields
    this.#chunkRows = chunkRows
    this.firstIndex = firstIndex
    this.start = start
    this.#end = start
    this.#grams = new GramFilter(chunkRows * CHUNKS)
    this.#columns = Array.from({ length: fields.count }, (_, column) => new ColumnBuilder(column))
  }

  get count(): number {
    return this.#lengths.length
  }

  /** Logical: where the next line starts. */
  get end(): number {
    return this.#end
  }

  /**
   * @param rows those of `lines`, which are whole
   * @param trigrams of these lines, where another builder has them already
   */
  add(rows: readonly Row[], lines: Uint8Array, trigrams?: GramFilter): void {
    if (trigrams === undefined || !this.#grams.take(trigrams)) this.#grams.add(lines)
    const columns = this.#columns
    for (const { bytes, time, values } of rows) {
      if (bytes > MAX_LENGTH) throw new Error(`a line of ${bytes} bytes cannot be indexed`)
      if (this.#lengths.length % this.#chunkRows === 0) this.#anchors.push(this.#end - this.start)
      this.#lengths.push(bytes)
      this.#end += bytes + 1
      this.#times.push(time)
      for (let i = 0; i < columns.length; i++) columns[i]?.add(values[i])
    }
  }

  get trigrams(): GramFilter {
    return this.#grams
  }

  /** The file, not yet bound to its lines. */
  encode(): Uint8Array {
    const { ranges, packed, ...extremes } = encodeTimes(this.#times, this.#chunkRows)
    const hashes = this.#columns.flatMap((column) => column.hashes())
    const lengths = [bytesOf(Uint32Array.from(this.#anchors)), bytesOf(Uint16Array.from(this.#lengths))]
    const sections = [
      bytesOf(ranges),
      makeBloom(hashes),
      this.#grams.bits,
      Buffer.concat(lengths),
      packed,
      ...this.#columns.flatMap((column) => column.encode()),
    ]
    const facts = {
      firstIndex: this.firstIndex,
      count: this.count,
      start: this.start,
      end: this.#end,
      chunkRows: this.#chunkRows,
      ...extremes,
    }
    return formatBlock(facts, this.#fields, sections)
  }
}

interface EncodedTimes {
  /** Of each chunk the least and the greatest; infinite when one of its records has none, so that it is looked into. */
  readonly ranges: Float64Array
  /** Where each chunk begins, then the chunks: 0 for no time, else 1 + the zigzag difference to the time before. */
  readonly packed: Uint8Array
  readonly minTime: number
  readonly maxTime: number
  readonly minRow: number
  readonly maxRow: number
}

function encodeTimes(times: readonly (number | undefined)[], chunkRows: number): EncodedTimes {
  const chunks = Math.ceil(times.length / chunkRows)
  const ranges = new Float64Array(chunks * 2)
  const starts = new Uint32Array(chunks)
  const writer = new VarintWriter()
  let [minTime, maxTime, minRow, maxRow] = [NaN, NaN, 0, 0]
  for (let chunk = 0; chunk < chunks; chunk++) {
    starts[chunk] = writer.length
    let [low, high, missing, last] = [Infinity, -Infinity, false, 0]
    for (let row = chunk * chunkRows; row < Math.min(times.length, (chunk + 1) * chunkRows); row++) {
      const time = times[row]
      if (time === undefined) {
        missing = true
        writer.add(0)
        continue
      }
      if (Math.abs(time - last) > MAX_STEP) throw new Error("the times are too far apart to be indexed")
      writer.add(1 + zigzag(time - last))
      last = time
      low = Math.min(low, time)
      high = Math.max(high, time)
      if (!(time >= minTime)) [minTime, minRow] = [time, row]
      if (!(time <= maxTime)) [maxTime, maxRow] = [time, row]
    }
    ranges[chunk * 2] = missing ? -Infinity : low
    ranges[chunk * 2 + 1] = missing ? Infinity : high
  }
  const packed = Buffer.concat([bytesOf(starts), writer.take()])
  return { ranges, packed, minTime, maxTime, minRow, maxRow }
}

/** So that a difference, doubled, is a safe integer. */
const MAX_STEP = 2 ** 51
