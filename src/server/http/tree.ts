/** C2SP tlog-tiles: the log's tree as static files, for whoever verifies it with other tools. */
import { formatEntryBundle } from "../../core/entry-bundle.ts"
import { NotFoundError } from "../../core/index.ts"
import { parseEntriesPath, parseTilePath, TILE_WIDTH } from "../../core/tile.ts"
import { utf8 } from "../../core/bytes.ts"
import type { AuditLog } from "../../audit/index.ts"
import { requireAll } from "./access.ts"
import { immutable, respond, UNCACHED } from "./caching.ts"
import { route, type Route } from "./route.ts"
import { noQuery } from "./schemas.ts"

export const checkpointRoute: Route = route({
  id: "getCheckpoint",
  method: "GET",
  path: "/checkpoint",
  summary: "The newest signed checkpoint",
  needs: "read",
  query: noQuery,
  answers: { 200: { description: "C2SP tlog-checkpoint.", content: [{ type: "text/plain" }] } },
  async handle({ log }, { request }) {
    const published = log.checkpointed?.text ?? (await log.evidence.checkpoint())
    if (published === undefined) throw new NotFoundError("this log has no checkpoint yet")
    const body = typeof published === "string" ? published : new TextDecoder().decode(published)
    return respond(request, body, { ...UNCACHED, "content-type": "text/plain; charset=utf-8" })
  },
})

export const tileRoute: Route = route({
  id: "getTile",
  method: "GET",
  path: "/tile/*",
  summary: "A tile of the log's hashes, or below /tile/entries/ a bundle of its lines",
  needs: "read",
  query: noQuery,
  answers: { 200: { description: "C2SP tlog-tiles.", content: [{ type: "application/octet-stream" }] } },
  async handle({ log }, { request, access, params }) {
    const path = `tile/${(params as { readonly rest: string }).rest}`
    const isEntries = path.startsWith("tile/entries/")
    // Hashes tell nothing but to who knows the line; lines are for whoever may see all of them.
    if (isEntries) requireAll(access)
    const bytes = isEntries ? await entries(log, path) : await tile(log, path)
    const headers = { ...immutable(access.name === null), "content-type": "application/octet-stream" }
    return respond(request, bytes as Uint8Array<ArrayBuffer>, headers)
  },
})

async function tile(log: AuditLog, path: string): Promise<Uint8Array> {
  const bytes = await log.evidence.tile(parsed(parseTilePath, path))
  if (bytes === undefined) throw new NotFoundError(`there is no ${path}`)
  return bytes
}

/** Made of the lines: they are not stored twice. A full bundle never changes, nor does a partial one. */
async function entries(log: AuditLog, path: string): Promise<Uint8Array> {
  const { index, width } = parsed(parseEntriesPath, path)
  const from = index * TILE_WIDTH
  const lines: Uint8Array[] = []
  for await (const { line } of log.entries({ from, to: from + width })) lines.push(utf8(line))
  if (lines.length !== width) throw new NotFoundError(`there is no ${path}`)
  return formatEntryBundle(lines)
}

function parsed<T>(parse: (path: string) => T, path: string): T {
  try {
    return parse(path)
  } catch (cause) {
    throw new NotFoundError(`there is no ${path.slice(0, 100)}`, { cause })
  }
}
