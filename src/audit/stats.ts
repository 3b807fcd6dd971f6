import { InvalidInputError } from "../core/errors.ts"
import { isoTime, parseTime } from "../core/system.ts"
import { agentsOf } from "./filter.ts"
import type { AuditRecord, HistogramBucket, LogEntry, LogStats, StatsGroup, StatsOptions } from "./types.ts"

/** Of a table that is returned. */
export const MAX_GROUPS = 1_000

/** Of a histogram. In the viewer a bucket is a pixel or more. */
export const MAX_BUCKETS = 10_000

const OTHER = "(other)"
export const NO_KIND = "(none)"

const GROUPS: readonly StatsGroup[] = ["kind", "agent", "channel", "task", "outcome"]

/** When a record says that it was. */
interface Seen {
  readonly at: string
  readonly time: number
  readonly index: number
}

/** How often each name was counted. */
export type Counts = Map<string, number>

/** Adds records up, one at a time or many at once, and says in the end what there was. */
export class Tally {
  readonly by: StatsGroup
  readonly interval: number | undefined
  readonly #kinds: Counts = new Map()
  readonly #outcomes: Counts = new Map()
  readonly #agents: Counts = new Map()
  /** Channels or tasks, when they are what is counted by. */
  readonly #others: Counts = new Map()
  readonly #buckets = new Map<number, Counts>()
  #total = 0
  #scanned = 0
  #first: Seen | undefined
  #last: Seen | undefined

  /** @throws InvalidInputError for a group or an interval that is none. */
  constructor(options: Pick<StatsOptions, "by" | "interval">) {
    const { by = "kind", interval } = options
    if (!GROUPS.includes(by)) {
      throw new InvalidInputError(`by must be one of ${GROUPS.join(", ")}, not ${JSON.stringify(by)}`)
    }
    if (interval !== undefined && (!Number.isSafeInteger(interval) || interval < 1)) {
      throw new InvalidInputError(`interval must be a whole number of milliseconds from 1, not ${interval}`)
    }
    this.by = by
    this.interval = interval
  }

  /** Records that were looked at, whether they count or not. */
  scanned(records: number): void {
    this.#scanned += records
  }

  /** A record counts. @throws InvalidInputError when the histogram gets too many buckets. */
  add({ record, index }: LogEntry): void {
    this.#total++
    const { kind, outcome, at } = record
    count(this.#kinds, typeof kind === "string" ? kind : NO_KIND, 1)
    if (typeof outcome === "string") count(this.#outcomes, outcome, 1)
    const agents = agentsOf(record)
    for (const agent of agents) count(this.#agents, agent, 1)
    if (this.by === "channel" || this.by === "task") {
      for (const name of this.#namesOf(record, agents)) count(this.#others, name, 1)
    }
    const time = parseTime(at)
    if (time === undefined || typeof at !== "string") return
    this.seen(at, time, index)
    if (this.interval === undefined) return
    const bucket = this.bucket(time)
    for (const name of this.#namesOf(record, agents)) count(bucket, name, 1)
  }

  /** More records count; the caller adds their names and times. */
  addTotal(records: number): void {
    this.#total += records
  }

  addNamed(group: StatsGroup, name: string, n: number): void {
    count(this.#table(group), name, n)
  }

  /** A counted record has this time. Of several with one time the first in the log is told. */
  seen(at: string, time: number, index: number): void {
    const isBefore = (other: Seen): boolean => time === other.time && index < other.index
    if (this.#first === undefined || time < this.#first.time || isBefore(this.#first)) {
      this.#first = { at, time, index }
    }
    if (this.#last === undefined || time > this.#last.time || isBefore(this.#last)) {
      this.#last = { at, time, index }
    }
  }

  /** A record that is counted already may have the least or the greatest time. */
  see({ record, index }: LogEntry): void {
    const at = record["at"]
    const time = parseTime(at)
    if (time !== undefined && typeof at === "string") this.seen(at, time, index)
  }

  /** Where the bucket of a time begins. */
  bucketStart(time: number): number {
    const width = this.interval ?? 1
    return Math.floor(time / width) * width
  }

  /** @throws InvalidInputError when so many buckets are too many. */
  checkBuckets(buckets: number): void {
    if (buckets <= MAX_BUCKETS) return
    throw new InvalidInputError(`an interval of ${this.interval} ms makes more than ${MAX_BUCKETS} buckets`, {
      hint: "Choose a longer interval, or a shorter range of time.",
    })
  }

  /** The counts of the bucket of a time. @throws InvalidInputError when there are too many. */
  bucket(time: number): Counts {
    const from = this.bucketStart(time)
    let bucket = this.#buckets.get(from)
    if (bucket !== undefined) return bucket
    this.checkBuckets(this.#buckets.size + 1)
    bucket = new Map()
    this.#buckets.set(from, bucket)
    return bucket
  }

  result(): LogStats {
    const counted = this.#table(this.by)
    const counts = mostFirst(counted)
    return {
      total: this.#total,
      by_kind: mostFirst(this.#kinds),
      by_outcome: mostFirst(this.#outcomes),
      by_agent: mostFirst(this.#agents),
      first_at: this.#first?.at ?? null,
      last_at: this.#last?.at ?? null,
      by: this.by,
      counts,
      groups: counted.size,
      histogram: this.#histogram(counts),
      scanned: this.#scanned,
    }
  }

  #histogram(kept: Readonly<Record<string, number>>): HistogramBucket[] {
    return [...this.#buckets]
      .filter(([, bucket]) => bucket.size > 0)
      .sort(([a], [b]) => a - b)
      .map(([from, bucket]) => {
        const counts: Counts = new Map()
        for (const [name, n] of bucket) count(counts, Object.hasOwn(kept, name) ? name : OTHER, n)
        return { from: bucketTime(from), counts: Object.fromEntries(counts) }
      })
  }

  #table(group: StatsGroup): Counts {
    switch (group) {
      case "kind":
        return this.#kinds
      case "outcome":
        return this.#outcomes
      case "agent":
        return this.#agents
      default:
        return this.#others
    }
  }

  #namesOf(record: AuditRecord, agents: readonly string[]): readonly string[] {
    switch (this.by) {
      case "agent":
        return agents
      case "kind":
        return [typeof record["kind"] === "string" ? record["kind"] : NO_KIND]
      default: {
        const name = record[this.by === "outcome" ? "outcome" : `${this.by}_id`]
        return typeof name === "string" ? [name] : []
      }
    }
  }
}

export function count(counts: Counts, name: string, n: number): void {
  counts.set(name, (counts.get(name) ?? 0) + n)
}

/** The earliest time that can be written is later than a bucket that begins before it. */
const EARLIEST = -8.64e15

function bucketTime(from: number): string {
  return isoTime(Math.max(from, EARLIEST))
}

function mostFirst(counts: Counts): Record<string, number> {
  return Object.fromEntries(
    [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)).slice(0, MAX_GROUPS),
  )
}
