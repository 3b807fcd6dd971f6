import { execFileSync, spawnSync } from "node:child_process"
import { describe, expect, test } from "vitest"
import { formatVerifierKey, generateSignerKey } from "../core/key.ts"
import { isGood } from "../core/verdict.ts"
import { verifyLog } from "../core/verify.ts"
import { MemoryStore } from "../store/memory.ts"
import { FakeTime } from "../../test/support/fake-time.ts"
import { FlakyStore } from "../../test/support/flaky-store.ts"
import { AuditLog } from "./audit-log.ts"
import { Compaction } from "./compaction.ts"
import { LogFiles } from "./log-files.ts"
import { storeLogSource } from "./log-source.ts"
import { compressedPath, segmentPath, SEGMENTS_FOLDER } from "./paths.ts"

const { clock, timers } = new FakeTime()
const signer = generateSignerKey("compaction.example/log", "log", (length) => new Uint8Array(length).fill(3))
const RECORDS = 1_300
const SEGMENT = 600
/** In bytes of a line. A segment is then some frames. */
const PAD = 300

/** Two sealed segments and an active one. */
async function sealedLog(): Promise<MemoryStore> {
  const store = new MemoryStore()
  await using log = await AuditLog.open(store, { clock, timers, rotate: SEGMENT, ledger: { signer } })
  for (let n = 0; n < RECORDS; n++)
    await log.append({ n, pad: String((n * 7919) % 1009).padStart(PAD, "ab") })
  return store
}

async function compress(store: MemoryStore | FlakyStore): Promise<void> {
  const files = new LogFiles(store, { shared: false })
  await files.look()
  const failures: unknown[] = []
  const compaction = new Compaction(store, files, (error) => failures.push(error))
  compaction.start()
  await compaction.idle()
  await compaction.close()
  if (failures.length > 0) throw failures[0]
}

async function lines(log: AuditLog): Promise<string[]> {
  const all: string[] = []
  for await (const { index, record, line } of log.entries()) {
    expect(record["n"]).toBe(index)
    all.push(line)
  }
  return all
}

describe("compressed segments", () => {
  test("are read like any others, by everybody, and no offset changes", async () => {
    const store = await sealedLog()
    await using before = await AuditLog.open(MemoryStore.from(store), { clock, timers, readOnly: true })
    const wanted: unknown[] = []
    for await (const { index, offset, line } of before.entries()) wanted.push({ index, offset, line })
    await compress(store)
    expect(await store.list(SEGMENTS_FOLDER)).toEqual(["000000000000.jsonl.zst", "000000000600.jsonl.zst"])
    for (const readOnly of [true, false]) {
      await using log = await AuditLog.open(store, { clock, timers, readOnly })
      const found: unknown[] = []
      for await (const { index, offset, line } of log.entries()) found.push({ index, offset, line })
      expect(found).toEqual(wanted)
      const { records } = await log.query({ text: '"n": 59', order: "desc" })
      expect(records.map(({ index }) => index)).toEqual([
        599, 598, 597, 596, 595, 594, 593, 592, 591, 590, 59,
      ])
    }
    const verdict = await verifyLog(storeLogSource(store), {
      keys: [formatVerifierKey(signer)],
      areKeysVouched: true,
      tiles: true,
    })
    expect(isGood(verdict)).toBe(true)
    expect(verdict.records).toBe(RECORDS)
  })

  test("are Zstandard: any tool that reads it gives the lines back", async (context) => {
    if (spawnSync("zstd", ["--version"]).status !== 0) context.skip("this machine has no zstd")
    const store = await sealedLog()
    const original = await store.read(segmentPath(0))
    await compress(store)
    const compressed = (await store.read(compressedPath(0))) ?? new Uint8Array()
    expect(compressed.length).toBeLessThan((original?.length ?? 0) / 4)
    const expanded = execFileSync("zstd", ["-dc"], { input: compressed, maxBuffer: 2 ** 24 })
    expect(expanded.equals(original ?? new Uint8Array())).toBe(true)
  })

  test("cost one small read for a record", async () => {
    const store = await sealedLog()
    await compress(store)
    const files = new LogFiles(store, { shared: false })
    await files.look()
    let bytesRead = 0
    const readRange = store.readRange.bind(store)
    store.readRange = async (...args) => {
      const bytes = await readRange(...args)
      bytesRead += bytes.length
      return bytes
    }
    expect(await files.read(100_000, 100_300)).toHaveLength(300)
    expect(bytesRead).toBeGreaterThan(0)
    expect(bytesRead).toBeLessThan(20_000)
    const once = bytesRead
    await files.readMany([
      { start: 100_010, end: 100_020 },
      { start: 100_100, end: 100_200 },
    ])
    expect(bytesRead).toBe(once)
  })

  test("with any byte of the file changed, are never read as anything else", async () => {
    const store = await sealedLog()
    await using good = await AuditLog.open(MemoryStore.from(store), { clock, timers, readOnly: true })
    const wanted = await lines(good)
    await compress(store)
    const bytes = (await store.read(compressedPath(0))) ?? new Uint8Array()
    let noticed = 0
    // All of the table and of the frames' ends; of the frames some.
    for (let at = 0; at < bytes.length; at += at < bytes.length - 120 ? 53 : 1) {
      const damaged = MemoryStore.from(store)
      await damaged.write(
        compressedPath(0),
        bytes.map((byte, i) => (i === at ? byte ^ 0x10 : byte)),
      )
      try {
        await using log = await AuditLog.open(damaged, { clock, timers, readOnly: true, index: false })
        expect(await lines(log), `byte ${at}`).toEqual(wanted)
      } catch (error) {
        noticed++
        expect(error, `byte ${at}`).toMatchObject({ code: "tampered" })
      }
    }
    expect(noticed).toBeGreaterThan(100)
  })

  test("are made in the background after a rotation, and once more where an earlier process did not", async () => {
    const store = await sealedLog()
    {
      await using log = await AuditLog.open(store, { clock, timers, rotate: SEGMENT, compress: true })
      await until(async () => !(await store.exists(segmentPath(SEGMENT))))
      for (let n = RECORDS; n < RECORDS + SEGMENT; n++) await log.append({ n })
      await until(async () => !(await store.exists(segmentPath(2 * SEGMENT))))
      expect(await lines(log)).toHaveLength(RECORDS + SEGMENT)
    }
    expect(await store.list(SEGMENTS_FOLDER)).toEqual(
      [0, 600, 1200].map((first) => `${String(first).padStart(12, "0")}.jsonl.zst`),
    )
  })
})

test("a reader in another process goes on when the original is gone", async () => {
  const store = await sealedLog()
  const reader = new LogFiles(store, { shared: true })
  const before = await reader.read(0, 500_000)
  await compress(store)
  expect(await reader.read(0, 500_000)).toEqual(before)
})

test("whatever fails in a compression, and whenever it dies, the log is whole and the next one finishes it", async () => {
  const sealed = await sealedLog()
  await using good = await AuditLog.open(MemoryStore.from(sealed), { clock, timers, readOnly: true })
  const wanted = await lines(good)
  for (const failure of ["not persisted", "persisted"] as const) {
    for (const forGood of [true, false]) {
      for (let step = 0; ; step++) {
        const inner = MemoryStore.from(sealed)
        const flaky = new FlakyStore(inner)
        let changes = 0
        flaky.decide = () => {
          const change = changes++
          return change === step ? failure : forGood && change > step ? "not persisted" : undefined
        }
        await compress(flaky).catch(() => {})
        const where = `${failure}, ${forGood ? "for good" : "alone"}, step ${step}`
        const left = MemoryStore.from(inner)
        {
          await using log = await AuditLog.open(left, { clock, timers, readOnly: true, index: false })
          expect(await lines(log), where).toEqual(wanted)
        }
        await compress(left)
        expect(await left.list(SEGMENTS_FOLDER), where).toEqual([
          "000000000000.jsonl.zst",
          "000000000600.jsonl.zst",
        ])
        await using log = await AuditLog.open(left, { clock, timers, readOnly: true, index: false })
        expect(await lines(log), where).toEqual(wanted)
        if (changes <= step) break
      }
    }
  }
})

test("a compressed segment that is not equal to the original beside it is made again", async () => {
  const store = await sealedLog()
  await store.write(compressedPath(0), "no frame")
  await using log = await AuditLog.open(store, { clock, timers, rotate: SEGMENT })
  expect(await lines(log)).toHaveLength(RECORDS)
  await compress(store)
  expect(await store.exists(segmentPath(0))).toBe(false)
  await using again = await AuditLog.open(store, { clock, timers, readOnly: true })
  expect(await lines(again)).toHaveLength(RECORDS)
})

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setImmediate(resolve))
}
