/**
 * How many records a second are acknowledged durable, beside the raw limit of the same machine in the same run.
 *
 * The raw limit writes ready-made lines of the same bytes in the same batches, `writeSync` and `fdatasync`, and keeps a
 * promise for each caller; it encodes nothing and remembers nothing. The sum of the parts adds, per record, what
 * encoding, writing, syncing and promising cost when each is measured alone.
 */
import { closeSync, fdatasync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs"
import { appendFile, open } from "node:fs/promises"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import pino from "pino"
import { AuditLog } from "../src/audit/index.ts"
import { generateSignerKey } from "../src/core/key.ts"
import { encodeLine } from "../src/core/line.ts"
import { FileStore } from "../src/store/index.ts"
import { keepInFlight, measure, timed } from "./measure.ts"
import type { Contender, Result } from "./measure.ts"
import { makeRecord } from "./records.ts"

/** Records made in advance, so that making them is not measured. */
const RECORDS = Array.from({ length: 11 * 1000 }, (_, n) => makeRecord(n))
const LINES = RECORDS.map((record) => encodeLine(record) + "\n")
const record = (n: number): Record<string, unknown> => RECORDS[n % RECORDS.length] ?? {}
const line = (n: number): string => LINES[n % LINES.length] ?? ""

export interface AppendCell {
  readonly in_flight: number
  readonly results: readonly Result[]
  readonly sum_of_parts: number
  readonly of_raw: number
  readonly of_parts: number
  /** The rate with the ledger on, of the rate without. */
  readonly with_ledger: number
  readonly goal: string
}

export async function benchAppend(
  folder: string,
  rounds: number,
  milliseconds: number,
): Promise<AppendCell[]> {
  const cells: AppendCell[] = []
  for (const inFlight of [1, 256, 4096]) {
    mkdirSync(folder, { recursive: true })
    const place = mkdtempSync(join(folder, "append-"))
    try {
      cells.push(await cell(place, inFlight, rounds, milliseconds))
    } finally {
      rmSync(place, { recursive: true, force: true })
    }
  }
  return cells
}

async function cell(
  place: string,
  inFlight: number,
  rounds: number,
  milliseconds: number,
): Promise<AppendCell> {
  const contenders = [
    hansard(place, inFlight, false),
    hansard(place, inFlight, true),
    rawLimit(place, inFlight),
    naive(place, inFlight),
    sqlite(place, inFlight),
    ...(inFlight === 1 ? [pinoSync(place, true), pinoSync(place, false)] : []),
    ...parts(place, inFlight),
  ]
  const results = await measure(contenders, rounds, milliseconds)
  const rate = (name: string): number => results.find((result) => result.name === name)?.median ?? NaN
  const perRecord = ["encode", "write", "sync", "promise"].reduce(
    (sum, part) => sum + 1 / rate(`part: ${part}`),
    0,
  )
  const sum = 1 / perRecord
  const ofRaw = rate("hansard AuditLog") / rate("raw limit")
  const ofParts = rate("hansard AuditLog") / sum
  return {
    in_flight: inFlight,
    results,
    sum_of_parts: sum,
    of_raw: ofRaw,
    of_parts: ofParts,
    with_ledger: rate("hansard AuditLog, ledger on") / rate("hansard AuditLog"),
    goal:
      inFlight === 1
        ? "none here"
        : 0.7 * rate("raw limit") <= 0.85 * sum
          ? `70% of the raw limit: ${ofRaw >= 0.7 ? "met" : "missed"}`
          : `85% of the sum of the parts (lower than 70% of raw): ${ofParts >= 0.85 ? "met" : "missed"}`,
  }
}

function hansard(place: string, inFlight: number, ledger: boolean): Contender {
  const signer = generateSignerKey("bench.example/log", "log", (length) => new Uint8Array(length).fill(7))
  return {
    name: ledger ? "hansard AuditLog, ledger on" : "hansard AuditLog",
    promise: "durable",
    async run(milliseconds) {
      const dir = mkdtempSync(join(place, "hansard-"))
      await using store = await FileStore.open(dir)
      await using log = await AuditLog.open(store, ledger ? { ledger: { signer } } : {})
      const rate = await keepInFlight(milliseconds, inFlight, (n) => log.append(record(n)))
      await log.close()
      await store[Symbol.asyncDispose]()
      rmSync(dir, { recursive: true })
      return rate
    },
  }
}

/** Group commit at its barest: what waits is written and synced, one group in flight. */
function rawLimit(place: string, inFlight: number): Contender {
  return {
    name: "raw limit",
    promise: "durable",
    async run(milliseconds) {
      const path = join(place, "raw")
      const fd = openSync(path, "a", 0o600)
      let waiting: { line: string; resolve: () => void }[] = []
      let busy = false
      const flush = (): void => {
        const group = waiting
        waiting = []
        if (group.length === 0) {
          busy = false
          return
        }
        let text = ""
        for (const { line } of group) text += line
        writeSync(fd, Buffer.from(text, "latin1"))
        fdatasync(fd, (error) => {
          if (error) throw error
          for (const { resolve } of group) resolve()
          setImmediate(flush)
        })
      }
      const rate = await keepInFlight(
        milliseconds,
        inFlight,
        (n) =>
          new Promise<void>((resolve) => {
            waiting.push({ line: line(n), resolve })
            if (!busy) {
              busy = true
              setImmediate(flush)
            }
          }),
      )
      closeSync(fd)
      rmSync(path)
      return rate
    },
  }
}

function naive(place: string, inFlight: number): Contender {
  return {
    name: "fs.promises.appendFile, flush",
    promise: "durable",
    async run(milliseconds) {
      const path = join(place, "naive")
      const rate = await keepInFlight(milliseconds, inFlight, (n) =>
        appendFile(path, JSON.stringify(record(n)) + "\n", { flush: true }),
      )
      rmSync(path)
      return rate
    },
  }
}

function sqlite(place: string, inFlight: number): Contender {
  return {
    name: "node:sqlite WAL, FULL, same batches",
    promise: "durable",
    async run(milliseconds) {
      const path = join(place, "sqlite.db")
      const database = new DatabaseSync(path)
      database.exec(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE log (line TEXT NOT NULL)",
      )
      const insert = database.prepare("INSERT INTO log (line) VALUES (?)")
      let n = 0
      const rate = await timed(milliseconds, () => {
        database.exec("BEGIN")
        for (let i = 0; i < inFlight; i++) insert.run(JSON.stringify(record(n++)))
        database.exec("COMMIT")
        return inFlight
      })
      database.close()
      for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true })
      return rate
    },
  }
}

function pinoSync(place: string, durable: boolean): Contender {
  return {
    name: durable ? "pino, sync with fsync" : "pino, sync",
    promise: durable ? "durable" : "not durable",
    async run(milliseconds) {
      const path = join(place, "pino")
      const destination = pino.destination({ dest: path, sync: true, fsync: durable })
      const logger = pino({ base: null, timestamp: false }, destination)
      let n = 0
      const rate = await timed(milliseconds, () => {
        for (let i = 0; i < 64; i++) logger.info(record(n++))
        return 64
      })
      destination.end()
      rmSync(path)
      return rate
    },
  }
}

function parts(place: string, inFlight: number): Contender[] {
  const path = join(place, "part")
  let text = ""
  for (let n = 0; n < inFlight; n++) text += line(n)
  const bytes = Buffer.from(text, "latin1")
  let made = 0
  return [
    {
      name: "part: encode",
      promise: "part",
      run: (milliseconds) =>
        timed(milliseconds, () => {
          let all = ""
          for (let i = 0; i < inFlight; i++) all += encodeLine(record(made++)) + "\n"
          return Buffer.from(all, "latin1").length > 0 ? inFlight : 0
        }),
    },
    {
      name: "part: write",
      promise: "part",
      async run(milliseconds) {
        const fd = openSync(path, "a", 0o600)
        const rate = await timed(milliseconds / 4, () => {
          writeSync(fd, bytes)
          return inFlight
        })
        closeSync(fd)
        rmSync(path)
        return rate
      },
    },
    {
      name: "part: sync",
      promise: "part",
      async run(milliseconds) {
        await using file = await open(path, "a", 0o600)
        let syncing = 0
        let records = 0
        while (syncing < milliseconds / 2) {
          writeSync(file.fd, bytes)
          const start = performance.now()
          await new Promise<void>((resolve, reject) =>
            fdatasync(file.fd, (error) => (error ? reject(error) : resolve())),
          )
          syncing += performance.now() - start
          records += inFlight
        }
        rmSync(path)
        return (records / syncing) * 1000
      },
    },
    {
      name: "part: promise",
      promise: "part",
      async run(milliseconds) {
        let resolvers: (() => void)[] = []
        let scheduled = false
        return await keepInFlight(
          milliseconds / 2,
          inFlight,
          () =>
            new Promise<void>((resolve) => {
              resolvers.push(resolve)
              if (scheduled) return
              scheduled = true
              setImmediate(() => {
                const all = resolvers
                resolvers = []
                scheduled = false
                for (const one of all) one()
              })
            }),
        )
      },
    },
  ]
}
