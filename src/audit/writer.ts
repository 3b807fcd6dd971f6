import { AuditUnavailableError, ClosedError, TamperedError } from "../core/errors.ts"
import { encodeLine } from "../core/line.ts"
import type { Logger } from "../core/logger.ts"
import { isoTime } from "../core/system.ts"
import type { Clock, Timers } from "../core/system.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import type { DurableBatch, LogExtent } from "./extent.ts"
import { LOG_PATH } from "./paths.ts"
import { MAX_BATCH_BYTES } from "./recover.ts"
import type { AppendReceipt } from "./types.ts"

/** What a line is to the writer when it cannot be written. */
export type Importance =
  /** Somebody called `append` and hears of the failure: nothing is kept. */
  | "direct"
  /** A hub event: its loss becomes an `audit_gap`. */
  | "event"
  /** A hub event that must not be lost: it is kept and tried again, first in line. */
  | "required"

export interface WriterOptions {
  readonly clock: Clock
  readonly timers: Timers
  readonly retryMs: number
  readonly logger: Logger
  /** Awaited before anything is written; if it rejects, writing failed and is tried again later. */
  readonly ready: () => Promise<void>
  /**
   * Called with each durable batch, in order, before its receipts resolve. A promise holds back those receipts and no
   * batch.
   */
  readonly onDurable: (batch: DurableBatch) => Promise<void> | undefined
}

interface Line {
  readonly line: string
  /** With its newline. */
  readonly bytes: number
}

interface Waiting extends Line {
  readonly importance: Importance
  /** Its caller has heard of a failure already. */
  told: boolean
  readonly resolve: (receipt: AppendReceipt) => void
  readonly reject: (reason: unknown) => void
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
 * A batch has at most {@link MAX_BATCH_BYTES}, closes at the end of the turn, and is durable as a whole or, if it
 * fails, not there at all. Receipts resolve in the order of the calls.
 *
 * Not promised: that the queue is bounded. Callers who await their receipts bound it; who does not, can fill memory.
 */
export class LogWriter {
  readonly #store: KnowledgeStore
  readonly #extent: LogExtent
  readonly #options: WriterOptions
  /** In the order of the calls; lines kept after a failure stand first. Owned by `add`, `#take` and `#fail`. */
  #queue: Waiting[] = []
  /** Set while a batch is in flight or about to be. */
  #running: Promise<void> | undefined
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

  constructor(store: KnowledgeStore, extent: LogExtent, options: WriterOptions) {
    this.#store = store
    this.#extent = extent
    this.#options = options
  }

  /** False while lines that are required wait for the store to work again. */
  get available(): boolean {
    return this.#broken === undefined && !(this.#queue[0]?.told ?? false)
  }

  /**
   * @param line without its newline
   * @param bytes of the line with its newline
   * @throws (rejects) the store's error; for `"required"` lines AuditUnavailableError, with that error as its cause.
   */
  add(line: string, bytes: number, importance: Importance): Promise<AppendReceipt> {
    if (this.#closed) return Promise.reject(new ClosedError("the audit log"))
    return new Promise((resolve, reject) => {
      const blocked = importance === "required" && !this.available
      this.#queue.push({ line, bytes, importance, told: blocked, resolve, reject })
      if (blocked) {
        this.failures++
        reject(unavailable(undefined))
        return
      }
      this.#start()
    })
  }

  /** Writes what waits, once more if it failed before, then refuses new lines. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelRetry?.()
    this.#start()
    await this.#running
    await this.#settled
    this.#cancelRetry?.()
    const lost = this.#queue.length
    if (lost > 0)
      throw new AuditUnavailableError(`the log was closed with ${lost} records that could not be written`)
  }

  /**
   * When no promise that is settled now has a callback left to run: whoever was woken by the last batch is in the next.
   * Waiting for `setImmediate` instead would let the disk stand still while other events are dealt with.
   */
  #start(): void {
    if (this.#running !== undefined) return
    const everyoneTold = new Promise<void>((resolve) => queueMicrotask(() => process.nextTick(resolve)))
    this.#running = everyoneTold.then(() => this.#run())
  }

  /** Ends in the same turn in which it finds nothing left to do: what is added a moment later starts it anew. */
  async #run(): Promise<void> {
    try {
      await this.#options.ready()
    } catch (error) {
      this.#fail(this.#queue.splice(0), error)
      this.#running = undefined
      this.#retryLater()
      return
    }
    while (this.#queue.length > 0 || this.#gap !== undefined) {
      const gap = this.#gapLine()
      const batch = this.#take(gap)
      try {
        await this.#write(batch, gap)
      } catch (error) {
        this.#fail(batch, error)
        // Whatever arrived meanwhile deserves its own attempt; what has failed waits for the next.
        if (this.#queue.every((waiting) => waiting.told)) break
      }
    }
    this.#running = undefined
    this.#retryLater()
  }

  async #write(batch: readonly Waiting[], gap: Line | undefined): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken
    let text = gap === undefined ? "" : gap.line + "\n"
    let bytes = gap?.bytes ?? 0
    for (const { line, bytes: length } of batch) {
      text += line + "\n"
      bytes += length
    }
    if (this.#suspect) await this.#store.truncate(LOG_PATH, this.#extent.bytes)
    this.#suspect = true
    const offset = await this.#store.append(LOG_PATH, text)
    this.#suspect = false
    if (offset !== this.#extent.bytes) {
      this.#broken = new TamperedError(
        `the log was ${this.#extent.bytes} bytes long and is now ${offset}: somebody else writes to it`,
        this.#extent.size,
        this.#extent.bytes,
      )
      throw this.#broken
    }
    const firstIndex = this.#extent.size
    const gaps = gap === undefined ? 0 : 1
    if (gap !== undefined) this.#gap = undefined
    this.bytesWritten += bytes
    const durable: DurableBatch = { firstIndex, offset, count: batch.length + gaps, bytes, text }
    this.#extent.advance(durable.count, bytes, durable)
    this.#settle(batch, firstIndex + gaps, this.#options.onDurable(durable))
  }

  #settle(batch: readonly Waiting[], first: number, observers: Promise<void> | undefined): void {
    const resolve = (): void => {
      for (let i = 0; i < batch.length; i++) batch[i]?.resolve({ index: first + i })
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

  #take(gap: Line | undefined): Waiting[] {
    let bytes = gap?.bytes ?? 0
    let count = 0
    for (const waiting of this.#queue) {
      bytes += waiting.bytes
      if (bytes > MAX_BATCH_BYTES && count > 0) break
      count++
    }
    if (count === this.#queue.length) {
      const all = this.#queue
      this.#queue = []
      return all
    }
    return this.#queue.splice(0, count)
  }

  #fail(batch: readonly Waiting[], error: unknown): void {
    const kept: Waiting[] = []
    for (const waiting of batch) {
      if (waiting.importance === "required") {
        if (!waiting.told) this.failures++
        waiting.told = true
        waiting.reject(unavailable(error))
        kept.push(waiting)
        continue
      }
      if (waiting.importance === "event") this.#lose(error)
      waiting.reject(error)
    }
    if (kept.length > 0) this.#queue = [...kept, ...this.#queue]
    const cause = error instanceof Error ? error.message : String(error)
    this.#options.logger.error(
      { err: error, records: batch.length, kept: kept.length },
      `audit write failed: ${cause}`,
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
    this.#start()
  }

  #gapLine(): Line | undefined {
    if (this.#gap === undefined) return undefined
    const { lost, cause, from, to } = this.#gap
    const at = isoTime(this.#options.clock())
    const line = encodeLine({ at, kind: "audit_gap", lost, cause: cause.slice(0, 1000), from, to })
    return { line, bytes: line.length + 1 }
  }

  #retryLater(): void {
    this.#cancelRetry?.()
    this.#cancelRetry = undefined
    if (this.#closed || this.#broken !== undefined) return
    if (this.#queue.length === 0 && this.#gap === undefined) return
    this.#cancelRetry = this.#options.timers.after(this.#options.retryMs, () => {
      this.#cancelRetry = undefined
      this.#start()
    })
  }
}

function unavailable(cause: unknown): AuditUnavailableError {
  return new AuditUnavailableError("the audit record of this change could not be written", { cause })
}
