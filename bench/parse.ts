/** Reading records back: `readAll` and `entries` beside the best loop that we know, on one file of a log. */
import { closeSync, openSync, readSync } from "node:fs"
import { join } from "node:path"
import { AuditLog } from "../src/audit/index.ts"
import { LOG_PATH } from "../src/audit/paths.ts"
import { FileStore } from "../src/store/index.ts"
import type { BenchContext, BenchTable } from "./bench.ts"
import { makeLog } from "./make-log.ts"
import { measure, timed } from "./measure.ts"
import type { Contender } from "./measure.ts"

const BLOCK_BYTES = 64 * 1024
const NEWLINE = 0x0a

export async function benchParse({
  folder,
  rounds,
  milliseconds,
  quick,
}: BenchContext): Promise<BenchTable[]> {
  {
    await using store = await FileStore.open(folder)
    await makeLog(store, { records: quick ? 20_000 : 200_000, log: { rotate: false, index: false } })
  }
  await using store = await FileStore.open(folder, { readOnly: true })
  await using log = await AuditLog.open(store, { readOnly: true })
  const contenders: Contender[] = [
    {
      name: "entries, one by one",
      promise: "part",
      run: (ms) =>
        timed(ms, async () => {
          let count = 0
          for await (const { record } of log.entries()) if (record["kind"] !== undefined) count++
          return count
        }),
    },
    {
      name: "readAll",
      promise: "part",
      run: (ms) => timed(ms, async () => (await log.readAll()).length),
    },
    {
      name: "best loop: blocks, commas, one JSON.parse each",
      promise: "part",
      run: (ms) => timed(ms, () => bestLoop(join(folder, LOG_PATH))),
    },
    {
      name: "the same, every record kept",
      promise: "part",
      run: (ms) => timed(ms, () => bestLoop(join(folder, LOG_PATH), [])),
    },
  ]
  const results = await measure(contenders, rounds, milliseconds)
  const rate = (name: string): number => results.find((result) => result.name.startsWith(name))?.median ?? NaN
  const share = (name: string, of: string): string => `${((100 * rate(name)) / rate(of)).toFixed(0)}%`
  return [
    {
      title: "reading a log back",
      unit: "records/s",
      better: "more",
      subject: "entries, one by one",
      results,
      notes: [
        `entries: ${share("entries", "best")} of the best loop; goal 90%. It checks nothing and keeps nothing.`,
        `readAll: ${share("readAll", "the same")} of the same loop with every record kept.`,
      ],
    },
  ]
}

/** Synchronous reads, no checks. @returns how many records there were. */
function bestLoop(path: string, kept?: unknown[]): number {
  const fd = openSync(path, "r")
  const block = Buffer.alloc(BLOCK_BYTES)
  let rest: Buffer = Buffer.alloc(0)
  let count = 0
  for (let got = readSync(fd, block); got > 0; got = readSync(fd, block)) {
    const bytes = Buffer.concat([rest, block.subarray(0, got)])
    const end = bytes.lastIndexOf(NEWLINE)
    for (let at = bytes.indexOf(NEWLINE); at < end; at = bytes.indexOf(NEWLINE, at + 1)) bytes[at] = 0x2c
    const records = JSON.parse(`[${bytes.toString("latin1", 0, end)}]`) as unknown[]
    if (kept !== undefined) for (const record of records) kept.push(record)
    count += records.length
    rest = bytes.subarray(end + 1)
  }
  closeSync(fd)
  return count
}
