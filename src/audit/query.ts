import { InvalidInputError } from "../core/errors.ts"
import { parseTime } from "../core/system.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import type { LogExtent } from "./extent.ts"
import { agentsOf, compileFilter } from "./filter.ts"
import { readEntries, readEntriesBackwards } from "./read.ts"
import type { LogEntry, LogFilter, LogStats, QueryOptions, QueryPage } from "./types.ts"

const DEFAULT_LIMIT = 100
export const MAX_LIMIT = 10_000

/**
 * One page of the records that a filter lets through, by reading the log: time proportional to what is read.
 *
 * @throws InvalidInputError for a limit, cursor or time that is none; TamperedError at a line that is no record.
 */
export async function queryPage(
  store: KnowledgeStore,
  extent: LogExtent,
  options: QueryOptions,
): Promise<QueryPage> {
  const { order = "asc", limit = DEFAULT_LIMIT, signal } = options
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw new InvalidInputError(`limit must be a whole number from 1 to ${MAX_LIMIT}, not ${limit}`)
  }
  if (order !== "asc" && order !== "desc") {
    throw new InvalidInputError(`order must be "asc" or "desc", not ${JSON.stringify(order)}`)
  }
  const lets = compileFilter(options)
  const { size } = extent
  const next = parseCursor(options.cursor)
  const found: LogEntry[] = []
  let scanned = 0
  const entries =
    order === "asc"
      ? readEntries(store, extent, { from: next ?? 0, to: size, signal })
      : readEntriesBackwards(store, extent, { from: 0, to: next ?? size, signal })
  for await (const entry of entries) {
    scanned++
    if (!lets(entry)) continue
    if (found.length === limit)
      return { records: found, next_cursor: cursorBefore(entry, order), scanned, size }
    found.push(entry)
  }
  return { records: found, next_cursor: null, scanned, size }
}

/** Counts, by reading the log. */
export async function countStats(
  store: KnowledgeStore,
  extent: LogExtent,
  filter: LogFilter & { readonly signal?: AbortSignal },
): Promise<LogStats> {
  const lets = compileFilter(filter)
  const kinds = new Map<string, number>()
  const outcomes = new Map<string, number>()
  const agents = new Map<string, number>()
  let total = 0
  let first: { at: string; time: number } | undefined
  let last: { at: string; time: number } | undefined
  for await (const entry of readEntries(store, extent, { from: 0, to: extent.size, signal: filter.signal })) {
    if (!lets(entry)) continue
    const { record } = entry
    total++
    count(kinds, typeof record["kind"] === "string" ? record["kind"] : "(none)")
    if (typeof record["outcome"] === "string") count(outcomes, record["outcome"])
    for (const agent of agentsOf(record)) count(agents, agent)
    const at = record["at"]
    const time = parseTime(at)
    if (time === undefined || typeof at !== "string") continue
    if (first === undefined || time < first.time) first = { at, time }
    if (last === undefined || time > last.time) last = { at, time }
  }
  return {
    total,
    by_kind: mostFirst(kinds),
    by_outcome: mostFirst(outcomes),
    by_agent: mostFirst(agents),
    first_at: first?.at ?? null,
    last_at: last?.at ?? null,
  }
}

/** A cursor is the index at which the next page begins (`asc`) or before which it ends (`desc`). */
function cursorBefore(entry: LogEntry, order: "asc" | "desc"): string {
  return String(order === "asc" ? entry.index : entry.index + 1)
}

function parseCursor(cursor: string | undefined): number | undefined {
  if (cursor === undefined) return undefined
  const index = /^(0|[1-9]\d*)$/.test(cursor) ? Number(cursor) : NaN
  if (!Number.isSafeInteger(index)) {
    throw new InvalidInputError(`${JSON.stringify(cursor)} is not a cursor; use the next_cursor of a page`)
  }
  return index
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

function mostFirst(counts: Map<string, number>): Record<string, number> {
  return Object.fromEntries([...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)))
}
