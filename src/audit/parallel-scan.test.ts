/** Many threads find what one finds, whatever the log, and however it falls into shares. */
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import {
  bytesOf,
  makeLog,
  ORIGIN,
  recordLine,
  SIGNER,
  VKEY,
  type MadeLog,
} from "../../test/ledger/make-log.ts"
import { testSeed } from "../../test/support/fake-time.ts"
import { formatVerifierKey, signerKey } from "../core/key.ts"
import { signKeyChange } from "../core/key-change.ts"
import { formatTilePath } from "../core/tile.ts"
import type { LogVerdict } from "../core/verdict.ts"
import { verifyLog, type VerifyOptions } from "../core/verify.ts"
import type { ScanState } from "../core/verify-scan.ts"
import type { LogSource } from "../core/verify-source.ts"
import { SeededRandom } from "../testing/random.ts"
import { fileLogSource } from "./log-source.ts"
import { parallelScan, partsOfFiles } from "./parallel-scan.ts"

const seed = testSeed()
const random = new SeededRandom(seed)
const folder = mkdtempSync(join(tmpdir(), "hansard-parallel-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let files = 0
/** The log in `count` files, cut anywhere. */
function inFiles({ lines, checkpoint, tiles }: MadeLog, count = 1): { paths: string[]; source: LogSource } {
  const cuts = [0, ...Array.from({ length: count - 1 }, () => random.below(lines.length + 1)), lines.length]
  cuts.sort((a, b) => a - b)
  const paths = cuts.slice(1).map((end, i) => {
    const path = join(folder, `${files++}.jsonl`)
    writeFileSync(path, lines.subarray(cuts[i], end))
    return path
  })
  const source: LogSource = {
    ...fileLogSource({ lines: paths }),
    checkpoint: async () => checkpoint,
    readTiles: async (wanted) => wanted.map((tile) => tiles.get(formatTilePath(tile))),
  }
  return { paths, source }
}

async function both(
  { paths, source }: { paths: readonly string[]; source: LogSource },
  options: VerifyOptions,
  parallel: { threads?: number; shareBytes?: number } = {},
): Promise<LogVerdict> {
  const alone = await verifyLog(source, options)
  let isParallel = false
  const scan = parallelScan(() => partsOfFiles(paths), { threads: 2, ...parallel })
  const together = await verifyLog(source, {
    ...options,
    scan: async (...args) => {
      const found = await scan(...args)
      isParallel = found !== undefined
      return found
    },
  })
  expect(together).toEqual(alone)
  expect(isParallel).toBe(true)
  return together
}

const lines = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => recordLine(i, { text: "x".repeat(random.below(300)) }))
const pinned = { keys: [VKEY], tiles: true }

describe(`seed ${seed}: on several threads`, () => {
  test("the verdict is that of one thread, for sizes around tiles and shares of any length", async () => {
    for (const size of [1, 256, 257, 700]) {
      const all = lines(size + 5)
      const log = makeLog(all.slice(0, size), { uncovered: all.slice(size) })
      const shareBytes = 200 + random.below(40_000)
      for (const records of [true, false]) {
        const options = { ...pinned, records }
        const verdict = await both(inFiles(log, 1 + random.below(3)), options, { shareBytes })
        expect([size, verdict.claims.integrity.status]).toEqual([size, "proved"])
        expect([size, verdict.claims.tiles.status]).toEqual([size, "proved"])
      }
    }
  }, 60_000)

  test("a log of more than a level-1 tile", async () => {
    const log = makeLog(Array.from({ length: 70_000 }, (_, i) => recordLine(i)))
    const verdict = await both(inFiles(log), { ...pinned, records: false }, { shareBytes: 500_000 })
    expect(verdict.claims.tiles).toMatchObject({ status: "proved" })
    const wrong = new Map(log.tiles)
    wrong.set("tile/1/000", new Uint8Array(8_192))
    const bad = await both(inFiles({ ...log, tiles: wrong }), { ...pinned, records: false })
    expect(bad.findings).toMatchObject([{ path: "tile/1/000" }])
  }, 60_000)

  test("what is wrong is found in the same place: altered, no record, torn, shorter, remembered, rotated", async () => {
    const all = lines(900)
    const log = makeLog(all)
    const at = log.lines.indexOf(0x0a, random.below(log.lines.length - 1_000))
    const altered = new Uint8Array(log.lines)
    altered[at + 20] = 0x01
    const torn = Buffer.concat([log.lines, Buffer.from('{"torn')])
    const short = log.lines.subarray(0, at + 1)
    const shareBytes = 5_000
    for (const bytes of [altered, torn, short, new Uint8Array([0x0a, 0x0a, 0x0a])]) {
      for (const records of [true, false]) {
        await both(inFiles({ ...log, lines: bytes }), { ...pinned, records }, { shareBytes })
      }
    }
    const before = await verifyLog(inFiles(makeLog(all.slice(0, 333))).source, pinned)
    if (before.accepted === undefined) throw new Error("nothing was accepted")
    const remembering = { ...pinned, remembered: before.accepted }
    expect((await both(inFiles(log), remembering, { shareBytes })).claims.no_truncation.status).toBe("proved")
    const later = await both(
      inFiles(makeLog(all.slice(0, 300), { uncovered: all.slice(300) })),
      remembering,
      {
        shareBytes,
      },
    )
    expect(later.claims.no_truncation.status).toBe("false")
    const next = signerKey(ORIGIN, "log", new Uint8Array(32).fill(9))
    for (const place of [0, 256, 899]) {
      const change = recordLine(place, { kind: "signing_key_set", ...signKeyChange(SIGNER, next) })
      const rotated = makeLog(all.with(place, change), { signers: [next] })
      const verdict = await both(inFiles(rotated), { ...pinned, records: false }, { shareBytes: 3_000 })
      expect([place, verdict.claims.authorship.status]).toEqual([place, "proved"])
      expect(verdict.accepted?.keys).toEqual([VKEY, formatVerifierKey(next)])
    }
  }, 60_000)

  test("a line longer than any record makes them give up, and one thread reads it all", async () => {
    const log = makeLog(lines(300))
    const long = Buffer.concat([log.lines, Buffer.alloc(2 ** 20 + 9, 0x61), Buffer.from("\n{}\n")])
    const { paths, source } = inFiles({ ...log, lines: long })
    let answered: unknown = "nothing"
    const scan = parallelScan(() => partsOfFiles(paths), { threads: 2, shareBytes: 10_000 })
    const options = { ...pinned, records: false }
    const verdict = await verifyLog(source, {
      ...options,
      scan: async (...args) => (answered = await scan(...args)) as undefined,
    })
    expect(answered).toBeUndefined()
    expect(verdict).toEqual(await verifyLog(source, options))
  })

  test("an abort ends them", async () => {
    const log = makeLog(lines(2_000))
    const { paths, source } = inFiles(log)
    const controller = new AbortController()
    const scan = parallelScan(() => partsOfFiles(paths), { threads: 2, shareBytes: 5_000 })
    const verifying = verifyLog(source, {
      ...pinned,
      scan,
      signal: controller.signal,
      onProgress: () => controller.abort(new Error("enough")),
    })
    await expect(verifying).rejects.toThrow("enough")
  })
})

describe(`seed ${seed}: an interrupted scan`, () => {
  /** Every state that a scan offers, as a file would keep it. */
  async function statesOf(log: MadeLog, options: VerifyOptions): Promise<ScanState[]> {
    const { paths, source } = inFiles(log)
    const states: ScanState[] = []
    await verifyLog(source, {
      ...options,
      now: Date.UTC(2026, 10, 24),
      scan: parallelScan(() => partsOfFiles(paths), { threads: 2, shareBytes: 20_000 }),
      onState: (state) => states.push(JSON.parse(JSON.stringify(state())) as ScanState),
    })
    return states
  }

  const all = lines(3_000)
  const next = signerKey(ORIGIN, "log", new Uint8Array(32).fill(9))
  all[40] = recordLine(40, { kind: "signing_key_set", ...signKeyChange(SIGNER, next) })
  const log = makeLog(all, { signers: [next] })

  test("goes on from any state, in one thread or several, and says on what condition", async () => {
    for (const records of [true, false]) {
      const options = { ...pinned, records }
      const states = await statesOf(log, options)
      expect(states.length).toBeGreaterThan(3)
      const whole = await verifyLog(inFiles(log).source, options)
      const some = states.filter(({ tally }) => tally.size > 0 && random.below(8) === 0)
      for (const resume of [...some, ...states.slice(-1)]) {
        const verdict = await both(inFiles(log, 2), { ...options, resume }, { shareBytes: 7_000 })
        const { claims } = verdict
        expect(claims.integrity.status).toBe("conditional")
        expect(claims.integrity).toMatchObject({
          on: `the first ${resume.tally.size} lines being as an interrupted run read them at 2026-11-24T00:00:00.000Z`,
        })
        expect(claims.authorship).toEqual(whole.claims.authorship)
        expect(claims.tiles).toMatchObject({
          status: "conditional",
          because: (whole.claims.tiles as { because: string }).because,
        })
        expect([verdict.records, verdict.bytes]).toEqual([whole.records, whole.bytes])
        expect(verdict.accepted).toEqual(whole.accepted)
      }
    }
  }, 60_000)

  test("does not read what it has read: that is the condition; what comes after is found all the same", async () => {
    const options = { ...pinned, records: false }
    const resume = (await statesOf(log, options)).find(({ tally }) => tally.size > 500)
    if (resume === undefined) throw new Error("no state")
    const change = (at: number): MadeLog => {
      const bytes = new Uint8Array(log.lines)
      bytes[at] = (bytes[at] ?? 0) ^ 1
      return { ...log, lines: bytes }
    }
    const early = await verifyLog(inFiles(change(10)).source, { ...options, resume })
    expect(early.claims.integrity.status).toBe("conditional")
    const late = await both(inFiles(change(resume.offset + 10)), { ...options, resume })
    expect(late.claims.integrity.status).toBe("false")
    // The log that the state is of must be the checkpoint's: a state proves nothing by itself.
    const other = await both(inFiles(makeLog(lines(3_000), { signers: [next] })), { ...options, resume })
    expect(other.claims.integrity.status).not.toBe("conditional")
  })

  test("takes a forged state for nothing: hashes must lead to the root, keys must prove themselves", async () => {
    const options = { ...pinned, records: false }
    const resume = (await statesOf(log, options)).find(({ tally }) => tally.size > 500)
    if (resume === undefined) throw new Error("no state")
    const honest = await verifyLog(inFiles(log).source, options)
    const { tally, records } = resume
    const forgedRoot = { ...resume, tally: { ...tally, root: Buffer.alloc(32).toString("base64") } }
    const noPartials = { ...resume, tally: { ...tally, partials: [] } }
    const tooFar = { ...resume, tally: { ...tally, size: 1_000_000 } }
    const crooked = { ...resume, tally: { ...tally, size: tally.size - 1 } }
    for (const state of [forgedRoot, noPartials, tooFar, crooked]) {
      // Of no use: everything is read.
      expect(await both(inFiles(log), { ...options, resume: state })).toEqual(honest)
    }
    const moved = await both(inFiles(log), { ...options, resume: { ...resume, offset: resume.offset - 100 } })
    expect(moved.claims.integrity.status).toBe("false")
    const thief = signerKey(ORIGIN, "log", new Uint8Array(32).fill(66))
    const record = {
      kind: "signing_key_set",
      ...signKeyChange(thief, thief),
      vkey: formatVerifierKey(thief),
      previous_vkey: VKEY,
    }
    const forged = { ...resume, records: { ...records, keyCandidates: [{ index: 1, record }] } }
    const stolen = await verifyLog(inFiles(makeLog(all, { signers: [thief] })).source, {
      ...options,
      resume: forged,
    })
    expect(stolen.claims.authorship.status).toBe("false")
  })

  test("a log that has grown since goes on as well", async () => {
    const options = { ...pinned, records: false }
    const resume = (await statesOf(log, options)).at(-1)
    const { paths, source } = inFiles(makeLog([...all, ...lines(500)], { signers: [next] }))
    for (const path of paths) appendFileSync(path, bytesOf(["{}"]))
    const verdict = await both({ paths, source }, { ...options, ...(resume && { resume }) })
    expect(verdict.claims.integrity.status).toBe("conditional")
    expect(verdict.uncovered).toBe(1)
  })
})
