import { ClosedError, InvalidInputError, NotFoundError } from "../core/errors.ts"
import { concatBytes, utf8 } from "../core/bytes.ts"
import { openCheckpoint, signCheckpoint } from "../core/checkpoint.ts"
import type { OpenedCheckpoint } from "../core/checkpoint.ts"
import { TreeFrontier } from "../core/frontier.ts"
import { logSize, recordIndex } from "../core/hash-types.ts"
import type { Digest, Hash } from "../core/hash-types.ts"
import type { SignerKey } from "../core/key.ts"
import type { Logger } from "../core/logger.ts"
import { proveRecord, proveTree } from "../core/merkle.ts"
import type { ReadHashes } from "../core/merkle.ts"
import { noteSigner, noteVerifier, parseNote } from "../core/note.ts"
import { formatProofFile } from "../core/proof-file.ts"
import type { Clock, Timers } from "../core/system.ts"
import { edgeTiles } from "../core/tile.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import type { DurableBatch, LogExtent } from "./extent.ts"
import type { LogFiles } from "./log-files.ts"
import { contradiction, LogTree } from "./log-tree.ts"
import type { LogObserver } from "./types.ts"
import { CHECKPOINT_PATH, EDGE_PATH, storedHashes, storedTiles } from "./tiles.ts"

const DEFAULT_INTERVAL_MS = 1_000
/** In milliseconds: how long a log that closes waits for cosignatures, and then for whoever was told to come to an end. */
const LAST_WORD_MS = 1_000

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
  /** Asks witnesses to cosign what was published. Default: nobody is asked. `createCosigner` of `hansard/witness` makes one. */
  readonly cosign?: Cosign
}

/**
 * Asks for cosignatures of a checkpoint that is published.
 *
 * Asked for one at a time, and then for the newest: however long it takes and whatever it returns, the log never waits for it.
 * What it returns must be the same note, with more signatures at its end; then it takes the published one's place, unless a newer
 * one has been published meanwhile. A failure is logged, and the next checkpoint is asked for.
 *
 * @param proofFrom the consistency proof between two sizes, up to the note's
 * @param signal aborts when the log closes; what has come until then can still be returned
 */
export type Cosign = (
  note: string,
  proofFrom: (from: number, to: number) => Promise<readonly Hash[]>,
  signal: AbortSignal,
) => Promise<string>

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
 * **Memory.** The hashes of the unfinished tiles: fewer than 256 a level. A busy log's tree has a thread of its own, with some
 * ten megabytes; an idle one's costs nothing.
 *
 * Not promised: that the newest records are covered. What is durable and not yet covered becomes part of the next
 * checkpoint, also after a crash.
 */
export class Ledger {
  readonly #store: KnowledgeStore
  readonly #extent: LogExtent
  readonly #signer: SignerKey
  /** Whether what is published is signed by `#signer`, and not by a key before it. */
  #isOwn = true
  readonly #options: LedgerOptions & {
    readonly clock: Clock
    readonly timers: Timers
    readonly logger: Logger
    readonly observers: ReadonlySet<LogObserver>
  }
  readonly #tree: LogTree
  #published: PublishedCheckpoint | undefined
  /** The bytes that were about to replace the published ones when the store failed: it may have done so. */
  #attempted: Uint8Array | undefined
  /** Publishing happens one at a time. */
  #publishing: Promise<void> = Promise.resolve()
  #cancelTimer: (() => void) | undefined
  /** A newer checkpoint than the last that was asked for. */
  #isUncosigned = false
  /** Never rejects. */
  #cosigning: Promise<void> | undefined
  readonly #stopCosigning = new AbortController()
  #closed = false

  constructor(
    store: KnowledgeStore,
    files: LogFiles,
    extent: LogExtent,
    options: LedgerOptions & {
      readonly clock: Clock
      readonly timers: Timers
      readonly logger: Logger
      readonly observers?: ReadonlySet<LogObserver>
    },
  ) {
    if (options.signer.type !== "log") {
      throw new InvalidInputError(`a log is signed by a key of type "log", not "${options.signer.type}"`)
    }
    this.#store = store
    this.#tree = new LogTree(store, files, extent, options.logger)
    this.#extent = extent
    this.#signer = options.signer
    this.#options = { ...options, observers: options.observers ?? new Set() }
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
      await this.#tree.resume(checkpoint)
      this.#published = { text: new TextDecoder().decode(stored), size, root, at: this.#options.clock() }
      this.#isUncosigned = true
    }
    await this.#tree.catchUp()
    this.#scheduleIfBehind()
    this.#cosign()
  }

  /** The leaves of lines that are on their way to the disk, if it is this thread that makes them. Pure. */
  leavesOf(lines: Buffer): readonly Digest[] {
    return this.#tree.leavesOf(lines)
  }

  /** See {@link LogTree.append}. */
  append(batch: DurableBatch, leaves: readonly Digest[]): Promise<void> | undefined {
    this.#scheduleIfBehind()
    return this.#tree.append(batch, leaves)
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
    const read = await this.#hashesUnder(checkpoint)
    const proof = await proveRecord(logSize(checkpoint.size), recordIndex(index), read)
    return formatProofFile({ index: recordIndex(index), proof, checkpoint: checkpoint.text })
  }

  /** A consistency proof between two sizes. @throws NotFoundError for sizes that the log has not reached. */
  async consistency(from: number, to: number): Promise<readonly Hash[]> {
    if (to > this.#extent.size) throw new NotFoundError(`the log has ${this.#extent.size} records, not ${to}`)
    let checkpoint = this.#published
    if (checkpoint === undefined || to > checkpoint.size) checkpoint = await this.publish()
    return await proveTree(logSize(to), logSize(from), await this.#hashesUnder(checkpoint))
  }

  /** A last checkpoint, then no more. Who is asked to cosign then is told to come to an end. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelTimer?.()
    try {
      // An empty log that never had a checkpoint is left as it is.
      if (this.#extent.size > 0 || this.#published !== undefined) await this.publish()
      await this.#endCosigning()
    } finally {
      await this.#tree.close()
    }
  }

  #hashesUnder({ size, root }: PublishedCheckpoint): Promise<ReadHashes> {
    return storedHashes(this.#store, logSize(size), root)
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

  async #publish(): Promise<void> {
    if (this.#published?.size === this.#extent.size && this.#isOwn) return
    const { size, root } = await this.#tree.state(this.#published)
    if (size < (this.#published?.size ?? 0)) throw new Error("bug: a tree does not shrink")
    await this.#tree.flush()

    const text = signCheckpoint({ origin: this.#signer.name, size, root }, [noteSigner(this.#signer)])
    await this.#swap(utf8(text))
    this.#published = { text, size, root, at: this.#options.clock() }
    this.#isOwn = true
    this.#tellObservers()
    this.#tree.isCovered()
    await this.#keepEdge(this.#published)
    this.#isUncosigned = true
    this.#cosign()
  }

  /** Derived, from the tiles that have just been written: a log whose edge could not be kept is as good as before. */
  async #keepEdge({ size, root }: PublishedCheckpoint): Promise<void> {
    try {
      const partials = await storedTiles(this.#store)(edgeTiles(logSize(size)))
      const edge = TreeFrontier.resume(logSize(size), root, partials).edge()
      await this.#store.write(EDGE_PATH, concatBytes(edge))
    } catch (err) {
      this.#options.logger.warn({ err }, "the tree's edge could not be kept")
    }
  }

  /** Has the newest checkpoint cosigned, unless that is under way for another. */
  #cosign(): void {
    const { cosign, logger } = this.#options
    const asked = this.#published
    if (cosign === undefined || asked === undefined || !this.#isUncosigned || this.#cosigning !== undefined)
      return
    this.#isUncosigned = false
    this.#cosigning = this.#collect(asked, cosign)
      .catch((error: unknown) =>
        logger.warn({ err: error, size: asked.size }, "a checkpoint was not cosigned"),
      )
      .finally(() => {
        this.#cosigning = undefined
        if (!this.#stopCosigning.signal.aborted) this.#cosign()
      })
  }

  async #collect(asked: PublishedCheckpoint, cosign: Cosign): Promise<void> {
    const proofFrom = async (from: number, to: number): Promise<readonly Hash[]> =>
      await proveTree(logSize(to), logSize(from), await this.#hashesUnder(asked))
    const { signal } = this.#stopCosigning
    const note = await this.#orTooLate(cosign(asked.text, proofFrom, signal), signal)
    if (note === asked.text) return
    openCheckpoint(note, noteVerifier(this.#signer))
    if (parseNote(note).text !== parseNote(asked.text).text)
      throw new InvalidInputError("it is another checkpoint")
    const merging = this.#publishing.then(async () => {
      // Overtaken: the newer one is asked for next.
      if (this.#published !== asked) return
      await this.#swap(utf8(note))
      this.#published = { ...asked, text: note }
      this.#tellObservers()
    })
    this.#publishing = merging.catch(() => {})
    await merging
  }

  /** The last checkpoint has its chance too, also when another is being cosigned; but no more than that. */
  async #endCosigning(): Promise<void> {
    const cancel = this.#options.timers.after(LAST_WORD_MS, () =>
      this.#stopCosigning.abort(new ClosedError("the log")),
    )
    // Who has ended with one asks for the newest, until it is too late.
    while (this.#cosigning !== undefined) await this.#cosigning
    cancel()
    this.#stopCosigning.abort(new ClosedError("the log"))
  }

  /** Relies on nobody to heed the signal. */
  async #orTooLate(asked: Promise<string>, signal: AbortSignal): Promise<string> {
    const late = Promise.withResolvers<never>()
    let cancel: (() => void) | undefined
    const aborted = (): void => {
      cancel = this.#options.timers.after(LAST_WORD_MS, () => late.reject(signal.reason))
    }
    signal.addEventListener("abort", aborted, { once: true })
    try {
      return await Promise.race([asked, late.promise])
    } finally {
      signal.removeEventListener("abort", aborted)
      cancel?.()
    }
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

  #tellObservers(): void {
    if (this.#published === undefined) return
    for (const observer of this.#options.observers) observer.published(this.#published)
  }

  #scheduleIfBehind(): void {
    if (this.#closed || this.#cancelTimer !== undefined || this.#extent.size === this.#published?.size) return
    if (this.#extent.size === 0) return
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
