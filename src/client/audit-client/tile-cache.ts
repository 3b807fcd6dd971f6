import { NotFoundError } from "../../core/index.ts"
import { formatTilePath, TILE_WIDTH, type Tile } from "../../core/tile.ts"
import type { LogReader } from "./log-reader.ts"

/** In tiles, 8 KiB each. */
const MAX_FULL = 512
/** Of those that are not full: a few a head, which the next head has no use for. */
const MAX_PARTIAL = 16

/** Tiles as they were read. They never change; that they belong to a tree is for others to check. */
export class TileCache {
  readonly #reader: Pick<LogReader, "tile">
  readonly #full = new Map<string, Uint8Array>()
  readonly #partial = new Map<string, Uint8Array>()

  constructor(reader: Pick<LogReader, "tile">) {
    this.#reader = reader
  }

  /** @throws NotFoundError for one that the service does not have. */
  async read(tiles: readonly Tile[], signal?: AbortSignal): Promise<readonly Uint8Array[]> {
    return await Promise.all(tiles.map((tile) => this.#read(tile, signal)))
  }

  /** What was kept may have been a lie. */
  clear(): void {
    this.#full.clear()
    this.#partial.clear()
  }

  async #read(tile: Tile, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const isFull = tile.width === TILE_WIDTH
    const path = formatTilePath(tile)
    const known = (isFull ? this.#full : this.#partial).get(path)
    if (known !== undefined) return known
    let bytes: Uint8Array
    try {
      bytes = await this.#reader.tile(path, signal)
    } catch (error) {
      // A partial tile may be gone once its place is full: then the full one has what it had.
      if (isFull || !(error instanceof NotFoundError)) throw error
      return await this.#read({ ...tile, width: TILE_WIDTH }, signal)
    }
    if (isFull) keep(this.#full, path, bytes, MAX_FULL)
    else keep(this.#partial, path, bytes, MAX_PARTIAL)
    return bytes
  }
}

function keep(kept: Map<string, Uint8Array>, path: string, bytes: Uint8Array, most: number): void {
  const [oldest] = kept.keys()
  if (kept.size >= most && oldest !== undefined) kept.delete(oldest)
  kept.set(path, bytes)
}
