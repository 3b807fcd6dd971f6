import { equalBytes } from "../core/bytes.ts"
import { HansardError, TamperedError } from "../core/errors.ts"
import { TreeFrontier } from "../core/frontier.ts"
import { logSize } from "../core/hash-types.ts"
import type { Digest, Hash } from "../core/hash-types.ts"
import type { Logger } from "../core/logger.ts"
import { leafDigest } from "../core/merkle-hash.ts"
import { edgeTiles, TILE_WIDTH } from "../core/tile.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import type { DurableBatch, LogExtent } from "./extent.ts"
import type { LogFiles } from "./log-files.ts"
import { readBlocks } from "./read.ts"
import { REMADE_FOLDER, remadePath, rowPath, storedTiles, TreeRows } from "./tiles.ts"
import { leavesOf } from "./tree-session.ts"
import { LostTree, TreeThread } from "./tree-thread.ts"
import type { TreeState } from "./tree-thread.ts"

const NEWLINE = 0x0a
/** How many records' hashes are written at a time between checkpoints: half a mebibyte. */
const PART_RECORDS = 16_384
/** So many records between two checkpoints are a busy log: hashing them has taken 10 ms of the writer's thread. */
const BUSY_RECORDS = 8_192

const REPAIR_GUIDE =
  "Stop the writers and keep every file. `hansard fsck` names the first bad byte. If it finds the lines good, the tree " +
  "can be made again from them: move /audit/tree and /audit/checkpoint aside and open the log; if not, restore the log " +
  "from a copy that `hansard verify` accepts."

/** What a checkpoint says of the log. */
export interface Covered {
  /** In records. */
  readonly size: number
  readonly root: Hash
}

/**
 * The Merkle tree of a log that grows: its right edge in memory, its rows in the store.
 *
 * A log with little to do hashes its lines while the disk works on them. Once more than {@link BUSY_RECORDS} come between two
 * checkpoints, a thread of its own has the tree; if that ends, the tree is made again from the log.
 */
export class LogTree {
  readonly #store: KnowledgeStore
  readonly #files: LogFiles
  readonly #extent: LogExtent
  readonly #logger: Logger
  /** Has the tree, as long as no thread has. */
  #frontier = new TreeFrontier()
  #rows: TreeRows
  /** Has the tree instead of `#frontier`, once the log is busy. */
  #thread: TreeThread | undefined
  #mayUseThread = true
  /** Neither has it: a thread was lost, and what it had is still to be made again. */
  #isStale = false
  /** In records. */
  #sinceCovered = 0
  /** Up to which size rows were sent to the disk without a checkpoint. */
  #writtenAhead = 0

  constructor(store: KnowledgeStore, files: LogFiles, extent: LogExtent, logger: Logger) {
    this.#store = store
    this.#files = files
    this.#extent = extent
    this.#logger = logger
    this.#rows = new TreeRows(store, 0)
  }

  /** The leaves of whole lines, unless a thread makes them. Pure: called while the disk works on the very lines. */
  leavesOf(lines: Buffer): readonly Digest[] {
    return this.#thread === undefined ? leavesOf(lines) : []
  }

  /**
   * These lines are durable.
   *
   * @param leaves theirs, if {@link leavesOf} gave them
   * @returns what their receipts are to wait for: a thread that has fallen far behind
   */
  append(batch: DurableBatch, leaves: readonly Digest[]): Promise<void> | undefined {
    this.#sinceCovered += batch.count
    if (this.#thread !== undefined) return this.#thread.add(batch.bytes)
    // A tree that is being made again from the log comes to these lines by itself.
    if (this.#frontier.size !== batch.firstIndex) return undefined
    for (const leaf of leaves.length === batch.count ? leaves : leavesOf(batch.bytes))
      this.#frontier.append(leaf)
    if (this.#frontier.size - this.#rows.size >= PART_RECORDS) {
      this.#rows.take(this.#frontier.takeRows())
      this.#writeRowsAhead()
    }
    if (this.#sinceCovered >= BUSY_RECORDS && this.#mayUseThread) this.#startThread()
    return undefined
  }

  /**
   * The tree with everything that is durable now. Its rows are for the next {@link flush}.
   *
   * @param covered the newest checkpoint: where to begin when the tree has to be made again
   */
  async state(covered: Covered | undefined): Promise<TreeState> {
    try {
      if (this.#thread !== undefined) return await this.#thread.state()
    } catch (error) {
      if (!(error instanceof LostTree)) throw error
      this.#logger.warn({ err: error }, "the ledger has lost its thread, and goes on without one")
      this.#thread = undefined
      this.#mayUseThread = false
      this.#isStale = true
    }
    if (this.#isStale) await this.#makeAgain(covered)
    this.#rows.take(this.#frontier.takeRows())
    return { size: this.#frontier.size, root: this.#frontier.root() }
  }

  /** The tree from the newest checkpoint on, from the log: what came since was in a thread that ended. */
  async #makeAgain(covered: Covered | undefined): Promise<void> {
    await this.#rows.flush().catch(() => {})
    if (covered === undefined) {
      this.#frontier = new TreeFrontier()
      this.#rows = new TreeRows(this.#store, 0)
    } else await this.resume(covered)
    await this.catchUp()
    this.#isStale = false
  }

  /** From now on a thread has the tree. */
  #startThread(): void {
    this.#rows.take(this.#frontier.takeRows())
    try {
      this.#thread = new TreeThread(this.#frontier, (rows) => {
        this.#rows.take(rows)
        this.#writeRowsAhead()
      })
    } catch (error) {
      this.#mayUseThread = false
      this.#logger.warn({ err: error }, "the ledger has no thread of its own")
    }
  }

  /** Makes the rows of the last {@link state} durable. @throws the store's errors; then it can be called again */
  flush(): Promise<void> {
    return this.#rows.flush()
  }

  /** A checkpoint covers what there is. */
  isCovered(): void {
    this.#sinceCovered = 0
  }

  /** Adds the durable lines that the tree does not have. */
  async catchUp(): Promise<void> {
    while (this.#frontier.size < this.#extent.size) await this.#takeIn(this.#extent.size)
  }

  async close(): Promise<void> {
    await this.#thread?.close()
  }

  /** The frontier at the checkpoint's size, from its tiles; and the last lines under them, hashed again. */
  async resume({ size, root }: Covered): Promise<void> {
    if (size > 0 && !(await this.#store.exists(rowPath(0)))) return await this.#remake(size, root)
    this.#rows = new TreeRows(this.#store, size)
    const firstOfLastTile = size === 0 ? 0 : Math.floor((size - 1) / TILE_WIDTH) * TILE_WIDTH
    try {
      const partials = await storedTiles(this.#store)(edgeTiles(logSize(size)))
      this.#frontier = TreeFrontier.resume(logSize(size), root, partials)
    } catch (error) {
      if (!(error instanceof HansardError)) throw error
      throw contradiction(
        `the tiles do not lead to the checkpoint: ${error.message}`,
        firstOfLastTile,
        0,
        error,
      )
    }
    if (size === 0) return
    const width = size - firstOfLastTile
    const tile = { level: 0, index: firstOfLastTile / TILE_WIDTH, width }
    const [hashes] = await storedTiles(this.#store)([tile])
    let index = firstOfLastTile
    await this.#forEachLine(firstOfLastTile, size, (line) => {
      const at = (index - firstOfLastTile) * 32
      const leaf = Buffer.from(leafDigest(line), "latin1")
      if (hashes === undefined || !equalBytes(leaf, hashes.subarray(at, at + 32))) {
        throw contradiction(
          `record ${index} is not the one that the checkpoint covers`,
          index,
          this.#extent.floor(index).offset,
        )
      }
      index++
    })
  }

  /**
   * There is no tree at all, as in a log whose tree was moved aside or was kept in another form: it is made again from
   * the lines, which have to lead to the checkpoint. Stricter than a tree that is there, and as slow as the log is long.
   *
   * Row 0 gets its name last: a crash leaves a whole tree or, again, none.
   */
  async #remake(size: number, root: Hash): Promise<void> {
    await this.#store.delete(REMADE_FOLDER)
    this.#frontier = new TreeFrontier()
    this.#rows = new TreeRows(this.#store, 0, remadePath)
    await this.#takeIn(size)
    if (!equalBytes(this.#frontier.root(), root)) {
      throw contradiction("the lines do not lead to the checkpoint, and there is no tree to tell which", 0, 0)
    }
    this.#rows.take(this.#frontier.takeRows())
    await this.#rows.flush()
    for (let level = this.#rows.levels - 1; level >= 0; level--) {
      await this.#store.move(remadePath(level), rowPath(level))
    }
    this.#rows = new TreeRows(this.#store, size)
  }

  /** Adds the lines up to `size` to the tree, in constant memory. */
  async #takeIn(size: number): Promise<void> {
    for (let from: number = this.#frontier.size; from < size; from = this.#frontier.size) {
      const to = Math.min(size, from + PART_RECORDS)
      await this.#forEachLine(from, to, (line) => this.#frontier.appendRecord(line))
      if (this.#frontier.size < to) throw new Error(`bug: the log ends before record ${to}`)
      if (to === size) return
      this.#rows.take(this.#frontier.takeRows())
      await this.#rows.flush()
    }
  }

  /** The exact bytes of the lines `[from, to)`, without their newlines. */
  async #forEachLine(from: number, to: number, each: (line: Uint8Array) => void): Promise<void> {
    for await (const { firstIndex, bytes } of readBlocks(this.#files, this.#extent, { from, to })) {
      let index = firstIndex
      for (
        let start = 0, end = bytes.indexOf(NEWLINE);
        end !== -1;
        start = end + 1, end = bytes.indexOf(NEWLINE, start)
      ) {
        if (index >= from && index < to) each(bytes.subarray(start, end))
        index++
      }
    }
  }

  /**
   * What fills a part of a row is written before a checkpoint asks for it: otherwise a second's hashes, ten megabytes of them,
   * would be in the way of the records at once.
   */
  #writeRowsAhead(): void {
    if (this.#rows.size - this.#writtenAhead < PART_RECORDS) return
    this.#writtenAhead = this.#rows.size
    // What fails is kept and tried again with the checkpoint, which tells of it.
    this.#rows.flush().catch(() => {})
  }
}

export function contradiction(
  message: string,
  index: number,
  offset: number,
  cause?: unknown,
): TamperedError {
  return new TamperedError(message, index, offset, { cause, hint: REPAIR_GUIDE })
}
