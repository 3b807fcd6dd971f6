import { beforeAll, describe, expect, test } from "vitest"
import { seeded, testSeed } from "../../../test/support/fake-time.ts"
import {
  bruteForce,
  bruteStats,
  entriesOf,
  RandomLog,
  withoutScanned,
} from "../../../test/support/random-log.ts"
import { MemoryStore } from "../../store/memory.ts"
import type { Logger } from "../../core/logger.ts"
import { AuditLog } from "../audit-log.ts"
import type { AuditLogOptions, LogEntry, LogFilter } from "../types.ts"
import { INDEX_FOLDER } from "./paths.ts"

const seed = testSeed()
console.info(`index damage: HANSARD_SEED=${seed}`)

const RECORDS = 32
const index = { blockRecords: 16, fields: ["region"] }
const FIRST = `${INDEX_FOLDER}/000000000000`
const SECOND = `${INDEX_FOLDER}/000000000016`

/** They touch every section of a file. */
const FILTERS: readonly LogFilter[] = [
  { kind: "alpha" },
  { agent: "ana" },
  { channel: "c1", outcome: "failed" },
  { task: "task-3" },
  { where: { region: "north" } },
  { text: "needle" },
  { from: "2026-05-05T10:00:02Z", to: "2026-05-05T10:00:09Z" },
]
const STATS = { by: "agent", interval: 1000, where: { region: "north" } } as const

let store: MemoryStore
let all: LogEntry[]
let good: ReadonlyMap<string, Uint8Array>

beforeAll(async () => {
  store = await logOf(seed)
  await using log = await AuditLog.open(store, { index, readOnly: true })
  all = await entriesOf(log)
  good = await filesOf(store)
  expect([...good.keys()]).toEqual([FIRST, SECOND])
})

/** A log with its index. */
async function logOf(ofSeed: number): Promise<MemoryStore> {
  const random = new RandomLog(seeded(ofSeed))
  const made = new MemoryStore()
  await using log = await AuditLog.open(made, { index })
  for (let n = 0; n < RECORDS; n++) await log.appendLine(random.line())
  await log.indexed()
  return made
}

async function filesOf(from: MemoryStore): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>()
  for (const name of await from.list(INDEX_FOLDER)) {
    const path = `${INDEX_FOLDER}/${name}`
    files.set(path, (await from.read(path)) ?? new Uint8Array(0))
  }
  return files
}

class Warnings implements Logger {
  count = 0
  warn(): void {
    this.count++
  }
  error(): void {}
  info(): void {}
  debug(): void {}
}

async function open(
  from: MemoryStore,
  options: AuditLogOptions,
): Promise<{ log: AuditLog; warnings: Warnings }> {
  const warnings = new Warnings()
  return { log: await AuditLog.open(from, { index, logger: warnings, ...options }), warnings }
}

async function expectRight(log: AuditLog, entries: readonly LogEntry[], what: string): Promise<void> {
  for (const filter of FILTERS) {
    const found = (await log.query({ ...filter, limit: 10_000 })).records.map(({ index: n }) => n)
    expect(found, `${what}: ${JSON.stringify(filter)}`).toEqual(bruteForce(entries, filter))
  }
  expect(withoutScanned(await log.stats(STATS)), what).toEqual(bruteStats(entries, STATS))
  expect(withoutScanned(await log.stats({})), what).toEqual(bruteStats(entries, {}))
}

/** Readers answer right; a writer notices, makes the files again, and answers right meanwhile. */
async function expectMended(broken: MemoryStore, what: string): Promise<void> {
  const reader = await open(broken, { readOnly: true })
  await expectRight(reader.log, all, what)
  await reader.log.close()
  const writer = await open(broken, {})
  await expectRight(writer.log, all, what)
  await writer.log.indexed()
  expect(await filesOf(broken), what).toEqual(good)
  expect(writer.warnings.count, what).toBeGreaterThan(0)
  await writer.log.close()
}

/** The same, at the cost of one reader and one writer that only open: for thousands of damages. */
async function expectNoticed(broken: MemoryStore, what: string): Promise<void> {
  const reader = await open(broken, { readOnly: true })
  await expectRight(reader.log, all, what)
  await reader.log.close()
  const writer = await open(broken, {})
  await writer.log.indexed()
  expect(await filesOf(broken), what).toEqual(good)
  expect(writer.warnings.count, what).toBeGreaterThan(0)
  await writer.log.close()
}

describe("a damaged index", () => {
  test("with any byte flipped never makes an answer short, is noticed and made again", async () => {
    const random = seeded(seed)
    for (const [path, bytes] of good) {
      // Every byte of one file; of the other enough to see that it is no different.
      for (let at = 0; at < bytes.length; at += path === FIRST ? 1 : 11) {
        const flipped = bytes.slice()
        flipped[at] = (flipped[at] ?? 0) ^ (1 << Math.floor(random() * 8))
        const broken = MemoryStore.from(store)
        await broken.write(path, flipped)
        await expectNoticed(broken, `byte ${at} of ${path}`)
      }
    }
  }, 120_000)

  test("cut anywhere or too long is made again", async () => {
    for (const [path, bytes] of good) {
      for (let size = 1; size < bytes.length; size += 29) {
        const broken = MemoryStore.from(store)
        await broken.write(path, bytes.slice(0, size))
        await expectMended(broken, `${path} cut to ${size}`)
      }
      const broken = MemoryStore.from(store)
      await broken.append(path, "x")
      await expectMended(broken, `${path} and a byte`)
    }
  }, 60_000)

  test("deleted is made again, and nobody calls that damage", async () => {
    for (const paths of [[FIRST], [SECOND], [FIRST, SECOND]]) {
      const broken = MemoryStore.from(store)
      for (const path of paths) await broken.delete(path)
      const { log, warnings } = await open(broken, {})
      await expectRight(log, all, paths.join())
      await log.indexed()
      expect(await filesOf(broken)).toEqual(good)
      expect(warnings.count).toBe(0)
      await log.close()
    }
  })

  test("with files swapped between blocks, or of another log, is made again", async () => {
    const swapped = MemoryStore.from(store)
    await swapped.write(FIRST, good.get(SECOND) ?? "")
    await swapped.write(SECOND, good.get(FIRST) ?? "")
    await expectMended(swapped, "swapped")
    const foreign = MemoryStore.from(store)
    for (const [path, bytes] of await filesOf(await logOf(seed + 1))) await foreign.write(path, bytes)
    await expectMended(foreign, "of another log")
  })

  test("of other fields or other blocks is made again", async () => {
    const other = MemoryStore.from(store)
    const log = await AuditLog.open(other, { index: { blockRecords: 16 } })
    await log.indexed()
    expect(await filesOf(other)).not.toEqual(good)
    await log.close()
    await expectMended(other, "other fields")
    const coarse = MemoryStore.from(store)
    const coarseLog = await AuditLog.open(coarse, { index: { ...index, blockRecords: 32 } })
    await coarseLog.indexed()
    await coarseLog.close()
    await expectMended(coarse, "other blocks")
  })

  test("that cannot be written again does no harm", async () => {
    const broken = MemoryStore.from(store)
    await broken.write(FIRST, "damaged")
    broken.write = () => Promise.reject(new Error("the disk is full"))
    const { log, warnings } = await open(broken, {})
    await log.indexed()
    await expectRight(log, all, "no room")
    await log.indexed()
    expect(warnings.count).toBeGreaterThan(1)
    await log.append({ kind: "alpha" })
    await log.close()
  })
})

test("damage that appears while the log is open is noticed by the first who reads it, in the middle of a page too", async () => {
  const broken = MemoryStore.from(store)
  const { log } = await open(broken, {})
  await log.indexed()
  await log.query({ kind: "none" })
  for (const [path, bytes] of good)
    await broken.write(
      path,
      bytes.map((byte, at) => (at < 1000 ? byte : byte ^ 1)),
    )
  await expectRight(log, all, "while open")
  await log.indexed()
  expect(await filesOf(broken)).toEqual(good)
  await log.close()
})

test("an index whose lines have been replaced by others of the same length is noticed", async () => {
  const lines = all.map(({ line }) => line)
  const replaced = new MemoryStore()
  const log = await AuditLog.open(replaced, { index: false })
  for (const line of lines) await log.appendLine(line.replace('"alpha"', '"gamma"').replace('"ana"', '"bob"'))
  await log.close()
  for (const [path, bytes] of good) await replaced.write(path, bytes)
  const { log: writer } = await open(replaced, {})
  const entries = await entriesOf(writer)
  await expectRight(writer, entries, "replaced")
  await writer.close()
})
