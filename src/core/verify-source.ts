import { concatBytes } from "./bytes.ts"
import { NotFoundError } from "./errors.ts"
import type { LogSize } from "./hash-types.ts"
import type { Tile } from "./tile.ts"
import type { ReadTiles } from "./tile-reader.ts"

/**
 * A log as a verifier gets at it: a folder, files, a server, a browser's memory. Nothing that it hands out is believed.
 *
 * Every method may be called more than once, and answers with what is there then. They reject when the medium fails;
 * what is missing or senseless is an answer, and has its verdict. Sources bound what they read before they allocate:
 * a checkpoint by `MAX_NOTE_BYTES`, a tile by `TILE_BYTES`; of what is larger they return one byte more than that.
 */
export interface LogSource {
  /** The newest checkpoint's bytes; `undefined` when there is none. */
  checkpoint(): Promise<Uint8Array | undefined>

  /**
   * The log's bytes, in blocks of any length, each with its offset. Blocks may be reused.
   *
   * @param wanted how many records the caller asks for; a source that cannot tell where they end gives all there is.
   * @param from where to start; default: the log's start. Its index is a multiple of 256.
   * @throws TamperedError, while reading, at bytes that no log has.
   */
  lines(wanted: LogSize | undefined, from?: LogPlace): AsyncIterable<LogBytes>

  /** These tiles, in that order, `undefined` for each that is missing. A tile may be wider than asked for. */
  readTiles(tiles: readonly Tile[]): Promise<readonly (Uint8Array | undefined)[]>
}

/** Where a line starts. */
export interface LogPlace {
  readonly index: number
  /** In bytes from the start of the log. */
  readonly offset: number
}

export interface LogBytes {
  /** From the start of the log. */
  readonly offset: number
  readonly bytes: Uint8Array
}

/** Of a line, in bytes. Ours are shorter; a log that was taken over may have longer ones. What is above is no record. */
export const MAX_VERIFIED_LINE_BYTES: number = 2 ** 20

/** One line, a view into a block that is valid until the next is asked for. */
export type OnLine = (index: number, offset: number, line: Uint8Array | undefined) => void

const NEWLINE = 0x0a

/**
 * Cuts blocks into lines. Memory: one block and one line of at most {@link MAX_VERIFIED_LINE_BYTES}.
 *
 * A class with a callback and not a generator: a generator's step costs as much as half a hash.
 */
export class LineCutter {
  /** Complete lines so far. */
  count: number
  /** Of the next line. */
  offset: number
  #rest: Uint8Array[] = []
  #restBytes = 0
  /** The line under way is too long to be kept; how much of it came is all that is known. */
  #isTooLong = false

  constructor(from: LogPlace = { index: 0, offset: 0 }) {
    this.count = from.index
    this.offset = from.offset
  }

  /** Bytes after the last newline. */
  get tornBytes(): number {
    return this.#restBytes
  }

  /** @param onLine gets `undefined` for a line that is too long. */
  push(bytes: Uint8Array, onLine: OnLine): void {
    let start = 0
    let end = bytes.indexOf(NEWLINE)
    while (end >= 0) {
      const length = this.#restBytes + end - start
      onLine(this.count, this.offset, this.#lineWith(bytes.subarray(start, end)))
      this.count++
      this.offset += length + 1
      start = end + 1
      end = bytes.indexOf(NEWLINE, start)
    }
    if (start < bytes.length) this.#keep(bytes.subarray(start))
  }

  #lineWith(tail: Uint8Array): Uint8Array | undefined {
    if (this.#restBytes === 0) return tail.length > MAX_VERIFIED_LINE_BYTES ? undefined : tail
    const isTooLong = this.#isTooLong || this.#restBytes + tail.length > MAX_VERIFIED_LINE_BYTES
    const line = isTooLong ? undefined : concatBytes([...this.#rest, tail])
    this.#rest = []
    this.#restBytes = 0
    this.#isTooLong = false
    return line
  }

  #keep(part: Uint8Array): void {
    this.#restBytes += part.length
    if (this.#restBytes > MAX_VERIFIED_LINE_BYTES) {
      this.#isTooLong = true
      this.#rest = []
    }
    // A copy, as the block may be reused; a Buffer's own `slice` makes none.
    if (!this.#isTooLong) this.#rest.push(new Uint8Array(part))
  }
}

/** As the tile reader wants it. @throws NotFoundError, when called, for a tile that is missing. */
export function presentTiles(source: LogSource): ReadTiles {
  return async (tiles) => {
    const found = await source.readTiles(tiles)
    return tiles.map((_, i) => {
      const bytes = found[i]
      if (bytes === undefined) throw new NotFoundError("a tile is missing")
      return bytes
    })
  }
}
