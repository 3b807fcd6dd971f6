/**
 * `npm run make-log -- DIR [--records N] [--ledger] [--rotate N] [--no-index] [--compress]`: a large log as a hub writes it, through the
 * log itself. DIR is a data folder: `hansard query --dir DIR` works on it. A quarter of a gigabyte for each million.
 */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { AuditLog } from "../src/audit/index.ts"
import type { AuditLogOptions } from "../src/audit/index.ts"
import { generateSignerKey } from "../src/core/key.ts"
import type { SignerKey } from "../src/core/key.ts"
import { FileStore } from "../src/store/index.ts"
import { makeRecord } from "./records.ts"

/** In flight at a time. */
const BATCH = 4_096
const TELL_EVERY = 1_000_000

export interface MakeLogOptions {
  readonly records: number
  readonly log?: AuditLogOptions
  readonly onProgress?: (records: number) => void
}

/** Adds records to the log in `store` until it has so many. @returns how many it added. */
export async function makeLog(
  store: FileStore,
  { records, log: options, onProgress }: MakeLogOptions,
): Promise<number> {
  await using log = await AuditLog.open(store, options)
  const first = log.size
  for (let n = first; n < records;) {
    const end = Math.min(records, n + BATCH)
    const receipts: Promise<unknown>[] = []
    for (; n < end; n++) receipts.push(log.append(makeRecord(n)))
    await Promise.all(receipts)
    onProgress?.(n)
  }
  await log.close()
  return Math.max(0, records - first)
}

/** A key that everybody knows: what it signs proves nothing. */
export const benchSigner: SignerKey = generateSignerKey("bench.example/log", "log", (length) =>
  new Uint8Array(length).fill(7),
)

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    options: {
      records: { type: "string", default: "10000000" },
      ledger: { type: "boolean", default: false },
      index: { type: "boolean", default: true },
      rotate: { type: "string" },
      compress: { type: "boolean", default: false },
    },
    allowPositionals: true,
    allowNegative: true,
  })
  const [dir] = positionals
  const records = Number(values.records)
  if (dir === undefined || positionals.length > 1 || !Number.isSafeInteger(records) || records < 1) {
    console.error("make-log: give one folder, and --records N from 1")
    process.exit(2)
  }
  mkdirSync(dir, { recursive: true })
  await using store = await FileStore.open(join(dir, "store"))
  const start = performance.now()
  let told = 0
  const added = await makeLog(store, {
    records,
    log: {
      ...(values.ledger ? { ledger: { signer: benchSigner } } : {}),
      ...(values.index ? {} : { index: false }),
      compress: values.compress,
      ...(values.rotate === undefined ? {} : { rotate: Number(values.rotate) }),
    },
    onProgress: (n) => {
      if (n - told < TELL_EVERY) return
      told = n
      const seconds = (performance.now() - start) / 1000
      console.error(`${n.toLocaleString("en")} records, ${seconds.toFixed(0)} s`)
    },
  })
  const seconds = (performance.now() - start) / 1000
  console.log(JSON.stringify({ dir, records, added, seconds: Number(seconds.toFixed(1)) }))
}
