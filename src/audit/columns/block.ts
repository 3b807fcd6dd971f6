import { mayHold } from "./bloom.ts"
import type { SectionCache } from "./cache.ts"
import { cellsBytes, cellsOf } from "./cells.ts"
import type { Cells } from "./cells.ts"
import { float64s, hashText, uint16s, uint32s, unzigzag, VarintReader } from "./coding.ts"
import type { Codes } from "./coding.ts"
import { parseCodes, parseDictionary } from "./column.ts"
import type { Dictionary } from "./column.ts"
import type { Fields } from "./fields.ts"
import { checkSection, DamagedBlock, headerBytes, parseHeader } from "./file.ts"
import type { BlockHeader } from "./file.ts"
import { mayContain } from "./grams.ts"

/** The order of a file's sections. Each column has two. */
const RANGES = 0
const BLOOM = 1
const GRAMS = 2
const LENGTHS = 3
const TIMES = 4
const COLUMNS = 5

/** In bytes: holds the header, the time ranges and the Bloom filter of most blocks. */
const FIRST_READ_BYTES = 32 * 1024

export function sectionCount(fields: Fields): number {
  return COLUMNS + 2 * fields.count
}

/** Where a block's file lies. */
export interface BlockBytes {
  readonly size: number
  read(start: number, end: number): Promise<Uint8Array>
}

/**
 * One block of the index, open for reading. Its header, its times' ranges and its Bloom filter stay in memory; all else
 * is read when it is asked for, checked against its checksum, and kept by the cache.
 *
 * Every method that reads @throws DamagedBlock for bytes that are not those that were written.
 */
export class Block {
  readonly header: BlockHeader
  /** Of each chunk the least and the greatest time; infinite when it must be looked into. */
  readonly ranges: Float64Array
  /** Every record has a time. */
  readonly isTimed: boolean
  readonly #bloom: Uint8Array
  readonly #bytes: BlockBytes
  readonly #cache: SectionCache
  readonly #key: string

  private constructor(
    header: BlockHeader,
    ranges: Float64Array,
    bloom: Uint8Array,
    bytes: BlockBytes,
    cache: SectionCache,
    key: string,
  ) {
    this.header = header
    this.ranges = ranges
    this.isTimed = ranges.every(Number.isFinite)
    this.#bloom = bloom
    this.#bytes = bytes
    this.#cache = cache
    this.#key = key
  }

  /** @param key names the block in the cache, and no other */
  static async open(bytes: BlockBytes, fields: Fields, cache: SectionCache, key: string): Promise<Block> {
    const sections = sectionCount(fields)
    const first = await bytes.read(0, Math.max(FIRST_READ_BYTES, headerBytes(sections)))
    const header = parseHeader(first, bytes.size, fields, sections)
    const section = async (n: number): Promise<Uint8Array> => {
      const at = header.sections[n]
      if (at === undefined) throw new Error("bug: there is no such section")
      const end = at.start + at.bytes
      const content = end <= first.length ? first.slice(at.start, end) : await bytes.read(at.start, end)
      checkSection(content, at)
      return content
    }
    return new Block(header, float64s(await section(RANGES)), await section(BLOOM), bytes, cache, key)
  }

  get count(): number {
    return this.header.count
  }

  get chunks(): number {
    return Math.ceil(this.header.count / this.header.chunkRows)
  }

  /** False: no row holds `text` in this column. */
  mayHold(column: number, text: string): boolean {
    return mayHold(this.#bloom, hashText(text, column))
  }

  /** False: no line contains any of the texts. */
  async mayContain(texts: readonly string[]): Promise<boolean> {
    const grams = await this.#section(GRAMS, (bytes) => bytes)
    return texts.some((text) => mayContain(grams, text))
  }

  dictionary(column: number): Promise<Dictionary> {
    return this.#section(COLUMNS + 2 * column, parseDictionary)
  }

  async codes(column: number): Promise<Codes> {
    const dictionary = await this.dictionary(column)
    const { count } = this.header
    return await this.#section(
      COLUMNS + 2 * column + 1,
      (bytes) => parseCodes(bytes, count, dictionary),
      count,
    )
  }

  /** What occurs together in these columns, of which the rows' own codes are not kept; `undefined` when one keeps no texts. */
  async cells(columns: readonly number[]): Promise<Cells | undefined> {
    const dictionaries = await Promise.all(columns.map((column) => this.dictionary(column)))
    if (dictionaries.some(({ texts }) => texts === undefined)) return undefined
    return await this.#cache.get(`${this.#key}cells ${columns.join(" ")}`, async () => {
      const coded = columns.map(async (column, i) => {
        const dictionary = dictionaries[i] ?? (await this.dictionary(column))
        const bytes = await this.#read(COLUMNS + 2 * column + 1)
        return { column, dictionary, codes: parseCodes(bytes, this.count, dictionary) }
      })
      const value = cellsOf(await Promise.all(coded), this.count)
      return { value, bytes: cellsBytes(value) }
    })
  }

  /** The times of a chunk's rows; NaN for none. */
  async times(chunk: number): Promise<Float64Array> {
    const packed = await this.#section(TIMES, (bytes) => bytes)
    const { count, chunkRows } = this.header
    const rows = Math.min(chunkRows, count - chunk * chunkRows)
    const starts = uint32s(packed.subarray(0, this.chunks * 4))
    const reader = new VarintReader(packed, this.chunks * 4 + (starts[chunk] ?? 0))
    const times = new Float64Array(rows)
    let last = 0
    for (let row = 0; row < rows; row++) {
      const step = reader.next()
      if (step === 0) times[row] = NaN
      else times[row] = last += unzigzag(step - 1)
    }
    return times
  }

  async offsets(): Promise<Offsets> {
    const { count, start } = this.header
    const lengths = (bytes: Uint8Array): Uint16Array =>
      uint16s(bytes.slice(this.chunks * 4)).subarray(0, count)
    return await this.#section(LENGTHS, (bytes) => new Offsets(lengths(bytes), start))
  }

  /** Reads every section. @throws DamagedBlock */
  async check(): Promise<void> {
    for (const section of this.header.sections) {
      checkSection(await this.#bytes.read(section.start, section.start + section.bytes), section)
    }
  }

  /** @param size what the parsed section takes in memory, if it is not the bytes themselves */
  #section<T>(n: number, parse: (bytes: Uint8Array) => T, size = 0): Promise<T> {
    return this.#cache.get(`${this.#key}${n}`, async () => {
      const bytes = await this.#read(n)
      try {
        return { value: parse(bytes), bytes: Math.max(bytes.length, size) + 200 }
      } catch (cause) {
        throw cause instanceof DamagedBlock ? cause : new DamagedBlock("a section cannot be read", { cause })
      }
    })
  }

  async #read(n: number): Promise<Uint8Array> {
    const section = this.header.sections[n]
    if (section === undefined) throw new Error("bug: there is no such section")
    const bytes = await this.#bytes.read(section.start, section.start + section.bytes)
    checkSection(bytes, section)
    return bytes
  }
}

/** Where each line of a block lies. */
export class Offsets {
  readonly #lengths: Uint16Array
  /** Of every {@link STEP_ROWS}th row, from the block's first line. */
  readonly #steps: Uint32Array
  readonly #start: number

  constructor(lengths: Uint16Array, start: number) {
    this.#lengths = lengths
    this.#start = start
    this.#steps = new Uint32Array(Math.ceil(lengths.length / STEP_ROWS))
    let offset = 0
    for (let row = 0; row < lengths.length; row++) {
      if (row % STEP_ROWS === 0) this.#steps[row / STEP_ROWS] = offset
      offset += (lengths[row] ?? 0) + 1
    }
  }

  /** Without the newline. */
  length(row: number): number {
    return this.#lengths[row] ?? 0
  }

  /** Logical offsets of rows. Costs {@link STEP_ROWS} at most for each. */
  of(rows: Uint32Array): Float64Array {
    const offsets = new Float64Array(rows.length)
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i] ?? 0
      const step = Math.floor(row / STEP_ROWS)
      let offset = this.#steps[step] ?? 0
      for (let at = step * STEP_ROWS; at < row; at++) offset += (this.#lengths[at] ?? 0) + 1
      offsets[i] = this.#start + offset
    }
    return offsets
  }
}

/** Rows from one offset that is kept to the next. */
const STEP_ROWS = 32
