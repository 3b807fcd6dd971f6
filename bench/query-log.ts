/** What the benches of query, stats and text search in: one log, and the same records in `node:sqlite`. */
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { agentsOf, AuditLog } from "../src/audit/index.ts"
import { FileStore } from "../src/store/index.ts"
import { makeLog } from "./make-log.ts"
import type { BenchContext } from "./bench.ts"

/** Of a full run. A run in a large log that is there already: `HANSARD_BENCH_STORE=DIR/store npm run bench -- query`. */
const RECORDS = 1_000_000
/** Of a smoke run: two full blocks, and a part of one. */
const QUICK_RECORDS = 150_000

/** A log that is open for reading, in another object than the one that wrote it. */
export class SearchedLog implements AsyncDisposable {
  readonly log: AuditLog
  /** The folder of the store. */
  readonly folder: string
  readonly #store: FileStore

  private constructor(store: FileStore, log: AuditLog, folder: string) {
    this.#store = store
    this.log = log
    this.folder = folder
  }

  static async open({ folder, quick }: BenchContext): Promise<SearchedLog> {
    const given = process.env["HANSARD_BENCH_STORE"]
    const place = given ?? join(folder, "log")
    const store = await FileStore.open(place)
    if (given === undefined) await makeLog(store, { records: quick ? QUICK_RECORDS : RECORDS })
    const log = await AuditLog.open(store)
    await log.indexed()
    return new SearchedLog(store, log, place)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.log.close()
    await this.#store[Symbol.asyncDispose]()
  }
}

/** SQLite gets an index for each filter, one for a pair, the time as a number, and the line as it is. */
export async function sqliteOf(log: AuditLog, path: string): Promise<DatabaseSync> {
  const database = new DatabaseSync(path)
  database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;
    CREATE TABLE log (id INTEGER PRIMARY KEY, at INTEGER, kind TEXT, agent TEXT, channel TEXT, task TEXT, outcome TEXT, line TEXT)`)
  const insert = database.prepare("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
  database.exec("BEGIN")
  const text = (value: unknown): string | null => (typeof value === "string" ? value : null)
  for await (const { index, record, line } of log.entries()) {
    const { at, kind, channel_id, task_id, outcome } = record
    const [agent = null] = agentsOf(record)
    const values = [text(kind), agent, text(channel_id), text(task_id), text(outcome), line]
    insert.run(index, Date.parse(String(at)), ...values)
  }
  database.exec("COMMIT")
  for (const columns of ["kind", "agent", "channel", "task", "outcome", "at", "kind, agent"]) {
    database.exec(`CREATE INDEX by_${columns.replace(", ", "_")} ON log (${columns})`)
  }
  database.exec("ANALYZE")
  return database
}

/** Milliseconds of each call, for about `milliseconds`, sorted. */
export async function durations(milliseconds: number, call: (n: number) => unknown): Promise<number[]> {
  const all: number[] = []
  const end = performance.now() + milliseconds
  for (let n = 0; n < 5 || performance.now() < end; n++) {
    const start = performance.now()
    await call(n)
    all.push(performance.now() - start)
  }
  return all.sort((a, b) => a - b)
}

export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
}

export function inMillions(records: number): string {
  return `${Number((records / 1e6).toPrecision(2))} M records`
}
