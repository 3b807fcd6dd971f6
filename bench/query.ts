/**
 * How long a page takes, beside `node:sqlite` with an index for each filter, and with one for the very pair.
 *
 * Both sides parse the rows that they return. Every query has other values than the one before.
 */
import { join } from "node:path"
import type { DatabaseSync } from "node:sqlite"
import type { LogFilter, QueryOptions } from "../src/audit/index.ts"
import type { BenchContext, BenchTable } from "./bench.ts"
import { measure } from "./measure.ts"
import { durations, inMillions, quantile, SearchedLog, sqliteOf } from "./query-log.ts"
import { makeRecord } from "./records.ts"

export async function benchQuery(context: BenchContext): Promise<BenchTable[]> {
  await using searched = await SearchedLog.open(context)
  const { log } = searched
  const { size } = log
  // Ten million rows would take SQLite several minutes to load.
  const database = size > 2_000_000 ? undefined : await sqliteOf(log, join(context.folder, "query.db"))
  const { rounds, milliseconds } = context
  const warm = async (): Promise<unknown> => {
    for (let n = 0; n < 50; n++) await log.query(firstPage(n, size))
    return await log.query(pair(0, size))
  }
  await warm()
  const ours = (call: (n: number) => QueryOptions, share: number, name: string) => ({
    name,
    promise: "answer" as const,
    run: async (time: number) => quantile(await durations(time, (n) => log.query(call(n))), share),
  })
  const theirs = (call: (n: number) => QueryOptions, share: number, name: string, index?: string) =>
    database === undefined
      ? []
      : [
          {
            name,
            promise: "answer" as const,
            run: async (time: number) =>
              quantile(await durations(time, (n) => select(database, call(n), index)), share),
          },
        ]
  const mixed = (n: number): QueryOptions => firstPage(n, size)
  const narrow = (n: number): QueryOptions => pair(n, size)
  const table = async (
    title: string,
    contenders: Parameters<typeof measure>[0],
    notes: (ours: number) => string[],
  ): Promise<BenchTable> => {
    const results = await measure(contenders, rounds, milliseconds)
    const median = results[0]?.median ?? NaN
    return {
      title: `${title}, ${inMillions(size)}`,
      unit: "ms",
      better: "less",
      results,
      subject: "hansard",
      notes: notes(median),
    }
  }
  const met = (is: boolean): string => (is ? "met" : "missed")
  const tables = [
    await table(
      "first page (100 rows) of nine filters in both orders, median",
      [ours(mixed, 0.5, "hansard"), ...theirs(mixed, 0.5, "node:sqlite, an index a filter")],
      (ms) => [`goal at 10 M: p50 ≤ 2 ms: ${met(ms <= 2)} here`],
    ),
    await table(
      "the same, 99th percentile",
      [ours(mixed, 0.99, "hansard"), ...theirs(mixed, 0.99, "node:sqlite, an index a filter")],
      (ms) => [`goal at 10 M: p99 ≤ 20 ms: ${met(ms <= 20)} here`],
    ),
    await table(
      "two filters and a time range, 1,000 rows",
      [
        ours(narrow, 0.5, "hansard"),
        ...theirs(narrow, 0.5, "node:sqlite, an index a filter", "by_agent"),
        ...theirs(narrow, 0.5, "node:sqlite, an index for the pair", "by_kind_agent"),
      ],
      (ms) => [
        `goal at 10 M: ≤ 6 ms, 5 × single-column indexes, parity with the pair: ${met(ms <= 6)} here in ms`,
      ],
    ),
  ]
  database?.close()
  return tables
}

/** Values of a record somewhere in the log. */
function firstPage(n: number, size: number): QueryOptions {
  const record = makeRecord((n * 7_919_993) % size)
  const { kind, channel_id: channel, task_id: task } = record as Readonly<Record<string, string>>
  const agent = String(
    record["agent_id"] ?? record["owner_id"] ?? record["creator_id"] ?? record["sender_id"],
  )
  const at = Date.parse(String(record["at"]))
  const filters: readonly LogFilter[] = [
    { kind: kind ?? "" },
    { agent },
    { channel: channel ?? "none" },
    { task: task ?? "none" },
    { outcome: "failed" },
    { kind: kind ?? "", agent },
    { kind: "turn_failed", from: at },
    { from: at, to: at + 60_000 },
    {},
  ]
  return { ...filters[n % filters.length], order: n % 2 === 0 ? "asc" : "desc" }
}

/** A kind, an agent, and a time range with some more than a thousand of both. */
function pair(n: number, size: number): QueryOptions {
  const agent = String(makeRecord(6 + 11 * (n % 97))["agent_id"])
  // 7 ms a record; one record in 11 × 97 is of this kind and agent.
  const wanted = Math.min(size, 1_100_000) * 7
  const first = Date.parse(String(makeRecord(0)["at"]))
  const from = first + (n % 5) * Math.floor((size * 7 - wanted) / 5)
  return { kind: "turn_failed", agent, from, to: from + wanted, limit: 1000 }
}

function select(database: DatabaseSync, query: QueryOptions, index: string | undefined): unknown[] {
  const { order = "asc", limit = 100 } = query
  const conditions: string[] = []
  const values: (string | number)[] = []
  for (const name of ["kind", "agent", "channel", "task", "outcome"] as const) {
    const value = query[name]
    if (typeof value !== "string") continue
    conditions.push(`${name} = ?`)
    values.push(value)
  }
  if (query.from !== undefined) (conditions.push("at >= ?"), values.push(query.from))
  if (query.to !== undefined) (conditions.push("at < ?"), values.push(query.to))
  const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`
  const by = index === undefined ? "" : `INDEXED BY ${index}`
  const rows = database
    .prepare(`SELECT id, line FROM log ${by} ${where} ORDER BY id ${order} LIMIT ?`)
    .all(...values, limit)
  return rows.map(({ line }) => JSON.parse(String(line)) as unknown)
}
