import { expect, test } from "vitest"
import { utf8Text } from "../core/bytes.ts"
import { encodeLine } from "../core/line.ts"
import { MemoryStore } from "../store/memory.ts"
import { FakeTime } from "../../test/support/fake-time.ts"
import { AuditLog } from "./audit-log.ts"
import { LogFiles } from "./log-files.ts"
import { LOG_PATH, segmentPath } from "./paths.ts"

const { clock, timers } = new FakeTime()
async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = []
  for await (const item of items) collected.push(item)
  return collected
}

const lineOf = (n: number): string => encodeLine({ at: "2026-01-01T00:00:00Z", n, pad: "p".repeat(n % 37) })

/** A log of `cuts.at(-1)` records: sealed at each of the others. */
async function storeCutAt(...cuts: number[]): Promise<MemoryStore> {
  const store = new MemoryStore()
  let first = 0
  for (const [i, cut] of cuts.entries()) {
    const lines = Array.from({ length: cut - first }, (_, n) => lineOf(first + n) + "\n").join("")
    await store.write(i === cuts.length - 1 ? LOG_PATH : segmentPath(first), lines)
    first = cut
  }
  return store
}

test("readers see one log, whatever files it lies in", async () => {
  const whole = utf8Text((await (await storeCutAt(300)).read(LOG_PATH)) ?? new Uint8Array())
  for (const cuts of [[300], [1, 300], [100, 200, 300], [1, 2, 3, 299, 300], [150, 300, 300]]) {
    const store = await storeCutAt(...cuts)
    for (const readOnly of [false, true]) {
      await using log = await AuditLog.open(store, { clock, timers, readOnly })
      expect(log.size).toBe(300)
      const entries = await all(log.entries())
      expect(entries.map(({ line }) => line + "\n").join("")).toBe(whole)
      for (const { index, offset, line } of entries)
        expect(whole.indexOf(line + "\n", offset), `${index}`).toBe(offset)
      expect((await log.entries({ from: 199, to: 201 }).next()).value?.record["n"]).toBe(199)
      expect((await log.query({ order: "desc", limit: 2 })).records.map(({ index }) => index)).toEqual([
        299, 298,
      ])
    }
    const files = new LogFiles(store, { shared: true })
    for (let start = 0; start < whole.length; start += 997) {
      expect(utf8Text(await files.read(start, start + 4000))).toBe(whole.slice(start, start + 4000))
    }
    expect(await files.read(whole.length, whole.length + 10)).toHaveLength(0)
    expect(await files.size()).toBe(whole.length)
  }
})

test("a log goes on behind its sealed segments, and its torn tail is looked for there alone", async () => {
  const store = await storeCutAt(100, 200, 200)
  await store.write(LOG_PATH, '{"torn')
  await using log = await AuditLog.open(store, { clock, timers })
  expect(log.tornTail).toEqual({
    bytes: 6,
    path: expect.stringMatching(/^\/audit\/torn\/200-\d+$/) as string,
  })
  expect(await log.append({ n: 201 })).toEqual({ index: 201 })
  expect((await log.readAll()).slice(199).map(({ n, kind }) => n ?? kind)).toEqual([
    199,
    "audit_recovered",
    201,
  ])
})

test("a missing segment, and one that ends within a line, are damage and named", async () => {
  const gap = await storeCutAt(100, 200, 300)
  await gap.delete(segmentPath(0))
  await expect(AuditLog.open(gap, { clock })).rejects.toMatchObject({ code: "tampered", firstBadIndex: 0 })
  const middle = await storeCutAt(100, 200, 250, 300)
  await middle.delete(segmentPath(100))
  await expect(AuditLog.open(middle, { clock })).rejects.toMatchObject({
    code: "tampered",
    firstBadIndex: 100,
  })
  const cut = await storeCutAt(100, 200)
  await cut.truncate(segmentPath(0), (await cut.size(segmentPath(0))) - 1)
  await expect(AuditLog.open(cut, { clock })).rejects.toMatchObject({ code: "tampered", firstBadIndex: 99 })
})

test("names that are none of a segment's are passed over", async () => {
  const store = await storeCutAt(100, 200)
  for (const name of ["100.jsonl", "0000000000100.jsonl", "000000000100.json", "x.jsonl"]) {
    await store.write(`/audit/segments/${name}`, "no line")
  }
  await using log = await AuditLog.open(store, { clock, timers })
  expect(log.size).toBe(200)
})

test("a reader in another process notices every rotation, between any two of its steps", async () => {
  // The reader's store lets the writer rotate and write on, before each call in turn.
  for (let step = 0; step < 12; step++) {
    const inner = await storeCutAt(10, 20)
    let calls = 0
    const meddle = async (): Promise<void> => {
      if (calls++ !== step) return
      await inner.move(LOG_PATH, segmentPath(10))
      await inner.append(LOG_PATH, [20, 21].map((n) => lineOf(n) + "\n").join(""))
    }
    const store = new Proxy(inner, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name)
        if (typeof value !== "function") return value
        return async (...args: unknown[]): Promise<unknown> => {
          if (["read", "readRange", "list", "size", "exists"].includes(String(name))) await meddle()
          return (await Reflect.apply(value, target, args)) as unknown
        }
      },
    })
    await using log = await AuditLog.open(store, { clock, timers, readOnly: true })
    const seen = await all(log.entries())
    expect(
      seen.map(({ record }) => record["n"]),
      `${step}`,
    ).toEqual(seen.map((_, n) => n))
    expect(seen.length, `${step}`).toBeGreaterThanOrEqual(20)
    expect((await log.readAll()).length).toBe(calls > step ? 22 : 20)
  }
})
