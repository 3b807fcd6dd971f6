import { NotFoundError } from "../core/errors.ts"
import type { Tile } from "../core/tile.ts"
import { formatTilePath, TILE_WIDTH } from "../core/tile.ts"
import type { ReadTiles } from "../core/tile-reader.ts"
import type { KnowledgeStore } from "../store/contract.ts"

/** The newest signed checkpoint. */
export const CHECKPOINT_PATH = "/audit/checkpoint"

/** Where a tile lies in the store: C2SP tlog-tiles below `/audit`. */
export function tilePath(tile: Tile): string {
  return `/audit/${formatTilePath(tile)}`
}

/** The folder with the partial states of a tile, once it is full: of no more use. */
export function partialsPath(tile: Tile): string {
  return `${tilePath({ ...tile, width: TILE_WIDTH })}.p`
}

/**
 * Reads tiles of a store. Where a partial tile has been replaced by a wider one meanwhile, that one stands in, as
 * tlog-tiles has it: what is too much is ignored by the reader.
 *
 * @throws NotFoundError, from the reader, for a tile that is not there in any width.
 */
export function storedTiles(store: KnowledgeStore): ReadTiles {
  return (tiles) => Promise.all(tiles.map((tile) => readTile(store, tile)))
}

async function readTile(store: KnowledgeStore, tile: Tile): Promise<Uint8Array> {
  const exact = await store.read(tilePath(tile))
  if (exact !== undefined) return exact
  const full = await store.read(tilePath({ ...tile, width: TILE_WIDTH }))
  if (full !== undefined) return full
  const folder = partialsPath(tile)
  const wider = (await store.list(folder)).map(Number).filter((width) => width >= tile.width)
  const width = Math.min(...wider)
  const bytes = Number.isFinite(width) ? await store.read(`${folder}/${width}`) : undefined
  if (bytes === undefined) throw new NotFoundError(`there is no ${tilePath(tile)}`)
  return bytes
}
