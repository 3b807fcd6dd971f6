/** The live tail, for as long as somebody watches: connects again by itself, without a gap and without a repeat. */
import { decodeLine } from "../client/audit-client/trusted-log.ts"
import { systemTimers } from "../core/index.ts"
import { parseLine } from "../core/line.ts"
import type { JsonObject } from "../model/index.ts"
import type { RecordItem, TailCheckpoint } from "../wire/http.ts"
import { ask } from "./api.ts"
import type { Params } from "./api.ts"
import { EventCutter } from "./sse.ts"

export interface TailHandlers {
  /** In order, each once; with its exact line. */
  readonly record: (item: RecordItem, line: string) => void
  readonly checkpoint: (checkpoint: TailCheckpoint) => void
  readonly connected: (isConnected: boolean) => void
}

const FIRST_RETRY_MS = 500
const MAX_RETRY_MS = 10_000

/**
 * Follows from record `from` on, until `signal` aborts.
 *
 * @param params the filters, as `/v1/tail` takes them.
 */
export async function follow(
  params: Params,
  from: number,
  handlers: TailHandlers,
  signal: AbortSignal,
): Promise<void> {
  let next = from
  let retryMs = FIRST_RETRY_MS
  while (!signal.aborted) {
    try {
      for await (const { event, data, id } of eventsOf([...params, ["from", String(next)]], signal)) {
        handlers.connected(true)
        retryMs = FIRST_RETRY_MS
        if ((event === "record" || event === "record_base64") && id !== undefined) {
          const index = Number(id)
          const line = event === "record" ? data : decodeLine(data)
          next = index + 1
          handlers.record({ index, record: parseLine(line) as JsonObject }, line)
        } else if (event === "checkpoint") {
          const checkpoint = JSON.parse(data) as TailCheckpoint
          next = Math.max(next, checkpoint.position)
          handlers.checkpoint(checkpoint)
        } else if (event === "end" || event === "problem") break
      }
    } catch {
      // Whatever it was, the next connection shows it again or does not.
    }
    if (signal.aborted) return
    handlers.connected(false)
    await pause(retryMs, signal)
    retryMs = Math.min(retryMs * 2, MAX_RETRY_MS)
  }
}

async function* eventsOf(
  params: Params,
  signal: AbortSignal,
): AsyncGenerator<{ event: string; data: string; id: string | undefined }> {
  const response = await ask("v1/tail", params, { signal, accept: "text/event-stream", cache: "no-store" })
  if (response.body === null) return
  yield { event: "open", data: "", id: undefined }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  const cutter = new EventCutter()
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      yield* cutter.push(part.value)
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const cancel = systemTimers.after(milliseconds, resolve)
    signal.addEventListener("abort", () => {
      cancel()
      resolve()
    })
  })
}
