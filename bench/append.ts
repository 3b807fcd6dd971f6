/**
 * How many records a second are acknowledged durable, beside the raw limit of the same machine in the same run.
 *
 * The raw limit writes ready-made lines of the same bytes in the same batches, `writeSync` and `fdatasync`, and keeps a
 * promise for each caller; it encodes nothing and remembers nothing. The sum of the parts adds, per record, what
 * encoding, writing, syncing and promising cost when each is measured alone.
 */
import { closeSync, fdatasync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs"
import { appendFile, open } from "node:fs/promises"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import pino from "pino"
import { AuditLog } from "../src/audit/index.ts"
import { generateSignerKey } from "../src/core/key.ts"
import { encodeLine } from "../src/core/line.ts"
import { FileStore } from "../src/store/index.ts"
import type { BenchContext, BenchTable } from "./bench.ts"
import { keepInFlight, measure, timed } from "./measure.ts"
import type { Contender, Result } from "./measure.ts"
import { peers } from "./peers.ts"
import { makeRecord } from "./records.ts"

/** Records made in advance, so that making them is not measured. */
const RECORDS = Array.from({ length: 11 * 1000 }, (_, n) => makeRecord(n))
const LINES = RECORDS.map((record) => encodeLine(record) + "\n")
const record = (n: number): Record<string, unknown> => RECORDS[n % RECORDS.length] ?? {}
const line = (n: number): string => LINES[n % LINES.length] ?? ""

const LINES_ALONE = "hansard, lines alone"
const WITH_LEDGER = "hansard, ledger"
const WITH_ALL = "hansard, ledger and index"
const MANY_RECORDS = 256
const MANY = `hansard, the same, appendMany of ${MANY_RECORDS}`
/** In records: more than a log takes for busy. */
const WARM_UP = 20_000

/** One table for each number of callers, in turn. */
export async function benchAppend(context: BenchContext): Promise<BenchTable[]> {
  const tables: BenchTable[] = []
  for (const inFlight of [1, 256, 4096]) tables.push(await tableFor(context, inFlight))
  return tables
}

async function tableFor(context: BenchContext, inFlight: number): Promise<BenchTable> {
  const { folder, rounds, milliseconds } = context
  const contenders = [
    hansard(folder, inFlight, LINES_ALONE, {}),
    hansard(folder, inFlight, WITH_LEDGER, { ledger: true }),
    hansard(folder, inFlight, WITH_ALL, { ledger: true, index: true }),
    ...(inFlight === 1 ? [] : [hansard(folder, inFlight, MANY, { ledger: true, index: true, many: true })]),
    rawLimit(folder, inFlight),
    naive(folder, inFlight),
    sqlite(folder, inFlight),
    ...(inFlight === 1 ? [pinoSync(folder, true), pinoSync(folder, false)] : []),
    ...(context.quick ? [] : peers(folder, inFlight, record)),
    ...parts(folder, inFlight),
  ]
  const results = await measure(contenders, rounds, milliseconds)
  return {
    title: `append, ${inFlight} in flight`,
    unit: "records/s",
    better: "more",
    results,
    subject: WITH_ALL,
    notes: notesOn(results, inFlight),
  }
}

function notesOn(results: readonly Result[], inFlight: number): string[] {
  const rate = (name: string): number => results.find((result) => result.name === name)?.median ?? NaN
  const percent = (ratio: number): string => `${(100 * ratio).toFixed(0)}%`
  const ours = rate(LINES_ALONE)
  const raw = rate("raw limit")
  const parts =
    1 / ["encode", "write", "sync", "promise"].reduce((sum, part) => sum + 1 / rate(`part: ${part}`), 0)
  const lower = 0.7 * raw <= 0.85 * parts ? "70% of the raw limit" : "85% of the sum of its parts"
  const isMet = ours >= Math.min(0.7 * raw, 0.85 * parts)
  const wanted = inFlight === 4096 ? 0.75 : 0.85
  const withLedger = rate(WITH_LEDGER) / ours
  return [
    `${percent(ours / raw)} of the raw limit for lines alone; ${percent(ours / parts)} of the sum of its parts (${Math.round(parts).toLocaleString("en")}/s)`,
    ...(inFlight === 1 ? [] : [`the lower goal is ${lower}: ${isMet ? "met" : "missed"}`]),
    `with the ledger ${percent(withLedger)} of the rate without${inFlight === 1 ? "" : `; goal ${percent(wanted)}: ${withLedger >= wanted ? "met" : "missed"}`}`,
    `with the index as well ${percent(rate(WITH_ALL) / rate(WITH_LEDGER))} of the rate with the ledger alone`,
  ]
}

interface HansardParts {
  readonly ledger?: boolean
  readonly index?: boolean
  /** `appendMany` of {@link MANY_RECORDS}, by as many callers as keep the same number of records in flight. */
  readonly many?: boolean
}

function hansard(place: string, inFlight: number, name: string, parts: HansardParts): Contender {
  const signer = generateSignerKey("bench.example/log", "log", (length) => new Uint8Array(length).fill(7))
  return {
    name,
    promise: "durable",
    async run(milliseconds) {
      const dir = mkdtempSync(join(place, "hansard-"))
      await using store = await FileStore.open(dir)
      await using log = await AuditLog.open(store, {
        ...(parts.ledger === true ? { ledger: { signer } } : {}),
        ...(parts.index === true ? {} : { index: false }),
      })
      // A log that is busy already, and its thread at work: what comes in its first moment is another question.
      for (let n = 0; n < WARM_UP; n += 1000) {
        await log.appendMany(Array.from({ length: 1000 }, (_, i) => record(n + i)))
      }
      if (parts.ledger === true) await log.checkpoint()
      const rate =
        parts.many === true
          ? await keepInFlight(milliseconds, Math.ceil(inFlight / MANY_RECORDS), (n) =>
              log.appendMany(Array.from({ length: MANY_RECORDS }, (_, i) => record(n * MANY_RECORDS + i))),
            )
          : await keepInFlight(milliseconds, inFlight, (n) => log.append(record(n)))
      await log.close()
      await store[Symbol.asyncDispose]()
      rmSync(dir, { recursive: true })
      return parts.many === true ? rate * MANY_RECORDS : rate
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
