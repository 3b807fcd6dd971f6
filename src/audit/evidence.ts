import { parseCheckpoint } from "../core/checkpoint.ts"
import { InvalidInputError, NotFoundError } from "../core/errors.ts"
import { HASH_BYTES, logSize, recordIndex } from "../core/hash-types.ts"
import { proveRecord } from "../core/merkle.ts"
import { parseNote } from "../core/note.ts"
import { formatProofFile } from "../core/proof-file.ts"
import { tileHashReader } from "../core/tile-reader.ts"
import { tileAt, type Tile } from "../core/tile.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import { CHECKPOINT_PATH, readTile, storedTiles } from "./tiles.ts"

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

  /**
   * A tlog-proof of a record under the stored checkpoint, whoever writes the log.
   *
   * @throws NotFoundError for a record that it does not cover.
   */
  async prove(index: number): Promise<string> {
    const note = await this.checkpoint()
    const checkpoint = note === undefined ? undefined : new TextDecoder().decode(note)
    const head = checkpoint === undefined ? undefined : parseCheckpoint(parseNote(checkpoint).text)
    if (checkpoint === undefined || head === undefined || index >= head.size) {
      throw new NotFoundError(`no checkpoint covers record ${index}`, {
        hint: "Try again when the writer has signed one.",
      })
    }
    const read = tileHashReader(head.size, head.root, storedTiles(this.#store))
    const proof = await proveRecord(head.size, recordIndex(index), read)
    return formatProofFile({ index: recordIndex(index), proof, checkpoint })
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
