/**
 * Reads hashes out of tiles, and hands out none that does not follow from the tree's root.
 *
 * Theorem: a full tile's root is one hash of its parent tile; a partial tile's hashes fold into the subtrees of the
 * tree's right edge, and these fold into the root. So every chain of parents ends at the root, and a forged hash
 * anywhere takes a collision of SHA-256.
 *
 * Callers above get hashes that are already checked, and cannot forget to.
 */
import { equalBytes } from "./bytes.ts"
import { InvalidInputError, invariant } from "./errors.ts"
import {
  digestsIn,
  HASH_BYTES,
  hashFrom,
  hashOfDigest,
  type Hash,
  type HashIndex,
  type LogSize,
} from "./hash-types.ts"
import { edgeIndexes, rootOfEdge, type ReadHashes } from "./merkle.ts"
import { perfectRoot } from "./merkle-hash.ts"
import { BadProofError } from "./proof-errors.ts"
import { splitStoredHashIndex, storedHashIndex } from "./stored-hash.ts"
import {
  edgeTiles,
  formatTilePath,
  TILE_BYTES,
  TILE_HEIGHT,
  TILE_WIDTH,
  tileAt,
  tileSliceFor,
  type Tile,
} from "./tile.ts"

/**
 * The bytes of these tiles, in that order; one round trip. A tile may come wider than asked for, as a server may have
 * only the full tile left: what is too much is ignored. Rejects when one is missing.
 */
export type ReadTiles = (tiles: readonly Tile[]) => Promise<readonly Uint8Array[]>

/**
 * A reader of the log of `size` records that has this root, over tiles that nobody vouches for.
 *
 * One round trip a call. The first call also reads the partial tiles, at most one a level, unless the right edge is
 * given; after that a proof for one record costs at most one tile a level: 3 at 16 million records. Keeps the edge and
 * nothing else.
 *
 * @param edgeHashes the hashes at `edgeIndexes(size)`, if the caller has them (`TreeFrontier.edge`); checked, not trusted.
 * @throws BadProofError, from the reader, when a tile is not a part of that tree; at once, when `edgeHashes` are not.
 */
export function tileHashReader(
  size: LogSize,
  root: Hash,
  readTiles: ReadTiles,
  edgeHashes?: readonly Hash[],
): ReadHashes {
  let known = edgeHashes === undefined ? undefined : checkEdge(size, root, edgeHashes)
  return async (indexes) => {
    const plan = planTiles(size, indexes, known)
    const bytes = plan.length === 0 ? [] : await readTiles(plan)
    const tiles = loadTiles(plan, bytes)
    const edge = (known ??= edgeFromTiles(size, root, tiles))
    checkTiles(tiles, size, edge)
    return indexes.map((index) => hashIn(tiles, size, index, edge))
  }
}

/** The right edge's hashes by where they belong; every other hash is checked against these. */
type Edge = ReadonlyMap<HashIndex, Hash>

/** A tile and its bytes: as many as its width says, or more. */
interface LoadedTile {
  readonly tile: Tile
  readonly bytes: Uint8Array
}
/** In order of level from the top. */
type LoadedTiles = ReadonlyMap<TileKey, LoadedTile>
/** Of a tile in one log: quicker to make than its path, of which a call has hundreds. */
type TileKey = number

/** The tiles that hold these hashes, with their parents as far as the edge; with the whole edge if it is not known. */
function planTiles(size: LogSize, indexes: readonly HashIndex[], edge: Edge | undefined): Tile[] {
  const plan = new Map<TileKey, Tile>()
  const add = (tile: Tile): void => void plan.set(keyOf(tile), tile)
  if (edge === undefined) edgeTiles(size).forEach(add)
  for (const index of indexes) {
    if (edge?.has(index) === true) continue
    const { level, n } = splitStoredHashIndex(index)
    let tile: Tile | undefined = tileSliceFor(level, n, size).tile
    while (tile !== undefined && !plan.has(keyOf(tile))) {
      add(tile)
      tile = parentOf(tile, size)
    }
  }
  return [...plan.values()].sort((a, b) => b.level - a.level)
}

/** There are at most 2^44 tiles of a level, and 64 levels. */
function keyOf({ level, index }: Tile): TileKey {
  return index * 64 + level
}

/** Only a full tile has one: partial tiles are never hashed upward. */
function parentOf({ level, index, width }: Tile, size: LogSize): Tile | undefined {
  return width < TILE_WIDTH ? undefined : tileAt(level + 1, Math.floor(index / TILE_WIDTH), size)
}

/** At least as wide as asked for; what a wider tile has beyond that belongs to a larger log, and is never read. */
function loadTiles(plan: readonly Tile[], bytes: readonly Uint8Array[]): LoadedTiles {
  if (bytes.length !== plan.length) {
    throw new InvalidInputError(`${plan.length} tiles were wanted and ${bytes.length} came`)
  }
  return new Map(
    plan.map((tile, i) => {
      const all = bytes[i] ?? new Uint8Array(0)
      if (all.length > TILE_BYTES || all.length < tile.width * HASH_BYTES || all.length % HASH_BYTES !== 0) {
        throw new BadProofError(
          `${formatTilePath(tile)} has ${all.length} bytes; it takes ${tile.width * HASH_BYTES}`,
        )
      }
      return [keyOf(tile), { tile, bytes: all }]
    }),
  )
}

/** Each tile against its parent, which stands before it, or against the edge. */
function checkTiles(tiles: LoadedTiles, size: LogSize, edge: Edge): void {
  for (const { tile, bytes } of tiles.values()) {
    const good =
      tile.width === TILE_WIDTH
        ? equalBytes(rootOfSlice(bytes, 0, TILE_WIDTH), hashInParent(tiles, tile, size))
        : partialSubtrees(tile).every(({ index, start, count }) =>
            equalBytes(rootOfSlice(bytes, start, count), edgeHash(edge, index)),
          )
    if (!good) throw new BadProofError(`${formatTilePath(tile)} is not a part of the tree`)
  }
}

/** What the parent says a full tile's root is. */
function hashInParent(tiles: LoadedTiles, tile: Tile, size: LogSize): Hash {
  const parent = parentOf(tile, size)
  const loaded = parent && tiles.get(keyOf(parent))
  invariant(loaded !== undefined, "a full tile is planned with its parent")
  return rootOfSlice(loaded.bytes, tile.index % TILE_WIDTH, 1)
}

/** What the partial tiles say the edge is, if it leads to the root: all of them are checked by that one fold. */
function edgeFromTiles(size: LogSize, root: Hash, tiles: LoadedTiles): Edge {
  const hashes = edgeTiles(size)
    .reverse()
    .flatMap((tile) => {
      const loaded = tiles.get(keyOf(tile))
      invariant(loaded !== undefined, "the partial tiles were planned")
      return partialSubtrees(tile).map(({ start, count }) => rootOfSlice(loaded.bytes, start, count))
    })
  return checkEdge(size, root, hashes)
}

/** Copies: the caller's hashes may change under it, and these must not. */
function checkEdge(size: LogSize, root: Hash, hashes: readonly Hash[]): Edge {
  const indexes = edgeIndexes(size)
  if (hashes.length !== indexes.length || !equalBytes(rootOfEdge(hashes), root)) {
    throw new BadProofError(`the right edge does not lead to the root of size ${size}`)
  }
  const edge = new Map<HashIndex, Hash>()
  for (const [i, index] of indexes.entries()) edge.set(index, hashFrom(hashes[i] ?? root))
  return edge
}

/** A partial tile's share of the edge, largest subtree first: one for each 1 bit of its width. */
function partialSubtrees(tile: Tile): { index: HashIndex; start: number; count: number }[] {
  const subtrees = []
  let start = 0
  for (let bit = TILE_HEIGHT - 1; bit >= 0; bit--) {
    const count = 2 ** bit
    if (tile.width - start < count) continue
    const n = (tile.index * TILE_WIDTH + start) / count
    subtrees.push({ index: storedHashIndex(tile.level * TILE_HEIGHT + bit, n), start, count })
    start += count
  }
  return subtrees
}

function edgeHash(edge: Edge, index: HashIndex): Hash {
  const hash = edge.get(index)
  invariant(hash !== undefined, "a partial tile folds into the edge")
  return hash
}

/** From the edge if it is one of its hashes, for then its tile may not have been read. */
function hashIn(tiles: LoadedTiles, size: LogSize, index: HashIndex, edge: Edge): Hash {
  const known = edge.get(index)
  if (known !== undefined) return hashFrom(known)
  const { level, n } = splitStoredHashIndex(index)
  const { tile, start, count } = tileSliceFor(level, n, size)
  const loaded = tiles.get(keyOf(tile))
  invariant(loaded !== undefined, "every tile of the plan was read")
  return rootOfSlice(loaded.bytes, start, count)
}

/** The root of `count` hashes, a power of two. */
function rootOfSlice(bytes: Uint8Array, start: number, count: number): Hash {
  const slice = bytes.subarray(start * HASH_BYTES, (start + count) * HASH_BYTES)
  return count === 1 ? hashFrom(slice) : hashOfDigest(perfectRoot(digestsIn(slice)))
}
