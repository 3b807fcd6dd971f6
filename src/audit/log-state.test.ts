import { beforeAll, describe, expect, test } from "vitest"
import { utf8Text } from "../core/bytes.ts"
import { MemoryStore } from "../store/memory.ts"
import { FakeTime } from "../../test/support/fake-time.ts"
import { FlakyStore } from "../../test/support/flaky-store.ts"
import { AuditLog } from "./audit-log.ts"
import { LOG_PATH, STATE_PATH } from "./paths.ts"

const { clock, timers } = new FakeTime()
const PAD = "p".repeat(60_000)
const options = { clock, timers, rotate: 30, index: false } as const

async function grow(store: MemoryStore, from: number, to: number, name = "log"): Promise<void> {
  await using log = await AuditLog.open(store, options)
  for (let n = from; n < to; n++) await log.append({ n, name, pad: PAD })
}

/** What the log says of itself, and how many bytes were read before it could. */
async function opened(
  store: MemoryStore,
  readOnly = false,
): Promise<{ numbers: unknown[]; bytesRead: number }> {
  let bytesRead = 0
  const counting = new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== "function") return value
      return async (...args: unknown[]): Promise<unknown> => {
        const answer = (await Reflect.apply(value, target, args)) as unknown
        if (name === "readRange") bytesRead += (answer as Uint8Array).length
        return answer
      }
    },
  })
  await using log = await AuditLog.open(counting, { ...options, readOnly })
  const read = bytesRead
  const numbers: unknown[] = []
  for await (const { index, record } of log.entries()) {
    expect(record["n"]).toBe(index)
    numbers.push(record["n"])
  }
  for (const from of [0, 31, 59, 69]) {
    expect((await log.entries({ from }).next()).value?.index).toBe(from)
  }
  return { numbers, bytesRead: read }
}

const upTo = (end: number): number[] => Array.from({ length: end }, (_, n) => n)

describe("the state of a log", () => {
  let store: MemoryStore
  let state: Uint8Array
  beforeAll(async () => {
    store = new MemoryStore()
    await grow(store, 0, 70)
    state = (await store.read(STATE_PATH)) ?? new Uint8Array()
  })

  test("is left by a log that is closed, and saves reading it", async () => {
    expect(state.length).toBeGreaterThan(200)
    for (const readOnly of [false, true]) {
      const { numbers, bytesRead } = await opened(store, readOnly)
      expect(numbers).toEqual(upTo(70))
      // The last mebibyte is looked through for holes by whoever writes.
      expect(bytesRead).toBeLessThan(readOnly ? 100_000 : 1_300_000)
      const without = MemoryStore.from(store)
      await without.delete(STATE_PATH)
      expect((await opened(without, readOnly)).bytesRead).toBeGreaterThan(4_000_000)
    }
  })

  test("costs only time when any byte of it is another", async () => {
    const damaged = MemoryStore.from(store)
    for (let at = 0; at < state.length; at++) {
      await damaged.write(
        STATE_PATH,
        state.map((byte, i) => (i === at ? byte ^ 0x01 : byte)),
      )
      await using log = await AuditLog.open(damaged, options)
      expect(log.size, `byte ${at}`).toBe(70)
      const last = (await log.entries({ from: 69 }).next()).value
      expect(last?.record["n"], `byte ${at}`).toBe(69)
    }
    for (const other of ["", "\n", "{}\n", utf8Text(state).slice(0, 100), "x".repeat(1000)]) {
      await damaged.write(STATE_PATH, other)
      expect((await opened(damaged)).numbers).toEqual(upTo(70))
    }
  })

  test("of an earlier time is where reading begins, over rotations too", async () => {
    const later = MemoryStore.from(store)
    await grow(later, 70, 140)
    await later.write(STATE_PATH, state)
    const { numbers, bytesRead } = await opened(later)
    expect(numbers).toEqual(upTo(140))
    expect(bytesRead).toBeLessThan(6_500_000)
    expect(bytesRead).toBeGreaterThan(4_000_000)
  })

  test("of another log is not believed, though every size is the same", async () => {
    const other = new MemoryStore()
    await grow(other, 0, 70, "lag")
    await other.write(STATE_PATH, state)
    const { numbers, bytesRead } = await opened(other)
    expect(numbers).toEqual(upTo(70))
    expect(bytesRead).toBeGreaterThan(4_000_000)
  })

  test("is not believed when the log has become shorter", async () => {
    const shorter = MemoryStore.from(store)
    const bytes = await shorter.size(LOG_PATH)
    await shorter.truncate(LOG_PATH, bytes / 2 + 5)
    await using log = await AuditLog.open(shorter, options)
    expect(log.size).toBe(65)
    expect(log.tornTail?.bytes).toBeGreaterThan(0)
  })

  test("that cannot be written stops nothing", async () => {
    const flaky = new FlakyStore(MemoryStore.from(store))
    flaky.decide = (_operation, path) => (path === STATE_PATH ? "not persisted" : undefined)
    const log = await AuditLog.open(flaky, options)
    for (let n = 70; n < 100; n++) await log.append({ n, pad: PAD })
    await log.close()
  })

  test("is not made for a small log", async () => {
    const small = new MemoryStore()
    await using log = await AuditLog.open(small, options)
    await log.append({ n: 0 })
    await log.close()
    expect(await small.exists(STATE_PATH)).toBe(false)
  })
})
