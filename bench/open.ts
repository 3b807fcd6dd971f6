/**
 * How long a large log takes to open and to take one more record, and how much memory that process then has. Each
 * round is a process of its own. Ten million records take some minutes to make: `HANSARD_BENCH_LOG` names a
 * data folder of `npm run make-log -- DIR --ledger` to be used instead.
 */
import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { AuditLog } from "../src/audit/index.ts"
import { FileStore } from "../src/store/index.ts"
import type { BenchContext, BenchTable } from "./bench.ts"
import { benchSigner, makeLog } from "./make-log.ts"
import type { Result } from "./measure.ts"
import { makeRecord } from "./records.ts"

interface Opening {
  readonly records: number
  readonly open_ms: number
  readonly append_ms: number
  readonly opened_mib: number
  readonly queried_mib: number
  readonly busy_mib: number
}

/** How long records are appended and looked for at once, in milliseconds, and how many are appended a second. */
const BUSY_MS = 5_000
const BUSY_RATE = 2_000

export async function benchOpen({ folder, rounds, quick }: BenchContext): Promise<BenchTable[]> {
  const given = process.env["HANSARD_BENCH_LOG"]
  const place = given === undefined || quick ? folder : join(given, "store")
  if (place === folder) {
    await using store = await FileStore.open(place)
    await makeLog(store, { records: quick ? 100_000 : 10_000_000, log: { ledger: { signer: benchSigner } } })
  }
  const openings: Opening[] = []
  for (let round = 0; round < rounds; round++) {
    const text = execFileSync(process.execPath, [import.meta.filename, place], { encoding: "utf8" })
    openings.push(JSON.parse(text) as Opening)
  }
  const records = openings.at(-1)?.records ?? 0
  const row = (name: string, figure: (opening: Opening) => number): Result => {
    const sorted = openings.map(figure).toSorted((a, b) => a - b)
    const median = sorted[Math.floor(sorted.length / 2)] ?? NaN
    return { name, promise: "part", median, low: sorted[0] ?? NaN, high: sorted.at(-1) ?? NaN }
  }
  const times = [
    row("open and append one", ({ open_ms, append_ms }) => open_ms + append_ms),
    row("open", ({ open_ms }) => open_ms),
  ]
  const memory = [
    row("resident, after opening and one append", ({ opened_mib }) => opened_mib),
    row("resident, after queries and a scan", ({ queried_mib }) => queried_mib),
    row("resident, at most, while appending, indexing, querying and counting", ({ busy_mib }) => busy_mib),
  ]
  const title = `opening a log of ${records.toLocaleString("en")} records, ledger and index on`
  return [
    {
      title,
      unit: "ms",
      better: "less",
      subject: "",
      results: times,
      notes: ["Goal at 10,000,000: 300 ms."],
    },
    {
      title,
      unit: "MiB",
      better: "less",
      subject: "",
      results: memory,
      notes: ["Goal at 10,000,000: 150 MiB after opening, 200 MiB while querying."],
    },
  ]
}

/** One opening, in this process. */
async function openOnce(place: string): Promise<Opening> {
  const resident = (): number => process.memoryUsage().rss / 2 ** 20
  const start = performance.now()
  await using store = await FileStore.open(place)
  await using log = await AuditLog.open(store, { ledger: { signer: benchSigner } })
  const opened = performance.now()
  const { index } = await log.append({ at: "2026-11-24T00:00:00Z", kind: "bench_opened" })
  const appended = performance.now()
  const openedMib = resident()
  for (const order of ["asc", "desc"] as const) {
    for (const filter of [{ kind: "turn_failed" }, { outcome: "failed" }, { text: "no such text" }]) {
      await log.query({ ...filter, order, limit: 100 })
    }
  }
  const queriedMib = resident()
  return {
    busy_mib: await mostWhileBusy(log, resident),
    records: index + 1,
    open_ms: opened - start,
    append_ms: appended - opened,
    opened_mib: openedMib,
    queried_mib: queriedMib,
  }
}

/** The most that was resident while the log is written at a steady rate, and queried and counted without a pause. */
async function mostWhileBusy(log: AuditLog, resident: () => number): Promise<number> {
  let most = resident()
  const sampling = setInterval(() => (most = Math.max(most, resident())), 20)
  const start = performance.now()
  const left = (): boolean => performance.now() - start < BUSY_MS
  const first = log.size
  const append = async (): Promise<void> => {
    for (let n = first; left(); await sleep(5)) {
      const due = first + ((performance.now() - start) / 1000) * BUSY_RATE
      const receipts: Promise<unknown>[] = []
      for (; n < due; n++) receipts.push(log.append(makeRecord(n)))
      await Promise.all(receipts)
    }
  }
  const ask = async (): Promise<void> => {
    for (let n = 0; left(); n++) {
      const agent = String(makeRecord(6 + 11 * (n % 97))["agent_id"])
      await log.query({ kind: "turn_failed", agent, order: n % 2 === 0 ? "asc" : "desc", limit: 1000 })
      await log.stats({ ...(n % 3 === 0 ? { agent } : {}), interval: 600_000 })
    }
  }
  await Promise.all([append(), ask()])
  clearInterval(sampling)
  return most
}

if (import.meta.main) console.log(JSON.stringify(await openOnce(process.argv[2] ?? "")))
