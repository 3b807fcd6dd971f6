/** The whole log, line by line, in this browser: the same verification as `hansard verify`, over HTTP. */
import { systemClock } from "../../core/index.ts"
import { verifyLog } from "../../core/verify.ts"
import type { LogSource } from "../../core/verify-source.ts"
import type { LogVerdict } from "../../core/verdict.ts"
import { formatTilePath } from "../../core/tile.ts"
import { ApiError, ask, askBytes } from "../api.ts"
import { memory } from "../session.ts"
import type { Head } from "../trust/trust.ts"

/**
 * Reads every line that the head covers.
 *
 * @throws ApiError when the service does not answer; the signal's reason when it is aborted.
 */
export async function verifyWhole(
  head: Head,
  onProgress: (lines: number) => void,
  signal: AbortSignal,
): Promise<LogVerdict> {
  const known = memory()
  const source: LogSource = {
    checkpoint: () => Promise.resolve(new TextEncoder().encode(head.checkpoint)),
    lines: () => linesOf(head.size, signal),
    readTiles: async (tiles) =>
      await Promise.all(tiles.map((tile) => tileOrNothing(formatTilePath(tile), signal))),
  }
  return await verifyLog(source, {
    keys: [head.vkey],
    areKeysVouched: known?.pin === "given",
    ...(known?.checkpoint === undefined
      ? {}
      : { remembered: { checkpoint: new TextEncoder().encode(known.checkpoint), keys: [known.vkey] } }),
    now: systemClock(),
    signal,
    onProgress,
  })
}

async function* linesOf(
  size: number,
  signal: AbortSignal,
): AsyncGenerator<{ readonly offset: number; readonly bytes: Uint8Array }> {
  const response = await ask("v1/records", [["limit", String(Math.max(1, size))]], {
    signal,
    accept: "application/x-ndjson",
  })
  if (response.body === null) return
  let offset = 0
  const reader = response.body.getReader()
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    yield { offset, bytes: part.value }
    offset += part.value.length
  }
}

async function tileOrNothing(path: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
  try {
    return await askBytes(path, signal)
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined
    throw error
  }
}
