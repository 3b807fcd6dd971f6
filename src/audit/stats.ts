import { InvalidInputError } from "../core/errors.ts"
import { isoTime, parseTime } from "../core/system.ts"
import { agentsOf } from "./filter.ts"
import type { AuditRecord, HistogramBucket, LogStats, StatsGroup, StatsOptions } from "./types.ts"

/** Of a table that is returned. */
export const MAX_GROUPS = 1_000

/** Of a histogram. In the viewer a bucket is a pixel or more. */
export const MAX_BUCKETS = 10_000

const OTHER = "(other)"
export const NO_KIND = "(none)"

const GROUPS: readonly StatsGroup[] = ["kind", "agent", "channel", "task", "outcome"]

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
  #first: { readonly at: string; readonly time: number } | undefined
  #last: { readonly at: string; readonly time: number } | undefined

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
  add(record: AuditRecord): void {
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
    this.seen(at, time)
    if (this.interval === undefined) return
    const bucket = this.bucket(time)
    for (const name of this.#namesOf(record, agents)) count(bucket, name, 1)
  }

  /** A counted record has this time. */
  seen(at: string, time: number): void {
    if (this.#first === undefined || time < this.#first.time) this.#first = { at, time }
    if (this.#last === undefined || time > this.#last.time) this.#last = { at, time }
  }

  /** The counts of the bucket of a time. @throws InvalidInputError when there are too many. */
  bucket(time: number): Counts {
    const width = this.interval ?? 1
    const from = Math.floor(time / width) * width
    let bucket = this.#buckets.get(from)
    if (bucket !== undefined) return bucket
    if (this.#buckets.size === MAX_BUCKETS) {
      throw new InvalidInputError(`an interval of ${width} ms makes more than ${MAX_BUCKETS} buckets`, {
        hint: "Choose a longer interval, or a shorter range of time.",
      })
    }
    bucket = new Map()
    this.#buckets.set(from, bucket)
    return bucket
  }

  result(): LogStats {
    const counted = this.#counted()
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
      .sort(([a], [b]) => a - b)
      .map(([from, bucket]) => {
        const counts: Counts = new Map()
        for (const [name, n] of bucket) count(counts, Object.hasOwn(kept, name) ? name : OTHER, n)
        return { from: bucketTime(from), counts: Object.fromEntries(counts) }
      })
  }

  #counted(): Counts {
    switch (this.by) {
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
