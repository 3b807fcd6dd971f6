import { formatBase64, parseBase64 } from "./canonical.ts"
import { TreeFrontier, type TileData } from "./frontier.ts"
import { bytesOfDigests, hashFrom, logSize, type Digest, type Hash } from "./hash-types.ts"
import { perfectRoot } from "./merkle-hash.ts"
import { rootOfEdge } from "./merkle.ts"
import { edgeTiles, TILE_WIDTH, tileAt } from "./tile.ts"

/** Tiles of levels above the first are handed out when so many full ones of the first have come. */
const UPPER_TILES_EVERY = TILE_WIDTH
/** Of how many whole tiles the roots are kept, to say later where a log goes wrong: 17 million records, 4 MiB. */
export const MAX_TILE_ROOTS: number = 2 ** 16

export interface TallyOptions {
  /** Of the checkpoint; its tiles are handed out. */
  readonly size: number
  /** Sizes at which roots are wanted. */
  readonly rootsAt: readonly number[]
  readonly tiles: boolean
}

/** A tally at its last whole tile, as plain data. Hashes in base64. */
export interface TallyState {
  /** In records: a multiple of 256. */
  readonly size: number
  readonly root: string
  /** Of the tree over the tiles' roots. */
  readonly partials: readonly string[]
  /** Size and root of each wanted root that was passed. */
  readonly roots: readonly (readonly [number, string])[]
}

/**
 * The tree of a log that is read, for its roots and tiles: from leaves, or from whole tiles that another thread has
 * hashed.
 *
 * The leaves of the unfinished tile, and a frontier whose leaves are the roots of the finished ones: its tiles of level 0
 * are the log's of level 1.
 */
export class Tally {
  readonly #options: TallyOptions
  /** Those that are still to come. */
  readonly #rootsAt: number[]
  readonly #roots = new Map<number, Hash>()
  /** The next size at which there is something to do: a wanted root, or the checkpoint's last tiles. */
  #nextStop = 0
  #upper = new TreeFrontier()
  #leaves: Digest[] = []
  #tileRoots: Digest[] = []
  #pending: TileData[] = []

  /** @throws InvalidInputError, BadProofError for a state that is none. */
  constructor(options: TallyOptions, state?: TallyState) {
    this.#options = options
    this.#rootsAt = [...new Set(options.rootsAt)].sort((a, b) => a - b)
    if (state !== undefined) this.#resume(state)
    this.#sample()
  }

  get size(): number {
    return this.#upper.size * TILE_WIDTH + this.#leaves.length
  }

  get roots(): ReadonlyMap<number, Hash> {
    return this.#roots
  }

  /** Of the first {@link MAX_TILE_ROOTS} whole tiles that were counted here. */
  get tileRoots(): readonly Digest[] {
    return this.#tileRoots
  }

  /** The next record. */
  leaf(digest: Digest): void {
    this.#leaves.push(digest)
    if (this.#leaves.length === TILE_WIDTH) {
      if (this.#options.tiles) this.#handLeaves()
      const root = perfectRoot(this.#leaves)
      this.#leaves = []
      this.#finish(root)
    }
    this.#sample()
  }

  /** The next 256 records, from a whole number of tiles on. @param leaves their hashes, if tiles are wanted. */
  tile(root: Digest, leaves: Uint8Array | undefined): void {
    if (leaves !== undefined && this.#options.tiles) {
      this.#hand([{ tile: { level: 0, index: this.#upper.size, width: TILE_WIDTH }, bytes: leaves }])
    }
    this.#finish(root)
    this.#sample()
  }

  /** What a reader at the checkpoint's size would read, each once. */
  takeTiles(): TileData[] {
    return this.#pending.splice(0)
  }

  /** At the last whole tile. What was handed out by then is not handed out again. */
  get state(): TallyState {
    const size = this.#upper.size * TILE_WIDTH
    return {
      size,
      root: formatBase64(this.#upper.root()),
      partials: this.#upper.partials().map(formatBase64),
      roots: [...this.#roots].flatMap(([at, root]) =>
        at <= size ? [[at, formatBase64(root)] as const] : [],
      ),
    }
  }

  #resume({ size, root, partials, roots }: TallyState): void {
    const tiles = logSize(size / TILE_WIDTH)
    const bytes = partials.map((partial) => parseBase64(partial, "a tile"))
    this.#upper = TreeFrontier.resume(tiles, hashFrom(parseBase64(root, "a root")), bytes)
    for (const [at, hash] of roots) this.#roots.set(at, hashFrom(parseBase64(hash, "a root")))
    while ((this.#rootsAt[0] ?? Infinity) <= size) this.#rootsAt.shift()
  }

  #finish(root: Digest): void {
    this.#upper.append(root)
    if (this.#tileRoots.length < MAX_TILE_ROOTS) this.#tileRoots.push(root)
    // Also when nobody wants them: what was taken is forgotten.
    if (this.#upper.size % UPPER_TILES_EVERY === 0) this.#handUpper()
  }

  #handUpper(): void {
    this.#handAbove(this.#upper.takeTiles().filter(({ tile }) => tile.width === TILE_WIDTH))
  }

  /** Tiles of the upper tree. */
  #handAbove(tiles: readonly TileData[]): void {
    this.#hand(tiles.map(({ tile, bytes }) => ({ tile: { ...tile, level: tile.level + 1 }, bytes })))
  }

  /** Partial tiles of other sizes than the checkpoint's may have been deleted. */
  #hand(tiles: readonly TileData[]): void {
    if (!this.#options.tiles) return
    const size = logSize(this.#options.size)
    for (const data of tiles) {
      const { level, index, width } = data.tile
      if (tileAt(level, index, size)?.width === width) this.#pending.push(data)
    }
  }

  #sample(): void {
    const { size } = this
    if (size < this.#nextStop) return
    if (this.#options.tiles && size === this.#options.size && size > 0) {
      if (this.#leaves.length > 0) this.#handLeaves()
      this.#handUpper()
      const partials = this.#upper.partials()
      this.#handAbove(
        edgeTiles(this.#upper.size).map((tile, i) => ({ tile, bytes: partials[i] ?? new Uint8Array(0) })),
      )
    }
    while (this.#rootsAt[0] === size) {
      const lower = new TreeFrontier()
      for (const leaf of this.#leaves) lower.append(leaf)
      this.#roots.set(size, rootOfEdge([...this.#upper.edge(), ...lower.edge()]))
      this.#rootsAt.shift()
    }
    this.#nextStop = Math.min(
      this.#rootsAt[0] ?? Infinity,
      this.#options.size > size ? this.#options.size : Infinity,
    )
  }

  #handLeaves(): void {
    const tile = { level: 0, index: this.#upper.size, width: this.#leaves.length }
    this.#hand([{ tile, bytes: bytesOfDigests(this.#leaves) }])
  }
}

/** Whether a state has every root that is wanted and lies before it. */
export function hasRoots({ size, roots }: TallyState, wanted: readonly number[]): boolean {
  return wanted.every((at) => at > size || roots.some(([passed]) => passed === at))
}
