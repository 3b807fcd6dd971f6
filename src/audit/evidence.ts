import { parseCheckpoint } from "../core/checkpoint.ts"
import { InvalidInputError } from "../core/errors.ts"
import { HASH_BYTES, logSize } from "../core/hash-types.ts"
import { parseNote } from "../core/note.ts"
import { tileAt, type Tile } from "../core/tile.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import { CHECKPOINT_PATH, readTile } from "./tiles.ts"

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
   * Exactly this tile; `undefined` unless the stored checkpoint covers it. Of a tile that has become full the first hashes are
   * what it was when it was partial, so that no reader who still has an older checkpoint comes too late.
   *
   * What a row holds beyond the checkpoint is nobody's to see: a crash may have left it, and the next writer cuts it off.
   */
  async tile(tile: Tile): Promise<Uint8Array | undefined> {
    const covered = tileAt(tile.level, tile.index, logSize(await this.#coveredSize()))
    if (covered === undefined || covered.width < tile.width) return undefined
    const bytes = await readTile(this.#store, tile)
    return bytes.length === tile.width * HASH_BYTES ? bytes : undefined
  }

  /** In records; 0 before the first checkpoint, and under one that is none. */
  async #coveredSize(): Promise<number> {
    const note = await this.checkpoint()
    if (note === undefined) return 0
    try {
      return parseCheckpoint(parseNote(note).text).size
    } catch (error) {
      if (error instanceof InvalidInputError) return 0
      throw error
    }
  }
}
