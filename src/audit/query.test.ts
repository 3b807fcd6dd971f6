import { beforeAll, expect, test } from "vitest"
import { MemoryStore } from "../store/memory.ts"
import { FakeTime, seeded, testSeed } from "../../test/support/fake-time.ts"
import { AuditLog } from "./audit-log.ts"
import { compileFilter } from "./filter.ts"
import type { LogEntry, LogFilter, QueryOptions } from "./types.ts"

const { clock } = new FakeTime()
let log: AuditLog
let all: LogEntry[]

const KINDS = ["agent_registered", "turn_failed", "task_terminated", "channel_created", "custom"]
const AGENTS = ["a1", "a2", "a3"]

beforeAll(async () => {
  const random = seeded(7)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  log = await AuditLog.open(new MemoryStore(), { clock })
  await Promise.all(
    Array.from({ length: 3000 }, (_, n) => {
      const kind = pick(KINDS)
      const seconds = String(Math.floor(random() * 60)).padStart(2, "0")
      return log.append({
        at: `2026-05-05T10:${seconds}:00${random() < 0.5 ? "Z" : "+00:00"}`,
        kind,
        n,
        channel_id: pick(["c1", "c2"]),
        ...(kind === "task_terminated"
          ? { owner_id: pick(AGENTS), outcome: pick(["failed", "completed"]) }
          : {}),
        ...(kind === "channel_created"
          ? { participants: [pick(AGENTS), pick(AGENTS)] }
          : { agent_id: pick(AGENTS) }),
        ...(kind === "custom" ? { text: `é ${pick(AGENTS)}` } : {}),
        pad: "p".repeat(Math.floor(random() * 400)),
      })
    }),
  )
  all = []
  for await (const entry of log.entries()) all.push(entry)
})

async function pages(options: QueryOptions): Promise<number[]> {
  const indexes: number[] = []
  let cursor: string | null = null
  do {
    const page = await log.query({ ...options, ...(cursor === null ? {} : { cursor }) })
    expect(page.records.length).toBeLessThanOrEqual(options.limit ?? 100)
    indexes.push(...page.records.map(({ index }) => index))
    cursor = page.next_cursor
    expect(page.size).toBe(all.length)
  } while (cursor !== null)
  return indexes
}

test("any filter, order and page size gives what a plain scan gives", async () => {
  const seed = testSeed()
  const random = seeded(seed)
  console.info(`query property: HANSARD_SEED=${seed}`)
  const maybe = <T>(value: T): T | undefined => (random() < 0.35 ? value : undefined)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  for (let run = 0; run < 60; run++) {
    const drawn = {
      kind: maybe(random() < 0.5 ? pick(KINDS) : [pick(KINDS), pick(KINDS)]),
      agent: maybe(pick(AGENTS)),
      channel: maybe(pick(["c1", "c2", "c3"])),
      outcome: maybe("failed"),
      from: maybe(`2026-05-05T10:${10 + Math.floor(random() * 20)}:00Z`),
      to: maybe(Date.UTC(2026, 4, 5, 10, 35)),
      text: maybe(pick(["custom", "a2", "\\u00e9", "é"])),
      not: maybe(
        pick([
          { kind: pick(KINDS) },
          { agent: [pick(AGENTS), pick(AGENTS)] },
          { channel: "c1", outcome: "failed" },
          { task: "none", kind: [pick(KINDS), pick(KINDS)] },
        ]),
      ),
      where: maybe(pick([{ channel_id: "c1" }, { n: Math.floor(random() * 3000) }, { text: null }])),
    }
    const filter = Object.fromEntries(
      Object.entries(drawn).filter(([, value]) => value !== undefined),
    ) as LogFilter
    const lets = compileFilter(filter)
    const wanted = all.filter(lets).map(({ index }) => index)
    const limit = pick([1, 7, 100, 10_000])
    if (limit < 100 && wanted.length > 200) continue
    expect(await pages({ ...filter, limit }), JSON.stringify(filter)).toEqual(wanted)
    const streamed: number[] = []
    for await (const { index } of log.search(filter)) streamed.push(index)
    expect(streamed, JSON.stringify(filter)).toEqual(wanted)
    expect(await pages({ ...filter, limit, order: "desc" }), JSON.stringify(filter)).toEqual(
      wanted.toReversed(),
    )
  }
})

test("each filter means what it says", async () => {
  const one = async (filter: LogFilter): Promise<number> =>
    (await log.query({ ...filter, limit: 10_000 })).records.length
  expect(await one({})).toBe(3000)
  expect(await one({ kind: "turn_failed" })).toBe(
    all.filter(({ record }) => record["kind"] === "turn_failed").length,
  )
  expect(await one({ agent: "a2" })).toBe(
    all.filter(({ record }) =>
      JSON.stringify([record["agent_id"], record["owner_id"], record["participants"]]).includes('"a2"'),
    ).length,
  )
  for (const filter of [
    { kind: "turn_failed" },
    { agent: "a2" },
    { channel: "c1" },
    { outcome: "failed" },
    { text: "custom" },
  ]) {
    const with_ = await one(filter)
    expect(with_, JSON.stringify(filter)).toBeGreaterThan(0)
    expect(with_ + (await one({ not: filter })), JSON.stringify(filter)).toBe(3000)
  }
  expect(await one({ not: { kind: KINDS, agent: [] } })).toBe(
    all.filter(({ record }) => !(KINDS as readonly unknown[]).includes(record["kind"])).length,
  )
  const early = all.filter(({ record }) => String(record["at"]).startsWith("2026-05-05T10:00"))
  expect(early.length).toBeGreaterThan(0)
  expect(await one({ from: "2026-05-05T10:00:00+00:00", to: "2026-05-05T10:01:00.000000Z" })).toBe(
    early.length,
  )
})

test("text is found as it is stored and as it was written; where compares whole values", async () => {
  const small = await AuditLog.open(new MemoryStore(), { clock })
  await small.append({ kind: "x", said: 'é "quoted"', n: 1, yes: true, none: null })
  await small.append({ kind: "x", said: "e", n: "1", deep: { n: 1 } })
  const found = async (filter: LogFilter): Promise<number[]> =>
    (await small.query(filter)).records.map(({ index }) => index)
  for (const text of ["é", "\\u00e9", 'é "quoted"', '"n": 1,', ""]) {
    expect((await found({ text }))[0], text).toBe(0)
  }
  expect(await found({ text: "E" })).toEqual([])
  expect(await found({ where: { n: 1 } })).toEqual([0])
  expect(await found({ where: { n: "1" } })).toEqual([1])
  expect(await found({ where: { yes: true, none: null } })).toEqual([0])
  expect(await found({ where: { none: null, n: 2 } })).toEqual([])
  expect(await found({ where: { missing: null } })).toEqual([])
  expect(await found({ where: { toString: null } })).toEqual([])
})

test("a cursor is good while the log grows", async () => {
  const small = await AuditLog.open(new MemoryStore(), { clock })
  for (let n = 0; n < 6; n++) await small.append({ n, kind: n % 2 === 0 ? "even" : "odd" })
  const first = await small.query({ kind: "even", limit: 2, order: "desc" })
  expect(first.records.map(({ index }) => index)).toEqual([4, 2])
  for (let n = 6; n < 9; n++) await small.append({ n, kind: "even" })
  const second = await small.query({ kind: "even", limit: 2, order: "desc", cursor: first.next_cursor ?? "" })
  expect(second.records.map(({ index }) => index)).toEqual([0])
  expect(second.next_cursor).toBeNull()
})

test.each([
  [{ limit: 0 }],
  [{ limit: 10_001 }],
  [{ limit: 1.5 }],
  [{ cursor: "-1" }],
  [{ cursor: "01" }],
  [{ cursor: "x" }],
  [{ from: "yesterday" }],
  [{ order: "up" as "asc" }],
  [{ text: "t".repeat(65_536) }],
])("refuses %j", async (options) => {
  await expect(log.query(options)).rejects.toMatchObject({ code: "invalid_input" })
})

test("stops when aborted", async () => {
  const abort = new AbortController()
  abort.abort(new Error("enough"))
  await expect(log.query({ signal: abort.signal })).rejects.toThrow("enough")
})
