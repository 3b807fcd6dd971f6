import { expect, test } from "vitest"
import { utf8Text } from "../core/bytes.ts"
import { MemoryStore } from "../store/memory.ts"
import { FakeTime } from "../../test/support/fake-time.ts"
import { FlakyStore } from "../../test/support/flaky-store.ts"
import { AuditLog } from "./audit-log.ts"
import { LOG_PATH, TORN_FOLDER } from "./paths.ts"

const { clock, timers } = new FakeTime()
const good = '{"n": 0}\n{"n": 1}\n'

async function storeWith(content: string | Uint8Array): Promise<MemoryStore> {
  const store = new MemoryStore()
  await store.write(LOG_PATH, content)
  return store
}

test("a clean log opens as it is, and an absent one as empty", async () => {
  const store = await storeWith(good)
  const log = await AuditLog.open(store, { clock })
  expect(log.size).toBe(2)
  expect(log.tornTail).toBeUndefined()
  await log.close()
  expect(utf8Text((await store.read(LOG_PATH)) ?? new Uint8Array())).toBe(good)
  expect((await AuditLog.open(new MemoryStore(), { clock })).size).toBe(0)
})

test.each([
  ["half a line", '{"n": 2, "te'],
  ["a whole line without its newline", '{"n": 2}'],
  ["one byte", "{"],
  ["half a character", new Uint8Array([0x7b, 0x22, 0xc3])],
])("a torn tail is set aside and told: %s", async (_name, tail) => {
  const store = await storeWith(good)
  const tailBytes = typeof tail === "string" ? new TextEncoder().encode(tail) : tail
  await store.append(LOG_PATH, tailBytes)
  const log = await AuditLog.open(store, { clock })
  const path = `${TORN_FOLDER}/2-${good.length}`
  expect(log.tornTail).toEqual({ bytes: tailBytes.length, path })
  await log.append({ n: "next" })
  expect(await log.readAll()).toEqual([
    { n: 0 },
    { n: 1 },
    {
      at: "2026-05-05T10:00:00.000Z",
      kind: "audit_recovered",
      torn_bytes: tailBytes.length,
      torn_path: path,
    },
    { n: "next" },
  ])
  expect(await store.read(path)).toEqual(tailBytes)
  await log.close()
  const again = await AuditLog.open(store, { clock })
  expect(again.size).toBe(4)
  expect(again.tornTail).toBeUndefined()
})

test("zeros where a batch did not reach the disk are a torn tail, good-looking lines behind them too", async () => {
  const store = await storeWith(good)
  await store.append(LOG_PATH, '{"n": 2}\n{"n"' + "\0".repeat(5000) + '}\n{"n": 4}\n')
  const log = await AuditLog.open(store, { clock })
  await log.append({ n: "next" })
  const numbers = (await log.readAll()).map((record) => record["n"] ?? record["kind"])
  expect(numbers).toEqual([0, 1, 2, "audit_recovered", "next"])
  expect((await store.list(TORN_FOLDER)).length).toBe(1)
})

test("zeros further back than a batch can reach are damage, not a torn tail", async () => {
  const store = await storeWith(good + "\0\0\n")
  const line = `{"fill": "${"x".repeat(1000)}"}\n`
  await store.append(LOG_PATH, line.repeat(1100))
  const log = await AuditLog.open(store, { clock })
  expect(log.tornTail).toBeUndefined()
  expect(log.size).toBe(1103)
  await expect(log.readAll()).rejects.toMatchObject({
    code: "tampered",
    firstBadIndex: 2,
    byteOffset: good.length,
  })
})

test("a bad line in the middle names index and offset, and what lies before it is read", async () => {
  const store = await storeWith(good + '{"n": 2\n{"n": 3}\n')
  const log = await AuditLog.open(store, { clock })
  const seen: unknown[] = []
  const reading = (async () => {
    for await (const { record } of log.entries()) seen.push(record["n"])
  })()
  await expect(reading).rejects.toMatchObject({
    code: "tampered",
    firstBadIndex: 2,
    byteOffset: good.length,
    hint: expect.stringContaining("readable") as string,
  })
  expect(seen).toEqual([0, 1])
  expect(await log.append({ n: 4 })).toEqual({ index: 4 })
})

test("bytes that are not UTF-8 are a bad line", async () => {
  const store = await storeWith(good)
  await store.append(LOG_PATH, new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d, 0x0a]))
  const log = await AuditLog.open(store, { clock })
  await expect(log.readAll()).rejects.toMatchObject({ code: "tampered", firstBadIndex: 2 })
})

test("a failure at any step of a recovery is repeated to the same end", async () => {
  for (const failing of ["write", "truncate", "append"] as const) {
    for (const failure of ["not persisted", "persisted"] as const) {
      const inner = await storeWith(good + "torn")
      const flaky = new FlakyStore(inner)
      flaky.decide = (operation) => (operation === failing ? failure : undefined)
      const first = new AuditLog(flaky, { clock, timers })
      await first.append({ n: "x" }).catch(() => {})
      flaky.decide = () => undefined
      // The process dies here: `first` is never closed.
      const log = await AuditLog.open(inner, { clock, timers })
      await log.append({ n: "next" })
      const records = await log.readAll()
      expect(records.slice(0, 2)).toEqual([{ n: 0 }, { n: 1 }])
      expect(records.filter((record) => record["kind"] === "audit_recovered")).toEqual([
        {
          at: "2026-05-05T10:00:00.000Z",
          kind: "audit_recovered",
          torn_bytes: 4,
          torn_path: `${TORN_FOLDER}/2-${good.length}`,
        },
      ])
      expect(records.at(-1)).toEqual({ n: "next" })
      expect(await inner.list(TORN_FOLDER)).toEqual([`2-${good.length}`])
    }
  }
})

test("cut at every byte, the log keeps every whole line before the cut", async () => {
  const written = new MemoryStore()
  const log = await AuditLog.open(written, { clock })
  for (const text of ["plain", "é\u{1f600}", "", 'quote " and \\\\']) await log.append({ text })
  const all = (await written.read(LOG_PATH)) ?? new Uint8Array()
  const before = await log.readAll()
  for (let cut = 0; cut <= all.length; cut++) {
    const store = await storeWith(all.slice(0, cut))
    const opened = await AuditLog.open(store, { clock })
    await opened.append({ text: "next" })
    const whole = all.slice(0, cut).filter((byte) => byte === 0x0a).length
    const torn = cut - (all.subarray(0, cut).lastIndexOf(0x0a) + 1)
    const records = await opened.readAll()
    expect(records.slice(0, whole), `cut at ${cut}`).toEqual(before.slice(0, whole))
    expect(records.slice(whole).map((record) => record["kind"] ?? record["text"])).toEqual(
      torn === 0 ? ["next"] : ["audit_recovered", "next"],
    )
    expect(opened.tornTail?.bytes ?? 0).toBe(torn)
  }
})

test("a second torn tail at the same place does not overwrite the first", async () => {
  const store = await storeWith(good + "one")
  const flaky = new FlakyStore(store)
  flaky.decide = (operation) => (operation === "append" ? "not persisted" : undefined)
  await AuditLog.open(flaky, { clock, timers })
  await store.append(LOG_PATH, "two")
  await AuditLog.open(store, { clock })
  expect(await store.list(TORN_FOLDER)).toEqual([`2-${good.length}`, `2-${good.length}.2`])
  expect(utf8Text((await store.read(`${TORN_FOLDER}/2-${good.length}`)) ?? new Uint8Array())).toBe("one")
})

test("a large log is measured right, and any record in it is found", async () => {
  const store = new MemoryStore()
  const log = await AuditLog.open(store, { clock })
  const sizes = [1, 50, 300, 9000]
  for (let round = 0; round < 20; round++) {
    await Promise.all(
      Array.from({ length: 300 }, (_, n) =>
        log.append({ n: round * 300 + n, pad: "p".repeat(sizes[(n * 7 + round) % 4] ?? 1) }),
      ),
    )
  }
  const again = await AuditLog.open(store, { clock })
  for (const opened of [log, again]) {
    expect(opened.size).toBe(6000)
    for (const from of [0, 1, 299, 300, 3001, 5999]) {
      const { value } = await opened.entries({ from }).next()
      expect(value).toMatchObject({ index: from, record: { n: from } })
      const line = value === undefined ? "" : value.line
      const offset = value === undefined ? 0 : value.offset
      expect(utf8Text(await store.readRange(LOG_PATH, offset, offset + line.length + 1))).toBe(line + "\n")
    }
  }
})
