import { equalBytes } from "./bytes.ts"
import { InvalidInputError, invariant } from "./errors.ts"
import {
  digestAt,
  HASH_BYTES,
  hashOfDigest,
  logSize,
  type Digest,
  type Hash,
  type LogSize,
} from "./hash-types.ts"
import { leafDigest, nodeDigest } from "./merkle-hash.ts"
import { rootOfEdge } from "./merkle.ts"
import { BadProofError } from "./proof-errors.ts"
import { edgeTiles, newTiles, TILE_BYTES, TILE_HEIGHT, TILE_WIDTH, type Tile } from "./tile.ts"

/** A tile and its bytes, ready to be written under `formatTilePath(tile)`. */
export interface TileData {
  readonly tile: Tile
  readonly bytes: Uint8Array
}

/** Hashes of one tile level, next to one another: what rows of hashes grow by. */
export interface RowHashes {
  readonly level: number
  /** Which hash of its level the first is. */
  readonly first: number
  readonly bytes: Uint8Array
}

/**
 * The right edge of a growing tree: all that a writer needs to remember of it.
 *
 * Appending is binary counting. Record n, like each trailing 1 bit of n, completes a subtree, and every completed
 * subtree takes the one beside it and completes the next larger. Under two hashes a record on average, in texts and
 * not buffers (see {@link Digest}), and none of them a root: ask for a root once a checkpoint.
 *
 * Memory: the hashes of the unfinished tiles, fewer than 256 a level, and of the finished ones until
 * {@link takeTiles} or {@link takeRows} hands them over.
 */
export class TreeFrontier {
  /** Owned by {@link append} and {@link resume}. In records. */
  #size = 0
  /** By tree level: the newest perfect subtree there. It is part of the edge if the size has that bit. */
  readonly #edge: Digest[] = []
  /** By tile level: the hashes of the tile that is not full yet, then of those that are and were not taken. */
  readonly #rows: Row[] = []
  /** Owned by {@link takeTiles}, {@link takeRows} and {@link resume}: the size whose tiles the caller has. */
  #taken = 0

  /**
   * Goes on where a log stopped.
   *
   * @param partials the bytes of `edgeTiles(size)`, in that order; wider ones are cut, as readers cut them.
   * @throws BadProofError unless they lead to `root`: the tiles of another log, or of a damaged one.
   */
  static resume(size: LogSize, root: Hash, partials: readonly Uint8Array[]): TreeFrontier {
    const frontier = new TreeFrontier()
    const tiles = edgeTiles(size)
    if (partials.length !== tiles.length) {
      throw new InvalidInputError(`size ${size} has ${tiles.length} partial tiles, not ${partials.length}`)
    }
    for (const [i, { level, index, width }] of tiles.entries()) {
      const bytes = partials[i] ?? new Uint8Array(0)
      if (bytes.length < width * HASH_BYTES || bytes.length > TILE_BYTES) {
        throw new BadProofError(
          `the partial tile of level ${level} has ${bytes.length} bytes, not ${width * HASH_BYTES}`,
        )
      }
      // A level below without a partial tile has a row all the same: its next tile starts there.
      while (frontier.#rows.length <= level) frontier.#rows.push(new Row())
      // Fewer than 256 hashes from a multiple of 256 on: what they complete stays below the next tile level.
      for (let k = 0; k < width; k++) {
        frontier.#complete(level * TILE_HEIGHT, index * TILE_WIDTH + k, digestAt(bytes, k * HASH_BYTES))
      }
    }
    frontier.#size = size
    frontier.#taken = size
    if (!equalBytes(frontier.root(), root)) {
      throw new BadProofError(`the partial tiles do not lead to the root of size ${size}`)
    }
    return frontier
  }

  get size(): LogSize {
    return this.#size as LogSize
  }

  /** The next record, by its {@link leafDigest}. */
  append(leaf: Digest): void {
    logSize(this.#size + 1)
    this.#complete(0, this.#size, leaf)
    this.#size++
  }

  /** The next record, by its exact bytes. */
  appendRecord(data: Uint8Array): void {
    this.append(leafDigest(data))
  }

  /** The tree's root at this size. At most log2(size) hashes. */
  root(): Hash {
    return rootOfEdge(this.edge())
  }

  /** The perfect subtrees of the right edge, largest first: the hashes at `edgeIndexes(size)`. */
  edge(): Hash[] {
    const hashes: Hash[] = []
    for (let level = 0, rest = this.#size; rest > 0; level++, rest = Math.floor(rest / 2)) {
      const digest = this.#edge[level]
      if (rest % 2 === 1 && digest !== undefined) hashes.push(hashOfDigest(digest))
    }
    return hashes.reverse()
  }

  /** The bytes of `edgeTiles(size)`, in that order: what {@link resume} goes on from. */
  partials(): Uint8Array[] {
    // A row ends with the hashes of its unfinished tile, whatever was taken.
    return edgeTiles(this.size).map(({ level, width }) => {
      const row = this.#rows[level] ?? new Row()
      return row.slice(row.length - width, row.length)
    })
  }

  /**
   * The tiles of this size that the caller does not have yet, lowest level first: `newTiles` since the last call.
   *
   * Write them durably before the checkpoint of this size. They are forgotten here: if writing fails, write again.
   */
  takeTiles(): TileData[] {
    const tiles = newTiles(this.#taken as LogSize, this.size)
    const data = tiles.map((tile) => {
      const row = this.#rows[tile.level] ?? new Row()
      // A row starts with the tile that the caller has in part.
      const first = Math.floor(this.#taken / TILE_WIDTH ** (tile.level + 1))
      const start = (tile.index - first) * TILE_WIDTH
      return { tile, bytes: row.slice(start, start + tile.width) }
    })
    this.#forgetTaken()
    return data
  }

  /** The same as hashes that each level has more than at the last call, lowest level first: no hash comes twice. */
  takeRows(): RowHashes[] {
    const rows: RowHashes[] = []
    for (const [level, row] of this.#rows.entries()) {
      const first = Math.floor(this.#taken / TILE_WIDTH ** level)
      const bytes = row.slice(first % TILE_WIDTH, row.length)
      if (bytes.length > 0) rows.push({ level, first, bytes })
    }
    this.#forgetTaken()
    return rows
  }

  /** The bytes of `edgeTiles(size)`, in that order: what {@link resume} takes. */
  partialTiles(): Uint8Array[] {
    return edgeTiles(this.size).map(({ level, width }) => {
      const row = this.#rows[level] ?? new Row()
      return row.slice(row.length - width, row.length)
    })
  }

  /** What is full is done with; what is left begins the next tile. */
  #forgetTaken(): void {
    for (const row of this.#rows) row.dropFirst(row.length - (row.length % TILE_WIDTH))
    this.#taken = this.#size
  }

  /** Subtree `n` of a tree level has this hash; so have those that it completes. */
  #complete(level: number, n: number, digest: Digest): void {
    for (;;) {
      if (level % TILE_HEIGHT === 0) (this.#rows[level / TILE_HEIGHT] ??= new Row()).push(digest)
      if (n % 2 === 0) {
        this.#edge[level] = digest
        return
      }
      const left = this.#edge[level]
      invariant(left !== undefined, "an odd subtree has one to its left")
      digest = nodeDigest(left, digest)
      n = (n - 1) / 2
      level++
    }
  }
}

/** Hashes as they are stored. Bytes and not texts: what lives until the next checkpoint is not copied by collections. */
class Row {
  #bytes = new Uint8Array(TILE_BYTES)
  /** In hashes. */
  length = 0

  push(digest: Digest): void {
    let at = this.length * HASH_BYTES
    if (at === this.#bytes.length) {
      const larger = new Uint8Array(at * 2)
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    const bytes = this.#bytes
    for (let i = 0; i < HASH_BYTES; i++) bytes[at++] = digest.charCodeAt(i)
    this.length++
  }

  /** A copy of the hashes `[start, end)`. */
  slice(start: number, end: number): Uint8Array {
    return this.#bytes.slice(start * HASH_BYTES, end * HASH_BYTES)
  }

  dropFirst(count: number): void {
    if (count === 0) return
    this.#bytes.copyWithin(0, count * HASH_BYTES, this.length * HASH_BYTES)
    this.length -= count
  }
}
