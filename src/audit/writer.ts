import { AuditUnavailableError, ClosedError, TamperedError } from "../core/errors.ts"
import type { Digest } from "../core/hash-types.ts"
import { encodeLine } from "../core/line.ts"
import type { Logger } from "../core/logger.ts"
import { isoTime } from "../core/system.ts"
import type { Clock, Timers } from "../core/system.ts"
import type { DurableBatch, LogExtent } from "./extent.ts"
import type { LogFiles } from "./log-files.ts"
import { MAX_BATCH_BYTES } from "./recover.ts"
import { Staging } from "./staging.ts"
import type { AppendReceipt } from "./types.ts"

/** What a line is to the writer when it cannot be written. */
export type Importance =
  /** Somebody called `append` and hears of the failure: nothing is kept. */
  | "direct"
  /** A hub event: its loss becomes an `audit_gap`. */
  | "event"
  /** A hub event that must not be lost: it is kept and tried again, first in line. */
  | "required"

/** In bytes. Less than this always waits for company: half a sync costs as much as a whole one. */
const EAGER_BYTES = 16 * 1024

export interface WriterOptions {
  readonly clock: Clock
  readonly timers: Timers
  readonly retryMs: number
  readonly logger: Logger
  /** Awaited before anything is written; if it rejects, writing failed and is tried again later. */
  readonly ready: () => Promise<void>
  /** Called before each batch; a promise is awaited first, and if it rejects, the batch has failed. */
  readonly beforeBatch?: () => Promise<void> | undefined
  /**
   * Called with the lines of a batch while the disk works on them: what it returns comes back with `onDurable`.
   */
  readonly leavesOf: ((lines: Buffer) => readonly Digest[]) | undefined
  /**
   * Called with each durable batch, in order, before its receipts resolve. A promise holds back those receipts and no
   * batch.
   */
  readonly onDurable: (batch: DurableBatch, leaves: readonly Digest[]) => Promise<void> | undefined
}

interface Waiting {
  readonly importance: Importance
  /** With its newline. */
  readonly bytes: number
  /** Kept for lines that are required alone: the others' bytes are in the staging. */
  readonly line: string | undefined
  /** Its caller has heard of a failure already. */
  told: boolean
  readonly resolve: (receipt: AppendReceipt) => void
  readonly reject: (reason: unknown) => void
}

/** What is written and synced together. */
interface Batch {
  readonly bytes: Buffer
  /** A line that says what was lost comes before those of `waiting`. */
  readonly withGap: boolean
  readonly waiting: readonly Waiting[]
}

interface Gap {
  lost: number
  readonly cause: string
  readonly from: string
  to: string
}

/**
 * Turns lines into durable lines: group commit with one batch in flight.
 *
 * What arrives while a batch is on its way to the disk is the next batch; the sync of the one before is the only timer.
 * A batch has at most {@link MAX_BATCH_BYTES}, and is durable as a whole or, if it fails, not there at all; what waits
 * behind a batch that fails, fails with it. Receipts resolve in the order of the calls.
 *
 * Not promised: that the queue is bounded. Callers who await their receipts bound it; who does not, can fill memory.
 */
export class LogWriter {
  readonly #files: LogFiles
  readonly #extent: LogExtent
  readonly #options: WriterOptions
  /** Lines for the next batches, in the order of the calls, and their bytes. Owned by `add`, `#take` and `#fail`. */
  #waiting: Waiting[] = []
  readonly #staging = new Staging()
  /** Batches that are full and wait for the one in flight. */
  #full: Batch[] = []
  /** Required lines whose writing has failed, in order: they come before everything else. */
  #kept: Waiting[] = []
  /** The batch that is on its way; `undefined` when the disk is free. */
  #inFlight: Promise<void> | undefined
  /** A batch will be begun at the end of the turn. */
  #scheduled = false
  /** In bytes, of the newest batch. */
  #lastBytes = 0
  #ready = false
  #gap: Gap | undefined
  #cancelRetry: (() => void) | undefined
  /** Receipts of a batch wait for those of the one before, and for `onDurable`. */
  #settled: Promise<void> | undefined
  #closed = false
  /**
   * A write has failed since the last one that did not. A store that speaks over a network can have done it all the
   * same; nobody was told so, and before the next write whatever it left behind the acknowledged end is cut off.
   */
  #suspect = false
  /** A reason to write no more: somebody else wrote to the log. */
  #broken: TamperedError | undefined

  bytesWritten = 0
  /** Hub events whose first attempt failed, in this process. */
  failures = 0

  constructor(files: LogFiles, extent: LogExtent, options: WriterOptions) {
    this.#files = files
    this.#extent = extent
    this.#options = options
  }

  /** False while lines that are required wait for the store to work again. */
  get available(): boolean {
    return this.#broken === undefined && this.#kept.length === 0
  }

  /**
   * @param line without its newline
   * @param bytes of the line in UTF-8, with its newline
   * @throws (rejects) the store's error; for `"required"` lines AuditUnavailableError, with that error as its cause.
   */
  add(line: string, bytes: number, importance: Importance): Promise<AppendReceipt> {
    if (this.#closed) return Promise.reject(new ClosedError("the audit log"))
    return new Promise((resolve, reject) => {
      const required = importance === "required"
      const waiting = { importance, bytes, line: required ? line : undefined, told: false, resolve, reject }
      if (required && !this.available) {
        this.#keep(waiting, undefined)
        return
      }
      if (!this.#staging.hasRoomFor(bytes)) this.#full.push(this.#takeStaged())
      this.#staging.add(line, bytes)
      this.#waiting.push(waiting)
      this.#arrived()
    })
  }

  /** Writes what waits, once more if it failed before, then refuses new lines. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#inFlight === undefined) this.#begin()
    while (this.#inFlight !== undefined) await this.#inFlight
    await this.#settled
    this.#cancelRetry?.()
    const lost = this.#kept.length
    if (lost > 0) {
      throw new AuditUnavailableError(`the log was closed with ${lost} records that could not be written`)
    }
  }

  /**
   * A line has come. While the disk is free it waits for company until nobody who could bring some has a turn left.
   *
   * Unless half of what the last batch held has come already, and that is not little: then the disk takes it now, and
   * works while the other half is being made. From then on two groups of callers take turns, and neither the disk nor
   * the processor waits for the other. With few callers making lines takes less time than a sync, and two syncs for
   * what one could do would be the slower way: hence {@link EAGER_BYTES}.
   */
  #arrived(): void {
    if (this.#inFlight !== undefined) return
    if (this.#ready && this.#staging.bytes >= Math.max(EAGER_BYTES, this.#lastBytes / 2)) this.#begin()
    else this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled || this.#inFlight !== undefined) return
    this.#scheduled = true
    // Once no promise that is settled now has a callback left to run: whoever was woken by the last batch is in the
    // next. With `setImmediate` the disk would stand still while other events are dealt with.
    queueMicrotask(() =>
      process.nextTick(() => {
        this.#scheduled = false
        if (this.#inFlight === undefined) this.#begin()
      }),
    )
  }

  /** Begins a batch, if anything waits. Within the call the store has its bytes. */
  #begin(): void {
    this.#cancelRetry?.()
    this.#cancelRetry = undefined
    if (!this.#ready) {
      // What opening the log has to say goes with the first batch.
      this.#inFlight = this.#options.ready().then(
        () => {
          this.#ready = true
          this.#next()
        },
        (error: unknown) => this.#failed([], error),
      )
      return
    }
    const batch = this.#take()
    if (batch === undefined) return
    this.#lastBytes = batch.bytes.length
    this.#inFlight = this.#write(batch).then(
      ([offset, leaves]) => this.#written(batch, offset, leaves),
      (error: unknown) => this.#failed([batch], error),
    )
  }

  /** The disk is free: what has come meanwhile is next, together with whoever is woken now if it is only little. */
  #next(): void {
    this.#inFlight = undefined
    if (this.#full.length > 0 || this.#staging.bytes >= EAGER_BYTES || this.#closed) this.#begin()
    else if (this.#waiting.length > 0 || this.#kept.length > 0 || this.#gap !== undefined) this.#schedule()
  }

  /** @returns the offset at which the batch starts, and its lines' leaves */
  async #write({ bytes }: Batch): Promise<[number, readonly Digest[]]> {
    if (this.#broken !== undefined) throw this.#broken
    if (this.#suspect) await this.#files.truncate(this.#extent.bytes)
    const rotating = this.#options.beforeBatch?.()
    if (rotating !== undefined) await rotating
    this.#suspect = true
    const appended = this.#files.append(bytes)
    const leaves = this.#options.leavesOf?.(bytes) ?? []
    const offset = await appended
    this.#suspect = false
    if (offset === this.#extent.bytes) return [offset, leaves]
    this.#broken = new TamperedError(
      `the log was ${this.#extent.bytes} bytes long and is now ${offset}: somebody else writes to it`,
      this.#extent.size,
      this.#extent.bytes,
    )
    throw this.#broken
  }

  #written({ bytes, waiting, withGap }: Batch, offset: number, leaves: readonly Digest[]): void {
    const firstIndex = this.#extent.size
    const gaps = withGap ? 1 : 0
    if (withGap) this.#gap = undefined
    this.bytesWritten += bytes.length
    const durable: DurableBatch = { firstIndex, offset, count: waiting.length + gaps, bytes }
    this.#extent.advance(durable.count, bytes.length, durable)
    // Before anybody hears of this one: the disk works while they do.
    this.#next()
    this.#settle(waiting, firstIndex + gaps, this.#options.onDurable(durable, leaves))
  }

  #failed(batches: readonly Batch[], error: unknown): void {
    this.#inFlight = undefined
    this.#fail([...batches, ...this.#full, this.#takeStaged()], error)
    this.#retryLater()
  }

  #settle(waiting: readonly Waiting[], first: number, observers: Promise<void> | undefined): void {
    const resolve = (): void => {
      for (let i = 0; i < waiting.length; i++) waiting[i]?.resolve({ index: first + i })
    }
    if (observers === undefined && this.#settled === undefined) {
      resolve()
      return
    }
    const settled = Promise.all([this.#settled, observers]).then(() => {
      resolve()
      if (this.#settled === settled) this.#settled = undefined
    })
    this.#settled = settled
  }

  /** The next batch: what was kept or must be told first, then what is full, then what is staged. */
  #take(): Batch | undefined {
    if (this.#kept.length > 0 || this.#gap !== undefined) return this.#takeKept()
    const full = this.#full.shift()
    if (full !== undefined) return full
    return this.#waiting.length > 0 ? this.#takeStaged() : undefined
  }

  #takeStaged(): Batch {
    const waiting = this.#waiting
    this.#waiting = []
    return { bytes: this.#staging.take(), withGap: false, waiting }
  }

  #takeKept(): Batch {
    const gap = this.#gapLine()
    const lines = gap === undefined ? [] : [gap]
    let bytes = gap === undefined ? 0 : gap.length + 1
    let count = 0
    for (const { line = "", bytes: length } of this.#kept) {
      bytes += length
      if (bytes > MAX_BATCH_BYTES && count > 0) break
      lines.push(line)
      count++
    }
    const waiting = this.#kept.splice(0, count)
    return { bytes: Buffer.from(lines.join("\n") + "\n"), withGap: gap !== undefined, waiting }
  }

  /** All of these, in their order. */
  #fail(batches: readonly Batch[], error: unknown): void {
    this.#full = []
    const later = this.#kept
    this.#kept = []
    let failed = 0
    for (const { waiting } of batches) {
      for (const one of waiting) {
        failed++
        if (one.importance === "required") this.#keep(one, error)
        else if (one.importance === "event") this.#lose(error)
        if (one.importance !== "required") one.reject(error)
      }
    }
    // A batch of kept lines may have left some behind: they come after it, and before all others.
    if (later.length > 0) this.#kept.splice(batches[0]?.waiting.length ?? 0, 0, ...later)
    const cause = error instanceof Error ? error.message : String(error)
    this.#options.logger.error(
      { err: error, records: failed, kept: this.#kept.length },
      `audit write failed: ${cause}`,
    )
  }

  #keep(waiting: Waiting, error: unknown): void {
    this.#kept.push(waiting)
    if (waiting.told) return
    waiting.told = true
    this.failures++
    waiting.reject(
      new AuditUnavailableError("the audit record of this change could not be written", { cause: error }),
    )
  }

  /** A hub event is lost: the next batch that can be written begins by saying so. */
  #lose(error: unknown): void {
    this.failures++
    const at = isoTime(this.#options.clock())
    if (this.#gap === undefined) {
      this.#gap = { lost: 1, cause: error instanceof Error ? error.message : String(error), from: at, to: at }
    } else {
      this.#gap.lost++
      this.#gap.to = at
    }
  }

  /** An event that could not even be made into a line. */
  loseUnwritten(error: unknown): void {
    this.#lose(error)
    this.#schedule()
  }

  #gapLine(): string | undefined {
    if (this.#gap === undefined) return undefined
    const { lost, cause, from, to } = this.#gap
    const at = isoTime(this.#options.clock())
    return encodeLine({ at, kind: "audit_gap", lost, cause: cause.slice(0, 1000), from, to })
  }

  #retryLater(): void {
    this.#cancelRetry?.()
    this.#cancelRetry = undefined
    if (this.#closed || this.#broken !== undefined) return
    if (this.#kept.length === 0 && this.#gap === undefined) return
    this.#cancelRetry = this.#options.timers.after(this.#options.retryMs, () => {
      this.#cancelRetry = undefined
      if (this.#inFlight === undefined) this.#begin()
    })
  }
}
