/**
 * A campaign of changes to a log of 2,000 records: each has its verdict, and none goes unnoticed that a claim says is
 * noticed.
 *
 * Every byte of the lines is flipped in a model that recomputes one leaf and its way to the root. The verifier itself
 * gets a seeded sample of them, one in `HANSARD_MUTATIONS` (a number; `all` is 1, and takes an hour).
 */
import { expect, test } from "vitest"
import { equalBytes } from "../../src/core/bytes.ts"
import { parseCheckpoint } from "../../src/core/checkpoint.ts"
import { TreeFrontier } from "../../src/core/frontier.ts"
import { digestAt, hashFrom, type Digest } from "../../src/core/hash-types.ts"
import { leafDigest, nodeDigest } from "../../src/core/merkle-hash.ts"
import { parseNote } from "../../src/core/note.ts"
import { isGood, type LogVerdict } from "../../src/core/verdict.ts"
import { verifyLog } from "../../src/core/verify.ts"
import { freshSeed, SeededRandom } from "../../src/testing/random.ts"
import { bytesOf, makeLog, recordLine, recordLines, sourceOf, VKEY } from "./make-log.ts"

const SIZE = 2_000
const LAST = SIZE - 1
const NEWLINE = 0x0a
const seed = freshSeed()
const wanted = process.env["HANSARD_MUTATIONS"]
const STEP = wanted === "all" ? 1 : Number(wanted ?? 400)
const TIMEOUT_MS = wanted === undefined ? 60_000 : 3_600_000

const lines = recordLines(SIZE)
const log = makeLog(lines)
/** Where each line starts, and where the last one ends. */
const offsets = [0]
for (const line of lines) offsets.push((offsets.at(-1) ?? 0) + line.length + 1)
const pinned = { keys: [VKEY] }

const numbers = new SeededRandom(seed)
const random = (below: number): number => numbers.below(below)
const offsetOf = (index: number): number => offsets[index] ?? NaN
const lineOf = (index: number): string => lines[index] ?? ""

function flipped(bytes: Uint8Array, at: number, mask: number): Uint8Array {
  const copy = new Uint8Array(bytes)
  copy[at] = (copy[at] ?? 0) ^ mask
  return copy
}

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

function indexAt(byte: number): number {
  let low = 0
  let high = SIZE
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (offsetOf(middle) <= byte) low = middle
    else high = middle
  }
  return low
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

test(
  `seed ${seed}: a flipped byte of the lines is found, at its record`,
  async () => {
    for (const at of sample(log.lines.length, STEP)) {
      const mask = 1 + random(255)
      const index = indexAt(at)
      const { claims, records } = await verifyLines(flipped(log.lines, at, mask))
      const told = `byte ${at} ^ ${mask}`
      if (at === log.lines.length - 1) {
        // The last newline: the record is there but for its end.
        expect(claims.no_truncation, told).toMatchObject(bad(LAST))
        expect(claims.integrity.status, told).toBe("proved")
        continue
      }
      expect(claims.integrity, told).toMatchObject(bad(index))
      expect(claims.order_and_gaps.status, told).not.toBe("proved")
      expect(claims.no_truncation.status === "false", told).toBe(records < SIZE)
      expect(claims.authorship.status, told).toBe("proved")
    }
  },
  TIMEOUT_MS,
)

test(
  `seed ${seed}: a flipped byte of a tile is found, in its tile, and says nothing against the lines`,
  async () => {
    const all = [...log.tiles].flatMap(([path, bytes]) => Array.from(bytes, (_, at) => ({ path, at })))
    for (const n of sample(all.length, STEP)) {
      const { path = "", at = 0 } = all[n] ?? {}
      const tiles = new Map(log.tiles).set(
        path,
        flipped(log.tiles.get(path) ?? new Uint8Array(), at, 1 + random(255)),
      )
      const { claims, findings } = await verifyLog(sourceOf({ ...log, tiles }), {
        ...pinned,
        tiles: true,
        records: false,
      })
      expect(claims.tiles.status, `${path} byte ${at}`).toBe("false")
      expect(findings, `${path} byte ${at}`).toMatchObject([{ where: "tile", path, byteOffset: at }])
      expect(claims.integrity.status).toBe("proved")
    }
    for (const path of log.tiles.keys()) {
      const tiles = new Map(log.tiles)
      const short = new Map(log.tiles).set(path, (log.tiles.get(path) ?? new Uint8Array()).subarray(1))
      tiles.delete(path)
      for (const changed of [tiles, short]) {
        const verdict = await verifyLog(sourceOf({ ...log, tiles: changed }), {
          ...pinned,
          tiles: true,
          records: false,
        })
        expect(verdict.claims.tiles.status, path).toBe("false")
      }
    }
  },
  TIMEOUT_MS,
)

test(
  `seed ${seed}: every flipped byte of the checkpoint is found: nothing is proved by it any more`,
  async () => {
    for (let at = 0; at < log.checkpoint.length; at++) {
      const checkpoint = flipped(log.checkpoint, at, 1 + random(255))
      const verdict = await verifyLog(sourceOf({ ...log, checkpoint }), { ...pinned, records: false })
      expect(verdict.claims.authorship.status, `byte ${at}`).toBe("false")
      expect(verdict.claims.integrity.status, `byte ${at}`).toBe("unprovable")
      expect(verdict.accepted).toBeUndefined()
    }
    for (let length = 0; length < log.checkpoint.length; length++) {
      const checkpoint = log.checkpoint.subarray(0, length)
      const verdict = await verifyLog(sourceOf({ ...log, checkpoint }), { ...pinned, records: false })
      expect(verdict.claims.authorship.status, `cut to ${length}`).toBe("false")
    }
  },
  TIMEOUT_MS,
)

test(
  `seed ${seed}: dropped, swapped, duplicated and spliced records`,
  async () => {
    for (const i of sample(LAST, STEP)) {
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
