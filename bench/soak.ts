/**
 * `npm run soak -- [--seconds 120] [--rate 2000] [--dir DIR] [--compress]`: a log that is written at a steady rate, and meanwhile read, followed,
 * queried, proved, checkpointed and rotated. It ends with 0 if nothing was lost, out of order or false, and neither
 * memory nor descriptors grew; with 1 and the reasons otherwise.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { AuditLog } from "../src/audit/index.ts"
import type { LogEntry } from "../src/audit/index.ts"
import { storeLogSource } from "../src/audit/log-source.ts"
import { formatVerifierKey } from "../src/core/key.ts"
import { isGood } from "../src/core/verdict.ts"
import { verifyLog } from "../src/core/verify.ts"
import { FileStore } from "../src/store/index.ts"
import { benchSigner } from "./make-log.ts"
import { makeRecord } from "./records.ts"

const TICK_MS = 10
const SAMPLE_MS = 1_000
/** So often the file is sealed, in seconds. */
const ROTATE_SECONDS = 5
/**
 * Of the middle of a quarter of the samples over that of another. What a scan holds that is under way when a sample is
 * taken, and a block's columns, lie below it; every record kept, of the 120,000 between the two at the defaults, lies above.
 */
const MAX_GROWTH_MIB = 32
const MAX_GROWTH_DESCRIPTORS = 8

interface Sample {
  /** Used, after a collection. */
  readonly heapMib: number
  readonly residentMib: number
  readonly descriptors: number
}

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "120" },
    rate: { type: "string", default: "2000" },
    dir: { type: "string" },
    compress: { type: "boolean", default: false },
  },
})
const seconds = Number(values.seconds)
const rate = Number(values.rate)
if (!(seconds >= 1) || !(rate >= 100)) {
  console.error("soak: --seconds from 1, --rate from 100 records a second")
  process.exit(2)
}

const folder = mkdtempSync(join(values.dir ?? tmpdir(), "hansard-soak-"))
const failures: string[] = []
const done = new AbortController()
let acknowledged = 0
const counts = { tailed: 0, slow: 0, followed: 0, scanned: 0, queries: 0, proofs: 0 }

/** `n` counts the records: so the record at index `n` carries it. */
const makeNumbered = (n: number): object => ({ ...makeRecord(n), n })

function expectNumbered({ index, record }: LogEntry, next: number, who: string): void {
  if (index !== next || record["n"] !== index) {
    fail(`${who} saw record ${String(record["n"])} at ${index} where ${next} was due`)
  }
}

function fail(reason: string): void {
  failures.push(reason)
  done.abort()
}

try {
  await soak()
  await verify()
} catch (error) {
  fail(error instanceof Error ? (error.stack ?? error.message) : String(error))
} finally {
  rmSync(folder, { recursive: true, force: true })
}
for (const failure of failures.slice(0, 20)) console.error(`soak: ${failure}`)
console.log(failures.length === 0 ? "soak: nothing was lost, and nothing grew" : "soak: FAILED")
process.exit(failures.length === 0 ? 0 : 1)

async function soak(): Promise<void> {
  await using store = await FileStore.open(folder)
  await using log = await AuditLog.open(store, {
    rotate: rate * ROTATE_SECONDS,
    compress: values.compress,
    ledger: { signer: benchSigner, checkpointIntervalMs: 500 },
  })
  await using otherStore = await FileStore.open(folder, { readOnly: true })
  await using other = await AuditLog.open(otherStore, { readOnly: true })
  const timer = setTimeout(() => done.abort(), seconds * 1_000)
  const { signal } = done
  const samples: Sample[] = []
  const works = [
    append(log),
    follow(log, "tailed", 0),
    follow(log, "slow", 50),
    follow(other, "followed", 0),
    repeat(50, () => query(log)),
    repeat(2_000, () => scan(log)),
    repeat(250, () => prove(log)),
    repeat(SAMPLE_MS, async () => void samples.push(sample())),
  ]
  await Promise.all(works.map((work) => work.catch((error: unknown) => failUnlessDone(error, signal))))
  clearTimeout(timer)
  if (log.size !== acknowledged) fail(`${acknowledged} records were acknowledged; the log has ${log.size}`)
  judge(samples)
  console.log(JSON.stringify({ seconds, acknowledged, ...counts }))
}

async function append(log: AuditLog): Promise<void> {
  const start = performance.now()
  for (let n = 0; !done.signal.aborted; await sleep(TICK_MS)) {
    const due = Math.floor(((performance.now() - start) / 1_000) * rate)
    const batch: Promise<void>[] = []
    // A machine that falls behind is not made to catch up at once.
    for (const end = Math.min(due, n + rate); n < end; n++) {
      const wanted = n
      batch.push(
        log.append(makeNumbered(n)).then(({ index }) => {
          acknowledged++
          if (index !== wanted) fail(`record ${wanted} was acknowledged as ${index}`)
        }),
      )
    }
    await Promise.all(batch)
  }
}

/** @param pauseMs a pause after every thousand, so that it falls out of memory and has to read the files */
async function follow(log: AuditLog, who: "tailed" | "slow" | "followed", pauseMs: number): Promise<void> {
  let next = 0
  for await (const entry of log.tail({ from: 0, signal: done.signal })) {
    expectNumbered(entry, next++, who)
    counts[who]++
    if (pauseMs > 0 && next % 1_000 === 0) await sleep(pauseMs)
  }
}

async function query(log: AuditLog): Promise<void> {
  const kind = counts.queries % 2 === 0 ? "turn_failed" : "task_terminated"
  const order = counts.queries % 3 === 0 ? "asc" : "desc"
  // Each of eleven kinds has its turn.
  const due = Math.min(100, Math.floor(acknowledged / 11))
  const { records } = await log.query({ kind, order, limit: 100 })
  counts.queries++
  if (records.length < due) fail(`a query found ${records.length} of ${due} records`)
  for (const { index, record } of records) {
    if (record["kind"] !== kind || record["n"] !== index) fail(`a query for ${kind} found record ${index}`)
  }
}

async function scan(log: AuditLog): Promise<void> {
  let next = 0
  for await (const entry of log.entries({ signal: done.signal })) expectNumbered(entry, next++, "a scan")
  counts.scanned += next
}

async function prove(log: AuditLog): Promise<void> {
  if (log.size === 0) return
  await log.prove(Math.floor((log.size - 1) * ((counts.proofs * 0.618) % 1)))
  counts.proofs++
}

async function repeat(pauseMs: number, work: () => Promise<void>): Promise<void> {
  while (!done.signal.aborted) {
    await work()
    await sleep(pauseMs)
  }
}

function sample(): Sample {
  globalThis.gc?.()
  const { heapUsed, rss, external } = process.memoryUsage()
  return {
    heapMib: (heapUsed + external) / 2 ** 20,
    residentMib: rss / 2 ** 20,
    descriptors: process.platform === "linux" ? readdirSync("/proc/self/fd").length : 0,
  }
}

/** The last quarter beside the second: the first is warming up. */
function judge(samples: readonly Sample[]): void {
  const quarter = Math.floor(samples.length / 4)
  if (quarter < 2) return
  const middle = (from: number, figure: (sample: Sample) => number): number => {
    const sorted = samples
      .slice(from, from + quarter)
      .map(figure)
      .toSorted((a, b) => a - b)
    return sorted[Math.floor(sorted.length / 2)] ?? 0
  }
  const growth = (figure: (sample: Sample) => number): number =>
    middle(samples.length - quarter, figure) - middle(quarter, figure)
  const heap = growth(({ heapMib }) => heapMib)
  const descriptors = growth((one) => one.descriptors)
  const resident = Math.max(...samples.map(({ residentMib }) => residentMib))
  console.log(
    `soak: heap ${heap >= 0 ? "+" : ""}${heap.toFixed(1)} MiB, descriptors ${descriptors >= 0 ? "+" : ""}${descriptors}, at most ${resident.toFixed(0)} MiB resident`,
  )
  if (heap > MAX_GROWTH_MIB) fail(`the heap grew by ${heap.toFixed(1)} MiB`)
  if (descriptors > MAX_GROWTH_DESCRIPTORS) fail(`${descriptors} descriptors more were open`)
}

/** Everything again, from the disk. */
async function verify(): Promise<void> {
  await using store = await FileStore.open(folder)
  {
    await using log = await AuditLog.open(store, { readOnly: true })
    let next = 0
    for await (const entry of log.entries()) expectNumbered(entry, next++, "the last reading")
    if (next !== acknowledged) fail(`${acknowledged} records were acknowledged; ${next} are there`)
  }
  const keys = [formatVerifierKey(benchSigner)]
  const verdict = await verifyLog(storeLogSource(store), { keys, areKeysVouched: true, tiles: true })
  if (!isGood(verdict)) fail(`the log does not verify: ${JSON.stringify(verdict.claims)}`)
  const segments = (await store.list("/audit/segments")).length
  const compressed = (await store.list("/audit/segments")).filter((name) => name.endsWith(".zst")).length
  console.log(`soak: ${verdict.records} records in ${segments + 1} files, ${compressed} compressed, verified`)
}

function failUnlessDone(error: unknown, signal: AbortSignal): void {
  if (signal.aborted && error === signal.reason) return
  fail(error instanceof Error ? (error.stack ?? error.message) : String(error))
}
