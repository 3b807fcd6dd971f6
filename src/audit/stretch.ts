/**
 * Some lines that follow one another, hashed for `Tally`: what a worker of a parallel verification does with its share.
 *
 * As fast as Node hashes: whole tiles in buffers that are laid out as the hash function reads them, so that each hash is
 * written once and no record is copied.
 */
import { digestOf } from "#sha256"
import { HASH_BYTES, type Digest } from "../core/hash-types.ts"
import { SIGNING_KEY_SET } from "../core/kinds.ts"
import { LEAF_PREFIX, NODE_PREFIX } from "../core/merkle-hash.ts"
import { TILE_HEIGHT, TILE_WIDTH } from "../core/tile.ts"
import { RecordReader, type RecordsFound } from "../core/verify-records.ts"
import type { LogPlace } from "../core/verify-source.ts"

/** What is wanted of all stretches of a log. */
export interface StretchOptions {
  /** Of the checkpoint. */
  readonly size: number
  /** How many records are hashed. */
  readonly limit: number
  /** Sizes at which roots are wanted: no tile is handed over whole that one of them divides. */
  readonly rootsAt: readonly number[]
  /** Whether each line is parsed. */
  readonly records: boolean
  /** Whether changes of key are looked for when not each line is. */
  readonly keyChanges: boolean
  /** Whether the leaves of whole tiles are wanted as well as their roots. */
  readonly tiles: boolean
}

/** Whole lines in a buffer. Line i lies after the newline at `ends[i]`, up to the one at `ends[i + 1]`. */
export interface Lines {
  /** Its newlines are overwritten. */
  readonly bytes: Buffer
  /** One more than there are lines. The first stands before the first line: it need be no newline. */
  readonly ends: Int32Array
  readonly count: number
  readonly firstIndex: number
  /** Of the first line, in the log. */
  readonly offset: number
}

/** Hashes of consecutive records: of each, or of whole tiles. */
export type Hashes =
  | { readonly leaves: Uint8Array; readonly roots?: undefined }
  | { readonly roots: Uint8Array; readonly leaves: Uint8Array | undefined }

/** Plain data, for another thread. */
export interface Stretch {
  readonly count: number
  readonly hashes: readonly Hashes[]
  readonly found: RecordsFound
  /** Where the last of its lines ended; where the last covered one did; where the last whole tile did. */
  readonly end: LogPlace
  readonly coveredEnd: LogPlace | undefined
  readonly tileEnd: LogPlace | undefined
}

/** Owns buffers: one for each thread. */
export class StretchReader {
  readonly #options: StretchOptions
  readonly #tile = new TileHasher()

  constructor(options: StretchOptions) {
    this.#options = options
  }

  read(lines: Lines): Stretch {
    const { count, firstIndex } = lines
    const { size } = this.#options
    // Before the newlines are overwritten.
    const found = this.#readRecords(lines)
    const lastTile = Math.floor((firstIndex + count) / TILE_WIDTH) * TILE_WIDTH
    return {
      count,
      hashes: this.#hash(lines),
      found,
      end: placeAfter(lines, count),
      coveredEnd: firstIndex < size ? placeAfter(lines, Math.min(count, size - firstIndex)) : undefined,
      tileEnd: lastTile > firstIndex ? placeAfter(lines, lastTile - firstIndex) : undefined,
    }
  }

  #hash(lines: Lines): Hashes[] {
    const { count, firstIndex } = lines
    const { limit, tiles } = this.#options
    const total = Math.max(0, Math.min(count, limit - firstIndex))
    const hashes: Hashes[] = []
    for (let i = 0; i < total;) {
      const whole = this.#wholeTiles(firstIndex + i, total - i)
      if (whole > 0) {
        const roots = Buffer.alloc(whole * HASH_BYTES)
        const leaves = tiles ? Buffer.alloc(whole * TILE_WIDTH * HASH_BYTES) : undefined
        for (let tile = 0; tile < whole; tile++, i += TILE_WIDTH) {
          this.#tile.hashLeaves(lines, i)
          if (leaves !== undefined) this.#tile.copyLeaves(leaves, tile * TILE_WIDTH * HASH_BYTES)
          roots.write(this.#tile.root(), tile * HASH_BYTES, HASH_BYTES, "latin1")
        }
        hashes.push({ roots, leaves })
      } else {
        const toBoundary = TILE_WIDTH - ((firstIndex + i) % TILE_WIDTH)
        const single = Math.min(toBoundary, total - i)
        const leaves = Buffer.alloc(single * HASH_BYTES)
        for (let k = 0; k < single; k++)
          leaves.write(leafOf(lines, i++), k * HASH_BYTES, HASH_BYTES, "latin1")
        hashes.push({ leaves })
      }
    }
    return hashes
  }

  /** How many tiles begin at `index` that are whole within `left` records, and have no wanted size within. */
  #wholeTiles(index: number, left: number): number {
    if (index % TILE_WIDTH !== 0) return 0
    const cut = Math.min(
      ...this.#options.rootsAt.filter((at) => at > index && at % TILE_WIDTH !== 0),
      index + left,
    )
    return Math.floor((cut - index) / TILE_WIDTH)
  }

  #readRecords(lines: Lines): RecordsFound {
    const { bytes, ends, count, firstIndex } = lines
    const { size, records } = this.#options
    const reader = new RecordReader(size)
    const read = (i: number): void => {
      const line = bytes.subarray((ends[i] ?? 0) + 1, ends[i + 1])
      reader.read(firstIndex + i, placeAfter(lines, i).offset, line)
    }
    if (records) {
      for (let i = 0; i < count; i++) read(i)
      return reader.take()
    }
    // What is read when not all is read: the first and the last record, and what may be a change of key.
    const wanted = new Set([0 - firstIndex, size - 1 - firstIndex].filter((i) => i >= 0 && i < count))
    if (this.#options.keyChanges) for (const i of linesWith(SIGNING_KEY_SET, lines)) wanted.add(i)
    for (const i of [...wanted].sort((a, b) => a - b)) read(i)
    return reader.take()
  }
}

/**
 * Of line `i`; the newline before it becomes the prefix of what is hashed.
 *
 * A function for a line, and one for a tile, and no loop over a whole stretch: the engine makes fast code of what is
 * called often much sooner than of what loops long, and a thread of a verification lives for half a second.
 */
function leafOf({ bytes, ends }: Lines, i: number): string {
  const before = ends[i] ?? 0
  bytes[before] = LEAF_PREFIX
  // Not by `subarray`: a Buffer's takes twice as long.
  return digestOf(new Uint8Array(bytes.buffer, bytes.byteOffset + before, (ends[i + 1] ?? 0) - before))
}

function* linesWith(text: string, { bytes, ends, count }: Lines): Generator<number, void, undefined> {
  const end = ends[count] ?? 0
  for (let at = bytes.indexOf(text); at !== -1 && at < end;) {
    const i = lineAt(ends, count, at)
    if (i >= 0) yield i
    at = bytes.indexOf(text, Math.max(at + 1, ends[i + 1] ?? 0))
  }
}

/** Where line `i` starts. */
function placeAfter({ ends, firstIndex, offset }: Lines, i: number): LogPlace {
  return { index: firstIndex + i, offset: offset + (ends[i] ?? 0) - (ends[0] ?? 0) }
}

/** The line that the byte at `at` is in; -1 for one before them. */
function lineAt(ends: Int32Array, count: number, at: number): number {
  let low = -1
  let high = count
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if ((ends[middle] ?? 0) < at) low = middle
    else high = middle
  }
  return low
}

/** A node as it is hashed: its prefix, and two hashes. */
const NODE_BYTES = 1 + 2 * HASH_BYTES

/** Node's types leave out what `write` calls when it has checked its arguments, which takes as long as the writing. */
type Level = Buffer & { latin1Write(text: string, at: number, length: number): number }

/** The root of 256 leaves: each level lies as its nodes are hashed, and what a node gives is written into the next. */
class TileHasher {
  readonly #levels: Level[] = []
  /** The nodes of each level, made once: a view costs a tenth of a hash. */
  readonly #nodes: Buffer[][] = []

  constructor() {
    for (let level = 0; level < TILE_HEIGHT; level++) {
      const count = TILE_WIDTH / 2 ** (level + 1)
      const buffer = Buffer.alloc(count * NODE_BYTES, NODE_PREFIX) as Level
      this.#levels.push(buffer)
      this.#nodes.push(
        Array.from({ length: count }, (_, n) => buffer.subarray(n * NODE_BYTES, (n + 1) * NODE_BYTES)),
      )
    }
  }

  /** The 256 lines from `first` on. */
  hashLeaves(lines: Lines, first: number): void {
    const level = this.#levels[0]
    for (let k = 0; k < TILE_WIDTH; k++) write(level, k, leafOf(lines, first + k))
  }

  copyLeaves(to: Buffer, at: number): void {
    for (const node of this.#nodes[0] ?? []) {
      node.copy(to, at, 1)
      at += 2 * HASH_BYTES
    }
  }

  root(): Digest {
    let digest = ""
    for (let level = 0; level < TILE_HEIGHT; level++) digest = this.#hashLevel(level)
    return digest as Digest
  }

  /** @returns the last node's digest. */
  #hashLevel(level: number): string {
    const above = this.#levels[level + 1]
    let digest = ""
    let n = 0
    for (const node of this.#nodes[level] ?? []) {
      digest = digestOf(node)
      write(above, n++, digest)
    }
    return digest
  }
}

function write(level: Level | undefined, n: number, digest: string): void {
  level?.latin1Write(digest, Math.floor(n / 2) * NODE_BYTES + 1 + (n % 2) * HASH_BYTES, HASH_BYTES)
}
