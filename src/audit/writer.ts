import { AuditUnavailableError, ClosedError, TamperedError } from "../core/errors.ts"
import type { Digest } from "../core/hash-types.ts"
import type { Logger } from "../core/logger.ts"
import type { Clock, Timers } from "../core/system.ts"
import { RateLimitedError } from "../model/index.ts"
import type { DurableBatch, LogExtent } from "./extent.ts"
import { Gap } from "./gap.ts"
import type { LogFiles } from "./log-files.ts"
import { MAX_BATCH_BYTES } from "./recover.ts"
import { LineQueue } from "./queue.ts"
import type { Batch } from "./queue.ts"
import { Ticket } from "./ticket.ts"
import type { AppendManyReceipt, AppendReceipt, LogObserver } from "./types.ts"

/** In bytes. Less than this always waits for company: half a sync costs as much as a whole one. */
const EAGER_BYTES = 16 * 1024

export interface WriterOptions {
  readonly clock: Clock
  readonly timers: Timers
  readonly retryMs: number
  readonly maxQueuedBytes: number
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
  /** Told of each batch. Whoever is added hears from the next one on. */
  readonly observers: ReadonlySet<LogObserver>
}

/**
 * Turns lines into durable lines: group commit with one batch in flight.
 *
 * What arrives while a batch is on its way to the disk is the next batch; the sync of the one before is the only timer.
 * A batch has at most {@link MAX_BATCH_BYTES}, and is durable as a whole or, if it fails, not there at all; what waits
 * behind a batch that fails, fails with it. Receipts resolve in the order of the calls.
 *
 * **Backlog.** Who awaits receipts bounds it. Who does not is refused when `maxQueuedBytes` wait; nothing of that call is
 * queued. Hub events are never refused: the hub awaits them.
 */
export class LogWriter {
  readonly #files: LogFiles
  readonly #extent: LogExtent
  readonly #options: WriterOptions
  readonly #queue = new LineQueue()
  /** Required lines whose writing has failed, in order: they come before everything else. */
  #kept: Ticket[] = []
  /** The batch that is on its way; `undefined` when the disk is free. */
  #inFlight: Promise<void> | undefined
  /** A batch will be begun at the end of the turn. */
  #scheduled = false
  /** In bytes, of the newest batch. */
  #lastBytes = 0
  #ready = false
  readonly #gap: Gap
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
    this.#gap = new Gap(options.clock)
  }

  /** False while lines that are required wait for the store to work again. */
  get available(): boolean {
    return this.#broken === undefined && this.#kept.length === 0
  }

  /**
   * @param line without its newline
   * @param bytes of the line in UTF-8, with its newline
   * @throws (rejects) the store's error; RateLimitedError when too much waits.
   */
  add(line: string, bytes: number): Promise<AppendReceipt> {
    if (this.#closed) return Promise.reject(new ClosedError("the audit log"))
    if (this.#isOverfull(bytes)) return Promise.reject(this.#overfull())
    return new Promise((resolve, reject) => {
      this.#queue.addLine(line, bytes)
      this.#queue.addTicket(new Ticket("direct", undefined, 1, resolve, reject))
      this.#arrived()
    })
  }

  /** The same for several: their lines follow one another in one batch. @param bytes of all of them, at most a batch's */
  addMany(lines: readonly string[], bytes: number): Promise<AppendManyReceipt> {
    if (this.#closed) return Promise.reject(new ClosedError("the audit log"))
    if (this.#isOverfull(bytes)) return Promise.reject(this.#overfull())
    this.#queue.keepTogether(bytes)
    for (const line of lines) this.#queue.addLine(line, line.length + 1)
    return new Promise((resolve, reject) => {
      const settle = ({ index }: AppendReceipt): void => resolve({ first_index: index, count: lines.length })
      this.#queue.addTicket(new Ticket("direct", undefined, lines.length, settle, reject))
      this.#arrived()
    })
  }

  /** A hub event's line. One promise for all that follow one another in a batch: nobody asks for their indexes. */
  addEvent(line: string, bytes: number): Promise<void> {
    if (this.#closed) return Promise.reject(new ClosedError("the audit log"))
    this.#queue.addLine(line, bytes)
    const last = this.#queue.lastTicket
    if (last?.shared !== undefined) {
      last.count++
      this.#arrived()
      return last.shared
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#queue.addTicket(new Ticket("event", undefined, 1, () => resolve(), reject, promise))
    this.#arrived()
    return promise
  }

  /** @throws (rejects) AuditUnavailableError, with the store's error as its cause; then the line is kept all the same. */
  addRequired(line: string, bytes: number): Promise<void> {
    if (this.#closed) return Promise.reject(new ClosedError("the audit log"))
    return new Promise((resolve, reject) => {
      const ticket = new Ticket("required", line, 1, () => resolve(), reject)
      if (!this.available) {
        this.#keep(ticket, undefined)
        return
      }
      this.#queue.addLine(line, bytes)
      this.#queue.addTicket(ticket)
      this.#arrived()
    })
  }

  #isOverfull(bytes: number): boolean {
    return this.#queue.bytes + bytes > this.#options.maxQueuedBytes
  }

  #overfull(): RateLimitedError {
    return new RateLimitedError(`${this.#queue.bytes} bytes of records wait for the disk already`, {
      hint: "Await receipts before you append more, or raise maxQueuedBytes. Nothing of this call was appended.",
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
    if (this.#ready && this.#queue.stagedBytes >= Math.max(EAGER_BYTES, this.#lastBytes / 2)) this.#begin()
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
    if (this.#queue.hasFullBatch || this.#queue.stagedBytes >= EAGER_BYTES || this.#closed) this.#begin()
    else if (!this.#queue.isEmpty || this.#kept.length > 0 || this.#gap.isOpen) this.#schedule()
  }

  /** @returns the offset at which the batch starts, and its lines' leaves */
  async #write({ bytes, count, withGap }: Batch): Promise<[number, readonly Digest[]]> {
    if (this.#broken !== undefined) throw this.#broken
    if (this.#suspect) await this.#files.truncate(this.#extent.bytes)
    const rotating = this.#options.beforeBatch?.()
    if (rotating !== undefined) await rotating
    this.#suspect = true
    const records = withGap ? count + 1 : count
    for (const observer of this.#options.observers) observer.writing(records, bytes.length)
    const appended = this.#files.append(bytes)
    const leaves = this.#options.leavesOf?.(bytes) ?? []
    const offset = await appended
    this.#suspect = false
    for (const observer of this.#options.observers) observer.durable()
    if (offset === this.#extent.bytes) return [offset, leaves]
    this.#broken = new TamperedError(
      `the log was ${this.#extent.bytes} bytes long and is now ${offset}: somebody else writes to it`,
      this.#extent.size,
      this.#extent.bytes,
    )
    throw this.#broken
  }

  #written({ bytes, count, tickets, withGap }: Batch, offset: number, leaves: readonly Digest[]): void {
    const firstIndex = this.#extent.size
    const gaps = withGap ? 1 : 0
    if (withGap) this.#gap.close()
    this.bytesWritten += bytes.length
    const durable: DurableBatch = { firstIndex, offset, count: count + gaps, bytes }
    this.#extent.advance(durable.count, bytes.length, durable)
    // Before anybody hears of this one: the disk works while they do.
    this.#next()
    this.#settle(tickets, firstIndex + gaps, this.#options.onDurable(durable, leaves))
  }

  #failed(batches: readonly Batch[], error: unknown): void {
    this.#inFlight = undefined
    this.#fail([...batches, ...this.#queue.takeAll()], error)
    this.#retryLater()
  }

  #settle(tickets: readonly Ticket[], first: number, observers: Promise<void> | undefined): void {
    const resolve = (): void => {
      let index = first
      for (const ticket of tickets) {
        ticket.resolve({ index })
        index += ticket.count
      }
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
    return this.#kept.length > 0 || this.#gap.isOpen ? this.#takeKept() : this.#queue.takeNext()
  }

  #takeKept(): Batch {
    const gap = this.#gap.line()
    const lines = gap === undefined ? [] : [gap]
    let bytes = gap === undefined ? 0 : gap.length + 1
    let count = 0
    for (const { line = "" } of this.#kept) {
      bytes += line.length + 1
      if (bytes > MAX_BATCH_BYTES && count > 0) break
      lines.push(line)
      count++
    }
    const tickets = this.#kept.splice(0, count)
    return { bytes: Buffer.from(lines.join("\n") + "\n"), count, withGap: gap !== undefined, tickets }
  }

  /** All of these, in their order. */
  #fail(batches: readonly Batch[], error: unknown): void {
    const later = this.#kept
    this.#kept = []
    let failed = 0
    for (const { count, tickets } of batches) {
      failed += count
      for (const ticket of tickets) {
        if (ticket.importance === "required") {
          this.#keep(ticket, error)
          continue
        }
        if (ticket.importance === "event") this.#lose(ticket.count, error)
        ticket.reject(error)
      }
    }
    // A batch of kept lines may have left some behind: they come after it, and before all others.
    if (later.length > 0) this.#kept.splice(batches[0]?.tickets.length ?? 0, 0, ...later)
    const cause = error instanceof Error ? error.message : String(error)
    this.#options.logger.error(
      { err: error, records: failed, kept: this.#kept.length },
      `audit write failed: ${cause}`,
    )
  }

  #keep(ticket: Ticket, error: unknown): void {
    this.#kept.push(ticket)
    if (ticket.told) return
    ticket.told = true
    this.failures++
    ticket.reject(
      new AuditUnavailableError("the audit record of this change could not be written", { cause: error }),
    )
  }

  /** Hub events are lost: the next batch that can be written begins by saying so. */
  #lose(count: number, error: unknown): void {
    this.failures += count
    this.#gap.grow(count, error)
  }

  /** An event that could not even be made into a line. */
  loseUnwritten(error: unknown): void {
    this.#lose(1, error)
    this.#schedule()
  }

  #retryLater(): void {
    this.#cancelRetry?.()
    this.#cancelRetry = undefined
    if (this.#closed || this.#broken !== undefined) return
    if (this.#kept.length === 0 && !this.#gap.isOpen) return
    this.#cancelRetry = this.#options.timers.after(this.#options.retryMs, () => {
      this.#cancelRetry = undefined
      if (this.#inFlight === undefined) this.#begin()
    })
  }
}
