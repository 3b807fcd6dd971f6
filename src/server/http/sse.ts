/** Server-sent events, as text: https://html.spec.whatwg.org/multipage/server-sent-events.html */
import type { LogEntry } from "../../audit/index.ts"
import { formatBase64 } from "../../core/canonical.ts"
import type { Problem, TailCheckpoint, TailEnd } from "../../wire/http.ts"

const encoder = new TextEncoder()

/** How long a reader waits before it connects again, in milliseconds. */
const RETRY_MS = 2_000

/** The first bytes of a stream, so that its reader knows at once that it is connected. */
export const OPENING: Uint8Array = encoder.encode(`retry: ${RETRY_MS}\n\n`)

/** Tells proxies and readers that the stream lives. */
export const HEARTBEAT: Uint8Array = encoder.encode(": still here\n\n")

export function encodeRecords(entries: readonly LogEntry[]): Uint8Array {
  let text = ""
  for (const { index, line } of entries) {
    // A carriage return ends a line of the stream as a line feed does. Our own lines have none; foreign ones may.
    text += line.includes("\r")
      ? `id: ${index}\nevent: record_base64\ndata: ${formatBase64(encoder.encode(line))}\n\n`
      : `id: ${index}\nevent: record\ndata: ${line}\n\n`
  }
  return encoder.encode(text)
}

export function encodeCheckpoint(checkpoint: TailCheckpoint): Uint8Array {
  return encoder.encode(`event: checkpoint\ndata: ${JSON.stringify(checkpoint)}\n\n`)
}

export function encodeEnd(end: TailEnd): Uint8Array {
  return encoder.encode(`event: end\ndata: ${JSON.stringify(end)}\n\n`)
}

export function encodeProblem(problem: Problem): Uint8Array {
  return encoder.encode(`event: problem\ndata: ${JSON.stringify(problem)}\n\n`)
}
