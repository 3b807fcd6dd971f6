import { expect, test } from "vitest"
import { StoreUnavailableError } from "../core/errors.ts"
import { MemoryStore } from "../store/memory.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import { FlakyStore } from "../../test/support/flaky-store.ts"
import { seeded, testSeed } from "../../test/support/fake-time.ts"
import { AuditLog } from "./audit-log.ts"
import { MAX_BATCH_BYTES } from "./recover.ts"

const numbered = (from: number, count: number): object[] =>
  Array.from({ length: count }, (_, i) => ({ kind: "k", n: from + i }))

async function numbers(log: AuditLog): Promise<unknown[]> {
  return (await log.readAll()).map((record) => record["n"])
}

/** Appends wait until the test lets them go on. */
function heldStore(): { store: KnowledgeStore; release: () => void } {
  const store = new MemoryStore()
  const { promise, resolve } = Promise.withResolvers<void>()
  const append = store.append.bind(store)
  store.append = async (path, content) => {
    const kept = new Uint8Array(content as Uint8Array)
    await promise
    return await append(path, kept)
  }
  return { store, release: resolve }
}

test("several records are one batch, in order, with no other between them, however calls mix", async () => {
  const seed = testSeed()
  console.info(`HANSARD_SEED=${seed}`)
  const random = seeded(seed)
  await using log = await AuditLog.open(new MemoryStore())
  const wanted: unknown[] = []
  const receipts: Promise<void>[] = []
  for (let round = 0; round < 400; round++) {
    const count = random() < 0.3 ? 1 : 1 + Math.floor(random() * 700)
    const from = wanted.length
    if (count === 1) {
      receipts.push(log.append({ kind: "k", n: from }).then(({ index }) => expect(index).toBe(from)))
    } else {
      const many = log.appendMany(numbered(from, count))
      receipts.push(many.then((receipt) => expect(receipt).toEqual({ first_index: from, count })))
    }
    for (let i = 0; i < count; i++) wanted.push(from + i)
    if (random() < 0.1) await Promise.all(receipts)
  }
  await Promise.all(receipts)
  expect(await numbers(log)).toEqual(wanted)
})

test("receipts come in the order of the calls, and subscribers were told before", async () => {
  await using log = await AuditLog.open(new MemoryStore())
  const told: unknown[] = []
  log.subscribe((record) => void told.push(record["n"]))
  const order: string[] = []
  await Promise.all([
    log.append({ n: 0 }).then(() => order.push("first")),
    log.appendMany([{ n: 1 }, { n: 2 }]).then(() => {
      expect(told).toEqual([0, 1, 2, 3])
      order.push("many")
    }),
    log.append({ n: 3 }).then(() => order.push("last")),
  ])
  expect(order).toEqual(["first", "many", "last"])
})

test("one that is no record, or too much of them: nothing of the call is appended", async () => {
  await using log = await AuditLog.open(new MemoryStore())
  const cycle: Record<string, unknown> = {}
  cycle["self"] = cycle
  const bad: [readonly object[], object][] = [
    [[], { code: "invalid_input" }],
    [
      [{ n: 1 }, cycle, { n: 2 }],
      { code: "invalid_input", message: expect.stringContaining("record 1 of 3") as string },
    ],
    [
      [{ n: 1 }, { text: "x".repeat(70_000) }],
      { code: "invalid_input", cause: expect.objectContaining({ code: "record_too_large" }) as object },
    ],
    [Array.from({ length: 40 }, () => ({ text: "x".repeat(60_000) })), { code: "invalid_input" }],
    ["no array" as never, { code: "invalid_input" }],
  ]
  for (const [records, error] of bad) await expect(log.appendMany(records)).rejects.toMatchObject(error)
  await log.append({ n: 3 })
  expect(await numbers(log)).toEqual([3])
})

test("when the store fails none of them is there", async () => {
  const store = new FlakyStore(new MemoryStore())
  await using log = await AuditLog.open(store)
  store.decide = (operation) => (operation === "append" ? "persisted" : undefined)
  await expect(log.appendMany(numbered(0, 3000))).rejects.toBeInstanceOf(StoreUnavailableError)
  store.decide = () => undefined
  expect(await log.appendMany(numbered(3000, 2))).toEqual({ first_index: 0, count: 2 })
  expect(await numbers(log)).toEqual([3000, 3001])
})

test("they are no part of the batch before them: what fails is all of them", async () => {
  const store = new FlakyStore(new MemoryStore())
  await using log = await AuditLog.open(store)
  let tried = 0
  store.decide = (operation) => (operation === "append" && ++tried > 1 ? "not persisted" : undefined)
  const first = log.append({ n: -1, text: "x".repeat(60_000) })
  const many = log.appendMany(Array.from({ length: 1000 }, (_, n) => ({ n, text: "x".repeat(1000) })))
  await expect(many).rejects.toBeInstanceOf(StoreUnavailableError)
  await first
  expect(await numbers(log)).toEqual([-1])
})

test("as much as a batch holds is one batch", async () => {
  const store = new FlakyStore(new MemoryStore())
  await using log = await AuditLog.open(store)
  const line = { text: "x".repeat(1024 - 13) }
  const before = store.appends
  await log.appendMany(Array.from({ length: MAX_BATCH_BYTES / 1024 }, () => line))
  expect(store.appends - before).toBe(1)
  await expect(
    log.appendMany(Array.from({ length: MAX_BATCH_BYTES / 1024 + 1 }, () => line)),
  ).rejects.toMatchObject({
    code: "invalid_input",
  })
})

test("who does not await is refused when too much waits; what was taken is written", async () => {
  const { store, release } = heldStore()
  const log = await AuditLog.open(store, { maxQueuedBytes: 100_000 })
  const taken: Promise<unknown>[] = []
  const refused: unknown[] = []
  for (let n = 0; n < 5000; n++) {
    const receipt = log.append({ kind: "k", n })
    taken.push(receipt.catch((error: unknown) => refused.push(error)))
    if (n % 1000 === 0) await Promise.resolve()
  }
  await expect(log.appendMany(numbered(9000, 100))).rejects.toMatchObject({ code: "rate_limited" })
  // A hub event is never refused.
  const event = log.onAgentEvent("a", "registered", { name: "n" })
  release()
  await Promise.all([...taken, event])
  expect(refused.length).toBeGreaterThan(100)
  expect(refused[0]).toMatchObject({ code: "rate_limited" })
  expect(log.size).toBe(5000 - refused.length + 1)
  await log.append({ kind: "k", n: "after" })
  await log.close()
})

test("hub events that follow one another are told together, and each is counted when they are lost", async () => {
  const store = new FlakyStore(new MemoryStore())
  await using log = await AuditLog.open(store)
  store.decide = () => "not persisted"
  const events = Array.from({ length: 3 }, (_, n) => log.onAgentEvent(`a${n}`, "registered", { name: "n" }))
  const direct = log.append({ kind: "k" })
  const last = log.onAgentEvent("z", "registered", { name: "n" })
  for (const event of [...events, direct, last])
    await expect(event).rejects.toMatchObject({ code: "store_unavailable" })
  expect(log.failures).toBe(4)
  store.decide = () => undefined
  const after = [
    log.append({ n: 1 }),
    log.onAgentEvent("y", "registered", { name: "n" }),
    log.append({ n: 2 }),
  ]
  expect(await Promise.all(after)).toEqual([{ index: 1 }, undefined, { index: 3 }])
  const records = await log.readAll()
  expect(records.map((record) => record["kind"] ?? record["n"])).toEqual([
    "audit_gap",
    1,
    "agent_registered",
    2,
  ])
  expect(records[0]).toMatchObject({ lost: 4 })
})
