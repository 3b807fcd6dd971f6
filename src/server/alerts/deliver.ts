import { createHmac } from "node:crypto"
import { spawn } from "node:child_process"
import { request as requestHttp } from "node:http"
import { request as requestHttps } from "node:https"
import type { LogEntry } from "../../audit/index.ts"
import { isoTime, StoreUnavailableError, type Clock } from "../../core/index.ts"
import type { AlertDestination } from "../../wire/alerts.ts"
import { guardOf, type DestinationPolicy } from "./destinations.ts"
import type { Alert } from "./engine.ts"

/** How long a destination may take for one attempt, in milliseconds. */
const TIMEOUT_MS = 10_000
/** Standard Webhooks: a secret that is written so is base64 of the key. */
const BASE64_SECRET = /^whsec_([A-Za-z0-9+/]+={0,2})$/

export interface DeliveryOptions {
  /** The log's origin, or another name of where the alert comes from. */
  readonly source: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly policy: DestinationPolicy
  readonly clock: Clock
}

/** The same however often it is sent: who gets it twice can tell. */
export function eventIdOf({ rule, index, at }: Alert): string {
  return `${rule.name}/${index ?? `absence-${at}`}`
}

/** CloudEvents 1.0, JSON format. */
export function cloudEventOf(alert: Alert, entry: LogEntry | undefined, source: string): object {
  const { rule, at, index, count } = alert
  return {
    specversion: "1.0",
    id: eventIdOf(alert),
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
 * A webhook is signed as Standard Webhooks has it: HMAC-SHA-256 of `id.timestamp.body`, at the time of this attempt. It
 * takes the alert by a status of 200 to 299; where it sends us elsewhere is not followed, and what it says is not read.
 *
 * @throws StoreUnavailableError when the destination did not take it, or may not be asked.
 */
export async function deliver(
  alert: Alert,
  entry: LogEntry | undefined,
  options: DeliveryOptions & { readonly signal: AbortSignal },
): Promise<void> {
  const { to } = alert.rule
  const body = JSON.stringify(cloudEventOf(alert, entry, options.source))
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(TIMEOUT_MS)])
  if ("webhook" in to) await post(to, body, alert, { ...options, signal })
  else if ("command" in to) await run(to.command, body, signal)
}

async function post(
  to: Extract<AlertDestination, { readonly webhook: string }>,
  body: string,
  alert: Alert,
  options: DeliveryOptions & { readonly signal: AbortSignal },
): Promise<void> {
  const url = new URL(to.webhook)
  const guard = alert.rule.source === "file" ? undefined : guardOf(url, options.policy)
  const headers = {
    "content-type": "application/cloudevents+json",
    "content-length": String(Buffer.byteLength(body)),
    ...signatureOf(to.secret_env, body, alert, options),
  }
  const ask = url.protocol === "https:" ? requestHttps : requestHttp
  const status = await new Promise<number>((resolve, reject) => {
    const request = ask(url, {
      method: "POST",
      headers,
      signal: options.signal,
      // Each attempt connects anew: so that each address is looked at, and a server that was mended is found.
      agent: false,
      ...(guard === undefined ? {} : { lookup: guard }),
    })
    request.on("error", (cause) => {
      reject(
        cause instanceof StoreUnavailableError
          ? cause
          : new StoreUnavailableError("the webhook does not answer", { cause }),
      )
    })
    request.on("response", (response) => {
      resolve(response.statusCode ?? 0)
      response.on("error", () => {})
      response.destroy()
    })
    request.end(body)
  })
  if (status < 200 || status > 299) throw new StoreUnavailableError(`the webhook answers ${status}`)
}

/** https://www.standardwebhooks.com */
function signatureOf(
  secretEnv: string | undefined,
  body: string,
  alert: Alert,
  { env, clock }: DeliveryOptions,
): Readonly<Record<string, string>> {
  if (secretEnv === undefined) return {}
  const secret = env[secretEnv]
  if (secret === undefined || secret === "") throw new StoreUnavailableError(`$${secretEnv} is not set`)
  const base64 = BASE64_SECRET.exec(secret)?.[1]
  const key = base64 === undefined ? secret : Buffer.from(base64, "base64")
  const id = eventIdOf(alert)
  const timestamp = String(Math.floor(clock() / 1000))
  const mac = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64")
  return { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": `v1,${mac}` }
}

/** No shell: the words are the program's own. The event comes by its input. */
async function run(command: readonly string[], body: string, signal: AbortSignal): Promise<void> {
  const [program = "", ...words] = command
  await new Promise<void>((resolve, reject) => {
    const child = spawn(program, words, {
      stdio: ["pipe", "ignore", "ignore"],
      signal,
      killSignal: "SIGKILL",
    })
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
