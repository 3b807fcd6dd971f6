import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { AuditLog, type LogEntry } from "../../src/audit/index.ts"
import { silentLogger, systemClock, type Timers } from "../../src/core/index.ts"
import { Alerter, parseRules, type AlerterOptions } from "../../src/server/index.ts"
import type { KnowledgeStore } from "../../src/store/contract.ts"

/** Waits are a fiftieth as long: what they are between is real. */
export const hurried: Timers = {
  after(milliseconds, callback) {
    const handle = setTimeout(callback, milliseconds / 50)
    return () => clearTimeout(handle)
  },
}

export interface Delivery {
  readonly id: string
  readonly body: string
  readonly headers: IncomingHttpHeaders
}

export interface Hook extends AsyncDisposable {
  readonly url: string
  readonly seen: Delivery[]
  /** Answers a request; default 204. */
  answer: (response: ServerResponse, delivery: Delivery) => void
}

/** A receiver on a real socket. */
export async function openHook(): Promise<Hook> {
  const server = createServer((request, response) => {
    let body = ""
    request.on("data", (data: Buffer) => (body += data.toString()))
    request.on("end", () => {
      const delivery = { id: (JSON.parse(body) as { id: string }).id, body, headers: request.headers }
      hook.seen.push(delivery)
      hook.answer(response, delivery)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const hook: Hook = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    seen: [],
    answer: (response) => void response.writeHead(204).end(),
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
  return hook
}

export async function startAlerter(
  log: AuditLog,
  store: KnowledgeStore,
  rules: readonly object[],
  more: Partial<AlerterOptions> = {},
): Promise<Alerter> {
  return await Alerter.start({
    log,
    store,
    rules: parseRules(JSON.stringify({ rules })),
    source: "test.example/log",
    env: {},
    clock: systemClock,
    timers: hurried,
    logger: silentLogger,
    ...more,
  })
}

export async function alertsIn(log: AuditLog): Promise<LogEntry["record"][]> {
  const found: LogEntry["record"][] = []
  for await (const { record } of log.entries()) {
    if (/^alert_(delivered|failed|suppressed)$/.test(String(record["kind"]))) found.push(record)
  }
  return found
}

/** Of a record that the rule `{ when: { kind: "x" } }` is about. */
export function at(second: number, kind = "x"): { readonly at: string; readonly kind: string } {
  return { at: new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString(), kind }
}
