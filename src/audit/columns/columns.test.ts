import { describe, expect, test } from "vitest"
import { seeded, testSeed } from "../../../test/support/fake-time.ts"
import {
  bruteForce,
  bruteStats,
  entriesOf,
  RandomLog,
  withoutScanned,
} from "../../../test/support/random-log.ts"
import { MemoryStore } from "../../store/memory.ts"
import { AuditLog } from "../audit-log.ts"
import type { AuditLogOptions, LogEntry, LogFilter } from "../types.ts"
import { INDEX_FOLDER } from "./paths.ts"

const seed = testSeed()
console.info(`index properties: HANSARD_SEED=${seed}`)

/** Lines, already durable, in a log without an index. */
async function fill(store: MemoryStore, random: RandomLog, records: number): Promise<void> {
  await using log = await AuditLog.open(store, { index: false })
  await Promise.all(Array.from({ length: records }, () => log.appendLine(random.line())))
}

/** All of a query's pages. */
async function pages(
  log: AuditLog,
  filter: LogFilter,
  order: "asc" | "desc",
  limit: number,
): Promise<number[]> {
  const indexes: number[] = []
  let cursor: string | null = null
  do {
    const page = await log.query({ ...filter, order, limit, ...(cursor === null ? {} : { cursor }) })
    indexes.push(...page.records.map(({ index }) => index))
    cursor = page.next_cursor
  } while (cursor !== null)
  return indexes
}

async function expectRight(
  log: AuditLog,
  all: readonly LogEntry[],
  random: RandomLog,
  runs: number,
): Promise<void> {
  for (let run = 0; run < runs; run++) {
    const filter = random.filter()
    const said = JSON.stringify(filter)
    const wanted = bruteForce(all, filter)
    const limit = wanted.length < 20 ? random.pick([1, 3, 100]) : random.pick([17, 100, 10_000])
    expect(await pages(log, filter, "asc", limit), said).toEqual(wanted)
    expect(await pages(log, filter, "desc", limit), said).toEqual(wanted.toReversed())
    const options = random.statsOptions()
    expect(withoutScanned(await log.stats(options)), JSON.stringify(options)).toEqual(
      bruteStats(all, options),
    )
  }
}

describe("whatever the log, the filter, the order, the page and the index", () => {
  for (let round = 0; round < 12; round++) {
    test(`answers are those of a plain scan (${round})`, async () => {
      const random = new RandomLog(seeded(seed + round))
      const store = new MemoryStore()
      await fill(store, random, random.below(400))
      const options: AuditLogOptions = {
        index: {
          blockRecords: random.pick([1, 7, 16, 64, 100]),
          fields: random.pick([[], ["region"], ["region", "note", "kind"]]),
        },
      }
      await using log = await AuditLog.open(store, options)
      // While it is being made, when it is there, and when the log has grown.
      await expectRight(log, await entriesOf(log), random, 3)
      await log.indexed()
      await expectRight(log, await entriesOf(log), random, 10)
      const grown = random.below(200)
      await Promise.all(Array.from({ length: grown }, () => log.appendLine(random.line())))
      await expectRight(log, await entriesOf(log), random, 3)
      await log.indexed()
      await using reader = await AuditLog.open(store, { ...options, readOnly: true })
      await expectRight(reader, await entriesOf(log), random, 10)
      await using again = await AuditLog.open(MemoryStore.from(store), {
        ...options,
        index: { blockRecords: 32 },
      })
      await expectRight(again, await entriesOf(log), random, 3)
    })
  }
})

test("a page begun before the log grew ends as if it had not", async () => {
  const random = new RandomLog(seeded(seed))
  const store = new MemoryStore()
  await fill(store, random, 150)
  await using log = await AuditLog.open(store, { index: { blockRecords: 16 } })
  await log.indexed()
  for (const order of ["asc", "desc"] as const) {
    const first = await log.query({ kind: "alpha", order, limit: 5 })
    const all = await entriesOf(log)
    await Promise.all(Array.from({ length: 50 }, () => log.appendLine(random.line())))
    await log.indexed()
    const cursor = first.next_cursor ?? ""
    const second = await log.query({ kind: "alpha", order, limit: 10_000, cursor })
    const wanted = bruteForce(order === "asc" ? await entriesOf(log) : all, { kind: "alpha" })
    const both = [...first.records, ...second.records].map(({ index }) => index)
    expect(both).toEqual(order === "asc" ? wanted : wanted.toReversed())
  }
})

test("an indexed query looks at the records of its page and no others", async () => {
  const random = new RandomLog(seeded(seed))
  const store = new MemoryStore()
  await fill(store, random, 1024)
  await using log = await AuditLog.open(store, { index: { blockRecords: 128 } })
  await log.indexed()
  expect((await log.query({ kind: "alpha", limit: 10 })).scanned).toBe(11)
  expect((await log.query({ kind: "alpha", limit: 10, order: "desc" })).scanned).toBeLessThanOrEqual(11)
  expect((await log.query({ kind: "none" })).scanned).toBe(0)
  expect((await log.query({ text: "nowhere to be found" })).scanned).toBe(0)
  expect((await log.stats({ agent: "ana", interval: 1000 })).scanned).toBe(0)
  await using without = await AuditLog.open(store, { index: false, readOnly: true })
  expect((await without.query({ kind: "none" })).scanned).toBe(1024)
})

test("index: false makes no files, and a log without full blocks has none", async () => {
  const store = new MemoryStore()
  await using log = await AuditLog.open(store, { index: { blockRecords: 8 } })
  for (let n = 0; n < 7; n++) await log.append({ kind: "k", n })
  await log.indexed()
  expect(await store.list(INDEX_FOLDER)).toEqual([])
  await log.append({ kind: "k", n: 7 })
  await log.indexed()
  expect(await store.list(INDEX_FOLDER)).toEqual(["000000000000"])
  const other = new MemoryStore()
  await fill(other, new RandomLog(seeded(seed)), 100)
  expect(await other.list(INDEX_FOLDER)).toEqual([])
})

test.each([{ blockRecords: 0 }, { blockRecords: 65_537 }, { fields: Array.from({ length: 17 }, String) }])(
  "refuses %j",
  (index) => {
    expect(() => new AuditLog(new MemoryStore(), { index })).toThrow(
      expect.objectContaining({ code: "invalid_input" }),
    )
  },
)

/** Lines a second apart, a few out of order, each with a time. */
async function fillTimed(store: MemoryStore, records: number, random: RandomLog): Promise<void> {
  await using log = await AuditLog.open(store, { index: false })
  const lines = Array.from({ length: records }, (_, n) => ({
    at: new Date(1_778_000_000_000 + 1000 * n + random.below(3) * 700).toISOString(),
    kind: n % 4000 === 7 ? "rare" : `kind-${n % 3}`,
    agent_id: `agent-${n % 7}`,
    channel_id: `channel-${n % 5}`,
    ...(n % 2 === 0 ? { outcome: n % 6 === 0 ? "failed" : "completed" } : {}),
  }))
  await Promise.all(lines.map((line) => log.append(line)))
}

test("a block that lies in several buckets is counted into each, by whatever, under any filter", async () => {
  const random = new RandomLog(seeded(seed))
  const store = new MemoryStore()
  await fillTimed(store, 500, random)
  await using log = await AuditLog.open(store, { index: { blockRecords: 64 } })
  await log.indexed()
  const all = await entriesOf(log)
  const filters: readonly LogFilter[] = [
    {},
    { kind: "kind-1" },
    { kind: "kind-2", agent: "agent-3" },
    { outcome: "failed" },
    { channel: "channel-4" },
    { not: { kind: ["kind-0"] } },
    { not: { outcome: ["failed"] }, agent: "agent-1" },
    { kind: "kind-1", from: 1_778_000_090_000, to: 1_778_000_300_000 },
  ]
  for (const filter of filters) {
    for (const by of ["kind", "outcome", "agent", "channel"] as const) {
      for (const interval of [7_000, 40_000, 150_000]) {
        const options = { ...filter, by, interval }
        const stats = withoutScanned(await log.stats(options))
        expect(stats, JSON.stringify(options)).toEqual(bruteStats(all, options))
      }
    }
  }
})

test("buckets in which nothing lies that passes are not too many", async () => {
  const random = new RandomLog(seeded(seed))
  const store = new MemoryStore()
  await fillTimed(store, 11_000, random)
  await using log = await AuditLog.open(store, { index: { blockRecords: 11_000 } })
  await log.indexed()
  await expect(log.stats({ interval: 1 })).rejects.toMatchObject({ code: "invalid_input" })
  expect((await log.stats({ kind: "rare", interval: 1 })).histogram).toHaveLength(3)
})
