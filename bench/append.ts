/**
 * How many records a second are acknowledged durable, beside the raw limit of the same machine in the same run.
 *
 * The raw limit writes ready-made lines of the same bytes in the same batches, `writeSync` and `fdatasync`, and keeps a
 * promise for each caller; it encodes nothing and remembers nothing. The sum of the parts adds, per record, what
 * encoding, writing, syncing and promising cost when each is measured alone.
 *
 * What the ledger and the index cost is measured apart, in more rounds and as the ratio within each: a disk's minutes differ
 * by more than that.
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
import { keepInFlight, measure, median, ratioOf, timed } from "./measure.ts"
import type { Contender, Result } from "./measure.ts"
import { peers } from "./peers.ts"
import { makeRecord } from "./records.ts"
import { serverPeers } from "./servers.ts"

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
/** One append of so many is timed. */
const SAMPLED = 64
/** In records: more than a log takes for busy. */
const WARM_UP = 20_000

/** Goals of ratios of {@link WITH_ALL}, by callers. */
const GOALS: Readonly<Record<number, Readonly<Record<string, number>>>> = {
  1: { "raw limit": 0.95 },
  256: {
    "raw limit": 0.55,
    lmdb: 1.8,
    "Redis Streams": 4.5,
    PostgreSQL: 4.5,
    "node:sqlite": 4.5,
    "AG2's AuditLog": 18,
  },
  4096: { lmdb: 1.3 },
}

export async function benchAppend(context: BenchContext, inFlight: number): Promise<BenchTable[]> {
  return [await tableFor(context, inFlight)]
}

/** What the ledger and the index cost, alone and in more rounds. */
export async function benchAppendCost(context: BenchContext): Promise<BenchTable[]> {
  const tables: BenchTable[] = []
  for (const inFlight of [256, 4096]) tables.push(await costFor(context, inFlight))
  return tables
}

async function tableFor(context: BenchContext, inFlight: number): Promise<BenchTable> {
  const { folder, rounds, milliseconds } = context
  const servers = context.quick
    ? { contenders: [], missing: ["the quick run leaves out peers that need a server"] }
    : serverPeers(folder, inFlight, record)
  const contenders = [
    ...ours(folder, inFlight),
    ...(inFlight === 1 ? [] : [hansard(folder, inFlight, MANY, { ledger: true, index: true, many: true })]),
    rawLimit(folder, inFlight),
    naive(folder, inFlight),
    sqlite(folder, inFlight),
    ...(inFlight === 1 ? [pinoSync(folder, true), pinoSync(folder, false)] : []),
    ...(context.quick ? [] : peers(folder, inFlight, record)),
    ...servers.contenders,
    ...parts(folder, inFlight),
  ]
  const results = await measure(contenders, rounds, milliseconds)
  return {
    title: `append, ${inFlight} in flight`,
    unit: "records/s",
    better: "more",
    results,
    subject: WITH_ALL,
    notes: [...notesOn(results, inFlight), ...servers.missing],
  }
}

function ours(place: string, inFlight: number, spent?: Spent): Contender[] {
  return [
    hansard(place, inFlight, LINES_ALONE, {}, spent),
    hansard(place, inFlight, WITH_LEDGER, { ledger: true }, spent),
    hansard(place, inFlight, WITH_ALL, { ledger: true, index: true }, spent),
  ]
}

async function costFor(
  { folder, rounds, milliseconds }: BenchContext,
  inFlight: number,
): Promise<BenchTable> {
  const spent: Spent = new Map()
  const results = await measure(ours(folder, inFlight, spent), 2 * rounds - 1, (milliseconds * 2) / 3)
  const [lines, ledger, all] = results
  const goal = inFlight === 4096 ? 0.75 : 0.85
  const withLedger = ratioOf(ledger, lines)
  const withIndex = ratioOf(all, ledger)
  const times = [...spent].map(([name, { writer, process, slowest }]) => {
    const [own, whole] = [median(writer).toFixed(2), median(process).toFixed(2)]
    return `${name}: ${own} µs of the writer's thread a record, ${whole} of all threads; 99% of receipts within ${median(slowest).toFixed(2)} ms.`
  })
  return {
    title: `cost of ledger and index, ${inFlight} in flight`,
    unit: "records/s",
    better: "more",
    results,
    subject: WITH_ALL,
    notes: [
      `Ratios are medians of each round's. With the ledger ${percent(withLedger)} of the rate without (goal ${percent(goal)}: ${withLedger >= goal ? "met" : "missed"}).`,
      `With the index as well ${percent(withIndex)} of the rate with the ledger alone (goal 94%: ${withIndex >= 0.94 ? "met" : "missed"}).`,
      ...times,
    ],
  }
}

const percent = (ratio: number): string => `${(100 * ratio).toFixed(0)}%`

function notesOn(results: readonly Result[], inFlight: number): string[] {
  const named = (name: string): Result | undefined => results.find((result) => result.name.startsWith(name))
  const rate = (name: string): number => named(name)?.median ?? NaN
  const parts =
    1 / ["encode", "write", "sync", "promise"].reduce((sum, part) => sum + 1 / rate(`part: ${part}`), 0)
  const ofParts = rate(LINES_ALONE) / parts
  const goals = Object.entries(GOALS[inFlight] ?? {}).flatMap(([name, goal]) => {
    const ratio = ratioOf(named(WITH_ALL), named(name))
    if (Number.isNaN(ratio)) return []
    return [`${ratio.toFixed(2)} × ${name} (goal ${goal}: ${ratio >= goal ? "met" : "missed"})`]
  })
  const many = ratioOf(named(MANY), named("lmdb"))
  return [
    ...(goals.length === 0
      ? []
      : [`With ledger and index, medians of each round's ratio: ${goals.join("; ")}.`]),
    ...(Number.isNaN(many) || inFlight !== 4096
      ? []
      : [`appendMany: ${many.toFixed(2)} × lmdb (goal 1.8: ${many >= 1.8 ? "met" : "missed"}).`]),
    `Lines alone: ${percent(ratioOf(named(LINES_ALONE), named("raw limit")))} of the raw limit; ${percent(ofParts)} of the sum of its parts, ${Math.round(parts).toLocaleString("en")}/s${inFlight === 4096 ? ` (goal 85%: ${ofParts >= 0.85 ? "met" : "missed"})` : ""}.`,
  ]
}

/** By contender, a value for each round: µs of processor time a record, and ms within which 99% of the receipts came. */
type Spent = Map<
  string,
  { readonly writer: number[]; readonly process: number[]; readonly slowest: number[] }
>

interface HansardParts {
  readonly ledger?: boolean
  readonly index?: boolean
  /** `appendMany` of {@link MANY_RECORDS}, by as many callers as keep the same number of records in flight. */
  readonly many?: boolean
}

function hansard(
  place: string,
  inFlight: number,
  name: string,
  parts: HansardParts,
  spent?: Spent,
): Contender {
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
      const before = {
        writer: process.threadCpuUsage(),
        process: process.cpuUsage(),
        start: performance.now(),
      }
      const latencies: number[] = []
      const append = async (n: number): Promise<void> => {
        const start = performance.now()
        await log.append(record(n))
        latencies.push(performance.now() - start)
      }
      const rate =
        parts.many === true
          ? await keepInFlight(milliseconds, Math.ceil(inFlight / MANY_RECORDS), (n) =>
              log.appendMany(Array.from({ length: MANY_RECORDS }, (_, i) => record(n * MANY_RECORDS + i))),
            )
          : await keepInFlight(milliseconds, inFlight, (n) =>
              n % SAMPLED === 0 ? append(n) : log.append(record(n)),
            )
      if (spent !== undefined) {
        const records = (rate * (performance.now() - before.start)) / 1000
        const sum = ({ user, system }: { user: number; system: number }): number => (user + system) / records
        const known = spent.get(name) ?? { writer: [], process: [], slowest: [] }
        spent.set(name, known)
        known.writer.push(sum(process.threadCpuUsage(before.writer)))
        known.process.push(sum(process.cpuUsage(before.process)))
        known.slowest.push(latencies.toSorted((a, b) => a - b)[Math.floor(latencies.length * 0.99)] ?? NaN)
      }
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
