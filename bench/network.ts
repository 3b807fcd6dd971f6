/**
 * The hub as a network: envelopes a second with write-ahead log, audit log and ledger durable, beside AG2's hub with its
 * disk store in the same run; how long a delivery takes with a thousand agents connected; what an idle connection costs.
 */
import { spawn, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { HubClient, remoteHub } from "../src/client/index.ts"
import { generateSignerKey } from "../src/core/key.ts"
import { systemRandom } from "../src/core/system.ts"
import { Hub } from "../src/hub/index.ts"
import type { HubApi } from "../src/model/index.ts"
import { NodeServer } from "../src/server/index.ts"
import { FileStore } from "../src/store/index.ts"
import { PYTHON, whyNot } from "../test/interop/python.ts"
import type { BenchContext, BenchTable } from "./bench.ts"
import { keepInFlight, measure } from "./measure.ts"
import type { Contender, Result } from "./measure.ts"

const IN_FLIGHT = 256
/** Before its time is taken each runs for so long, AG2's as well: what is measured is a hub that has been running. */
const WARM_UP_MS = 1000
const UNLIMITED = { limits: { inbox: { max_pending: 0 } } }

export async function benchNetwork(context: BenchContext): Promise<BenchTable[]> {
  const many = context.quick ? 100 : 1000
  return [
    // First, while the process is small: afterwards it has memory to spare, and a connection seems to cost none.
    await idle(context, many),
    await throughput(context, 1),
    await throughput(context, many),
    await latency(context, many),
  ]
}

interface Place extends AsyncDisposable {
  readonly folder: string
  readonly hub: Hub
}

/** As `hansard serve` keeps it. */
async function openHub(context: BenchContext): Promise<Place> {
  const folder = mkdtempSync(join(context.folder, "hub-"))
  const store = await FileStore.open(folder)
  const signer = generateSignerKey("bench", "log", systemRandom)
  const audit = { coverage: "full", required: true, ledger: { signer } } as const
  const hub = await Hub.open(store, { audit })
  return {
    folder,
    hub,
    async [Symbol.asyncDispose]() {
      await hub.close()
      await store[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Opens the channels, with recipients that are registered and not connected. */
async function openChannels(hub: Hub, count: number): Promise<{ alice: string; ids: string[] }> {
  const client = await HubClient.connect(hub)
  const alice = await client.register({ name: "alice" }, { rule: UNLIMITED })
  await client.register({ name: "bob" }, { rule: UNLIMITED })
  const ids: string[] = []
  for (let i = 0; i < count; i += 50) {
    const opening = Array.from({ length: Math.min(50, count - i) }, () => alice.open({ target: "bob" }))
    ids.push(...(await Promise.all(opening)).map(({ channelId }) => channelId))
  }
  await client.close()
  return { alice: alice.agentId, ids }
}

const post = (api: HubApi, sender_id: string, ids: readonly string[], n: number): Promise<string> =>
  api.postEnvelope({
    channel_id: ids[n % ids.length] ?? "",
    sender_id,
    event_type: "ag2.msg.text",
    event_data: { text: `message ${n} of a benchmark, about as long as a line` },
  })

async function throughput(context: BenchContext, channels: number): Promise<BenchTable> {
  const missing = context.quick ? "the quick run leaves peers out" : whyNot()
  const contenders: Contender[] = [
    {
      name: "hansard",
      promise: "durable",
      async run(milliseconds) {
        await using place = await openHub(context)
        const { alice, ids } = await openChannels(place.hub, channels)
        const send = (n: number): Promise<string> => post(place.hub, alice, ids, n)
        await keepInFlight(WARM_UP_MS, IN_FLIGHT, send)
        return await keepInFlight(milliseconds, IN_FLIGHT, send)
      },
    },
    {
      name: "hansard over a WebSocket",
      promise: "durable",
      async run(milliseconds) {
        await using place = await openHub(context)
        const { ids } = await openChannels(place.hub, channels)
        await using server = await NodeServer.listen({ port: 0, hub: place.hub })
        await using client = await HubClient.connect(remoteHub(server.url))
        const alice = await client.attach("alice")
        const send = (n: number): Promise<string> => post(client.hub, alice.agentId, ids, n)
        await keepInFlight(WARM_UP_MS, IN_FLIGHT, send)
        return await keepInFlight(milliseconds, IN_FLIGHT, send)
      },
    },
  ]
  if (missing === undefined) {
    contenders.push({
      name: "AG2's hub, disk store",
      promise: "not durable",
      run: async (milliseconds) => ag2Rate(context, channels, milliseconds),
    })
  }
  const results = await measure(
    contenders,
    channels === 1 ? Math.min(3, context.rounds) : 1,
    context.milliseconds,
  )
  const rate = (name: string): number | undefined => results.find((result) => result.name === name)?.median
  const [ours = NaN, wire = NaN, ag2] = contenders.map(({ name }) => rate(name))
  return {
    title: `envelopes through ${channels === 1 ? "one channel" : `${channels} channels`}, ${IN_FLIGHT} in flight`,
    unit: "envelopes/s",
    better: "more",
    results,
    subject: "hansard",
    notes: [
      "Each after a second of the same.",
      `Over a WebSocket, client and hub in one process: ${((100 * wire) / ours).toFixed(0)}% of that.`,
      ag2 === undefined
        ? `AG2's hub was not measured: ${missing}.`
        : `AG2's hub syncs nothing to the disk. Ours, durable, takes ${(ours / ag2).toFixed(1)} times as many (the goal is 20).`,
    ],
  }
}

function ag2Rate(context: BenchContext, channels: number, milliseconds: number): number {
  const folder = mkdtempSync(join(context.folder, "ag2-"))
  const args = [folder, String(channels), String(IN_FLIGHT), String(milliseconds / 1000)]
  const done = spawnSync(PYTHON, [join(import.meta.dirname, "ag2_hub.py"), ...args], { encoding: "utf8" })
  rmSync(folder, { recursive: true, force: true })
  if (done.status !== 0) throw new Error(`AG2's hub failed:\n${done.stderr}`)
  return (JSON.parse(done.stdout) as { rate: number }).rate
}

/** From the call of the sender to the handler of the recipient, each on a socket of its own; one at a time. */
async function latency(context: BenchContext, agents: number): Promise<BenchTable> {
  await using place = await openHub(context)
  await using server = await NodeServer.listen({ port: 0, hub: place.hub })
  const clients: HubClient[] = []
  const arrived = new Map<string, (at: number) => void>()
  const pairs: { send: (text: string) => Promise<string> }[] = []
  for (let i = 0; i < agents; i += 2) {
    const [left, right] = [
      await HubClient.connect(remoteHub(server.url)),
      await HubClient.connect(remoteHub(server.url)),
    ]
    clients.push(left, right)
    const sender = await left.register({ name: `sender-${i}` }, { rule: UNLIMITED })
    await right.register(
      { name: `recipient-${i}` },
      { rule: UNLIMITED, onTurn: ({ text }) => arrived.get(text)?.(performance.now()) },
    )
    const channel = await sender.open({ target: `recipient-${i}` })
    pairs.push({ send: (text) => channel.send(text) })
  }
  const times: number[] = []
  const end = performance.now() + context.milliseconds * context.rounds
  for (let n = 0; performance.now() < end; n++) {
    const pair = pairs[n % pairs.length]
    if (pair === undefined) break
    const { promise, resolve } = Promise.withResolvers<number>()
    arrived.set(String(n), resolve)
    const start = performance.now()
    const [at] = await Promise.all([promise, pair.send(String(n))])
    times.push(at - start)
    arrived.delete(String(n))
  }
  await Promise.all(clients.map((client) => client.close()))
  times.sort((a, b) => a - b)
  const at = (part: number): Result => {
    const value = times[Math.min(times.length - 1, Math.floor(times.length * part))] ?? NaN
    return {
      name: `p${part * 100}`,
      promise: "durable",
      median: value,
      low: times[0] ?? NaN,
      high: times.at(-1) ?? NaN,
    }
  }
  return {
    title: `delivery with ${agents} agents connected, one envelope at a time`,
    unit: "ms",
    better: "less",
    results: [at(0.5), at(0.99)],
    subject: "p50",
    notes: [
      `From \`send\` to the recipient's turn handler, over two sockets, the envelope durable before it is delivered; ${times.length} deliveries, all clients in the hub's process.`,
    ],
  }
}

/** The clients are in another process, so that the memory is the hub's alone. */
async function idle(context: BenchContext, count: number): Promise<BenchTable> {
  await using place = await openHub(context)
  await using server = await NodeServer.listen({ port: 0, hub: place.hub })
  const memory = (): number => {
    globalThis.gc?.()
    return process.memoryUsage().rss
  }
  const heap = (): number => process.memoryUsage().heapUsed
  const before = memory()
  const heapBefore = heap()
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, "idle-clients.ts"), server.hubUrl, String(count)],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  )
  try {
    for await (const line of createInterface(child.stdout)) if (line === "ready") break
    const whole = (memory() - before) / count / 1024
    const inHeap = (heap() - heapBefore) / count / 1024
    const result = (name: string, value: number): Result => {
      return { name, promise: "part", median: value, low: value, high: value }
    }
    return {
      title: `memory of an idle connection, of ${count}`,
      unit: "KiB",
      better: "less",
      results: [result("of the process", whole), result("of the heap", inHeap)],
      subject: "of the process",
      notes: ["With a session each, nothing registered."],
    }
  } finally {
    child.kill("SIGKILL")
  }
}
