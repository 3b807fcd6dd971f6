import { ClosedError, InvalidInputError } from "../core/errors.ts"
import { encodeLine, encodeLineFitting } from "../core/line.ts"
import { silentLogger } from "../core/logger.ts"
import type { Logger } from "../core/logger.ts"
import { systemClock, systemTimers } from "../core/system.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import { Flattened } from "./flattened.ts"
import { entriesOfBatch } from "./extent.ts"
import type { DurableBatch } from "./extent.ts"
import { StoredEvidence } from "./evidence.ts"
import { makeIndex } from "./columns/log-index.ts"
import type { SearchedLog } from "./columns/search.ts"
import { LogStorage } from "./log-storage.ts"
import type { Hash } from "../core/hash-types.ts"
import { bytesOfReadyLine, linesOfMany } from "./incoming.ts"
import { Ledger } from "./ledger.ts"
import type { PublishedCheckpoint } from "./ledger.ts"
import { countStats, queryPage, searchLog } from "./query.ts"
import { readBatches, readRecords } from "./read.ts"
import type { TornTail } from "./recover.ts"
import { Subscribers } from "./subscribers.ts"
import { tailEntries } from "./tail.ts"
import { HubRecorder } from "./recorder.ts"
import type { Draft } from "./translate.ts"
import type {
  AppendManyReceipt,
  AppendReceipt,
  AuditLogOptions,
  AuditRecord,
  EntriesOptions,
  LogEntry,
  LogObserver,
  LogStats,
  QueryOptions,
  QueryPage,
  SearchOptions,
  StatsOptions,
  Subscriber,
} from "./types.ts"
import { wholeNumber } from "./whole-number.ts"
import { LogWriter } from "./writer.ts"

const DEFAULT_SUBSCRIBER_TIMEOUT_MS = 5_000
const DEFAULT_RETRY_MS = 1_000
const DEFAULT_MAX_QUEUED_BYTES = 64 * 1024 * 1024

/**
 * The append-only record of a hub: one JSON line for each event, durable before it is acknowledged.
 *
 * It is itself a {@link HubListener}, and the hub's first one; it works as well alone. The constructor stores its
 * parameters and does no I/O; the first call that needs the log opens it, or {@link AuditLog.open} does so at once.
 * Opening for writing recovers: a torn last line is set aside and told in an `audit_recovered` record.
 *
 * One log per store and one writer per log: that there is one process is the store's lease; that there is one
 * `AuditLog` in it is the caller's care, and is noticed (`TamperedError`) rather than prevented.
 */
export class AuditLog extends HubRecorder implements AsyncDisposable {
  /** The stored tree, for whoever serves it. */
  readonly evidence: StoredEvidence
  /** Told how the writing goes: whoever is added, from the next batch on. */
  readonly observers: Set<LogObserver> = new Set()
  readonly #required: boolean
  readonly #readOnly: boolean
  readonly #logger: Logger
  readonly #storage: LogStorage
  readonly #writer: LogWriter
  readonly #ledger: Ledger | undefined
  readonly #searched: SearchedLog
  readonly #subscribers: Subscribers
  #opening: Promise<void> | undefined
  #closing: Promise<void> | undefined
  #torn: TornTail | undefined

  constructor(store: KnowledgeStore, options: AuditLogOptions = {}) {
    const clock = options.clock ?? systemClock
    super(options.coverage ?? "standard", clock)
    this.evidence = new StoredEvidence(store)
    this.#required = options.required ?? false
    this.#readOnly = options.readOnly ?? false
    this.#logger = options.logger ?? silentLogger
    this.#storage = new LogStorage(store, { ...options, readOnly: this.#readOnly, logger: this.#logger })
    const [{ files, extent }, timers] = [this.#storage, options.timers ?? systemTimers]
    this.#subscribers = new Subscribers({
      timers,
      timeoutMs: options.subscriberTimeoutMs ?? DEFAULT_SUBSCRIBER_TIMEOUT_MS,
      logger: this.#logger,
      tail: (from) => this.tail({ from }),
    })
    const shared = { clock, timers, logger: this.#logger, observers: this.observers }
    this.#writer = new LogWriter(files, extent, {
      ...shared,
      retryMs: options.retryMs ?? DEFAULT_RETRY_MS,
      maxQueuedBytes: options.maxQueuedBytes ?? DEFAULT_MAX_QUEUED_BYTES,
      ready: () => this.#open(),
      beforeBatch: () => this.#storage.beforeBatch(),
      leavesOf: (lines) => this.#ledger?.leavesOf(lines) ?? [],
      onDurable: (batch, leaves) => {
        const growing = this.#ledger?.append(batch, leaves)
        this.#storage.grown()
        this.#searched.index.grown()
        const told = this.#tell(batch)
        return growing === undefined ? told : Promise.all([growing, told]).then(() => {})
      },
    })
    this.#ledger =
      options.ledger === undefined || this.#readOnly
        ? undefined
        : new Ledger(store, files, extent, { ...options.ledger, ...shared })
    const index = makeIndex({ store, files, extent, ...shared }, options.index, this.#readOnly)
    this.#searched = { files, extent, index }
  }

  /** Opens the log now, recovering it if need be. @throws the store's errors. */
  static async open(store: KnowledgeStore, options?: AuditLogOptions): Promise<AuditLog> {
    const log = new AuditLog(store, options)
    await log.#open()
    return log
  }

  /** Records that are durable. 0 until the log is open. */
  override get size(): number {
    return this.#storage.extent.size
  }

  /** Bytes that this process appended through this instance: not the size of the file. */
  get bytesWritten(): number {
    return this.#writer.bytesWritten
  }

  /** Hub events whose record could not be written at the first attempt. */
  get failures(): number {
    return this.#writer.failures
  }

  /** False while records that are required wait for the store to work again. */
  get available(): boolean {
    return this.#closing === undefined && this.#writer.available
  }

  /** What recovery set aside when this instance opened the log. */
  override get tornTail(): TornTail | undefined {
    return this.#torn
  }

  /**
   * Appends one record of any kind.
   *
   * The record is turned into its line before this returns; changing it later changes nothing. Receipts resolve in the
   * order of the calls, each once its record is durable and the subscribers have been told.
   *
   * @throws (rejects) InvalidRecordError or RecordTooLargeError, with nothing written; the store's error when it could
   * not be written, and then it was not; RateLimitedError when `maxQueuedBytes` wait; ClosedError after {@link close}.
   */
  append(record: object): Promise<AppendReceipt> {
    let line: string
    try {
      line = encodeLine(record)
    } catch (error) {
      return Promise.reject(error as Error)
    }
    return this.#refusal() ?? this.#writer.add(line, line.length + 1)
  }

  /**
   * Appends several records as one batch: all or, when one of them is none, nothing; in order, with no other between
   * them; at most 1 MiB of lines. One receipt, which costs a third of as many receipts for one each.
   *
   * When the store fails, none is there. A crash in the middle may leave the first few, as it may leave any record that was
   * not acknowledged.
   *
   * @throws (rejects) InvalidInputError, naming the record, with its own error as the cause; else as {@link append}.
   */
  appendMany(records: readonly object[]): Promise<AppendManyReceipt> {
    try {
      const { lines, bytes } = linesOfMany(records)
      return this.#refusal() ?? this.#writer.addMany(lines, bytes)
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  /**
   * Appends a line that is ready, byte for byte: another log's record, its proofs kept.
   *
   * @param line without a newline; at most 65,535 bytes of UTF-8.
   * @throws (rejects) InvalidInputError when it is not one JSON object on one line, else as {@link append}.
   */
  appendLine(line: string): Promise<AppendReceipt> {
    let bytes: number
    try {
      bytes = bytesOfReadyLine(line)
    } catch (error) {
      return Promise.reject(error as Error)
    }
    return this.#refusal() ?? this.#writer.add(line, bytes)
  }

  /** Every record, parsed, in memory. Empty when there is no log. @throws TamperedError at a line that is no record. */
  async readAll(): Promise<AuditRecord[]> {
    await this.#openToRead()
    return await readRecords(this.#storage.files, this.#storage.extent)
  }

  /**
   * The entries `[from, to)`, by default all that are there when the reading starts; in constant memory. An entry that
   * is kept keeps some 64 KiB of text beside it, until its `line` is asked for.
   *
   * @throws TamperedError at the first line that is not a record, after everything before it was yielded.
   */
  entries(options: EntriesOptions = {}): AsyncGenerator<LogEntry, void, undefined> {
    return new Flattened(this.#batches(options))
  }

  /**
   * Every entry from `from` on (default: from now on), past and future, each once and in order, never before it is
   * durable. Ends quietly when the signal aborts or the log is closed. However slow its reader, it costs the writer
   * nothing and holds no queue.
   */
  async *tail(
    options: { readonly from?: number; readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<LogEntry, void, undefined> {
    const { signal } = options
    await this.#openToRead()
    await this.#storage.follow()
    const from = wholeNumber(options.from ?? this.#storage.extent.size, "from")
    yield* tailEntries(this.#storage.files, this.#storage.extent, {
      from,
      signal,
      ended: () => this.#closing !== undefined,
    })
  }

  /** One page of the records that the filter lets through. @throws InvalidInputError for a filter that is none. */
  async query(options: QueryOptions = {}): Promise<QueryPage> {
    await this.#openToRead()
    return await queryPage(this.#searched, options)
  }

  /** Every record that the filter lets through, of those that are there when it starts; in constant memory. */
  async *search(options: SearchOptions = {}): AsyncGenerator<LogEntry, void, undefined> {
    await this.#openToRead()
    yield* searchLog(this.#searched, options)
  }

  /** Counts of the records that the filter lets through. @throws InvalidInputError for options that are none. */
  async stats(options: StatsOptions = {}): Promise<LogStats> {
    await this.#openToRead()
    return await countStats(this.#searched, options)
  }

  /** Resolves once every full block is indexed, as far as it can be. Queries are right before as well. */
  async indexed(): Promise<void> {
    await this.#openToRead()
    await this.#searched.index.indexed()
  }

  /** The newest published checkpoint. `undefined` before the first, and without a ledger. */
  get checkpointed(): PublishedCheckpoint | undefined {
    return this.#ledger?.published
  }

  /**
   * Signs and publishes a checkpoint of everything that is durable, unless there is one.
   *
   * @returns the signed note.
   * @throws InvalidInputError without a ledger; the store's errors.
   */
  async checkpoint(): Promise<string> {
    const ledger = await this.#openLedger()
    return (await ledger.publish()).text
  }

  /** A tlog-proof file for one record. Waits for a checkpoint that covers it. @throws NotFoundError past the end. */
  async prove(index: number): Promise<string> {
    const ledger = await this.#openLedger()
    return await ledger.prove(wholeNumber(index, "index"))
  }

  /** The hashes that prove that the log of `to` records begins with the log of `from`: RFC 6962, 2.1.2. */
  async consistency(from: number, to: number): Promise<readonly Hash[]> {
    const ledger = await this.#openLedger()
    return await ledger.consistency(wholeNumber(from, "from"), wholeNumber(to, "to"))
  }

  /**
   * Calls back with every record that is appended from now on, in order, once it is durable. The record is frozen.
   *
   * @returns a function that ends it.
   */
  subscribe(callback: Subscriber): () => void {
    return this.#subscribers.add(callback)
  }

  /** Ends the first subscription of `callback`; nothing happens when there is none. */
  unsubscribe(callback: Subscriber): void {
    this.#subscribers.remove(callback)
  }

  /**
   * Writes what waits and ends the tails. Idempotent. The store stays open: it is the caller's.
   *
   * @throws AuditUnavailableError when required records could not be written.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** A hub event's record. Whatever happens to it is counted and told; it is never lost in silence. */
  protected override record(draft: Draft): Promise<void> | void {
    let line: string
    try {
      line = encodeLineFitting(draft)
    } catch (error) {
      this.#logger.error({ err: error, kind: draft["kind"] }, "a hub event could not be made into a record")
      this.#writer.loseUnwritten(error)
      return
    }
    const refusal = this.#refusal()
    if (refusal !== undefined) return refusal
    const bytes = line.length + 1
    return this.#required ? this.#writer.addRequired(line, bytes) : this.#writer.addEvent(line, bytes)
  }

  /** Why nothing can be appended, if so. */
  #refusal(): Promise<never> | undefined {
    if (this.#closing !== undefined) return Promise.reject(new ClosedError("the audit log"))
    if (!this.#readOnly) return undefined
    return Promise.reject(
      new InvalidInputError("the audit log is open for reading only", { hint: "Open it without readOnly." }),
    )
  }

  async *#batches(options: EntriesOptions): AsyncGenerator<readonly LogEntry[], void, undefined> {
    const from = wholeNumber(options.from ?? 0, "from")
    const to = wholeNumber(options.to ?? Number.MAX_SAFE_INTEGER, "to")
    await this.#openToRead()
    yield* readBatches(this.#storage.files, this.#storage.extent, { from, to, signal: options.signal })
  }

  #tell(batch: DurableBatch): Promise<void> | undefined {
    if (this.#subscribers.count === 0) return undefined
    return this.#subscribers.tell(() => entriesOfBatch(batch))
  }

  /** Opens once; a failed opening may be tried again. */
  #open(): Promise<void> {
    if (this.#opening !== undefined) return this.#opening
    const opening = this.#recover()
    this.#opening = opening
    opening.catch(() => {
      this.#opening = undefined
    })
    return opening
  }

  async #recover(): Promise<void> {
    // A log that contradicts its checkpoint is evidence: not a byte of it is touched.
    const torn = await this.#storage.open(async () => await this.#ledger?.open())
    if (!this.#readOnly) this.#searched.index.start()
    if (torn === undefined) return
    this.#torn = torn
    this.#logger.warn({ bytes: torn.bytes, path: torn.path }, "a torn tail of the audit log was set aside")
    const fields = { torn_bytes: torn.bytes, torn_path: torn.path }
    const line = encodeLine({ at: this.now(), kind: "audit_recovered", ...fields })
    // Not awaited: it goes with the first batch, and a full disk must not stop the log from being read.
    void this.#writer.addEvent(line, line.length + 1).catch(() => {})
  }

  async #openLedger(): Promise<Ledger> {
    await this.#openToRead()
    if (this.#ledger === undefined) {
      throw new InvalidInputError("this log has no ledger", { hint: "Open it with the option `ledger`." })
    }
    return this.#ledger
  }

  async #openToRead(): Promise<void> {
    if (this.#closing !== undefined) throw new ClosedError("the audit log")
    const wasOpen = this.#opening !== undefined
    await this.#open()
    if (wasOpen) await this.#storage.look()
  }

  async #close(): Promise<void> {
    try {
      await this.#opening?.catch(() => {})
      await this.#writer.close()
      if (this.#opening !== undefined) await this.#ledger?.close()
    } finally {
      await this.#searched.index.close()
      await this.#storage.close()
    }
  }
}
