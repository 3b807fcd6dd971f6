import { expect, test, vi } from "vitest"
import { MemoryStore } from "../store/memory.ts"
import { FakeTime, seeded, testSeed } from "../../test/support/fake-time.ts"
import { AuditLog } from "./audit-log.ts"
import { RECENT_BYTES } from "./extent.ts"

const { clock } = new FakeTime()

test("starts in the past, crosses over to the live edge, and ends when aborted", async () => {
  const log = await AuditLog.open(new MemoryStore(), { clock })
  for (let n = 0; n < 5; n++) await log.append({ n })
  const abort = new AbortController()
  const seen: unknown[] = []
  const tailing = (async () => {
    for await (const entry of log.tail({ from: 2, signal: abort.signal }))
      seen.push([entry.index, entry.record["n"]])
  })()
  await vi.waitFor(() => expect(seen).toHaveLength(3))
  for (let n = 5; n < 8; n++) await log.append({ n })
  await vi.waitFor(() => expect(seen).toHaveLength(6))
  abort.abort()
  await tailing
  expect(seen).toEqual([2, 3, 4, 5, 6, 7].map((n) => [n, n]))
})

test("without `from` it starts now; from a future index it waits for it; closing the log ends it", async () => {
  const log = await AuditLog.open(new MemoryStore(), { clock })
  await log.append({ n: 0 })
  const now: number[] = []
  const later: number[] = []
  const tails = [
    (async () => {
      for await (const { index } of log.tail()) now.push(index)
    })(),
    (async () => {
      for await (const { index } of log.tail({ from: 3 })) later.push(index)
    })(),
  ]
  await new Promise((resolve) => setImmediate(resolve))
  for (let n = 1; n < 5; n++) await log.append({ n })
  await vi.waitFor(() => expect(now).toHaveLength(4))
  await log.close()
  await Promise.all(tails)
  expect(now).toEqual([1, 2, 3, 4])
  expect(later).toEqual([3, 4])
})

test("a stalled tail is not waited for, and then reads from the store what left the memory", async () => {
  const store = new MemoryStore()
  const log = await AuditLog.open(store, { clock })
  const reads = vi.spyOn(store, "readRange")
  const tail = log.tail({ from: 0 })
  const pad = "x".repeat(10_000)
  const rounds = Math.ceil((RECENT_BYTES * 3) / (100 * pad.length))
  for (let round = 0; round < rounds; round++) {
    await Promise.all(Array.from({ length: 100 }, (_, n) => log.append({ n: round * 100 + n, pad })))
  }
  reads.mockClear()
  for (let n = 0; n < rounds * 100; n++) {
    const { value } = await tail.next()
    expect(value?.record["n"]).toBe(n)
  }
  expect(reads).toHaveBeenCalled()
  reads.mockClear()
  await log.append({ n: "live" })
  expect((await tail.next()).value?.record["n"]).toBe("live")
  expect(reads).not.toHaveBeenCalled()
  await tail.return()
})

test("crossing over under concurrent appends: each entry once, in order, whatever the pace", async () => {
  const seed = testSeed()
  const random = seeded(seed)
  console.info(`tail property: HANSARD_SEED=${seed}`)
  for (let run = 0; run < 30; run++) {
    const log = await AuditLog.open(new MemoryStore(), { clock })
    const total = 200 + Math.floor(random() * 200)
    const writing = (async () => {
      for (let n = 0; n < total;) {
        const batch = Math.min(1 + Math.floor(random() * 40), total - n)
        const pad = "y".repeat(Math.floor(random() * 3) * 9_000)
        const done = Promise.all(Array.from({ length: batch }, (_, k) => log.append({ n: n + k, pad })))
        if (random() < 0.5) await done
        else await new Promise((resolve) => setImmediate(resolve))
        n += batch
      }
    })()
    const tails = Array.from({ length: 4 }, async () => {
      const from = Math.floor(random() * total)
      if (random() < 0.5) await new Promise((resolve) => setImmediate(resolve))
      let expected = from
      for await (const entry of log.tail({ from })) {
        if (entry.index !== expected || entry.record["n"] !== expected) {
          throw new Error(`seed ${seed} run ${run}: wanted ${expected}, got ${entry.index}`)
        }
        expected++
        if (expected === total) return
        if (random() < 0.1) await new Promise((resolve) => setImmediate(resolve))
      }
    })
    await Promise.all([writing, ...tails])
    await log.close()
  }
})

test("a read-only log follows a writer through the store's change events", async () => {
  const store = new MemoryStore()
  const writer = await AuditLog.open(store, { clock })
  const reader = await AuditLog.open(store, { readOnly: true })
  const seen: unknown[] = []
  const abort = new AbortController()
  const tailing = (async () => {
    for await (const entry of reader.tail({ from: 0, signal: abort.signal })) seen.push(entry.record["n"])
  })()
  for (let n = 0; n < 10; n++) await writer.append({ n })
  await vi.waitFor(() => expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]))
  abort.abort()
  await tailing
  await reader.close()
})
