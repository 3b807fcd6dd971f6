import { HansardError, InvalidInputError, NotFoundError, TamperedError } from "../core/errors.ts"
import { equalBytes, utf8 } from "../core/bytes.ts"
import { openCheckpoint, signCheckpoint } from "../core/checkpoint.ts"
import type { OpenedCheckpoint } from "../core/checkpoint.ts"
import { TreeFrontier } from "../core/frontier.ts"
import { logSize, recordIndex } from "../core/hash-types.ts"
import type { Digest, Hash } from "../core/hash-types.ts"
import type { SignerKey } from "../core/key.ts"
import type { Logger } from "../core/logger.ts"
import { proveRecord, proveTree } from "../core/merkle.ts"
import type { ReadHashes } from "../core/merkle.ts"
import { leafDigest } from "../core/merkle-hash.ts"
import { noteSigner, noteVerifier } from "../core/note.ts"
import { formatProofFile } from "../core/proof-file.ts"
import type { Clock, Timers } from "../core/system.ts"
import { edgeTiles, TILE_WIDTH } from "../core/tile.ts"
import { tileHashReader } from "../core/tile-reader.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import type { LogExtent } from "./extent.ts"
import type { LogFiles } from "./log-files.ts"
import { readBlocks } from "./read.ts"
import { CHECKPOINT_PATH, REMADE_FOLDER, remadePath, rowPath, storedTiles, TreeRows } from "./tiles.ts"

const NEWLINE = 0x0a
const DEFAULT_INTERVAL_MS = 1_000
/** How many records' hashes are written at a time between checkpoints: half a mebibyte. */
const PART_RECORDS = 16_384

const REPAIR_GUIDE =
  "Stop the writers and keep every file. `hansard fsck` names the first bad byte. If it finds the lines good, the tree " +
  "can be made again from them: move /audit/tree and /audit/checkpoint aside and open the log; if not, restore the log " +
  "from a copy that `hansard verify` accepts."

export interface LedgerOptions {
  /** Signs the checkpoints. Its name is the log's origin. */
  readonly signer: SignerKey
  /** How long after a record a checkpoint covers it, at most. Default 1,000; nothing is signed while nothing comes. */
  readonly checkpointIntervalMs?: number
  /**
   * Verifier keys whose checkpoint may be found when the log is opened: earlier keys of the same log, which handed over
   * to `signer` (see `signKeyChange`). The next checkpoint is `signer`'s, also when nothing was appended.
   */
  readonly previousKeys?: readonly string[]
}

/** A published checkpoint. */
export interface PublishedCheckpoint {
  /** The signed note, exactly as it is stored. */
  readonly text: string
  /** In records. */
  readonly size: number
  readonly root: Hash
  /** When it was published or found, by the log's clock. */
  readonly at: number
}

/**
 * The log's Merkle tree, and the checkpoints that commit to it: RFC 6962 over the exact bytes of each line, C2SP
 * tlog-tiles and tlog-checkpoint.
 *
 * **Order.** Lines are durable, then their tiles, then the checkpoint that needs them. A checkpoint is committed by
 * compare-and-swap over the one before, so of two writers that slipped past the store's lease one fails; and it is a
 * function of the lines, so that signing again after a failure signs the same. No two inconsistent ones are ever signed.
 *
 * **Memory.** The hashes of the unfinished tiles: fewer than 256 a level.
 *
 * Not promised: that the newest records are covered. What is durable and not yet covered becomes part of the next
 * checkpoint, also after a crash.
 */
export class Ledger {
  readonly #store: KnowledgeStore
  readonly #files: LogFiles
  readonly #extent: LogExtent
  readonly #signer: SignerKey
  /** Whether what is published is signed by `#signer`, and not by a key before it. */
  #isOwn = true
  readonly #options: LedgerOptions & {
    readonly clock: Clock
    readonly timers: Timers
    readonly logger: Logger
  }
  #frontier = new TreeFrontier()
  #rows: TreeRows
  #published: PublishedCheckpoint | undefined
  /** The bytes that were about to replace the published ones when the store failed: it may have done so. */
  #attempted: Uint8Array | undefined
  /** Publishing happens one at a time. */
  #publishing: Promise<void> = Promise.resolve()
  #cancelTimer: (() => void) | undefined
  #closed = false

  constructor(
    store: KnowledgeStore,
    files: LogFiles,
    extent: LogExtent,
    options: LedgerOptions & { readonly clock: Clock; readonly timers: Timers; readonly logger: Logger },
  ) {
    if (options.signer.type !== "log") {
      throw new InvalidInputError(`a log is signed by a key of type "log", not "${options.signer.type}"`)
    }
    this.#store = store
    this.#files = files
    this.#rows = new TreeRows(store, 0)
    this.#extent = extent
    this.#signer = options.signer
    this.#options = options
  }

  get published(): PublishedCheckpoint | undefined {
    return this.#published
  }

  /**
   * Takes in what is stored: checks the checkpoint's signature, the tiles of its right edge and the last lines against
   * it, then adds the lines that it does not cover.
   *
   * @throws TamperedError, with a repair guide as its hint, when they contradict one another.
   */
  async open(): Promise<void> {
    const stored = await this.#store.read(CHECKPOINT_PATH)
    if (stored !== undefined) {
      const checkpoint = this.#openStored(stored)
      const { size, root } = checkpoint
      if (size > this.#extent.size) {
        throw contradiction(
          `the checkpoint covers ${size} records; the log has ${this.#extent.size}`,
          this.#extent.size,
          this.#extent.bytes,
        )
      }
      await this.#resume(checkpoint)
      this.#published = { text: new TextDecoder().decode(stored), size, root, at: this.#options.clock() }
    }
    await this.#takeIn(this.#extent.size)
    this.#scheduleIfBehind()
  }

  /** The leaves of whole lines. Pure: called while the disk works on the very lines. */
  leavesOf(lines: Buffer): Digest[] {
    const leaves: Digest[] = []
    for (
      let start = 0, end = lines.indexOf(NEWLINE);
      end !== -1;
      start = end + 1, end = lines.indexOf(NEWLINE, start)
    ) {
      leaves.push(leafDigest(lines.subarray(start, end)))
    }
    return leaves
  }

  /** These lines are durable. */
  append(leaves: readonly Digest[]): void {
    for (const leaf of leaves) this.#frontier.append(leaf)
    this.#writeRowsAhead()
    this.#scheduleIfBehind()
  }

  /**
   * Publishes a checkpoint of everything that is durable now, unless there is one already.
   *
   * @throws the store's errors, and then it is tried again at the next interval; TamperedError when somebody else has
   * published one.
   */
  async publish(): Promise<PublishedCheckpoint> {
    const publishing = this.#publishing.then(() => this.#publish())
    this.#publishing = publishing.catch(() => {})
    await publishing
    if (this.#published === undefined) throw new Error("bug: publishing publishes")
    return this.#published
  }

  /**
   * A tlog-proof of one record, under a checkpoint that covers it: waits for one if need be.
   *
   * @throws NotFoundError for an index that the log has not reached.
   */
  async prove(index: number): Promise<string> {
    if (index >= this.#extent.size)
      throw new NotFoundError(`there is no record ${index}; the log has ${this.#extent.size}`)
    let checkpoint = this.#published
    if (checkpoint === undefined || index >= checkpoint.size) checkpoint = await this.publish()
    const read = this.#hashesUnder(checkpoint)
    const proof = await proveRecord(logSize(checkpoint.size), recordIndex(index), read)
    return formatProofFile({ index: recordIndex(index), proof, checkpoint: checkpoint.text })
  }

  /** A consistency proof between two sizes. @throws NotFoundError for sizes that the log has not reached. */
  async consistency(from: number, to: number): Promise<readonly Hash[]> {
    if (to > this.#extent.size) throw new NotFoundError(`the log has ${this.#extent.size} records, not ${to}`)
    let checkpoint = this.#published
    if (checkpoint === undefined || to > checkpoint.size) checkpoint = await this.publish()
    return await proveTree(logSize(to), logSize(from), this.#hashesUnder(checkpoint))
  }

  /** A last checkpoint, then no more. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelTimer?.()
    // An empty log that never had a checkpoint is left as it is.
    if (this.#frontier.size > 0 || this.#published !== undefined) await this.publish()
  }

  #hashesUnder({ size, root }: PublishedCheckpoint): ReadHashes {
    return tileHashReader(logSize(size), root, storedTiles(this.#store))
  }

  #openStored(stored: Uint8Array): OpenedCheckpoint {
    const keys = [this.#signer, ...(this.#options.previousKeys ?? [])]
    let failure: unknown
    for (const key of keys) {
      try {
        const checkpoint = openCheckpoint(stored, noteVerifier(key))
        this.#isOwn = key === this.#signer
        return checkpoint
      } catch (error) {
        failure = error
      }
    }
    const why = failure instanceof Error ? failure.message : String(failure)
    throw contradiction(`the stored checkpoint is not one of ${this.#signer.name}: ${why}`, 0, 0, failure)
  }

  /** The frontier at the checkpoint's size, from its tiles; and the last lines under them, hashed again. */
  async #resume({ size, root }: OpenedCheckpoint): Promise<void> {
    if (size > 0 && !(await this.#store.exists(rowPath(0)))) return await this.#remake(size, root)
    this.#rows = new TreeRows(this.#store, size)
    const firstOfLastTile = size === 0 ? 0 : Math.floor((size - 1) / TILE_WIDTH) * TILE_WIDTH
    try {
      const partials = await storedTiles(this.#store)(edgeTiles(size))
      this.#frontier = TreeFrontier.resume(size, root, partials)
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

  async #publish(): Promise<void> {
    const size = this.#frontier.size
    if (this.#published?.size === size && this.#isOwn) return
    const root = this.#frontier.root()
    this.#rows.take(this.#frontier.takeRows())
    await this.#rows.flush()

    const text = signCheckpoint({ origin: this.#signer.name, size, root }, [noteSigner(this.#signer)])
    await this.#swap(utf8(text))
    this.#published = { text, size, root, at: this.#options.clock() }
    this.#isOwn = true
  }

  async #swap(next: Uint8Array): Promise<void> {
    const before = this.#published === undefined ? undefined : utf8(this.#published.text)
    const candidates = this.#attempted === undefined ? [before] : [before, this.#attempted]
    this.#attempted = next
    for (const expected of candidates) {
      if (await this.#store.writeIf(CHECKPOINT_PATH, next, expected)) {
        this.#attempted = undefined
        return
      }
    }
    this.#closed = true
    throw contradiction("somebody else has published a checkpoint of this log", this.#published?.size ?? 0, 0)
  }

  /**
   * What fills a part of a row is written before a checkpoint asks for it: otherwise a second's hashes, ten megabytes of them,
   * would be in the way of the records at once.
   */
  #writeRowsAhead(): void {
    if (this.#frontier.size - this.#rows.size < PART_RECORDS) return
    this.#rows.take(this.#frontier.takeRows())
    // What fails is kept and tried again with the checkpoint, which tells of it.
    this.#rows.flush().catch(() => {})
  }

  #scheduleIfBehind(): void {
    if (this.#closed || this.#cancelTimer !== undefined || this.#frontier.size === this.#published?.size)
      return
    if (this.#frontier.size === 0) return
    const { timers, checkpointIntervalMs = DEFAULT_INTERVAL_MS, logger } = this.#options
    this.#cancelTimer = timers.after(checkpointIntervalMs, () => {
      this.#cancelTimer = undefined
      this.publish().then(
        () => this.#scheduleIfBehind(),
        (error: unknown) => {
          logger.error({ err: error }, "a checkpoint could not be published")
          this.#scheduleIfBehind()
        },
      )
    })
  }
}

function contradiction(message: string, index: number, offset: number, cause?: unknown): TamperedError {
  return new TamperedError(message, index, offset, { cause, hint: REPAIR_GUIDE })
}
