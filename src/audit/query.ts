import { InvalidInputError } from "../core/errors.ts"
import type { LogExtent } from "./extent.ts"
import { compileFilter } from "./filter.ts"
import type { LogFiles } from "./log-files.ts"
import { readEntries, readEntriesBackwards } from "./read.ts"
import { Tally } from "./stats.ts"
import type { LogEntry, LogStats, QueryOptions, QueryPage, SearchOptions, StatsOptions } from "./types.ts"

const DEFAULT_LIMIT = 100
export const MAX_LIMIT = 10_000

/**
 * One page of the records that a filter lets through, by reading the log: time proportional to what is read.
 *
 * @throws InvalidInputError for a limit, cursor or time that is none; TamperedError at a line that is no record.
 */
export async function queryPage(
  files: LogFiles,
  extent: LogExtent,
  options: QueryOptions,
): Promise<QueryPage> {
  const { order = "asc", limit = DEFAULT_LIMIT, cursor } = options
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw new InvalidInputError(`limit must be a whole number from 1 to ${MAX_LIMIT}, not ${limit}`)
  }
  const { size } = extent
  const found: LogEntry[] = []
  const work = { scanned: 0 }
  for await (const entry of searchLog(files, extent, options, parseCursor(cursor), work)) {
    if (found.length === limit) {
      return { records: found, next_cursor: cursorBefore(entry, order), scanned: work.scanned, size }
    }
    found.push(entry)
  }
  return { records: found, next_cursor: null, scanned: work.scanned, size }
}

/**
 * Every entry that a filter lets through, of those that are there when it starts.
 *
 * @param next where a page before ended
 * @param work is told how many records were looked at
 * @throws the signal's reason when it aborts
 */
export async function* searchLog(
  files: LogFiles,
  extent: LogExtent,
  options: SearchOptions,
  next: number | undefined,
  work: { scanned: number },
): AsyncGenerator<LogEntry, void, undefined> {
  const { order = "asc", signal } = options
  if (order !== "asc" && order !== "desc") {
    throw new InvalidInputError(`order must be "asc" or "desc", not ${JSON.stringify(order)}`)
  }
  const lets = compileFilter(options)
  const { size } = extent
  const entries =
    order === "asc"
      ? readEntries(files, extent, { from: next ?? 0, to: size, signal })
      : readEntriesBackwards(files, extent, { from: 0, to: next ?? size, signal })
  for await (const entry of entries) {
    work.scanned++
    if (lets(entry)) yield entry
  }
}

/** Counts, by reading the log. */
export async function countStats(
  files: LogFiles,
  extent: LogExtent,
  options: StatsOptions,
): Promise<LogStats> {
  const lets = compileFilter(options)
  const tally = new Tally(options)
  for await (const entry of readEntries(files, extent, {
    from: 0,
    to: extent.size,
    signal: options.signal,
  })) {
    tally.scanned(1)
    if (lets(entry)) tally.add(entry.record)
  }
  return tally.result()
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
