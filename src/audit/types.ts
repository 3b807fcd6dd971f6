import type { Clock, Timers } from "../core/system.ts"
import type { LedgerOptions, PublishedCheckpoint } from "./ledger.ts"
import type { Logger } from "../core/logger.ts"

/** A record as it was read back: `at`, `kind`, and whatever the kind carries. */
export type AuditRecord = Readonly<Record<string, unknown>>

/** One record and where it lies. */
export interface LogEntry {
  /** From 0: record *i* is line *i* of the log. */
  readonly index: number
  /** Where the line starts, in bytes from the start of the log. */
  readonly offset: number
  /** Verbatim, without its newline: what is stored, hashed, proved and shown. */
  readonly line: string
  /** Parsed from the line on first use, and frozen. */
  readonly record: AuditRecord
}

export interface EntriesOptions {
  /** First index, inclusive. Default 0. */
  readonly from?: number
  /** Last index, exclusive. Default: the size of the log when the reading starts. */
  readonly to?: number
  readonly signal?: AbortSignal
}

/** Says that a record is durable. */
export interface AppendReceipt {
  readonly index: number
}

/** Says that several records are durable: `count` of them, one after another from `first_index` on. */
export interface AppendManyReceipt {
  readonly first_index: number
  readonly count: number
}

export type Subscriber = (record: AuditRecord) => Promise<void> | void

/** Which events become records: `3.2` or `3.3` of SPEC.md. */
export type Coverage = "standard" | "full"

/**
 * Hears how the log's writing goes: for metrics. Called in the writer's own turn, once or twice a batch and never for a
 * record, so it must be quick, and must not throw. It is told no times: whoever wants some has a clock.
 *
 * One batch is on its way to the disk at a time: what comes after `writing` is about that one.
 */
export interface LogObserver {
  /** A batch goes to the store. @param bytes of its lines, newlines included */
  writing(records: number, bytes: number): void
  /** It is durable. A batch that failed is not told: the next `writing` or none comes instead. */
  durable(): void
  /** A checkpoint has been published, or has got cosignatures. */
  published(checkpoint: PublishedCheckpoint): void
}

export interface AuditLogOptions {
  /** Default `"standard"`: the kinds and keys of AG2's log, no more. `"full"` adds what an auditor asks for. */
  readonly coverage?: Coverage
  /**
   * What happens when a hub event's record cannot be written. Default false: the loss is logged, counted in
   * `failures`, and told in an `audit_gap` record as soon as writing works again. True: the record is kept and retried,
   * and the listener method rejects with `AuditUnavailableError`, so that the hub acknowledges nothing unrecorded; the
   * price is that the hub stands still while its disk does.
   */
  readonly required?: boolean
  /** Reading only: no lease, no recovery, no append. Default false. */
  readonly readOnly?: boolean
  /** How long one append waits for all subscribers together. Default 5,000; then it is logged and goes on. */
  readonly subscriberTimeoutMs?: number
  /** How often writing is tried again after it failed. Default 1,000. */
  readonly retryMs?: number
  /**
   * How many bytes of lines may wait for the disk. Default 64 MiB; an append that would exceed it rejects with
   * `RateLimitedError`, and nothing of it is queued. Callers that await their receipts come nowhere near. Hub events are
   * not refused.
   */
  readonly maxQueuedBytes?: number
  /** Keeps a Merkle tree of the lines and signs checkpoints of it. Default: none. */
  readonly ledger?: LedgerOptions
  /** Columns of every 65,536 records beside the log, so that queries need not read it. Default: on. */
  readonly index?: IndexOptions | false
  /**
   * After how many records the file that is written to is sealed, and another begun. Default 2^20, about a quarter of a
   * gigabyte; `false` keeps one file, as AG2 does. A segment may have more records, by the rest of a batch. Whoever
   * reads sees one log, whatever it was written with.
   */
  readonly rotate?: number | false
  /**
   * Whether sealed segments are compressed, in the background, with Zstandard: some tenth of the size, and a record
   * then costs a read of some kilobytes and some tenth of a millisecond. Default false. What is not finished when the log closes is
   * begun again by the next process that opens it so; what has been compressed is read with or without the option.
   */
  readonly compress?: boolean
  readonly clock?: Clock
  readonly timers?: Timers
  /** Default: silent. */
  readonly logger?: Logger
}

export interface IndexOptions {
  /**
   * Top-level fields whose texts are indexed as well, at most 16, for `where`. The price is a byte or two a record each.
   * Whoever opens the log names the same ones: an index of others is made again.
   */
  readonly fields?: readonly string[]
  /** Records in a block of the index. Default 65,536, and no more; fewer only in tests. */
  readonly blockRecords?: number
}

export interface LogFilter {
  readonly kind?: string | readonly string[]
  /** Any field that names an agent. */
  readonly agent?: string
  readonly channel?: string
  readonly task?: string
  readonly outcome?: string
  /** ISO 8601, or milliseconds since the epoch; of `at`, inclusive. */
  readonly from?: string | number
  /** The same, exclusive. */
  readonly to?: string | number
  /** A part of the line as it is stored, or a text that is stored escaped: `é` finds `\\u00e9`. */
  readonly text?: string
  /** Equality with any top-level fields. A field that is missing equals nothing, null included. */
  readonly where?: Readonly<Record<string, string | number | boolean | null>>
  /** Leaves out every record that has one of these values there. */
  readonly not?: Exclusions
}

/** Each may be several values. A record without the field has none of them. */
export interface Exclusions {
  readonly kind?: string | readonly string[]
  /** In any field that names an agent. */
  readonly agent?: string | readonly string[]
  readonly channel?: string | readonly string[]
  readonly task?: string | readonly string[]
  readonly outcome?: string | readonly string[]
  /** Parts of the line, as {@link LogFilter.text} takes them. */
  readonly text?: string | readonly string[]
}

export interface QueryOptions extends LogFilter {
  /** Default `"asc"`: oldest first. */
  readonly order?: "asc" | "desc"
  /** Default 100, at most 10,000. */
  readonly limit?: number
  /** `next_cursor` of the page before. */
  readonly cursor?: string
  readonly signal?: AbortSignal
}

export interface SearchOptions extends LogFilter {
  /** Default `"asc"`: oldest first. */
  readonly order?: "asc" | "desc"
  readonly signal?: AbortSignal
}

export interface QueryPage {
  readonly records: readonly LogEntry[]
  /** `null` at the end. It stays good while the log grows, and over restarts. */
  readonly next_cursor: string | null
  /** How many records were looked at for this page. */
  readonly scanned: number
  /** How many records the log held. */
  readonly size: number
}

/** What {@link StatsOptions.by} can count by. */
export type StatsGroup = "kind" | "agent" | "channel" | "task" | "outcome"

export interface StatsOptions extends LogFilter {
  /** What `counts` and `histogram` count by. Default `"kind"`. */
  readonly by?: StatsGroup
  /** In milliseconds: the width of the histogram's buckets. Default: no histogram. */
  readonly interval?: number
  readonly signal?: AbortSignal
}

/** Counts of the records that a filter lets through. In each table the most frequent come first, at most 1,000. */
export interface LogStats {
  readonly total: number
  /** `(none)` counts the records without a kind. */
  readonly by_kind: Readonly<Record<string, number>>
  readonly by_outcome: Readonly<Record<string, number>>
  /** A record that names several agents counts under each. */
  readonly by_agent: Readonly<Record<string, number>>
  /** The least and greatest `at` of the counted records, `null` when there is none. */
  readonly first_at: string | null
  readonly last_at: string | null
  readonly by: StatsGroup
  /** Counts by `by`. Records without that field are in `total` alone. */
  readonly counts: Readonly<Record<string, number>>
  /** How many different values `by` has; above 1,000 `counts` does not hold them all. */
  readonly groups: number
  /** Oldest first; buckets in which nothing was counted are left out. Empty unless `interval` was given. */
  readonly histogram: readonly HistogramBucket[]
  /** How many records were looked at. */
  readonly scanned: number
}

/** The records whose `at` lies in `[from, from + interval)`; those without a readable time are in none. */
export interface HistogramBucket {
  /** ISO 8601; a multiple of the interval since the epoch. */
  readonly from: string
  /** By `by`; groups that did not make it into {@link LogStats.counts} are counted together as `(other)`. */
  readonly counts: Readonly<Record<string, number>>
}
