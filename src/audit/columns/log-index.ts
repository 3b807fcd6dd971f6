import { equalBytes } from "../../core/bytes.ts"
import { InvalidInputError } from "../../core/errors.ts"
import type { Logger } from "../../core/logger.ts"
import type { Clock, Timers } from "../../core/system.ts"
import type { KnowledgeStore } from "../../store/contract.ts"
import type { LogExtent } from "../extent.ts"
import type { LogFiles } from "../log-files.ts"
import type { IndexOptions } from "../types.ts"
import { Block } from "./block.ts"
import { SectionCache } from "./cache.ts"
import { Fields } from "./fields.ts"
import { DamagedBlock, sampleOf } from "./file.ts"
import { IndexMaker } from "./maker.ts"
import { pathOf } from "./paths.ts"

/** Of a full block. A row's number fits two bytes, and a block's columns the processor's cache. */
export const BLOCK_RECORDS = 65_536

/** In bytes, of sections in memory. */
const CACHE_BYTES = 40 * 1024 * 1024

/** Where an index lies, and what it is of. */
export interface Place {
  readonly store: KnowledgeStore
  readonly files: LogFiles
  readonly extent: LogExtent
  readonly logger: Logger
  readonly clock: Clock
  readonly timers: Timers
}

/** A part of the log, and the block that knows its rows; without one it has to be read. */
export interface Piece {
  readonly block: Block | undefined
  readonly from: number
  readonly to: number
}

/** Does no I/O. @throws InvalidInputError for options that are none. */
export function makeIndex(place: Place, options: IndexOptions | false = {}, readOnly: boolean): LogIndex {
  if (options === false) return new LogIndex(place, new Fields(), BLOCK_RECORDS, "off")
  const { blockRecords = BLOCK_RECORDS } = options
  if (!Number.isInteger(blockRecords) || blockRecords < 1 || blockRecords > BLOCK_RECORDS) {
    throw new InvalidInputError(
      `blockRecords must be a whole number from 1 to ${BLOCK_RECORDS}, not ${blockRecords}`,
    )
  }
  return new LogIndex(place, new Fields(options.fields), blockRecords, readOnly ? "read" : "write")
}

/**
 * The columns of every full block of the log, in files of their own beside it; and, in the process that writes the log,
 * of what came since, in memory.
 *
 * Derived, all of it: a block that is missing, damaged, or of other lines is read from the log instead, and the process
 * that writes the log makes it again in the background.
 */
export class LogIndex {
  readonly fields: Fields
  readonly #place: Place
  readonly #blockRecords: number
  /** The process that writes the log makes the index, others read it; off: neither. */
  readonly #mode: "write" | "read" | "off"
  readonly #cache = new SectionCache(CACHE_BYTES)
  readonly #maker: IndexMaker | undefined
  /** By number of the block. Owned by `#blockAt` and `#forget`. */
  readonly #blocks = new Map<number, Promise<Block | undefined>>()
  /** Small blocks, by the number of the block that they will be part of, in order and without gaps. */
  readonly #small = new Map<number, Block[]>()

  constructor(place: Place, fields: Fields, blockRecords: number, mode: "write" | "read" | "off") {
    this.fields = fields
    this.#place = place
    this.#blockRecords = blockRecords
    this.#mode = mode
    if (mode !== "write") return
    this.#maker = new IndexMaker(place, fields, blockRecords, {
      load: (number) => this.#load(number),
      made: (number) => this.#forget(number),
      begin: (number) => this.#forget(number),
      addSmall: (number, file) => this.#addSmall(number, file),
    })
  }

  /** The log `[from, to)` in pieces, in either order. */
  async *pieces(from: number, to: number, order: "asc" | "desc"): AsyncGenerator<Piece, void, undefined> {
    const size = this.#blockRecords
    for (let at = order === "asc" ? from : to; order === "asc" ? at < to : at > from;) {
      const number = Math.floor((order === "asc" ? at : at - 1) / size)
      const start = Math.max(from, number * size)
      const end = Math.min(to, (number + 1) * size)
      const block = await this.#blockAt(number)
      const pieces =
        block === undefined ? this.#smallPieces(number, start, end) : [{ block, from: start, to: end }]
      yield* order === "asc" ? pieces : pieces.reverse()
      at = order === "asc" ? end : start
    }
  }

  /** A block was found to be damaged: from now on its records are read, until it is made again. */
  drop(block: Block, error: DamagedBlock): void {
    const { firstIndex } = block.header
    const number = Math.floor(firstIndex / this.#blockRecords)
    this.#place.logger.warn({ err: error, path: pathOf(firstIndex) }, "a block of the index is damaged")
    this.#forget(number)
    this.#maker?.check(number)
  }

  /** The log has grown. Cheap: called for every batch. */
  grown(): void {
    this.#maker?.grown()
  }

  /** The log is open: checks in the background what is there, and makes what is missing. */
  start(): void {
    this.#maker?.check(0)
  }

  /** Resolves once every full block that can be is indexed. */
  async indexed(): Promise<void> {
    await this.#maker?.idle()
  }

  async close(): Promise<void> {
    await this.#maker?.close()
  }

  #smallPieces(number: number, from: number, to: number): Piece[] {
    const pieces: Piece[] = []
    let at = from
    for (const block of this.#small.get(number) ?? []) {
      const { firstIndex, count } = block.header
      const end = Math.min(to, firstIndex + count)
      if (end > at) pieces.push({ block, from: at, to: end })
      at = Math.max(at, end)
    }
    if (at < to) pieces.push({ block: undefined, from: at, to })
    return pieces
  }

  #forget(number: number): void {
    this.#blocks.delete(number)
    this.#cache.forget(keyOf(number))
    for (const { header } of this.#small.get(number) ?? []) this.#cache.forget(smallKeyOf(header.firstIndex))
    this.#small.delete(number)
  }

  async #addSmall(number: number, file: Uint8Array): Promise<void> {
    const bytes = { size: file.length, read: async (start: number, end: number) => file.slice(start, end) }
    const { header } = await Block.open(bytes, this.fields, this.#cache, "")
    const block = await Block.open(bytes, this.fields, this.#cache, smallKeyOf(header.firstIndex))
    this.#small.set(number, [...(this.#small.get(number) ?? []), block])
  }

  #blockAt(number: number): Promise<Block | undefined> {
    const { extent, logger } = this.#place
    const isFull = (number + 1) * this.#blockRecords <= extent.size
    if (this.#mode === "off" || !isFull) return Promise.resolve(undefined)
    const known = this.#blocks.get(number)
    if (known !== undefined) return known
    const loading = this.#load(number).catch((error: unknown) => {
      if (!(error instanceof DamagedBlock)) throw error
      logger.warn(
        { err: error, path: pathOf(number * this.#blockRecords) },
        "a block of the index cannot be used",
      )
      this.#maker?.check(number)
      return undefined
    })
    this.#blocks.set(number, loading)
    // A missing block may be there the next time: another process makes it, or this one.
    const forget = (): void => {
      if (this.#blocks.get(number) === loading) this.#blocks.delete(number)
    }
    loading.then((block) => block ?? forget(), forget)
    return loading
  }

  /** @throws DamagedBlock */
  async #load(number: number): Promise<Block | undefined> {
    const { store, files, extent } = this.#place
    const path = pathOf(number * this.#blockRecords)
    const size = await store.size(path)
    if (size === 0) return undefined
    const bytes = { size, read: (start: number, end: number) => store.readRange(path, start, end) }
    const block = await Block.open(bytes, this.fields, this.#cache, keyOf(number))
    const { firstIndex, count, start, end, sample } = block.header
    if (firstIndex !== number * this.#blockRecords || count !== this.#blockRecords) {
      throw new DamagedBlock("it is of other records")
    }
    const read = (from: number, to: number): Promise<Uint8Array> => files.read(from, to)
    if (end > extent.bytes || !equalBytes(await sampleOf(read, start, end), sample)) {
      throw new DamagedBlock("it is of another log")
    }
    return block
  }
}

function keyOf(number: number): string {
  return `${number}:`
}

function smallKeyOf(firstIndex: number): string {
  return `small ${firstIndex}:`
}
