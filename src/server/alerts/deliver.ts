import { createHmac } from "node:crypto"
import { spawn } from "node:child_process"
import type { LogEntry } from "../../audit/index.ts"
import { isoTime, StoreUnavailableError } from "../../core/index.ts"
import type { Alert } from "./engine.ts"

/** How long a destination may take, in milliseconds. */
const TIMEOUT_MS = 10_000

export interface DeliveryOptions {
  /** The log's origin, or another name of where the alert comes from. */
  readonly source: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly fetch?: typeof fetch
  readonly signal: AbortSignal
}

/** CloudEvents 1.0, JSON format. The id is the same however often it is sent: who gets it twice can tell. */
export function cloudEventOf(alert: Alert, entry: LogEntry | undefined, source: string): object {
  const { rule, at, index, count } = alert
  return {
    specversion: "1.0",
    id: `${rule.name}/${index ?? `absence-${at}`}`,
    source,
    type: rule.absenceMs === undefined ? "hansard.alert" : "hansard.alert.absence",
    subject: rule.name,
    time: isoTime(at),
    datacontenttype: "application/json",
    data: { rule: rule.name, index, count, line: entry?.line ?? null },
  }
}

/**
 * Sends an alert once.
 *
 * A webhook is signed as Standard Webhooks has it: HMAC-SHA-256 of `id.timestamp.body`.
 *
 * @throws StoreUnavailableError when the destination did not take it.
 */
export async function deliver(
  alert: Alert,
  entry: LogEntry | undefined,
  options: DeliveryOptions,
): Promise<void> {
  const { to } = alert.rule
  const body = JSON.stringify(cloudEventOf(alert, entry, options.source))
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(TIMEOUT_MS)])
  if ("webhook" in to) await post(to, body, alert, { ...options, signal })
  else if ("command" in to) await run(to.command, body, signal)
}

async function post(
  to: { readonly webhook: string; readonly secret_env?: string | undefined },
  body: string,
  alert: Alert,
  { fetch: doFetch = fetch, env, signal }: DeliveryOptions,
): Promise<void> {
  const headers: Record<string, string> = { "content-type": "application/cloudevents+json" }
  if (to.secret_env !== undefined) {
    const secret = env[to.secret_env]
    if (secret === undefined || secret === "") throw new StoreUnavailableError(`$${to.secret_env} is not set`)
    const id = `${alert.rule.name}-${alert.index ?? alert.at}`
    const timestamp = String(Math.floor(alert.at / 1000))
    const mac = createHmac("sha256", secret).update(`${id}.${timestamp}.${body}`).digest("base64")
    Object.assign(headers, {
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      "webhook-signature": `v1,${mac}`,
    })
  }
  let status: number
  try {
    const response = await doFetch(to.webhook, { method: "POST", body, headers, redirect: "error", signal })
    await response.body?.cancel()
    status = response.status
  } catch (cause) {
    throw new StoreUnavailableError("the webhook does not answer", { cause })
  }
  if (status < 200 || status > 299) throw new StoreUnavailableError(`the webhook answers ${status}`)
}

/** No shell: the words are the program's own. The event comes by its input. */
async function run(command: readonly string[], body: string, signal: AbortSignal): Promise<void> {
  const [program = "", ...words] = command
  await new Promise<void>((resolve, reject) => {
    const child = spawn(program, words, { stdio: ["pipe", "ignore", "ignore"], signal })
    child.on("error", (cause) => reject(new StoreUnavailableError("the command cannot be run", { cause })))
    child.on("close", (code) => {
      if (code === 0) resolve()
      else reject(new StoreUnavailableError(`the command ended with ${code ?? "a signal"}`))
    })
    // It may end without reading.
    child.stdin.on("error", () => {})
    child.stdin.end(body)
  })
}
