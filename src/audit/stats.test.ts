import { beforeAll, expect, test } from "vitest"
import { MemoryStore } from "../store/memory.ts"
import { FakeTime } from "../../test/support/fake-time.ts"
import { AuditLog } from "./audit-log.ts"
import type { LogEntry, StatsOptions } from "./types.ts"

const { clock } = new FakeTime()
let log: AuditLog
let all: LogEntry[]

const MINUTE = 60_000

beforeAll(async () => {
  log = await AuditLog.open(new MemoryStore(), { clock })
  const at = (minute: number): string => `2026-05-05T10:${String(minute).padStart(2, "0")}:30+00:00`
  for (let n = 0; n < 60; n++) {
    await log.append({
      at: n === 7 ? "yesterday" : at((n * 7) % 60),
      ...(n === 8 ? {} : { kind: n % 3 === 0 ? "task_terminated" : "turn_failed" }),
      channel_id: `c${n % 4}`,
      ...(n % 3 === 0
        ? { owner_id: `a${n % 5}`, outcome: n % 2 === 0 ? "failed" : "completed", task_id: `t${n}` }
        : { participants: ["a0", "a1", "a0"] }),
    })
  }
  all = []
  for await (const entry of log.entries()) all.push(entry)
})

test("count kinds, outcomes and agents, and find the ends of the time", async () => {
  const stats = await log.stats({ kind: "task_terminated" })
  expect(stats).toMatchObject({
    total: 20,
    by_kind: { task_terminated: 20 },
    by_outcome: { completed: 10, failed: 10 },
    by_agent: { a0: 4, a1: 4, a2: 4, a3: 4, a4: 4 },
    by: "kind",
    counts: { task_terminated: 20 },
    groups: 1,
    histogram: [],
    scanned: 60,
  })
  const times = all
    .filter(({ record }) => record["kind"] === "task_terminated")
    .map(({ record }) => String(record["at"]))
    .sort()
  expect([stats.first_at, stats.last_at]).toEqual([times[0], times.at(-1)])
})

test("a record counts once under each agent that it names, and without a kind as (none)", async () => {
  const { by_agent, by_kind, total } = await log.stats({ channel: "c0", where: {} })
  expect(total).toBe(15)
  expect(by_agent["a1"]).toBe(10 + 1)
  expect(by_kind["(none)"]).toBe(1)
})

test("a record without a readable time is counted, and is in no bucket", async () => {
  const { histogram, total } = await log.stats({ interval: MINUTE })
  const inBuckets = histogram.flatMap(({ counts }) => Object.values(counts)).reduce((a, b) => a + b, 0)
  expect([total, inBuckets]).toEqual([60, 59])
})

test("of nothing are zeros", async () => {
  expect(await log.stats({ kind: "none", interval: MINUTE })).toMatchObject({
    total: 0,
    by_kind: {},
    by_outcome: {},
    by_agent: {},
    first_at: null,
    last_at: null,
    counts: {},
    groups: 0,
    histogram: [],
  })
})

test.each(["kind", "agent", "channel", "task", "outcome"] as const)(
  "a histogram by %s adds up to its counts, in buckets of whole intervals",
  async (by) => {
    const filter: StatsOptions = { from: "2026-05-05T10:00:00Z", to: "2026-05-05T10:40:00Z" }
    const { histogram, counts, groups, total } = await log.stats({ ...filter, by, interval: 5 * MINUTE })
    expect(total).toBe(40)
    expect(histogram.map(({ from }) => from)).toEqual(
      Array.from({ length: 8 }, (_, n) => `2026-05-05T10:${String(n * 5).padStart(2, "0")}:00.000Z`),
    )
    const sums: Record<string, number> = {}
    for (const bucket of histogram) {
      for (const [name, n] of Object.entries(bucket.counts)) sums[name] = (sums[name] ?? 0) + n
    }
    expect(sums).toEqual(counts)
    expect(groups).toBe(Object.keys(counts).length)
    expect(groups).toBeGreaterThan(1)
  },
)

test("tables end after a thousand names, and the histogram counts the others together", async () => {
  const many = await AuditLog.open(new MemoryStore(), { clock })
  const at = "2026-05-05T10:00:00Z"
  await Promise.all(Array.from({ length: 1500 }, (_, n) => many.append({ at, kind: "k", task_id: `t${n}` })))
  await many.append({ at, kind: "k", task_id: "t1400" })
  const stats = await many.stats({ by: "task", interval: 1000 })
  expect(stats.groups).toBe(1500)
  expect(Object.keys(stats.counts)).toHaveLength(1000)
  expect(Object.entries(stats.counts)[0]).toEqual(["t1400", 2])
  expect(stats.histogram[0]?.counts["(other)"]).toBe(500)
})

test("more than ten thousand buckets are refused", async () => {
  const long = await AuditLog.open(new MemoryStore(), { clock })
  await Promise.all(
    Array.from({ length: 10_001 }, (_, n) =>
      long.append({ at: new Date(n * 1000).toISOString(), kind: "k" }),
    ),
  )
  await expect(long.stats({ interval: 1000 })).rejects.toMatchObject({ code: "invalid_input" })
  expect((await long.stats({ interval: 2000 })).histogram).toHaveLength(5001)
})

test.each([{ by: "at" as "kind" }, { interval: 0 }, { interval: 1.5 }, { interval: -1 }])(
  "refuses %j",
  async (options) => {
    await expect(log.stats(options)).rejects.toMatchObject({ code: "invalid_input" })
  },
)

test("stops when aborted", async () => {
  const abort = new AbortController()
  abort.abort(new Error("enough"))
  await expect(log.stats({ signal: abort.signal })).rejects.toThrow("enough")
})
