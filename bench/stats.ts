/** How long counts and a histogram take, beside `GROUP BY` in `node:sqlite` with an index for each filter. */
import { join } from "node:path"
import type { DatabaseSync } from "node:sqlite"
import type { StatsOptions } from "../src/audit/index.ts"
import type { BenchContext, BenchTable } from "./bench.ts"
import { measure } from "./measure.ts"
import { durations, inMillions, quantile, SearchedLog, sqliteOf } from "./query-log.ts"
import { makeRecord } from "./records.ts"

interface Asked {
  readonly title: string
  readonly options: (n: number) => StatsOptions
  /** SQLite's condition, with one value. */
  readonly where: string
  readonly value: (n: number) => string | undefined
}

const AGENT = (n: number): string => String(makeRecord(11 * (n % 97))["agent_id"])
const KINDS = ["turn_failed", "task_started", "channel_created"]
const KIND = (n: number): string => KINDS[n % KINDS.length] ?? ""

export async function benchStats(context: BenchContext): Promise<BenchTable[]> {
  await using searched = await SearchedLog.open(context)
  const { log } = searched
  const { size } = log
  const { first_at, last_at } = await log.stats()
  const interval = Math.max(1, Math.ceil((Date.parse(last_at ?? "") - Date.parse(first_at ?? "")) / 120))
  const database = size > 2_000_000 ? undefined : await sqliteOf(log, join(context.folder, "stats.db"))
  const all: readonly Asked[] = [
    { title: "everything", options: () => ({}), where: "", value: () => undefined },
    { title: "one kind", options: (n) => ({ kind: KIND(n) }), where: "WHERE kind = ?", value: KIND },
    { title: "one agent", options: (n) => ({ agent: AGENT(n) }), where: "WHERE agent = ?", value: AGENT },
  ]
  const tables: BenchTable[] = []
  for (const { title, options, where, value } of all) {
    const run = async (time: number): Promise<number> =>
      quantile(await durations(time, (n) => log.stats({ ...options(n), interval })), 0.5)
    await run(1)
    const results = await measure(
      [
        { name: "hansard", promise: "answer", run },
        ...(database === undefined
          ? []
          : [
              {
                name: "node:sqlite, an index a filter",
                promise: "answer" as const,
                run: async (time: number) =>
                  quantile(await durations(time, (n) => group(database, where, value(n), interval)), 0.5),
              },
            ]),
      ],
      context.rounds,
      context.milliseconds,
    )
    const ms = results[0]?.median ?? NaN
    tables.push({
      title: `counts by kind, outcome and agent, and a histogram of 120 buckets, of ${title}, ${inMillions(size)}`,
      unit: "ms",
      better: "less",
      results,
      subject: "hansard",
      notes: [`goal at 10 M: ≤ 20 ms, 10 × SQLite: ${ms <= 20 ? "met" : "missed"} here in ms`],
    })
  }
  database?.close()
  return tables
}

function group(
  database: DatabaseSync,
  where: string,
  value: string | undefined,
  interval: number,
): unknown[] {
  const values = value === undefined ? [] : [value]
  return [
    ...["kind", "outcome", "agent"].map((name) =>
      database.prepare(`SELECT ${name}, COUNT(*) FROM log ${where} GROUP BY ${name}`).all(...values),
    ),
    database
      .prepare(`SELECT at / ${interval} AS bucket, kind, COUNT(*) FROM log ${where} GROUP BY bucket, kind`)
      .all(...values),
  ]
}
