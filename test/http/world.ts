import { createServer, type Server } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { AuditLog, type AuditLogOptions, type LogEntry } from "../../src/audit/index.ts"
import { formatVerifierKey, generateSignerKey, type SignerKey } from "../../src/core/index.ts"
import {
  createHandler,
  nodeListener,
  type HandlerOptions,
  type ServiceHandler,
} from "../../src/server/index.ts"
import { MemoryStore } from "../../src/store/index.ts"
import type { KnowledgeStore } from "../../src/store/contract.ts"
import { seededBytes } from "../support/fake-time.ts"

export const ORIGIN = "log.example/http"

export function logKey(seed: number = 1): SignerKey {
  return generateSignerKey(ORIGIN, "log", seededBytes(seed))
}

export interface World extends AsyncDisposable {
  readonly log: AuditLog
  readonly store: KnowledgeStore
  readonly url: string
  readonly vkey: string
  readonly handler: ServiceHandler
  readonly server: Server
  /** As a shutdown does it: streams end, then the listening. */
  stop(): Promise<void>
}

export interface WorldOptions extends HandlerOptions {
  readonly store?: KnowledgeStore
  readonly log?: AuditLog
  readonly audit?: AuditLogOptions
}

/** A log with a ledger, served on a real socket. */
export async function openWorld(options: WorldOptions = {}): Promise<World> {
  const { store = new MemoryStore(), audit, log: given, ...handlerOptions } = options
  const key = logKey()
  const vkey = formatVerifierKey(key)
  const log =
    given ??
    (await AuditLog.open(store, {
      ledger: { signer: key, checkpointIntervalMs: 50 },
      coverage: "full",
      ...audit,
    }))
  const stopping = new AbortController()
  const handler = createHandler(log, { store, vkey, stopping: stopping.signal, ...handlerOptions })
  const { server, url, close } = await listen(
    (incoming, outgoing) => void nodeListener(handler)(incoming, outgoing),
  )
  const stop = async (): Promise<void> => {
    stopping.abort()
    await close()
    if (given === undefined) await log.close()
  }
  return { log, store, url, vkey, handler, server, stop, [Symbol.asyncDispose]: stop }
}

export async function listen(
  listener: Parameters<typeof createServer>[1] & object,
): Promise<{ readonly server: Server; readonly url: string; close(): Promise<void> }> {
  const server = createServer(listener)
  const sockets = new Set<Socket>()
  server.on("connection", (socket) => {
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const close = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    server.closeIdleConnections()
    const timer = setTimeout(() => {
      for (const socket of sockets) socket.destroy()
    }, 1_000)
    await closed
    clearTimeout(timer)
  }
  return { server, url, close }
}

export function kinds(
  n: number,
): { readonly at: string; readonly kind: string; readonly agent_id: string }[] {
  return Array.from({ length: n }, (_, i) => ({
    at: new Date(Date.UTC(2026, 10, 24, 10, 0, i)).toISOString(),
    kind: ["agent_registered", "turn_failed", "task_terminated"][i % 3] ?? "",
    agent_id: `agent-${i % 2}`,
    channel_id: `channel-${i % 5}`,
    n: i,
  }))
}

export async function fill(log: AuditLog, n: number): Promise<void> {
  await Promise.all(kinds(n).map((record) => log.append(record)))
}

export async function entriesOf(log: AuditLog): Promise<LogEntry[]> {
  const entries: LogEntry[] = []
  for await (const entry of log.entries()) entries.push(entry)
  return entries
}

export interface SseEvent {
  readonly event: string
  readonly id: string | undefined
  readonly data: string
}

/** Reads a stream until `until` is content, and then goes. */
export async function readEvents(
  url: string,
  until: (events: readonly SseEvent[]) => boolean,
  init: RequestInit = {},
): Promise<SseEvent[]> {
  const gone = new AbortController()
  const response = await fetch(url, { ...init, signal: gone.signal })
  if (!response.ok || response.body === null) throw new Error(`${response.status} ${await response.text()}`)
  const events: SseEvent[] = []
  let text = ""
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    text += piece
    const blocks = text.split("\n\n")
    text = blocks.pop() ?? ""
    for (const block of blocks) {
      const fields = new Map(block.split("\n").map((line) => line.split(/: (.*)/s, 2) as [string, string]))
      const data = fields.get("data")
      if (data !== undefined)
        events.push({ event: fields.get("event") ?? "message", id: fields.get("id"), data })
    }
    if (until(events)) break
  }
  gone.abort()
  return events
}
