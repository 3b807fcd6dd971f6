import { setImmediate as endOfTurn } from "node:timers/promises"
import { InvalidInputError, TamperedError } from "../../core/errors.ts"
import type { Logger } from "../../core/logger.ts"
import { equalBytes } from "../../core/bytes.ts"
import type { KnowledgeStore } from "../../store/contract.ts"
import type { LogExtent } from "../extent.ts"
import type { LogFiles } from "../log-files.ts"
import type { IndexOptions } from "../types.ts"
import { readBlocks } from "../read.ts"
import { Block, sectionCount } from "./block.ts"
import { BlockBuilder, CHUNKS, rowsOf } from "./build.ts"
import { SectionCache } from "./cache.ts"
import { Fields } from "./fields.ts"
import { bindBlock, DamagedBlock, sampleOf } from "./file.ts"

export const INDEX_FOLDER = "/audit/index"

/** Of a full block. A row's number fits two bytes, and a block's columns the processor's cache. */
export const BLOCK_RECORDS = 65_536

/** In bytes, of sections in memory: the columns of ten million records, but not their texts' and offsets' too. */
const CACHE_BYTES = 64 * 1024 * 1024

interface LogIndexOptions {
  readonly fields: Fields
  readonly blockRecords: number
  /** The process that writes the log makes the index, others read it; off: neither. */
  readonly mode: "write" | "read" | "off"
}

/** Where an index lies, and what it is of. */
interface Place {
  readonly store: KnowledgeStore
  readonly files: LogFiles
  readonly extent: LogExtent
  readonly logger: Logger
}

/** Does no I/O. @throws InvalidInputError for options that are none. */
export function makeIndex(place: Place, options: IndexOptions | false = {}, readOnly: boolean): LogIndex {
  if (options === false)
    return new LogIndex(place, { fields: new Fields(), blockRecords: BLOCK_RECORDS, mode: "off" })
  const { blockRecords = BLOCK_RECORDS } = options
  if (!Number.isInteger(blockRecords) || blockRecords < 1 || blockRecords > BLOCK_RECORDS) {
    throw new InvalidInputError(
      `blockRecords must be a whole number from 1 to ${BLOCK_RECORDS}, not ${blockRecords}`,
    )
  }
  const fields = new Fields(options.fields)
  return new LogIndex(place, { fields, blockRecords, mode: readOnly ? "read" : "write" })
}

/** A part of the log, and the block that knows its rows; without one it has to be read. */
export interface Piece {
  readonly block: Block | undefined
  readonly from: number
  readonly to: number
}

/**
 * The columns of every full block of the log, in files of their own beside it.
 *
 * Derived, all of it: a block that is missing, damaged, or of other lines is read from the log instead, and the process
 * that writes the log makes it again in the background. Nothing here is on the path of an append.
 */
export class LogIndex {
  readonly #place: Place
  readonly #options: LogIndexOptions
  readonly #cache = new SectionCache(CACHE_BYTES)
  /** By number of the block. Owned by `#blockAt` and `drop`. */
  readonly #blocks = new Map<number, Promise<Block | undefined>>()
  /** Blocks whose building failed: their lines are no records, or the store refuses. Tried again by the next process. */
  readonly #hopeless = new Set<number>()
  /** Work in the background, one piece after another. Never rejects. */
  #working: Promise<void> | undefined
  /** Full blocks below this have been looked at by the background. */
  #checked = 0
  #closed = false
  /** Builds under way stop when it aborts. */
  readonly #abort = new AbortController()

  constructor(place: Place, options: LogIndexOptions) {
    this.#place = place
    this.#options = options
  }

  get fields(): Fields {
    return this.#options.fields
  }

  /** The log `[from, to)` in pieces, in either order. */
  async *pieces(from: number, to: number, order: "asc" | "desc"): AsyncGenerator<Piece, void, undefined> {
    const { blockRecords } = this.#options
    for (let at = order === "asc" ? from : to; order === "asc" ? at < to : at > from;) {
      const number = Math.floor((order === "asc" ? at : at - 1) / blockRecords)
      const block = await this.#blockAt(number)
      const start = Math.max(from, number * blockRecords)
      const end = Math.min(to, (number + 1) * blockRecords)
      yield order === "asc" ? { block, from: at, to: end } : { block, from: start, to: at }
      at = order === "asc" ? end : start
    }
  }

  /** A block was found to be damaged: from now on its records are read, until it is made again. */
  drop(block: Block, error: DamagedBlock): void {
    const number = this.#numberOf(block)
    this.#place.logger.warn(
      { err: error, path: pathOf(block.header.firstIndex) },
      "a block of the index is damaged",
    )
    this.#forget(number)
    this.#checkFrom(number)
  }

  /** The log has grown. Cheap: called for every batch. */
  grown(): void {
    if (
      this.#working === undefined &&
      (this.#checked + 1) * this.#options.blockRecords <= this.#place.extent.size
    ) {
      this.#checkFrom(this.#checked)
    }
  }

  /** The log is open: checks in the background what is there, and makes what is missing. */
  start(): void {
    this.#checkFrom(0)
  }

  /** Resolves once every full block that can be is indexed. */
  async indexed(): Promise<void> {
    while (this.#working !== undefined) await this.#working
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#abort.abort()
    await this.indexed()
  }

  #numberOf(block: Block): number {
    return Math.floor(block.header.firstIndex / this.#options.blockRecords)
  }

  #forget(number: number): void {
    this.#blocks.delete(number)
    this.#cache.forget(keyOf(number))
  }

  #blockAt(number: number): Promise<Block | undefined> {
    const { blockRecords, mode } = this.#options
    if (mode === "off" || (number + 1) * blockRecords > this.#place.extent.size)
      return Promise.resolve(undefined)
    const known = this.#blocks.get(number)
    if (known !== undefined) return known
    const loading = this.#load(number).catch((error: unknown) => {
      if (!(error instanceof DamagedBlock)) throw error
      const path = pathOf(number * blockRecords)
      this.#place.logger.warn({ err: error, path }, "a block of the index cannot be used")
      this.#checkFrom(number)
      return undefined
    })
    this.#blocks.set(number, loading)
    // A missing block may be there the next time: another process makes it, or this one.
    loading.then(
      (block) => block === undefined && this.#blocks.delete(number),
      () => this.#blocks.delete(number),
    )
    return loading
  }

  /** @throws DamagedBlock */
  async #load(number: number): Promise<Block | undefined> {
    const { blockRecords, fields } = this.#options
    const path = pathOf(number * blockRecords)
    const size = await this.#place.store.size(path)
    if (size === 0) return undefined
    const bytes = {
      size,
      read: (start: number, end: number) => this.#place.store.readRange(path, start, end),
    }
    const block = await Block.open(bytes, fields, this.#cache, keyOf(number))
    const { firstIndex, count, start, end, sample } = block.header
    if (firstIndex !== number * blockRecords || count !== blockRecords) {
      throw new DamagedBlock("it is of other records")
    }
    if (end > this.#place.extent.bytes || !equalBytes(await this.#sample(start, end), sample)) {
      throw new DamagedBlock("it is of another log")
    }
    return block
  }

  #sample(start: number, end: number): Promise<Uint8Array> {
    return sampleOf((from, to) => this.#place.files.read(from, to), start, end)
  }

  /** Looks in the background at every full block from `number` on. */
  #checkFrom(number: number): void {
    this.#checked = Math.min(this.#checked, number)
    if (this.#options.mode !== "write" || this.#working !== undefined || this.#closed) return
    this.#working = this.#work().finally(() => {
      this.#working = undefined
      if (!this.#closed) this.grown()
    })
  }

  async #work(): Promise<void> {
    const { blockRecords } = this.#options
    // Not within the call that has just made a batch durable.
    await endOfTurn()
    while (!this.#closed && (this.#checked + 1) * blockRecords <= this.#place.extent.size) {
      const number = this.#checked++
      try {
        await this.#ensure(number)
      } catch (error) {
        if (this.#closed) return
        this.#hopeless.add(number)
        this.#place.logger.warn(
          { err: error, path: pathOf(number * blockRecords) },
          "a block of the log could not be indexed",
        )
      }
      await endOfTurn()
    }
  }

  /** Checks a block, every byte of it, and makes it if it is not there or not right. */
  async #ensure(number: number): Promise<void> {
    try {
      const block = await this.#load(number)
      await block?.check()
      if (block !== undefined) return
    } catch (error) {
      if (!(error instanceof DamagedBlock)) throw error
      const path = pathOf(number * this.#options.blockRecords)
      this.#place.logger.warn({ err: error, path }, "a block of the index is made again")
    }
    if (this.#hopeless.has(number)) return
    const file = await this.#build(number)
    await this.#place.store.write(pathOf(number * this.#options.blockRecords), file)
    this.#forget(number)
  }

  async #build(number: number): Promise<Uint8Array> {
    const { blockRecords, fields } = this.#options
    const from = number * blockRecords
    const to = from + blockRecords
    let builder: BlockBuilder | undefined
    const range = { from, to, signal: this.#abort.signal }
    for await (const block of readBlocks(this.#place.files, this.#place.extent, range)) {
      const lines = linesWithin(block.bytes, block.firstIndex, from, to)
      if (lines.bytes.length > 0) {
        builder ??= new BlockBuilder(fields, chunkRows(blockRecords), from, block.offset + lines.skipped)
        builder.add(rowsOf(lines.bytes, fields), lines.bytes)
      }
      await endOfTurn()
    }
    if (builder?.count !== blockRecords) throw new TamperedError("the log is shorter than it was", from, 0)
    const file = builder.encode()
    const start = builder.start
    bindBlock(file, sectionCount(fields), await this.#sample(start, builder.end))
    return file
  }
}

function chunkRows(blockRecords: number): number {
  return Math.max(4, Math.ceil(blockRecords / CHUNKS))
}

/** Of whole lines, those of the records `[from, to)`. */
function linesWithin(
  bytes: Buffer,
  firstIndex: number,
  from: number,
  to: number,
): { readonly bytes: Buffer; readonly skipped: number } {
  let at = 0
  let index = firstIndex
  const pass = (until: number): void => {
    for (; index < until && at < bytes.length; index++) at = bytes.indexOf("\n", at) + 1
  }
  pass(from)
  const skipped = at
  pass(to)
  return { bytes: bytes.subarray(skipped, at), skipped }
}

function pathOf(firstIndex: number): string {
  return `${INDEX_FOLDER}/${String(firstIndex).padStart(12, "0")}`
}

function keyOf(number: number): string {
  return `${number}:`
}
