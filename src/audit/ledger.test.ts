import type { Worker } from "node:worker_threads"
import { describe, expect, test, vi } from "vitest"
import { utf8, utf8Text } from "../core/bytes.ts"
import { openCheckpoint } from "../core/checkpoint.ts"
import type { OpenedCheckpoint } from "../core/checkpoint.ts"
import { TreeFrontier } from "../core/frontier.ts"
import { logSize } from "../core/hash-types.ts"
import { formatVerifierKey, generateSignerKey } from "../core/key.ts"
import { checkTree } from "../core/merkle.ts"
import { noteVerifier } from "../core/note.ts"
import { logPolicy } from "../core/policy.ts"
import { checkProofFile, parseProofFile } from "../core/proof-file.ts"
import { MemoryStore } from "../store/memory.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import { FakeTime, seeded, seededBytes, settle, testSeed } from "../../test/support/fake-time.ts"
import { FlakyStore } from "../../test/support/flaky-store.ts"
import { AuditLog } from "./audit-log.ts"
import { LOG_PATH } from "./paths.ts"
import { CHECKPOINT_PATH, EDGE_PATH, rowPath, storedTiles } from "./tiles.ts"

const signer = generateSignerKey("test.example/log", "log", seededBytes(1))
const vkey = formatVerifierKey(signer)
const time = new FakeTime()
/** Of the right length; nobody here verifies it. */
const COSIGNATURE = Buffer.alloc(4 + 8 + 64, 7).toString("base64")

function open(store: KnowledgeStore, more: object = {}): Promise<AuditLog> {
  return AuditLog.open(store, {
    clock: time.clock,
    timers: time.timers,
    ledger: { signer },
    ...more,
  })
}

async function fill(log: AuditLog, count: number, from = log.size): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, n) => log.append({ kind: "k", n: from + n, é: "ü" })))
}

async function linesOf(store: KnowledgeStore): Promise<Uint8Array[]> {
  const text = utf8Text((await store.read(LOG_PATH)) ?? new Uint8Array())
  return text.split("\n").slice(0, -1).map(utf8)
}

/** The root of the first `size` lines, from the lines alone. */
function rootOf(lines: readonly Uint8Array[], size = lines.length): Uint8Array {
  const frontier = new TreeFrontier()
  for (const line of lines.slice(0, size)) frontier.appendRecord(line)
  return frontier.root()
}

async function published(store: KnowledgeStore): Promise<OpenedCheckpoint | undefined> {
  const stored = await store.read(CHECKPOINT_PATH)
  return stored === undefined ? undefined : openCheckpoint(stored, noteVerifier(vkey))
}

describe("checkpoints", () => {
  test("are told to observers as they are published, and once more with cosignatures", async () => {
    const log = await open(new MemoryStore(), {
      ledger: { signer, cosign: (note: string) => Promise.resolve(`${note}— w.example ${COSIGNATURE}\n`) },
    })
    const heard: string[] = []
    log.observers.add({ writing() {}, durable() {}, published: ({ text }) => void heard.push(text) })
    await fill(log, 3)
    const published = await log.checkpoint()
    await vi.waitFor(() => expect(heard).toHaveLength(2))
    expect(heard).toEqual([published, `${published}— w.example ${COSIGNATURE}\n`])
    await log.close()
    expect(heard).toHaveLength(2)
  })

  test("cover what is durable, by the interval, on demand and at the end; and an idle log signs nothing", async () => {
    const store = new FlakyStore(new MemoryStore())
    const log = await open(store)
    expect(log.checkpointed).toBeUndefined()
    await fill(log, 3)
    await time.advance(999)
    expect(await published(store)).toBeUndefined()
    await time.advance(1)
    expect(await published(store)).toMatchObject({
      origin: signer.name,
      size: 3,
      root: rootOf(await linesOf(store)),
    })
    let writes = 0
    store.decide = () => void writes++ as undefined
    await time.advance(60_000)
    expect(writes).toBe(0)
    expect(time.waiting).toBe(0)
    await fill(log, 400)
    const text = await log.checkpoint()
    expect(openCheckpoint(text, noteVerifier(vkey)).size).toBe(403)
    expect(await log.checkpoint()).toBe(text)
    await fill(log, 1)
    await log.close()
    expect(await published(store)).toMatchObject({ size: 404, root: rootOf(await linesOf(store)) })
    expect(time.waiting).toBe(0)
  })

  test("are consistent with one another, and every record is proved under them", async () => {
    const store = new MemoryStore()
    const log = await open(store)
    let before: OpenedCheckpoint | undefined
    for (const count of [1, 1, 6, 248, 1, 300, 700]) {
      await fill(log, count)
      const now = openCheckpoint(await log.checkpoint(), noteVerifier(vkey))
      if (before !== undefined) {
        const proof = await log.consistency(before.size, now.size)
        checkTree(proof, now.size, now.root, before.size, before.root)
      }
      before = now
    }
    const lines = await linesOf(store)
    for (let index = 0; index < lines.length; index += 13) {
      const proof = parseProofFile(await log.prove(index))
      checkProofFile(proof, lines[index] ?? new Uint8Array(), logPolicy([vkey]))
      expect(proof.index).toBe(index)
      expect(() => checkProofFile(proof, utf8("another"), logPolicy([vkey]))).toThrow()
    }
    const proof = await log.consistency(5, 300)
    checkTree(proof, logSize(300), rootOf(lines, 300) as never, logSize(5), rootOf(lines, 5) as never)
    await expect(log.prove(lines.length)).rejects.toMatchObject({ code: "not_found" })
    await expect(log.consistency(1, 9999)).rejects.toMatchObject({ code: "not_found" })
    expect(await store.list("/audit/tree")).toEqual(["0", "1"])
    expect(await store.size(rowPath(0))).toBe(lines.length * 32)
  })

  test("prove waits for one that covers the record", async () => {
    const log = await open(new MemoryStore())
    await fill(log, 2)
    await log.checkpoint()
    const { index } = await log.append({ kind: "late" })
    const proof = parseProofFile(await log.prove(index))
    checkProofFile(proof, utf8('{"kind": "late"}'), logPolicy([vkey]))
  })

  test("without a ledger there is none", async () => {
    const log = await AuditLog.open(new MemoryStore(), {})
    await expect(log.checkpoint()).rejects.toMatchObject({ code: "invalid_input" })
    const other = generateSignerKey("w", "cosigner", seededBytes(2))
    expect(() => new AuditLog(new MemoryStore(), { ledger: { signer: other } })).toThrow(/type "log"/)
  })
})

describe("opening", () => {
  test("goes on where the log was left, at any size", async () => {
    for (const size of [0, 1, 2, 255, 256, 257, 511, 512, 600]) {
      const store = new MemoryStore()
      const first = await open(store)
      await fill(first, size)
      await first.close()
      const second = await open(store)
      await fill(second, 7)
      await second.checkpoint()
      expect(await published(store)).toMatchObject({ size: size + 7, root: rootOf(await linesOf(store)) })
    }
  })

  test("takes in a durable tail that no checkpoint covers, and a whole log that had none", async () => {
    const store = new MemoryStore()
    const plain = await AuditLog.open(store, { clock: time.clock })
    await fill(plain, 700)
    await plain.appendLine('{"foreign":1}')
    const log = await open(store)
    await fill(log, 3)
    await log.checkpoint()
    expect(await published(store)).toMatchObject({ size: 704, root: rootOf(await linesOf(store)) })
    await fill(log, 30)
    // The process dies here.
    const again = await open(store)
    await again.checkpoint()
    expect(await published(store)).toMatchObject({ size: 734, root: rootOf(await linesOf(store)) })
  })

  const damages: [string, (store: MemoryStore) => Promise<void>, object][] = [
    ["a log shorter than its checkpoint", async (store) => await store.truncate(LOG_PATH, 20_000), {}],
    [
      "a last line that is not the one covered",
      async (store) => {
        const text = utf8Text((await store.read(LOG_PATH)) ?? new Uint8Array())
        await store.write(LOG_PATH, text.replace('"n": 699', '"n": 698'))
      },
      { firstBadIndex: 699 },
    ],
    [
      "a tile of the edge that is another",
      async (store) => {
        const path = rowPath(0)
        const row = (await store.read(path)) ?? new Uint8Array()
        row[512 * 32 + 5] = (row[512 * 32 + 5] ?? 0) ^ 1
        await store.write(path, row)
      },
      {},
    ],
    ["a tile of the edge that is gone", async (store) => await store.delete(rowPath(1)), {}],
    ["a row that is too short", async (store) => await store.truncate(rowPath(0), 699 * 32), {}],
    [
      "lines that do not lead to it, when there is no tree",
      async (store) => {
        await store.delete("/audit/tree")
        const text = utf8Text((await store.read(LOG_PATH)) ?? new Uint8Array())
        await store.write(LOG_PATH, text.replace('"n": 3,', '"n": 4,'))
      },
      {},
    ],
    [
      "a checkpoint signed by nobody we know",
      async (store) => {
        const text = utf8Text((await store.read(CHECKPOINT_PATH)) ?? new Uint8Array())
        await store.write(CHECKPOINT_PATH, text.replace(/\n700\n/, "\n699\n"))
      },
      {},
    ],
  ]
  test.each(damages)("refuses %s, and says what to do", async (_name, damage, expected) => {
    const store = new MemoryStore()
    const log = await open(store)
    await fill(log, 700)
    await log.close()
    await damage(store)
    const before = await store.read(LOG_PATH)
    await expect(open(store)).rejects.toMatchObject({
      code: "tampered",
      hint: expect.stringContaining("hansard fsck") as string,
      ...expected,
    })
    expect(await store.read(LOG_PATH)).toEqual(before)
  })

  test("accepts a checkpoint of an earlier key when it is told of it", async () => {
    const store = new MemoryStore()
    const log = await open(store)
    await fill(log, 10)
    await log.close()
    const next = generateSignerKey(signer.name, "log", seededBytes(9))
    await expect(open(store, { ledger: { signer: next } })).rejects.toMatchObject({ code: "tampered" })
    const again = await open(store, { ledger: { signer: next, previousKeys: [vkey] } })
    await fill(again, 1)
    await again.checkpoint()
    expect(openCheckpoint((await store.read(CHECKPOINT_PATH)) ?? "", noteVerifier(next)).size).toBe(11)
  })
})

describe("a store that fails", () => {
  test("somebody else's checkpoint is noticed, and never overwritten", async () => {
    const store = new MemoryStore()
    const log = await open(store)
    await fill(log, 3)
    await log.checkpoint()
    await store.write(CHECKPOINT_PATH, "theirs")
    await fill(log, 1)
    await expect(log.checkpoint()).rejects.toMatchObject({ code: "tampered" })
    expect(utf8Text((await store.read(CHECKPOINT_PATH)) ?? new Uint8Array())).toBe("theirs")
  })

  test("whatever fails and whenever it dies, no two checkpoints that were ever signed contradict", async () => {
    const seed = testSeed()
    console.info(`ledger property: HANSARD_SEED=${seed}`)
    for (let run = 0; run < 60; run++) {
      const random = seeded(seed + run)
      const disk = new MemoryStore()
      const signed = new Map<string, OpenedCheckpoint>()
      for (let life = 0; life < 6; life++) {
        const store = new FlakyStore(disk)
        const writeIf = store.writeIf.bind(store)
        store.writeIf = (path, content, expected) => {
          // Signed is signed, whether or not it is published.
          const checkpoint = openCheckpoint(content as Uint8Array, noteVerifier(vkey))
          signed.set(`${checkpoint.size}`, checkpoint)
          return writeIf(path, content, expected)
        }
        const log = await open(store)
        store.decide = () => (random() < 0.25 ? (random() < 0.5 ? "persisted" : "not persisted") : undefined)
        for (let step = 0; step < 6; step++) {
          const appends = Array.from({ length: Math.floor(random() * 120) }, (_, n) =>
            log.append({ kind: "k", life, step, n }).catch(() => {}),
          )
          if (random() < 0.5) await Promise.all(appends)
          if (random() < 0.6) void log.checkpoint().catch(() => {})
          await settle(Math.floor(random() * 6))
        }
        // It dies: nothing more of it reaches the disk.
        store.decide = () => "not persisted"
        await settle(10)
      }
      const log = await open(disk)
      await log.checkpoint()
      const lines = await linesOf(disk)
      for (const { size, root } of signed.values()) {
        expect(size, `seed ${seed + run}`).toBeLessThanOrEqual(lines.length)
        expect(root, `seed ${seed + run}, size ${size}`).toEqual(rootOf(lines, size))
      }
      expect(await published(disk)).toMatchObject({ size: lines.length, root: rootOf(lines) })
      await log.close()
    }
  })
})

test("a row may be longer than the checkpoint says, and is cut before it grows", async () => {
  const store = new MemoryStore()
  const log = await open(store)
  await fill(log, 300)
  await log.checkpoint()
  const [narrow] = await storedTiles(store)([{ level: 0, index: 1, width: 4 }])
  expect(narrow?.length).toBe(4 * 32)
  // What a crash leaves that comes after the rows and before the checkpoint, or within an append to a row.
  await store.append(rowPath(0), new Uint8Array(77))
  await store.append(rowPath(1), new Uint8Array(5))
  const { evidence } = log
  expect((await evidence.tile({ level: 0, index: 1, width: 44 }))?.length).toBe(44 * 32)
  expect((await evidence.tile({ level: 0, index: 0, width: 9 }))?.length).toBe(9 * 32)
  expect(await evidence.tile({ level: 0, index: 1, width: 45 })).toBeUndefined()
  expect(await evidence.tile({ level: 2, index: 0, width: 1 })).toBeUndefined()
  const again = await open(store)
  await fill(again, 300)
  await again.checkpoint()
  const lines = await linesOf(store)
  expect(await published(store)).toMatchObject({ size: 600, root: rootOf(lines) })
  for (const index of [0, 299, 300, 599]) {
    checkProofFile(
      parseProofFile(await again.prove(index)),
      lines[index] ?? new Uint8Array(),
      logPolicy([vkey]),
    )
  }
  expect(await store.size(rowPath(0))).toBe(600 * 32)
})

test("a row that somebody else has cut is noticed, and no checkpoint is published over it", async () => {
  const store = new MemoryStore()
  const log = await open(store)
  await fill(log, 300)
  const before = await log.checkpoint()
  await store.truncate(rowPath(0), 32)
  await fill(log, 1)
  await expect(log.checkpoint()).rejects.toMatchObject({ code: "tampered" })
  expect(utf8Text((await store.read(CHECKPOINT_PATH)) ?? new Uint8Array())).toBe(before)
})

test("each checkpoint keeps its tree's edge, and one whose edge cannot be kept is as good", async () => {
  const warned: unknown[] = []
  const logger = { debug() {}, info() {}, error() {}, warn: (details: object) => void warned.push(details) }
  let isEdgeBroken = false
  class EdgelessStore extends MemoryStore {
    override write(...args: Parameters<MemoryStore["write"]>): Promise<void> {
      if (isEdgeBroken && args[0] === EDGE_PATH) return Promise.reject(new Error("on purpose"))
      return super.write(...args)
    }
  }
  const store = new EdgelessStore()
  const log = await open(store, { logger })
  const edgeOf = (lines: readonly Uint8Array[]): Buffer => {
    const frontier = new TreeFrontier()
    for (const line of lines) frontier.appendRecord(line)
    return Buffer.concat(frontier.edge())
  }
  for (const size of [1, 257, 300]) {
    await fill(log, size - log.size)
    await log.checkpoint()
    expect(Buffer.from((await store.read(EDGE_PATH)) ?? []), `size ${size}`).toEqual(
      edgeOf(await linesOf(store)),
    )
  }
  isEdgeBroken = true
  await fill(log, 5)
  await log.checkpoint()
  expect(warned).toHaveLength(1)
  const lines = await linesOf(store)
  expect(await published(store)).toMatchObject({ size: 305, root: rootOf(lines) })
  checkProofFile(parseProofFile(await log.prove(304)), lines[304] ?? new Uint8Array(), logPolicy([vkey]))
  await log.close()
})

test("a tree that is not there at all is made again from the lines", async () => {
  const store = new MemoryStore()
  const log = await open(store)
  await fill(log, 700)
  await log.close()
  await store.delete("/audit/tree")
  const again = await open(store)
  await fill(again, 1)
  await again.close()
  const lines = await linesOf(store)
  expect(await published(store)).toMatchObject({ size: 701, root: rootOf(lines) })
  await using third = await open(store)
  checkProofFile(parseProofFile(await third.prove(5)), lines[5] ?? new Uint8Array(), logPolicy([vkey]))
})

test("hashes are written ahead of the checkpoint, and a checkpoint needs the rest alone", async () => {
  const store = new MemoryStore()
  const log = await open(store)
  await fill(log, 20_000)
  await vi.waitFor(async () => expect(await store.size(rowPath(0))).toBeGreaterThanOrEqual(16_384 * 32))
  expect(await published(store)).toBeUndefined()
  await log.close()
  expect(await store.size(rowPath(0))).toBe(20_000 * 32)
  expect(await published(store)).toMatchObject({ size: 20_000, root: rootOf(await linesOf(store)) })
})

describe("a busy log", () => {
  test("has its tree in a thread, and every checkpoint is that of the lines", async () => {
    const store = new MemoryStore()
    const log = await open(store)
    for (let round = 0; round < 6; round++) {
      const before = log.size
      const filling = fill(log, 5_000 + round)
      if (round % 2 === 1) await settle(2)
      const { size, root } = openCheckpoint(await log.checkpoint(), noteVerifier(vkey))
      expect(size).toBeGreaterThanOrEqual(before)
      expect(root).toEqual(rootOf(await linesOf(store), size))
      await filling
    }
    await log.close()
    const lines = await linesOf(store)
    expect(await published(store)).toMatchObject({ size: lines.length, root: rootOf(lines) })
    const again = await open(store)
    for (const index of [0, 8_191, 8_192, 29_999, lines.length - 1]) {
      const proof = parseProofFile(await again.prove(index))
      checkProofFile(proof, lines[index] ?? new Uint8Array(), logPolicy([vkey]))
    }
    await again.close()
  })

  test("that loses its thread while records come and a checkpoint is asked for loses none of them", async () => {
    const threads: Worker[] = []
    const listen = (worker: Worker): void => {
      if (worker.threadName === "hansard tree") threads.push(worker)
    }
    process.on("worker", listen)
    try {
      const store = new MemoryStore()
      const log = await open(store)
      await fill(log, 12_000)
      await vi.waitFor(() => expect(threads.length).toBe(1))
      const filling = fill(log, 40_000)
      await settle(2)
      const checkpoint = log.checkpoint()
      const dying = threads[0]?.terminate()
      await filling
      const { size, root } = openCheckpoint(await checkpoint, noteVerifier(vkey))
      await dying
      expect(log.size).toBe(52_000)
      await log.checkpoint()
      const lines = await linesOf(store)
      expect(lines).toHaveLength(52_000)
      expect(root).toEqual(rootOf(lines, size))
      expect(await published(store)).toMatchObject({ size: 52_000, root: rootOf(lines) })
      await log.close()
    } finally {
      process.off("worker", listen)
    }
  })

  test.each([false, true])(
    "that loses its thread makes the tree again from the log (checkpoint before: %s)",
    async (before) => {
      const store = new MemoryStore()
      const threads: Worker[] = []
      const listen = (worker: Worker): void => {
        if (worker.threadName === "hansard tree") threads.push(worker)
      }
      process.on("worker", listen)
      try {
        const log = await open(store)
        if (before) {
          await fill(log, 300)
          await log.checkpoint()
        }
        await fill(log, 12_000)
        await vi.waitFor(() => expect(threads.length).toBe(1))
        await threads[0]?.terminate()
        await fill(log, 700)
        await log.checkpoint()
        expect(await published(store)).toMatchObject({ size: log.size, root: rootOf(await linesOf(store)) })
        await fill(log, 12_000)
        await log.close()
        const lines = await linesOf(store)
        expect(threads.length).toBe(1)
        expect(await published(store)).toMatchObject({ size: lines.length, root: rootOf(lines) })
        await using again = await open(store)
        const proof = parseProofFile(await again.prove(12_345))
        checkProofFile(proof, lines[12_345] ?? new Uint8Array(), logPolicy([vkey]))
      } finally {
        process.off("worker", listen)
      }
    },
  )
})
