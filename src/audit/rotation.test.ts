import { mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { utf8Text } from "../core/bytes.ts"
import { openCheckpoint } from "../core/checkpoint.ts"
import { formatVerifierKey, generateSignerKey } from "../core/key.ts"
import { noteVerifier, parseNote } from "../core/note.ts"
import { parseProofFile } from "../core/proof-file.ts"
import { isGood } from "../core/verdict.ts"
import { verifyLog } from "../core/verify.ts"
import { FileStore } from "../store/file.ts"
import { MemoryStore } from "../store/memory.ts"
import { FakeTime } from "../../test/support/fake-time.ts"
import { FlakyStore } from "../../test/support/flaky-store.ts"
import { AuditLog } from "./audit-log.ts"
import { storeLogSource } from "./log-source.ts"
import { LOG_PATH, segmentPath, SEGMENTS_FOLDER } from "./paths.ts"

const { clock, timers } = new FakeTime()
const signer = generateSignerKey("rotation.example/log", "log", (length) => new Uint8Array(length).fill(3))

async function appendAll(log: AuditLog, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n++) await log.append({ n })
}

async function numbers(log: AuditLog): Promise<unknown[]> {
  return (await log.readAll()).map((record) => record["n"])
}

const upTo = (end: number): number[] => Array.from({ length: end }, (_, n) => n)

test("the active file is sealed when it is full, between batches, and its name says where it begins", async () => {
  const store = new MemoryStore()
  await using log = await AuditLog.open(store, { clock, timers, rotate: 10 })
  await appendAll(log, 0, 10)
  expect(await store.exists(SEGMENTS_FOLDER)).toBe(false)
  await appendAll(log, 10, 25)
  expect(await store.list(SEGMENTS_FOLDER)).toEqual(["000000000000.jsonl", "000000000010.jsonl"])
  // One batch: it is not divided.
  await Promise.all(upTo(40).map((n) => log.append({ n: 25 + n })))
  await log.append({ n: 65 })
  expect((await store.list(SEGMENTS_FOLDER)).slice(2)).toEqual(["000000000020.jsonl"])
  expect(await numbers(log)).toEqual(upTo(66))
  expect(utf8Text((await store.read(LOG_PATH)) ?? new Uint8Array())).toBe('{"n": 65}\n')
})

test("`rotate: false` keeps one file; what was rotated before is read and goes on", async () => {
  const store = new MemoryStore()
  for (const [i, rotate] of ([4, false, 3, undefined] as const).entries()) {
    await using log = await AuditLog.open(store, { clock, timers, ...(rotate !== undefined && { rotate }) })
    await appendAll(log, i * 10, i * 10 + 10)
    expect(await numbers(log)).toEqual(upTo(i * 10 + 10))
  }
  const names = (await store.list(SEGMENTS_FOLDER)).map((name) => Number.parseInt(name))
  expect(names).toEqual([0, 4, 8, 20, 23, 26])
  for (const rotate of [0, -1, 1.5, NaN]) {
    expect(() => new AuditLog(store, { rotate })).toThrow(/rotate must be/)
  }
})

test("on disk, sealed segments are read-only; one that a crash left writable is made so", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hansard-rotation-"))
  try {
    const mode = (path: string): number => statSync(join(folder, path)).mode & 0o777
    for (let life = 0; life < 2; life++) {
      await using store = await FileStore.open(folder)
      const flaky = new FlakyStore(store)
      flaky.decide = (operation) => (operation === "seal" && life === 0 ? "not persisted" : undefined)
      await using log = await AuditLog.open(flaky, { clock, timers, rotate: 5 })
      if (life === 0) await appendAll(log, 0, 7)
      expect(mode(segmentPath(0))).toBe(life === 0 ? 0o600 : 0o444)
      expect(mode(LOG_PATH)).toBe(0o600)
      expect(await numbers(log)).toEqual(upTo(7))
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})

describe("with a ledger", () => {
  test("proofs, consistency and verification go across segments", async () => {
    const store = new MemoryStore()
    {
      await using log = await AuditLog.open(store, { clock, timers, rotate: 100, ledger: { signer } })
      await appendAll(log, 0, 350)
      await log.checkpoint()
      await appendAll(log, 350, 620)
    }
    await using log = await AuditLog.open(store, { clock, timers, rotate: 100, ledger: { signer } })
    for (const index of [0, 99, 100, 350, 619]) {
      const { checkpoint } = parseProofFile(await log.prove(index))
      expect(openCheckpoint(checkpoint, noteVerifier(signer)).size).toBe(620)
      expect(parseNote(checkpoint).text).toContain("rotation.example/log")
    }
    expect((await log.consistency(350, 620)).length).toBeGreaterThan(0)
    const options = { keys: [formatVerifierKey(signer)], areKeysVouched: true, tiles: true }
    const verdict = await verifyLog(storeLogSource(store), options)
    expect(isGood(verdict)).toBe(true)
    expect(verdict.records).toBe(620)

    const segment = (await store.read(segmentPath(200))) ?? new Uint8Array()
    await store.write(segmentPath(200), utf8Text(segment).replace('{"n": 250}', '{"n": 999}'))
    const bad = await verifyLog(storeLogSource(store), options)
    expect(isGood(bad)).toBe(false)
    expect(bad.claims.integrity).toMatchObject({ status: "false", firstBadIndex: 250 })
  })
})

describe("whoever reads meanwhile", () => {
  test("a tail goes over rotations without a gap or a repeat, live and from the past", async () => {
    const store = new MemoryStore()
    await using log = await AuditLog.open(store, { clock, timers, rotate: 7 })
    const seen: unknown[] = []
    const tailing = (async () => {
      for await (const { record } of log.tail({ from: 0 })) {
        seen.push(record["n"])
        if (seen.length === 200) return
      }
    })()
    for (let n = 0; n < 200; n += 10) {
      await Promise.all(upTo(10).map((i) => log.append({ n: n + i })))
      // Read from the files while they move, and not from memory.
      if (n % 30 === 0) expect(await numbers(log)).toEqual(upTo(n + 10))
    }
    await tailing
    expect(seen).toEqual(upTo(200))
  })

  test("another process follows the log over rotations", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hansard-rotation-"))
    try {
      await using store = await FileStore.open(folder)
      await using log = await AuditLog.open(store, { clock, timers, rotate: 20 })
      await log.append({ n: 0 })
      await using other = await FileStore.open(folder, { readOnly: true })
      await using reading = await AuditLog.open(other, { clock, timers, readOnly: true })
      const seen: unknown[] = []
      const following = (async () => {
        for await (const { record } of reading.tail({ from: 0 })) {
          seen.push(record["n"])
          if (seen.length === 300) return
        }
      })()
      await appendAll(log, 1, 300)
      await following
      expect(seen).toEqual(upTo(300))
      expect(reading.size).toBe(300)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

test("a segment is never replaced: whoever put one there writes to this log", async () => {
  const store = new MemoryStore()
  await using log = await AuditLog.open(store, { clock, timers, rotate: 2 })
  await appendAll(log, 0, 2)
  await store.write(segmentPath(0), "somebody else's")
  await expect(log.append({ n: 2 })).rejects.toMatchObject({ code: "tampered" })
  expect(utf8Text((await store.read(segmentPath(0))) ?? new Uint8Array())).toBe("somebody else's")
})

/** At each change of the store in turn: it fails, or fails and happens all the same; alone, or with all after it. */
test("whatever fails in a rotation, and whenever it dies, the log is whole", async () => {
  let broken = 0
  for (const failure of ["not persisted", "persisted"] as const) {
    for (const forGood of [false, true]) {
      for (let step = 0; ; step++) {
        const inner = new MemoryStore()
        const flaky = new FlakyStore(inner)
        let changes = 0
        flaky.decide = () => {
          const change = changes++
          if (change === step) return failure
          return forGood && change > step ? "not persisted" : undefined
        }
        const log = new AuditLog(flaky, { clock, timers, rotate: 3, ledger: { signer } })
        const acknowledged: number[] = []
        for (let n = 0; n < 14; n++) {
          const group = n % 4 === 1 ? [n, n + 1000] : [n]
          await Promise.all(
            group.map((one) =>
              log.append({ n: one }).then(
                () => acknowledged.push(one),
                () => broken++,
              ),
            ),
          )
        }
        const where = `${failure}, ${forGood ? "for good" : "alone"}, step ${step}`
        const isHit = changes > step
        flaky.decide = () => undefined
        // It dies here, or the failure is over and it lives on.
        const survivor = MemoryStore.from(inner)
        for (const life of forGood ? ["after a crash"] : ["after a crash", "alive"]) {
          const again =
            life === "alive"
              ? log
              : await AuditLog.open(survivor, { clock, timers, rotate: 3, ledger: { signer } })
          const read = (await again.readAll()).map((record) => record["n"] as number)
          expect(
            read.filter((n) => acknowledged.includes(n)),
            `${where}, ${life}`,
          ).toEqual(acknowledged)
          // What was not acknowledged may be there once, as the last: the store had done what it said it could not.
          expect(read.length - acknowledged.length, `${where}, ${life}`).toBeLessThanOrEqual(
            life === "alive" ? 0 : 2,
          )
          const { index } = await again.append({ n: "after" })
          expect(index).toBe(read.length)
          expect((await again.readAll()).length).toBe(read.length + 1)
          await again.close()
        }
        if (!isHit) break
      }
    }
  }
  expect(broken).toBeGreaterThan(50)
})
