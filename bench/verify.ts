/**
 * How many records of a whole log are verified in a second, from files, beside the limit of the same machine in the same
 * run: as many hashes of the same bytes in memory, by the fastest call there is, on as many threads.
 *
 * A tree of n records takes n hashes of records and n - 1 of pairs; the limit does these, and keeps nothing.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { Worker } from "node:worker_threads"
import { fileLogSource } from "../src/audit/log-source.ts"
import { parallelScan, partsOfFiles } from "../src/audit/parallel-scan.ts"
import { signCheckpoint } from "../src/core/checkpoint.ts"
import { TreeFrontier } from "../src/core/frontier.ts"
import { formatVerifierKey, generateSignerKey } from "../src/core/key.ts"
import { encodeLine } from "../src/core/line.ts"
import { noteSigner } from "../src/core/note.ts"
import { systemRandom } from "../src/core/system.ts"
import { formatTilePath } from "../src/core/tile.ts"
import { verifyLog, type VerifyOptions } from "../src/core/verify.ts"
import type { BenchContext, BenchTable } from "./bench.ts"
import { measure, type Contender } from "./measure.ts"
import { makeRecord } from "./records.ts"

const THREADS = 2

export async function benchVerify({ folder, rounds, quick }: BenchContext): Promise<BenchTable[]> {
  const count = quick ? 100_000 : 1_000_000
  const log = makeLog(folder, count)
  const ours = (name: string, threads: number, options: VerifyOptions): Contender => ({
    name,
    promise: "durable",
    run: async () => {
      const start = performance.now()
      const source = fileLogSource({ lines: [log.path], checkpoint: log.checkpoint, tiles: folder })
      const scan = parallelScan(() => partsOfFiles([log.path]), { threads })
      const { claims } = await verifyLog(source, {
        keys: [log.vkey],
        ...options,
        ...(threads > 1 ? { scan } : {}),
      })
      if (claims.integrity.status !== "proved") throw new Error(claims.integrity.because)
      return (count / (performance.now() - start)) * 1_000
    },
  })
  await using limit = await HashLoop.start(log.lines, count, THREADS)
  const results = await measure(
    [
      ours("hansard", THREADS, { records: false }),
      { name: "limit: the hashes alone, in memory", promise: "durable", run: () => limit.run() },
      ours("hansard, and each tile compared", THREADS, { records: false, tiles: true }),
      ours("hansard, and each line parsed", THREADS, { records: true }),
      ours("hansard, one thread", 1, { records: false }),
    ],
    rounds,
    0,
  )
  const rate = (name: string): number => results.find((result) => result.name === name)?.median ?? NaN
  const ratio = rate("hansard") / rate("limit: the hashes alone, in memory")
  return [
    {
      title: `verify ${count.toLocaleString("en")} records from files, ${THREADS} threads`,
      unit: "records/s",
      better: "more",
      results,
      subject: "hansard",
      notes: [
        `${(100 * ratio).toFixed(0)}% of the limit, the start of the threads included (goal: 75%, ${ratio >= 0.75 ? "met" : "missed"}).`,
      ],
    },
  ]
}

interface MadeLog {
  readonly path: string
  readonly checkpoint: string
  readonly vkey: string
  readonly lines: Uint8Array
}

function makeLog(folder: string, count: number): MadeLog {
  const tree = new TreeFrontier()
  const parts: Buffer[] = []
  for (let n = 0; n < count; n++) {
    const line = Buffer.from(encodeLine(makeRecord(n)))
    tree.appendRecord(line)
    parts.push(line, Buffer.from("\n"))
  }
  const path = join(folder, "audit.jsonl")
  const lines = Buffer.concat(parts)
  writeFileSync(path, lines)
  for (const { tile, bytes } of tree.takeTiles()) {
    const place = join(folder, formatTilePath(tile))
    mkdirSync(dirname(place), { recursive: true })
    writeFileSync(place, bytes)
  }
  const signer = generateSignerKey("bench.example/log", "log", systemRandom)
  const head = { origin: signer.name, size: tree.size, root: tree.root() }
  const checkpoint = join(folder, "checkpoint")
  writeFileSync(checkpoint, signCheckpoint(head, [noteSigner(signer)]))
  return { path, checkpoint, vkey: formatVerifierKey(signer), lines }
}

/** Threads that have their share of the lines in memory already. */
class HashLoop implements AsyncDisposable {
  readonly #workers: readonly Worker[]
  readonly #count: number

  private constructor(workers: readonly Worker[], count: number) {
    this.#workers = workers
    this.#count = count
  }

  static async start(lines: Uint8Array, count: number, threads: number): Promise<HashLoop> {
    const each = count / threads
    const workers: Worker[] = []
    let start = 0
    for (let thread = 0; thread < threads; thread++) {
      let end = start
      for (let i = 0; i < each; i++) end = lines.indexOf(0x0a, end) + 1
      const workerData = { lines: Uint8Array.from(lines.subarray(start, end)), count: each }
      const worker = new Worker(new URL("./hash-loop.ts", import.meta.url), { workerData })
      await new Promise((online) => worker.once("online", online))
      workers.push(worker)
      start = end
    }
    return new HashLoop(workers, count)
  }

  async run(): Promise<number> {
    const start = performance.now()
    await Promise.all(
      this.#workers.map(
        (worker) =>
          new Promise((done) => {
            worker.once("message", done)
            worker.postMessage("run")
          }),
      ),
    )
    return (this.#count / (performance.now() - start)) * 1_000
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }
}
