import { equalBytes } from "../core/bytes.ts"
import { invariant, NotFoundError, TamperedError } from "../core/errors.ts"
import type { RowHashes } from "../core/frontier.ts"
import { HASH_BYTES, hashFrom } from "../core/hash-types.ts"
import type { Hash, LogSize } from "../core/hash-types.ts"
import { edgeIndexes, rootOfEdge } from "../core/merkle.ts"
import type { ReadHashes } from "../core/merkle.ts"
import { formatTilePath, TILE_BYTES, TILE_WIDTH } from "../core/tile.ts"
import type { Tile } from "../core/tile.ts"
import { tileHashReader } from "../core/tile-reader.ts"
import type { ReadTiles } from "../core/tile-reader.ts"
import type { KnowledgeStore } from "../store/contract.ts"

/** The newest signed checkpoint. */
export const CHECKPOINT_PATH = "/audit/checkpoint"

/**
 * Where the hashes of a tile level lie: one after another, 32 bytes each, so that tile N of the level is the 8,192
 * bytes from N × 8,192 on, and a partial tile the first of them.
 */
export function rowPath(level: number): string {
  return `/audit/tree/${level}`
}

/** A tree that is being made again, until it is whole. */
export const REMADE_FOLDER = "/audit/tree.new"

export function remadePath(level: number): string {
  return `${REMADE_FOLDER}/${level}`
}

/** The bytes of a tile; fewer than its width takes, and none at all, when the row ends sooner. */
export function readTile(store: KnowledgeStore, { level, index, width }: Tile): Promise<Uint8Array> {
  const start = index * TILE_BYTES
  return store.readRange(rowPath(level), start, start + width * HASH_BYTES)
}

/** Reads tiles of a store. @throws NotFoundError, from the reader, for a tile that is not there. */
export function storedTiles(store: KnowledgeStore): ReadTiles {
  return (tiles) =>
    Promise.all(
      tiles.map(async (tile) => {
        const bytes = await readTile(store, tile)
        if (bytes.length < tile.width * HASH_BYTES)
          throw new NotFoundError(`there is no ${formatTilePath(tile)}`)
        return bytes
      }),
    )
}

/**
 * The right edge of the newest checkpoint's tree: the hashes at `edgeIndexes(size)`, 32 bytes each. Derived, and never
 * believed: whoever reads it folds it into the checkpoint's root. It saves a cold proof the reading of a partial tile a level.
 */
export const EDGE_PATH = "/audit/edge"

/**
 * Reads the hashes of the stored tree of this size and root. A proof for one record costs one more read than tiles that hold
 * its hashes: 4 in all at a million records.
 */
export async function storedHashes(store: KnowledgeStore, size: LogSize, root: Hash): Promise<ReadHashes> {
  const edge = edgeIn(await store.readRange(EDGE_PATH, 0, MAX_EDGE_BYTES), size, root)
  return tileHashReader(size, root, storedTiles(store), edge)
}

/** Of 2^52 records. */
const MAX_EDGE_BYTES = 52 * HASH_BYTES

/** `undefined` when it is another tree's: it is written after the checkpoint, and may be older or newer. */
function edgeIn(bytes: Uint8Array, size: LogSize, root: Hash): Hash[] | undefined {
  const count = edgeIndexes(size).length
  if (count === 0 || bytes.length !== count * HASH_BYTES) return undefined
  const hashes = Array.from({ length: count }, (_, n) =>
    hashFrom(bytes.subarray(n * HASH_BYTES, (n + 1) * HASH_BYTES)),
  )
  return equalBytes(rootOfEdge(hashes), root) ? hashes : undefined
}

/**
 * Writes the rows of a tree: by one writer, from the frontier that grows the tree.
 *
 * Why rows and not a file a tile: at 300,000 records a second a tile is full every millisecond, and a file costs a name, a
 * sync and its share of a folder's sync. A row costs one append a checkpoint.
 *
 * **Order.** When {@link flush} resolves, every hash that was taken from the frontier is durable. A row may be longer
 * than any checkpoint needs, after a crash or before the next checkpoint: nobody reads further than a checkpoint
 * says, and a writer that starts anew cuts the rows first.
 */
export class TreeRows {
  readonly #store: KnowledgeStore
  readonly #path: (level: number) => string
  /** By level: what is to be appended, in order. Owned by `take` and `flush`. */
  readonly #waiting: Uint8Array[][] = []
  /** By level, in bytes: how long the row is, all of it durable. Owned by `flush`. */
  readonly #lengths: number[] = []
  /** Rows whose file is just as long. The others' may be longer: found so, or left so by an append that failed. */
  readonly #certain = new Set<number>()
  #size: number
  /** Writing happens one at a time. */
  #flushing: Promise<void> = Promise.resolve()

  /** @param size of the tree whose rows are durable, in records: a row that is longer is cut before it grows. */
  constructor(store: KnowledgeStore, size: number, path: (level: number) => string = rowPath) {
    this.#store = store
    this.#path = path
    this.#size = size
    for (let level = 0, hashes = size; level === 0 || hashes > 0; level++) {
      this.#lengths[level] = hashes * HASH_BYTES
      hashes = Math.floor(hashes / TILE_WIDTH)
    }
  }

  /** Of the tree whose hashes were taken, in records. */
  get size(): number {
    return this.#size
  }

  /** How many of them have hashes that were taken. */
  get levels(): number {
    return this.#waiting.length
  }

  /** What the frontier has that is new. Within the call nothing is written. */
  take(rows: readonly RowHashes[]): void {
    for (const { level, first, bytes } of rows) {
      const waiting = (this.#waiting[level] ??= [])
      const before = waiting.reduce((sum, { length }) => sum + length, this.#lengthOf(level))
      invariant(first * HASH_BYTES === before, "a row goes on where it ends")
      waiting.push(bytes)
      if (level === 0) this.#size = first + bytes.length / HASH_BYTES
    }
  }

  /** Makes everything durable that was taken. Calls take turns. @throws the store's errors; then what waits is kept for the next call. */
  flush(): Promise<void> {
    const flushing = this.#flushing.then(() => this.#write())
    this.#flushing = flushing.catch(() => {})
    return flushing
  }

  async #write(): Promise<void> {
    await Promise.all(this.#waiting.map((parts, level) => this.#append(level, parts)))
  }

  async #append(level: number, parts: Uint8Array[]): Promise<void> {
    const count = parts.length
    if (count === 0) return
    const bytes = Buffer.concat(parts)
    const path = this.#path(level)
    const length = this.#lengthOf(level)
    if (!this.#certain.delete(level)) await this.#store.truncate(path, length)
    const offset = await this.#store.append(path, bytes)
    if (offset !== length) {
      throw new TamperedError(`${path} was ${length} bytes long and is now ${offset}`, 0, offset, {
        hint: "Somebody else has changed it. Move /audit/tree aside and open the log: the tree is made again from the lines.",
      })
    }
    this.#certain.add(level)
    this.#lengths[level] = length + bytes.length
    parts.splice(0, count)
  }

  #lengthOf(level: number): number {
    return this.#lengths[level] ?? 0
  }
}
