import { setImmediate as endOfTurn } from "node:timers/promises"
import { TamperedError } from "../../core/errors.ts"
import { view } from "../read.ts"
import { sectionCount } from "./block.ts"
import type { Block } from "./block.ts"
import { bindBlock, DamagedBlock, sampleOf } from "./file.ts"
import type { Fields } from "./fields.ts"
import type { Place } from "./log-index.ts"
import { pathOf } from "./paths.ts"
import { LocalMaker, LostThread, openMaker } from "./thread.ts"
import type { BlockMaker } from "./thread.ts"

/** In bytes, that are handed over at a time. */
const PIECE_BYTES = 1024 * 1024
/** Blocks of fewer records are made in this thread: another one would cost more than it saves. */
const THREAD_MIN_RECORDS = 8192
/** Of a block: so many records at least share a small block, while their block is not full. */
const SMALL_SHARE = 1 / 32
/**
 * While records come faster than they are indexed, the index takes a tenth of a core and no more: appends come first,
 * and what is not indexed yet is searched as it lies.
 */
const PAUSE_SHARE = 9
const NEWLINE = 0x0a

/** The index as its maker sees it. */
export interface MadeIndex {
  /** Opens a block's file. `undefined` when there is none. @throws DamagedBlock */
  load(number: number): Promise<Block | undefined>
  /** There is a new file. */
  made(number: number): void
  /** From now on small blocks of this block are told from its beginning. */
  begin(number: number): void
  /** A small block, of the records that follow those of the one before. */
  addSmall(number: number, file: Uint8Array): Promise<void>
}

/**
 * Makes the index in the background: checks the blocks that are there, makes those that are missing or damaged, and
 * keeps small blocks in memory for the records whose block is not full yet.
 *
 * For the path of an append it costs a comparison a batch. Everything else happens between other events: bytes are read
 * back from the store (from the page cache, that is), and a thread does the work.
 */
export class IndexMaker {
  readonly #place: Place
  readonly #fields: Fields
  readonly #blockRecords: number
  readonly #index: MadeIndex
  #maker: BlockMaker | undefined
  /** The block that is being made. Owned by `#work`. */
  #session: { readonly number: number; next: number; end: number } | undefined
  /** Blocks that cannot be made: their lines are no records, or the store refuses. The next process tries again. */
  readonly #hopeless = new Set<number>()
  /** Every block below is there, or hopeless. */
  #checked = 0
  /** Work that is under way. Never rejects. */
  #working: Promise<void> | undefined
  #closed = false
  /** How many wait for the work to be done: then it is not slowed down. */
  #waiting = 0
  /** Ends a pause. */
  #hurry: (() => void) | undefined

  constructor(place: Place, fields: Fields, blockRecords: number, index: MadeIndex) {
    this.#place = place
    this.#fields = fields
    this.#blockRecords = blockRecords
    this.#index = index
  }

  /** The log has grown. Called for every batch. */
  grown(): void {
    if (this.#working === undefined && this.#isDue()) this.#start()
  }

  /** Looks again at every block from `number` on. */
  check(number: number): void {
    this.#checked = Math.min(this.#checked, number)
    if (this.#working === undefined) this.#start()
  }

  /** Resolves once nothing is left to do. */
  async idle(): Promise<void> {
    this.#waiting++
    this.#hurry?.()
    try {
      while (this.#working !== undefined) await this.#working
    } finally {
      this.#waiting--
    }
  }

  /** The block that is being made is finished, which takes 0.2 s at most; no other is begun. */
  async close(): Promise<void> {
    this.#closed = true
    await this.idle()
    await this.#maker?.[Symbol.asyncDispose]()
  }

  #start(): void {
    if (this.#closed) return
    this.#working = this.#work().finally(() => {
      this.#working = undefined
      this.grown()
    })
  }

  #isFull(number: number): boolean {
    return (number + 1) * this.#blockRecords <= this.#place.extent.size
  }

  /** Whether a block is full, or a small block's records have come. */
  #isDue(): boolean {
    if (this.#closed) return false
    if (this.#isFull(this.#checked)) return true
    const { size } = this.#place.extent
    const next =
      this.#session?.number === this.#checked ? this.#session.next : this.#checked * this.#blockRecords
    return size - next >= this.#blockRecords * SMALL_SHARE && !this.#hopeless.has(this.#checked)
  }

  async #work(): Promise<void> {
    // Not within the call that has just made a batch durable.
    await endOfTurn()
    while (this.#isDue()) {
      const number = this.#checked
      try {
        if (this.#isFull(number)) {
          await this.#ensure(number)
          this.#checked = Math.min(this.#checked, number) + 1
        } else {
          await this.#begin(number)
          await this.#feed(true)
        }
      } catch (error) {
        this.#session = undefined
        if (error instanceof LostThread) continue
        this.#hopeless.add(number)
        if (this.#isFull(number)) this.#checked = number + 1
        const path = pathOf(number * this.#blockRecords)
        this.#place.logger.warn({ err: error, path }, "a block of the log could not be indexed")
      }
    }
  }

  /** Checks a block's file, every byte of it, and makes it if it is not there or not right. */
  async #ensure(number: number): Promise<void> {
    const path = pathOf(number * this.#blockRecords)
    try {
      const block = await this.#index.load(number)
      await block?.check()
      if (block !== undefined) return
    } catch (error) {
      if (!(error instanceof DamagedBlock)) throw error
      this.#place.logger.warn({ err: error, path }, "a block of the index is made again")
    }
    if (this.#hopeless.has(number)) return
    const session = await this.#begin(number)
    const last = (number + 1) * this.#blockRecords
    while (session.next < last) await this.#feed(false)
    const { file } = await this.#opened().ask({ ask: "finish" })
    if (file === undefined) throw new Error("bug: a finished block has no file")
    const start = await this.#offsetOf(number * this.#blockRecords)
    const read = (from: number, to: number): Promise<Uint8Array> => this.#place.files.read(from, to)
    bindBlock(file, sectionCount(this.#fields), await sampleOf(read, start, session.end))
    await this.#place.store.write(path, file)
    this.#session = undefined
    this.#index.made(number)
  }

  /** The session that makes this block; another one's work is given up. */
  async #begin(number: number): Promise<{ readonly number: number; next: number; end: number }> {
    if (this.#session?.number === number) return this.#session
    const firstIndex = number * this.#blockRecords
    const start = await this.#offsetOf(firstIndex)
    this.#index.begin(number)
    const { declared: fields } = this.#fields
    await this.#opened().ask({ ask: "start", fields, blockRecords: this.#blockRecords, firstIndex, start })
    this.#session = { number, next: firstIndex, end: start }
    return this.#session
  }

  /** Hands over the next lines. */
  async #feed(small: boolean): Promise<void> {
    const session = this.#session
    if (session === undefined) return
    const { files, extent } = this.#place
    const read = view(await files.read(session.end, Math.min(extent.bytes, session.end + PIECE_BYTES)))
    const lines = read.subarray(0, read.lastIndexOf(NEWLINE) + 1)
    if (lines.length === 0) throw new TamperedError("the log ends within a line", session.next, session.end)
    // Most often the buffer is the piece; a store that hands out parts of a larger one keeps that.
    const own = lines.buffer.byteLength > 2 * lines.length ? Uint8Array.from(lines) : lines
    const before = { size: extent.size, at: this.#place.clock() }
    const reply = await this.#opened().ask({ ask: "add", lines: own, small })
    session.next += reply.rows
    session.end += reply.bytes
    if (reply.file !== undefined) await this.#index.addSmall(session.number, reply.file)
    const isBusy = extent.size - before.size > reply.rows / PAUSE_SHARE
    if (isBusy) await this.#pause(PAUSE_SHARE * (this.#place.clock() - before.at))
  }

  async #pause(milliseconds: number): Promise<void> {
    if (this.#waiting > 0 || milliseconds < 1) return
    await new Promise<void>((resolve) => {
      const cancel = this.#place.timers.after(milliseconds, resolve)
      this.#hurry = () => {
        cancel()
        resolve()
      }
    })
    this.#hurry = undefined
  }

  #opened(): BlockMaker {
    this.#maker ??= this.#blockRecords < THREAD_MIN_RECORDS ? new LocalMaker() : openMaker(this.#place.logger)
    return this.#maker
  }

  /** Logical: where a record starts. Reads from the nearest place that is known. */
  async #offsetOf(index: number): Promise<number> {
    const { files, extent } = this.#place
    let { index: at, offset } = extent.floor(index)
    while (at < index) {
      const bytes = view(await files.read(offset, Math.min(extent.bytes, offset + PIECE_BYTES)))
      if (bytes.length === 0) throw new TamperedError("the log is shorter than it was", at, offset)
      let position = 0
      for (; at < index; at++) {
        const newline = bytes.indexOf(NEWLINE, position)
        if (newline === -1) break
        position = newline + 1
      }
      offset += position
      if (position === 0) throw new TamperedError("the log has a line without an end", at, offset)
    }
    return offset
  }
}
