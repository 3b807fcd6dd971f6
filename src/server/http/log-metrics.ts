import { Counter, Gauge, Histogram, type Registry } from "prom-client"
import type { AuditLog, LogObserver, PublishedCheckpoint } from "../../audit/index.ts"
import { cosignatureTime } from "../../core/cosignature.ts"
import { parseNote } from "../../core/note.ts"
import type { Clock } from "../../core/index.ts"

/** In records: powers of four up to what a batch of the shortest lines has. */
const RECORD_BUCKETS = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384]
/** In bytes: up to the largest batch, 1 MiB. */
const BYTE_BUCKETS = [256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576]
/** In seconds: from memory, over a good disk, to one that is in trouble. */
const SYNC_BUCKETS = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 10]

/**
 * How the log's writing goes: batches, how long the store takes for each, and who has cosigned when.
 *
 * A few additions a batch, and nothing a record. What stands in a checkpoint is not verified here: it is our own.
 */
export class LogMetrics implements LogObserver {
  readonly #stopwatch: Clock
  readonly #records: Histogram
  readonly #bytes: Histogram
  readonly #seconds: Histogram
  readonly #appended: Counter
  /** Of the batch that is on its way. */
  #begunAt = 0
  #batchRecords = 0
  /** By witness, in Unix seconds: the newest cosignature that we have seen. */
  readonly #cosigned = new Map<string, number>()

  /** @param stopwatch in milliseconds, with fractions */
  constructor(
    log: AuditLog,
    registry: Registry,
    { clock, stopwatch }: { readonly clock: Clock; readonly stopwatch: Clock },
  ) {
    this.#stopwatch = stopwatch
    const registers = [registry]
    const histogram = (name: string, help: string, buckets: number[]): Histogram =>
      new Histogram({ name, help, buckets, registers })
    this.#records = histogram(
      "hansard_batch_records",
      "Records that were made durable at once.",
      RECORD_BUCKETS,
    )
    this.#bytes = histogram("hansard_batch_bytes", "Bytes that were made durable at once.", BYTE_BUCKETS)
    this.#seconds = histogram("hansard_sync_seconds", "From a batch to its being durable.", SYNC_BUCKETS)
    this.#appended = new Counter({
      name: "hansard_appended_records_total",
      help: "Records that this process made durable since the service began.",
      registers,
    })
    const cosigned = this.#cosigned
    new Gauge({
      name: "hansard_witness_age_seconds",
      help: "Since the newest cosignature of each witness, by its own clock.",
      labelNames: ["witness"],
      registers,
      collect() {
        for (const [witness, seconds] of cosigned)
          this.set({ witness }, Math.max(0, clock() / 1000 - seconds))
      },
    })
    if (log.checkpointed !== undefined) this.published(log.checkpointed)
    log.observers.add(this)
  }

  writing(records: number, bytes: number): void {
    this.#batchRecords = records
    this.#records.observe(records)
    this.#bytes.observe(bytes)
    this.#begunAt = this.#stopwatch()
  }

  durable(): void {
    this.#seconds.observe((this.#stopwatch() - this.#begunAt) / 1000)
    this.#appended.inc(this.#batchRecords)
  }

  published({ text }: PublishedCheckpoint): void {
    // The log's own signature comes first, and has no time.
    for (const signature of parseNote(text).signatures.slice(1)) {
      try {
        const time = cosignatureTime(signature)
        this.#cosigned.set(signature.name, Math.max(time, this.#cosigned.get(signature.name) ?? 0))
      } catch {
        // Somebody else's kind of signature.
      }
    }
  }
}
