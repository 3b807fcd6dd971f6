/**
 * How many records a second reach each of a hundred readers of the tail, through HTTP and from another process; and what one that
 * does not read costs. Beside it, in the same run, what one would write first: each record to each reader as it comes.
 *
 * The log under both is the same, with its ledger; its appends are durable. Both servers are in this process.
 */
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import type { ServerResponse } from "node:http"
import { connect, createServer as createSocketServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { AuditLog } from "../src/audit/index.ts"
import { generateSignerKey } from "../src/core/key.ts"
import { systemRandom } from "../src/core/system.ts"
import { createHandler, nodeListener, NodeServer } from "../src/server/index.ts"
import { FileStore } from "../src/store/index.ts"
import type { BenchContext, BenchTable } from "./bench.ts"
import { measure, median, ratioOf } from "./measure.ts"
import type { Contender, Result } from "./measure.ts"
import { makeRecord } from "./records.ts"

/** Made in advance, so that making them is not measured. */
const RECORDS = Array.from({ length: 11 * 256 }, (_, n) => makeRecord(n))

const READERS = 100
/** Appended together, and then the next: a log that is busy. */
const BATCH = 256
/** How far the slowest reader may be behind, in bytes: everybody reads the live edge. */
const MAX_BEHIND_BYTES = 512 * 1024
const UNLIMITED = { perSecond: 1e6, burst: 1e6 }
const OURS = "hansard"
const NAIVE = "a write per record and reader"
const LIMIT = "limit: the same bytes, bare sockets"
/** Appended while one reader does not read: some 30 MB of lines. */
const STALLED_RECORDS = 100_000

export async function benchTail(context: BenchContext): Promise<BenchTable[]> {
  const readers = context.quick ? 10 : READERS
  const results = await measure(
    [
      fanOut(context, OURS, readers, serveOurs),
      fanOut(context, NAIVE, readers, serveNaively),
      fanOut(context, LIMIT, readers, serveBarely),
    ],
    context.rounds,
    context.milliseconds,
  )
  const times = ratioOf(results[0], results[1])
  const ofLimit = ratioOf(results[0], results[2])
  const records = context.quick ? STALLED_RECORDS / 10 : STALLED_RECORDS
  const stalled = [
    await heldByStalled(context, OURS, records, serveOurs),
    await heldByStalled(context, NAIVE, records, serveNaively),
  ]
  const held = (stalled[0]?.median ?? NaN) / 1024
  return [
    {
      title: `tail, ${readers} readers`,
      unit: "records/s to each",
      better: "more",
      results,
      subject: OURS,
      notes: [
        `${times.toFixed(1)} × the naive way, as the median of each round's ratio (goal 10: ${times >= 10 ? "met" : "missed"}).`,
        `${(100 * ofLimit).toFixed(0)}% of bare sockets, which is what the machine can send.`,
      ],
    },
    {
      title: `tail, one reader that does not read while ${records.toLocaleString("en")} records come`,
      unit: "KiB held",
      better: "less",
      results: stalled,
      subject: OURS,
      notes: [`${held.toFixed(2)} MiB, until it goes (goal 1: ${held <= 1 ? "met" : "missed"}).`],
    },
  ]
}

/** Serves the tail of a log at `url`. */
type Serve = (log: AuditLog) => Promise<{
  readonly url: string
  /** In bytes: of all events until now, to each reader. */
  sent(): number
  close(): Promise<void>
}>

async function serveOurs(log: AuditLog): ReturnType<Serve> {
  const handler = createHandler(log, { rate: UNLIMITED })
  const server = await NodeServer.listen({ port: 0, listener: nodeListener(handler) })
  const [from, before] = [log.size, log.bytesWritten]
  let [digits, counted] = [0, from]
  return {
    url: `${server.url}/v1/tail`,
    sent() {
      for (; counted < log.size; counted++) digits += String(counted).length
      // A line of the log has one newline already.
      return (
        log.bytesWritten -
        before +
        (log.size - from) * ("id: \nevent: record\ndata: \n\n".length - 1) +
        digits
      )
    },
    close: () => server.close(0),
  }
}

async function serveNaively(log: AuditLog): ReturnType<Serve> {
  const readers = new Set<ServerResponse>()
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" })
    response.write("retry: 2000\n\n")
    readers.add(response)
    response.on("close", () => readers.delete(response))
  }).listen(0, "127.0.0.1")
  await new Promise((resolve) => server.once("listening", resolve))
  let [index, sent] = [log.size, 0]
  const unsubscribe = log.subscribe((record) => {
    let length = 0
    for (const response of readers) {
      const event = `id: ${index}\nevent: record\ndata: ${JSON.stringify(record)}\n\n`
      length = event.length
      response.write(event)
    }
    sent += length
    index++
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    sent: () => sent,
    async close() {
      unsubscribe()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** What comes in one turn of the event loop goes to each as one buffer, and nobody is waited for: no HTTP, no record ever looked at twice. */
async function serveBarely(log: AuditLog): ReturnType<Serve> {
  const readers = new Set<Socket>()
  const server = createSocketServer((socket) => {
    socket.on("error", () => {})
    socket.once("data", () => {
      socket.write("\n")
      readers.add(socket)
    })
    socket.on("close", () => readers.delete(socket))
  }).listen(0, "127.0.0.1")
  await new Promise((resolve) => server.once("listening", resolve))
  let [text, sent] = ["", 0]
  const flush = (): void => {
    const bytes = Buffer.from(text, "latin1")
    text = ""
    sent += bytes.length
    for (const socket of readers) socket.write(bytes)
  }
  const unsubscribe = log.subscribe((record) => {
    if (text === "") setImmediate(flush)
    text += `id: ${log.size}\nevent: record\ndata: ${JSON.stringify(record)}\n\n`
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    sent: () => sent,
    async close() {
      unsubscribe()
      for (const socket of readers) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const batchFrom = (n: number): Record<string, unknown>[] =>
  Array.from({ length: BATCH }, (_, i) => RECORDS[(n + i) % RECORDS.length] ?? {})

function fanOut(context: BenchContext, name: string, readers: number, serve: Serve): Contender {
  return {
    name,
    promise: "answer",
    run: (milliseconds) =>
      withLog(context, async (log) => {
        const server = await serve(log)
        const reading = await startReaders(server.url, readers)
        const start = performance.now()
        const from = log.size
        while (performance.now() - start < milliseconds) {
          await log.appendMany(batchFrom(log.size))
          await reading.reached(server.sent() - MAX_BEHIND_BYTES)
        }
        await reading.reached(server.sent())
        const rate = ((log.size - from) / (performance.now() - start)) * 1000
        reading.child.kill()
        await server.close()
        return rate
      }),
  }
}

/** What is held less once a reader that has not read is gone. */
async function heldByStalled(
  context: BenchContext,
  name: string,
  records: number,
  serve: Serve,
): Promise<Result> {
  const rounds: number[] = []
  for (let round = 0; round < Math.min(3, context.rounds); round++) {
    const bytes = await withLog(context, async (log) => {
      const server = await serve(log)
      // Somebody who reads: what all readers share is not the cost of the one that does not.
      const reading = await startReaders(server.url, 1)
      const { port, pathname } = new URL(server.url)
      const stalled = connect(Number(port), "127.0.0.1").pause()
      stalled.on("error", () => {})
      stalled.write(`GET ${pathname} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`)
      await settled()
      for (let n = 0; n < records; n += BATCH) {
        await log.appendMany(batchFrom(n))
      }
      await reading.reached(server.sent())
      // What is being indexed is in memory as well.
      await log.indexed()
      const before = await held()
      stalled.destroy()
      await settled()
      const after = await held()
      reading.child.kill()
      await server.close()
      return before - after
    })
    rounds.push(Math.max(0, bytes) / 1024)
  }
  const sorted = rounds.toSorted((a, b) => a - b)
  return {
    name,
    promise: "answer",
    median: median(rounds),
    low: sorted[0] ?? NaN,
    high: sorted.at(-1) ?? NaN,
  }
}

async function held(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    await settled()
    globalThis.gc?.()
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 300))

async function withLog<T>({ folder }: BenchContext, work: (log: AuditLog) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(folder, "tail-"))
  const store = await FileStore.open(dir)
  // No checkpoint within a run: its events are no records.
  const ledger = { signer: generateSignerKey("bench", "log", systemRandom), checkpointIntervalMs: 60_000 }
  const log = await AuditLog.open(store, { ledger })
  try {
    return await work(log)
  } finally {
    await log.close()
    await store[Symbol.asyncDispose]()
    rmSync(dir, { recursive: true, force: true })
  }
}

interface Readers {
  readonly child: ChildProcess
  /** Resolves once every reader has got so many bytes of events. */
  reached(bytes: number): Promise<void>
}

async function startReaders(url: string, count: number): Promise<Readers> {
  const script = join(import.meta.dirname, "tail-readers.ts")
  const child = spawn(process.execPath, [script, url, String(count)], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  let least = -1
  let told = Promise.withResolvers<void>()
  createInterface({ input: child.stdout }).on("line", (line) => {
    least = Number(line)
    told.resolve()
    told = Promise.withResolvers()
  })
  let isGone = false
  child.once("exit", () => {
    isGone = true
    told.resolve()
  })
  const reached = async (wanted: number): Promise<void> => {
    while (least < wanted && !isGone) await told.promise
    if (least < wanted) throw new Error("the readers have ended")
  }
  await reached(0)
  return { child, reached }
}
