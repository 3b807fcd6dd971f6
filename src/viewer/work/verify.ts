/** The whole log, line by line: the same verification as `hansard verify`, over HTTP. */
import { Connection } from "../../client/audit-client/connection.ts"
import { NotFoundError } from "../../core/errors.ts"
import { parsePolicy } from "../../core/policy.ts"
import { formatTilePath } from "../../core/tile.ts"
import type { LogVerdict } from "../../core/verdict.ts"
import { verifyLog } from "../../core/verify.ts"
import type { LogBytes, LogSource } from "../../core/verify-source.ts"
import type { Task } from "./messages.ts"

/**
 * Reads every line that the checkpoint covers.
 *
 * @throws StoreUnavailableError when the service does not answer.
 */
export async function verifyWhole(
  { checkpoint, vkey, memory, now }: Extract<Task, { task: "verify" }>,
  connection: Connection,
  onProgress: (lines: number) => void,
): Promise<LogVerdict> {
  const source: LogSource = {
    checkpoint: () => Promise.resolve(new TextEncoder().encode(checkpoint)),
    lines: () => linesOf(connection),
    readTiles: async (tiles) =>
      await Promise.all(tiles.map((tile) => tileOrNothing(connection, formatTilePath(tile)))),
  }
  const trusted =
    memory?.policy === undefined
      ? { keys: [vkey], areKeysVouched: memory?.pin === "given" }
      : { policy: parsePolicy(memory.policy) }
  const remembered =
    memory?.checkpoint === undefined
      ? {}
      : { remembered: { checkpoint: new TextEncoder().encode(memory.checkpoint), keys: [memory.vkey] } }
  return await verifyLog(source, { ...trusted, ...remembered, now, onProgress })
}

/** All that there are, as the log may have grown: the verification reads as far as it needs. */
async function* linesOf(connection: Connection): AsyncGenerator<LogBytes> {
  const response = await connection.request("/v1/records", { headers: { accept: "application/x-ndjson" } })
  if (response.body === null) return
  let offset = 0
  const reader = response.body.getReader()
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      yield { offset, bytes: part.value }
      offset += part.value.length
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}

async function tileOrNothing(connection: Connection, path: string): Promise<Uint8Array | undefined> {
  try {
    return await connection.bytes(`/${path}`)
  } catch (error) {
    if (error instanceof NotFoundError) return undefined
    throw error
  }
}
