/**
 * What HTTP adds to an answer, and what the service's watching costs an append: pages over a socket beside the same pages
 * asked of the log itself; appends with a webhook that never answers beside appends that nobody watches.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { AuditLog, type QueryOptions } from "../src/audit/index.ts"
import { silentLogger, systemClock, systemTimers } from "../src/core/index.ts"
import { Alerter, createHandler, nodeListener, NodeServer, parseRules } from "../src/server/index.ts"
import { FileStore } from "../src/store/index.ts"
import type { BenchContext, BenchTable } from "./bench.ts"
import { keepInFlight, measure, ratioOf, type Contender } from "./measure.ts"
import { durations, inMillions, quantile, SearchedLog } from "./query-log.ts"
import { makeRecord } from "./records.ts"

const LIMIT = 200
const IN_FLIGHT = 256

interface Asked {
  readonly name: string
  readonly options: (n: number) => QueryOptions
  readonly path: (n: number) => string
}

const AGENT = (n: number): string => String(makeRecord(11 * (n % 97))["agent_id"])
const KINDS = ["turn_failed", "task_started", "channel_created"]
const KIND = (n: number): string => KINDS[n % KINDS.length] ?? ""
const TEXT = "TimeoutError"

export async function benchHttp(context: BenchContext): Promise<BenchTable[]> {
  return [...(await answers(context)), await watched(context)]
}

async function answers(context: BenchContext): Promise<BenchTable[]> {
  await using searched = await SearchedLog.open(context)
  const { log } = searched
  const handler = createHandler(log, { rate: { perSecond: 1e9, burst: 1e9 } })
  await using server = await NodeServer.listen({ port: 0, listener: nodeListener(handler) })
  const desc = { order: "desc", limit: LIMIT } as const
  const all: readonly Asked[] = [
    {
      name: "newest of a kind",
      options: (n) => ({ ...desc, kind: KIND(n) }),
      path: (n) => `kind=${KIND(n)}`,
    },
    {
      name: "newest of an agent",
      options: (n) => ({ ...desc, agent: AGENT(n) }),
      path: (n) => `agent=${AGENT(n)}`,
    },
    { name: "newest with a text", options: () => ({ ...desc, text: TEXT }), path: () => `q=${TEXT}` },
  ]
  const contenders = all.flatMap(({ name, options, path }) => {
    const ask = async (n: number): Promise<void> => {
      const response = await fetch(`${server.url}/v1/records?limit=${LIMIT}&order=desc&${path(n)}`)
      if (!response.ok) throw new Error(`${path(n)} answers ${response.status}`)
      await response.arrayBuffer()
    }
    return [
      { name: `${name}, over HTTP`, call: ask },
      { name: `${name}, of the log`, call: (n: number) => log.query(options(n)) },
    ]
  })
  const tables: BenchTable[] = []
  for (const [share, percentile] of [
    [0.5, "median"],
    [0.95, "95th percentile"],
  ] as const) {
    const results = await measure(
      contenders.map(({ name, call }): Contender => ({
        name,
        promise: "part",
        run: async (milliseconds) => quantile(await durations(milliseconds, call), share),
      })),
      context.rounds,
      context.milliseconds,
    )
    const added = all.map(({ name }, i) => {
      const ratio = ratioOf(results[2 * i], results[2 * i + 1])
      return `${name}: over HTTP ${ratio.toFixed(1)} × the time of the log itself.`
    })
    const slow = results.filter(({ name, median }) => name.endsWith("HTTP") && median > 100)
    const goal = `Goal 100 ms at the 95th percentile: ${slow.length === 0 ? "met" : "missed"}.`
    tables.push({
      title: `pages of ${LIMIT} records, ${inMillions(log.size)}: ${percentile}`,
      unit: "ms",
      better: "less",
      results,
      subject: "",
      notes: share === 0.95 ? [...added, goal] : added,
    })
  }
  return tables
}

/** Each record fires both rules. */
async function watched({ folder, rounds, milliseconds }: BenchContext): Promise<BenchTable> {
  const hook = createServer((request, response) => {
    request.resume()
    if (request.url !== "/stuck") response.writeHead(204).end()
  })
  await new Promise<void>((resolve) => hook.listen(0, "127.0.0.1", resolve))
  const origin = `http://127.0.0.1:${(hook.address() as AddressInfo).port}`
  let runs = 0
  const contender = (name: string, paths: readonly string[]): Contender => ({
    name,
    promise: "durable",
    run: async (time) => {
      await using store = await FileStore.open(join(folder, `watched-${runs++}`))
      await using log = await AuditLog.open(store)
      const rules = paths.map((path) => ({
        name: path,
        when: { kind: "turn_failed" },
        threshold: 100,
        within: "1h",
        to: { webhook: `${origin}/${path}` },
      }))
      await using _alerter = await Alerter.start({
        log,
        store,
        rules: parseRules(JSON.stringify({ rules })),
        source: "bench",
        env: {},
        clock: systemClock,
        timers: systemTimers,
        logger: silentLogger,
      })
      return await keepInFlight(time, IN_FLIGHT, (n) =>
        log.append({ at: new Date(n).toISOString(), kind: "turn_failed", n }),
      )
    },
  })
  const results = await measure(
    [
      contender("nobody watches", []),
      contender("a rule, and a webhook that answers", ["quick"]),
      contender("a rule, and a webhook that never answers", ["stuck"]),
    ],
    rounds,
    milliseconds,
  )
  hook.closeAllConnections()
  hook.close()
  const [alone, quick, stuck] = results
  return {
    title: `append, ${IN_FLIGHT} in flight, while a rule counts every record`,
    unit: "records/s",
    better: "more",
    results,
    subject: "",
    notes: [
      `A webhook that never answers: ${ratioOf(stuck, quick).toFixed(2)} × the rate with one that does.`,
      `Watching by a rule: ${ratioOf(quick, alone).toFixed(2)} × the rate that nobody watches; it is done in the same thread.`,
    ],
  }
}
