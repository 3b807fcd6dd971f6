/**
 * A campaign of changes to a log of 2,000 records: each has its verdict, and none goes unnoticed that a claim says is
 * noticed.
 *
 * A seeded sample of all bytes is flipped, one in 200; with `HANSARD_MUTATIONS=all` each of them, in half an hour of two
 * cores; with a number, one in so many.
 */
import { Worker } from "node:worker_threads"
import { afterAll, beforeAll, expect, test } from "vitest"
import { equalBytes } from "../../src/core/bytes.ts"
import { parseCheckpoint } from "../../src/core/checkpoint.ts"
import { TreeFrontier } from "../../src/core/frontier.ts"
import { digestAt, hashFrom, type Digest } from "../../src/core/hash-types.ts"
import { leafDigest, nodeDigest } from "../../src/core/merkle-hash.ts"
import { parseNote } from "../../src/core/note.ts"
import { isGood, type LogVerdict } from "../../src/core/verdict.ts"
import { TILE_WIDTH } from "../../src/core/tile.ts"
import { verifyLog } from "../../src/core/verify.ts"
import { freshSeed, SeededRandom } from "../../src/testing/random.ts"
import { FLIPS, isUnharmedGood, LAST, lines, log, offsetOf, SIZE, type Part } from "./campaign.ts"
import type { Order, Tally } from "./campaign-worker.ts"
import { bytesOf, makeLog, recordLine, sourceOf, VKEY } from "./make-log.ts"

const NEWLINE = 0x0a
const seed = freshSeed()
const wanted = process.env["HANSARD_MUTATIONS"]
const STEP = wanted === "all" ? 1 : Number(wanted ?? 200)
const TIMEOUT_MS = wanted === undefined ? 90_000 : 4 * 3_600_000
const THREADS = 2

const pinned = { keys: [VKEY] }

const numbers = new SeededRandom(seed)
const random = (below: number): number => numbers.below(below)
const lineOf = (index: number): string => lines[index] ?? ""

async function verifyLines(changed: readonly string[] | Uint8Array, records = false): Promise<LogVerdict> {
  const bytes = changed instanceof Uint8Array ? changed : bytesOf(changed)
  return await verifyLog(sourceOf({ ...log, lines: bytes }), { ...pinned, records })
}

const bad = (index: number): object => ({
  status: "false",
  firstBadIndex: index,
  byteOffset: offsetOf(index),
})

/** One place in every so many, at random, and always the first and the last. */
function sample(count: number, step: number): number[] {
  if (step <= 1) return Array.from({ length: count }, (_, i) => i)
  const places = Array.from({ length: Math.ceil(count / step) }, (_, i) =>
    Math.min(count - 1, i * step + random(step)),
  )
  return [...new Set([0, ...places, count - 1])]
}

/** Threads that judge flips: the whole campaign is minutes of hashing. */
let threads: Worker[] = []
beforeAll(() => {
  const url = new URL("./campaign-worker.ts", import.meta.url)
  threads = Array.from({ length: THREADS }, () => new Worker(url))
})
afterAll(async () => {
  await Promise.all(threads.map((thread) => thread.terminate()))
})

async function judgeAll(part: Part, flips: readonly number[]): Promise<Tally> {
  const tallies = await Promise.all(
    threads.map(async (thread, t) => {
      const order: Order = { part, flips: flips.filter((_, i) => i % THREADS === t), seed }
      return await new Promise<Tally>((resolve, reject) => {
        const answered = (tally: Tally): void => {
          // What a test that ran out of time had asked for is nobody's any more.
          if (tally.part !== part) return
          thread.off("error", reject)
          thread.off("message", answered)
          resolve(tally)
        }
        thread.on("error", reject)
        thread.on("message", answered)
        thread.postMessage(order)
      })
    }),
  )
  const verdicts = new Map<string, number>()
  for (const [verdict, count] of tallies.flatMap((tally) => [...tally.verdicts])) {
    verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + count)
  }
  return { part, verdicts, surprises: tallies.flatMap(({ surprises }) => surprises) }
}

test(`seed ${seed}: the log as it is`, async () => {
  const verdict = await verifyLog(sourceOf(log), { ...pinned, tiles: true })
  expect(isGood(verdict)).toBe(true)
  expect(verdict.claims.integrity.status).toBe("proved")
})

test(
  `seed ${seed}: every byte of the lines, flipped, gives another root`,
  () => {
    const leaves = lines.map((line) => leafDigest(Buffer.from(line)))
    const rootOf = treeOf(leaves)
    const { root } = parseCheckpoint(parseNote(log.checkpoint).text)
    expect(rootOf(0, leaves[0] ?? ("" as Digest))).toBe(digestAt(root))
    let unnoticed = 0
    for (const [i, line] of lines.entries()) {
      const bytes = Buffer.from(line)
      for (let at = 0; at < bytes.length; at++) {
        const mask = 1 + random(255)
        bytes[at] = (bytes[at] ?? 0) ^ mask
        // A newline makes two lines of it, and the first of them stands here.
        const end = bytes[at] === NEWLINE ? at : bytes.length
        if (rootOf(i, leafDigest(bytes.subarray(0, end))) === digestAt(root)) unnoticed++
        bytes[at] = (bytes[at] ?? 0) ^ mask
      }
    }
    expect(unnoticed).toBe(0)
  },
  TIMEOUT_MS,
)

/** The root after one leaf has changed: as many hashes as the tree is high. */
function treeOf(leaves: readonly Digest[]): (index: number, leaf: Digest) => Digest {
  const levels: Digest[][] = [[...leaves]]
  for (let level = levels[0] ?? []; level.length > 1;) {
    // An odd one at the end goes up as it is, which is the split at the largest power of two below the size.
    const next: Digest[] = []
    for (let i = 0; i < level.length; i += 2) {
      const [left, right] = [level[i] as Digest, level[i + 1]]
      next.push(right === undefined ? left : nodeDigest(left, right))
    }
    levels.push(next)
    level = next
  }
  return (index, leaf) => {
    let digest = leaf
    for (const level of levels.slice(0, -1)) {
      const other = level[index % 2 === 0 ? index + 1 : index - 1]
      if (other !== undefined)
        digest = index % 2 === 0 ? nodeDigest(digest, other) : nodeDigest(other, digest)
      index = Math.floor(index / 2)
    }
    return digest
  }
}

test("the log as it is, read in each of the ways in which it is changed below", () => {
  expect(isUnharmedGood).toBe(true)
})

/** And how many flips share a step: a checkpoint is short, so each of its bytes is flipped whatever the sample. */
const PARTS: readonly [Part, number][] = [
  ["line", STEP],
  ["tile", STEP],
  ["row", STEP],
  ["checkpoint", Math.min(STEP, 8)],
  ["cosigned checkpoint", Math.min(STEP, 8)],
]

test.each(PARTS)(
  `seed ${seed}: a flipped byte of a %s is found, in its place, and not one goes unnoticed`,
  async (part, step) => {
    const flips = sample(FLIPS[part], step)
    const { verdicts, surprises } = await judgeAll(part, flips)
    const told = [...verdicts].map(([verdict, count]) => `\n  ${count}: ${verdict}`)
    console.info(`${part}: ${flips.length} of ${FLIPS[part]} flips${told.join("")}`)
    expect(surprises).toEqual([])
    expect([...verdicts.values()].reduce((sum, count) => sum + count, 0)).toBe(flips.length)
    expect(verdicts.has("")).toBe(false)
  },
  TIMEOUT_MS,
)

test("a tile that is missing or short is found", async () => {
  for (const path of log.tiles.keys()) {
    const missing = new Map(log.tiles)
    missing.delete(path)
    const short = new Map(log.tiles).set(path, (log.tiles.get(path) ?? new Uint8Array()).subarray(1))
    for (const tiles of [missing, short]) {
      const verdict = await verifyLog(sourceOf({ ...log, tiles }), { ...pinned, tiles: true, records: false })
      expect(verdict.claims.tiles.status, path).toBe("false")
    }
  }
})

test("a checkpoint that is cut short anywhere is none", async () => {
  for (let length = 0; length < log.checkpoint.length; length++) {
    const checkpoint = log.checkpoint.subarray(0, length)
    const verdict = await verifyLog(sourceOf({ ...log, checkpoint }), { ...pinned, records: false })
    expect(verdict.claims.authorship.status, `cut to ${length}`).toBe("false")
  }
})

test(
  `seed ${seed}: dropped, swapped, duplicated and spliced records`,
  async () => {
    // Also the last record of a tile and the first of the next.
    for (const i of new Set([...sample(LAST, STEP), TILE_WIDTH - 1, TILE_WIDTH])) {
      const dropped = await verifyLines(lines.toSpliced(i, 1))
      expect(dropped.claims, `drop ${i}`).toMatchObject({
        integrity: bad(i),
        order_and_gaps: bad(i),
        no_truncation: { status: "false" },
      })

      const j = i + 1 + random(LAST - i)
      const swapped = await verifyLines(lines.with(i, lineOf(j)).with(j, lineOf(i)))
      expect(swapped.claims, `swap ${i} ${j}`).toMatchObject({
        integrity: bad(i),
        order_and_gaps: bad(i),
        no_truncation: { status: "conditional" },
      })

      const doubled = await verifyLines(lines.toSpliced(i, 0, lineOf(i)))
      expect(doubled.claims, `duplicate ${i}`).toMatchObject({
        integrity: bad(i + 1),
        order_and_gaps: bad(i + 1),
      })

      const foreign = recordLine(i, { exc_message: "foreign" })
      const replaced = await verifyLines(lines.with(i, foreign))
      expect(replaced.claims, `replace ${i}`).toMatchObject({
        integrity: bad(i),
        order_and_gaps: { status: "unprovable" },
      })

      const inserted = await verifyLines(lines.toSpliced(i, 0, foreign))
      expect(inserted.claims, `insert at ${i}`).toMatchObject({
        integrity: bad(i),
        order_and_gaps: { status: "false", firstBadIndex: i + 1 },
      })

      const length = 1 + random(SIZE - i)
      const gone = await verifyLines(lines.toSpliced(i, length))
      const isTail = i + length === SIZE
      expect(gone.claims.no_truncation, `splice ${i} ${length}`).toMatchObject({ status: "false" })
      if (!isTail) expect(gone.claims, `splice ${i} ${length}`).toMatchObject({ integrity: bad(i) })
    }
  },
  TIMEOUT_MS,
)

test(`seed ${seed}: after the end, a duplicate is no part of what is claimed`, async () => {
  const verdict = await verifyLines([...lines, lineOf(LAST)])
  expect(isGood(verdict)).toBe(true)
  expect(verdict.uncovered).toBe(1)
})

test(
  `seed ${seed}: truncated at each record, and within it`,
  async () => {
    for (const n of sample(SIZE, Math.max(1, Math.floor(STEP / 10)))) {
      const within = offsetOf(n) + random(lineOf(n).length + 1)
      for (const end of [offsetOf(n), within]) {
        const { claims } = await verifyLines(log.lines.subarray(0, end))
        expect(claims.no_truncation, `cut at byte ${end}`).toMatchObject(bad(n))
        expect(claims.integrity.status, `cut at byte ${end}`).toBe("proved")
      }
    }
  },
  TIMEOUT_MS,
)

test(
  `seed ${seed}: a tail rewritten with the real key is found by whoever remembers, and by nobody else`,
  async () => {
    const { accepted } = await verifyLog(sourceOf(log), pinned)
    for (const i of sample(SIZE, 200)) {
      const rewritten = lines.map((line, n) => (n < i ? line : recordLine(n, { exc_type: "Other" })))
      const end = i + random(SIZE - i + 1)
      for (const changed of [rewritten, rewritten.slice(0, end), [...rewritten, "{}"]]) {
        const made = makeLog(changed)
        const stranger = await verifyLog(sourceOf(made), { ...pinned, records: false })
        expect(isGood(stranger)).toBe(true)
        expect(stranger.claims.no_truncation.status).toBe("conditional")
        const verdict = await verifyLog(sourceOf(made), {
          ...pinned,
          records: false,
          ...(accepted === undefined ? {} : { remembered: accepted }),
        })
        expect(verdict.claims.no_truncation.status, `from ${i}, ${changed.length} records`).toBe("false")
        expect(verdict.forkEvidence === undefined).toBe(changed.length < SIZE)
        expect(verdict.accepted).toBeUndefined()
      }
    }
  },
  TIMEOUT_MS,
)

test("the model's root is the frontier's", () => {
  const frontier = new TreeFrontier()
  for (const line of lines) frontier.appendRecord(Buffer.from(line))
  expect(equalBytes(frontier.root(), hashFrom(parseCheckpoint(parseNote(log.checkpoint).text).root))).toBe(
    true,
  )
})
