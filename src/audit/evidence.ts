import { parseCheckpoint } from "../core/checkpoint.ts"
import { InvalidInputError, NotFoundError } from "../core/errors.ts"
import { formatEvidence } from "../core/evidence-file.ts"
import { HASH_BYTES, logSize, recordIndex } from "../core/hash-types.ts"
import { proveRecords } from "../core/merkle.ts"
import { parseNote } from "../core/note.ts"
import { formatProofFile } from "../core/proof-file.ts"
import { tileHashReader, type ReadTiles } from "../core/tile-reader.ts"
import { formatTilePath, tileAt, type Tile } from "../core/tile.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import { CHECKPOINT_PATH, readTile, storedTiles } from "./tiles.ts"
import type { LogEntry } from "./types.ts"

/** Makes proofs under one checkpoint. */
export interface Prover {
  /** In records, of the checkpoint. */
  readonly size: number
  /** A tlog-proof file for each record, in their order. @throws InvalidInputError for one that is not covered. */
  prove(indexes: readonly number[]): Promise<readonly string[]>
}

/** In tiles of at most 8 KiB, which a prover keeps: more than the records of a page lie under, if they lie together. */
const MAX_TILES = 256

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
    const prover = await this.prover()
    if (prover === undefined || index >= prover.size) {
      throw new NotFoundError(`no checkpoint covers record ${index}`, {
        hint: "Try again when the writer has signed one.",
      })
    }
    const [proof = ""] = await prover.prove([index])
    return proof
  }

  /**
   * For the proofs of many records, all of them under the checkpoint that is stored now. `undefined` before the first one.
   *
   * Each call costs the tiles that its records lie under, and those that the call before has read are not read again.
   */
  async prover(): Promise<Prover | undefined> {
    const note = await this.checkpoint()
    if (note === undefined) return undefined
    const checkpoint = new TextDecoder().decode(note)
    const { size, root } = parseCheckpoint(parseNote(checkpoint).text)
    const read = tileHashReader(size, root, rememberingTiles(storedTiles(this.#store)))
    return {
      size,
      async prove(indexes) {
        const records = indexes.map(recordIndex)
        const proofs = await proveRecords(size, records, read)
        return records.map((index, i) => formatProofFile({ index, proof: proofs[i] ?? [], checkpoint }))
      },
    }
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

/** Records with their proofs, as lines of an evidence file. Neighbours share the tiles that they lie under. */
export async function evidenceOf(
  prover: Prover,
  entries: readonly Pick<LogEntry, "index" | "line">[],
): Promise<string> {
  const proofs = await prover.prove(entries.map(({ index }) => index))
  return entries.map(({ index, line }, i) => formatEvidence({ index, line, proof: proofs[i] ?? "" })).join("")
}

function rememberingTiles(read: ReadTiles): ReadTiles {
  const kept = new Map<string, Uint8Array>()
  return async (tiles) => {
    const missing = tiles.filter((tile) => !kept.has(formatTilePath(tile)))
    const found = missing.length === 0 ? [] : await read(missing)
    if (kept.size + missing.length > MAX_TILES) {
      const wanted = new Set(tiles.map(formatTilePath))
      for (const path of [...kept.keys()]) if (!wanted.has(path)) kept.delete(path)
    }
    for (const [i, tile] of missing.entries()) {
      const bytes = found[i]
      if (bytes !== undefined) kept.set(formatTilePath(tile), bytes)
    }
    return tiles.map((tile) => kept.get(formatTilePath(tile)) ?? new Uint8Array())
  }
}
