import { HASH_BYTES } from "../core/hash-types.ts"
import { TILE_WIDTH, type Tile } from "../core/tile.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import { CHECKPOINT_PATH, tilePath } from "./tiles.ts"

/**
 * What is stored of a log's tree, as it is stored: for whoever serves it to others. Nothing is checked here; whoever
 * reads it checks it, and works as well over a log that another process writes.
 */
export class StoredEvidence {
  readonly #store: KnowledgeStore

  constructor(store: KnowledgeStore) {
    this.#store = store
  }

  /** The newest signed note; `undefined` before the first. */
  checkpoint(): Promise<Uint8Array | undefined> {
    return this.#store.read(CHECKPOINT_PATH)
  }

  /**
   * Exactly this tile; `undefined` when there is none of that width. Of a tile that has become full the first hashes are
   * what it was when it was partial, so that no reader who still has an older checkpoint comes too late.
   */
  async tile(tile: Tile): Promise<Uint8Array | undefined> {
    const exact = await this.#store.read(tilePath(tile))
    if (exact !== undefined || tile.width === TILE_WIDTH) return exact
    const full = await this.#store.read(tilePath({ ...tile, width: TILE_WIDTH }))
    return full?.slice(0, tile.width * HASH_BYTES)
  }
}
