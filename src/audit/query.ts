import { InvalidInputError } from "../core/errors.ts"
import { countLog } from "./columns/count.ts"
import { search } from "./columns/search.ts"
import type { SearchedLog } from "./columns/search.ts"
import { Tally } from "./stats.ts"
import type { LogEntry, LogStats, QueryOptions, QueryPage, SearchOptions, StatsOptions } from "./types.ts"

const DEFAULT_LIMIT = 100
export const MAX_LIMIT = 10_000

/**
 * One page of the records that a filter lets through. Where the log is indexed it costs the records of the page and a
 * few bytes of each block; elsewhere the bytes of the log.
 *
 * @throws InvalidInputError for a limit, cursor or time that is none; TamperedError at a line that is no record.
 */
export async function queryPage(log: SearchedLog, options: QueryOptions): Promise<QueryPage> {
  const { order = "asc", limit = DEFAULT_LIMIT, cursor, signal } = options
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw new InvalidInputError(`limit must be a whole number from 1 to ${MAX_LIMIT}, not ${limit}`)
  }
  checkOrder(order)
  signal?.throwIfAborted()
  const { size } = log.extent
  const next = parseCursor(cursor)
  const work = { scanned: 0 }
  // One more than the page holds: where the next one begins.
  const demand = { left: limit + 1 }
  const from = order === "asc" ? (next ?? 0) : 0
  const to = order === "asc" ? size : Math.min(next ?? size, size)
  const found: LogEntry[] = []
  for await (const entries of search(log, { filter: options, order, from, to, demand, work, signal })) {
    found.push(...entries)
    demand.left -= entries.length
    if (demand.left <= 0) break
  }
  const following = found[limit]
  return {
    records: found.slice(0, limit),
    next_cursor: following === undefined ? null : cursorBefore(following, order),
    scanned: work.scanned,
    size,
  }
}

/** Entries that are read together where nobody says how many are wanted. */
const STREAM_BATCH = 256

/**
 * Every entry that a filter lets through, of those that are there when it starts.
 *
 * @throws as {@link queryPage}; the signal's reason when it aborts
 */
export async function* searchLog(
  log: SearchedLog,
  options: SearchOptions,
): AsyncGenerator<LogEntry, void, undefined> {
  const { order = "asc", signal } = options
  checkOrder(order)
  signal?.throwIfAborted()
  const range = { from: 0, to: log.extent.size, order, signal }
  const demand = { left: STREAM_BATCH }
  for await (const entries of search(log, { ...range, filter: options, demand, work: { scanned: 0 } })) {
    yield* entries
  }
}

/** Counts; of what is indexed without looking at a record, if the columns answer the filter. */
export async function countStats(log: SearchedLog, options: StatsOptions): Promise<LogStats> {
  options.signal?.throwIfAborted()
  const tally = new Tally(options)
  await countLog(log, options, tally, options.signal)
  return tally.result()
}

function checkOrder(order: string): void {
  if (order !== "asc" && order !== "desc") {
    throw new InvalidInputError(`order must be "asc" or "desc", not ${JSON.stringify(order)}`)
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
