/** Logs for `verifyLog`: a store, plain files, and a static tlog-tiles tree behind a URL. */
import { open } from "node:fs/promises"
import { join } from "node:path"
import { StoreUnavailableError, TamperedError } from "../core/errors.ts"
import { concatBytes } from "../core/bytes.ts"
import { MAX_ENTRY_BYTES, parseEntryBundle } from "../core/entry-bundle.ts"
import { logSize, type LogSize } from "../core/hash-types.ts"
import { MAX_NOTE_BYTES } from "../core/note.ts"
import { systemTimers, type Timers } from "../core/system.ts"
import { formatEntriesPath, formatTilePath, newEntryBundles, TILE_BYTES, TILE_WIDTH } from "../core/tile.ts"
import type { LogBytes, LogPlace, LogSource } from "../core/verify-source.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import { LogFiles } from "./log-files.ts"
import { CHECKPOINT_PATH, readTile } from "./tiles.ts"

/** Per read. */
const BLOCK_BYTES = 256 * 1024
/** Of a bundle: 256 entries of the longest kind. */
const MAX_BUNDLE_BYTES = TILE_WIDTH * (2 + MAX_ENTRY_BYTES)
/** Bundles under way at a time, so that the distance to the server is waited for once in so many. */
const BUNDLES_AHEAD = 8
const NEWLINE = 0x0a

/** The log in a store, as `AuditLog` writes it. Only reads; works beside a writer. */
export function storeLogSource(store: KnowledgeStore): LogSource {
  const readWithin = async (path: string, max: number): Promise<Uint8Array | undefined> => {
    const bytes = await store.readRange(path, 0, max + 1)
    return bytes.length > 0 || (await store.read(path)) !== undefined ? bytes : undefined
  }
  return {
    checkpoint: () => readWithin(CHECKPOINT_PATH, MAX_NOTE_BYTES),
    async *lines(_wanted, from): AsyncGenerator<LogBytes, void, undefined> {
      const files = new LogFiles(store, { shared: true })
      for (let offset = from?.offset ?? 0; ;) {
        const bytes = await files.read(offset, offset + BLOCK_BYTES)
        if (bytes.length === 0) return
        yield { offset, bytes }
        offset += bytes.length
      }
    },
    readTiles: (tiles) =>
      Promise.all(
        tiles.map(async (tile) => {
          const bytes = await readTile(store, tile)
          return bytes.length === 0 ? undefined : bytes
        }),
      ),
  }
}

/** A log in plain files. */
export interface PlainFiles {
  /** In order: each goes on where the one before ends. */
  readonly lines: readonly string[]
  readonly checkpoint?: string
  /** The folder that holds `tile/`. */
  readonly tiles?: string
}

/** @throws the system's own error, from the methods, for a file that is named and cannot be read. */
export function fileLogSource({ lines, checkpoint, tiles }: PlainFiles): LogSource {
  return {
    async checkpoint() {
      return checkpoint === undefined ? undefined : await readFileWithin(checkpoint, MAX_NOTE_BYTES)
    },
    async *lines(_wanted, from): AsyncGenerator<LogBytes, void, undefined> {
      const buffer = new Uint8Array(BLOCK_BYTES)
      const first = from?.offset ?? 0
      let offset = first
      /** Of the file, from the start of the log. */
      let start = 0
      for (const path of lines) {
        const file = await open(path, "r")
        try {
          const { size } = await file.stat()
          if (start + size <= first) {
            start += size
            continue
          }
          for (;;) {
            const { bytesRead } = await file.read(buffer, 0, BLOCK_BYTES, offset - start)
            if (bytesRead === 0) break
            yield { offset, bytes: buffer.subarray(0, bytesRead) }
            offset += bytesRead
          }
          start = offset
        } finally {
          await file.close()
        }
      }
    },
    async readTiles(wanted) {
      if (tiles === undefined) return wanted.map(() => undefined)
      return await Promise.all(
        wanted.map(async (tile) => {
          const exact = await readIfThere(join(tiles, formatTilePath(tile)), TILE_BYTES)
          return (
            exact ??
            (await readIfThere(join(tiles, formatTilePath({ ...tile, width: TILE_WIDTH })), TILE_BYTES))
          )
        }),
      )
    },
  }
}

async function readFileWithin(path: string, max: number): Promise<Uint8Array> {
  const file = await open(path, "r")
  try {
    const { size } = await file.stat()
    const bytes = new Uint8Array(Math.min(size, max + 1))
    let length = 0
    while (length < bytes.length) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return bytes.subarray(0, length)
  } finally {
    await file.close()
  }
}

async function readIfThere(path: string, max: number): Promise<Uint8Array | undefined> {
  try {
    return await readFileWithin(path, max)
  } catch (error) {
    if (error instanceof Error && "code" in error && ["ENOENT", "ENOTDIR"].includes(String(error.code)))
      return undefined
    throw error
  }
}

export interface UrlSourceOptions {
  /** Of one request, its answer included. Default 30,000. */
  readonly timeoutMs?: number
  readonly timers?: Timers
  readonly signal?: AbortSignal | undefined
  /** Default: the machine's own. */
  readonly fetch?: typeof fetch
}

/**
 * A log served as a static tlog-tiles tree: `<url>/checkpoint`, `<url>/tile/…`, `<url>/tile/entries/…`.
 *
 * What the server answers with 404 or 410 is missing; any other refusal, and every failure of the connection, is the
 * medium's: `StoreUnavailableError`. Answers are read no further than they may be long.
 */
export function urlLogSource(url: string | URL, options: UrlSourceOptions = {}): LogSource {
  const base = new URL(url)
  if (!base.pathname.endsWith("/")) base.pathname += "/"
  const get = (path: string, max: number): Promise<Uint8Array | undefined> =>
    download(new URL(path, base), max, options)
  const tileOrFull = async (path: string, full: string, max: number): Promise<Uint8Array | undefined> =>
    (await get(path, max)) ?? (path === full ? undefined : await get(full, max))
  return {
    checkpoint: () => get("checkpoint", MAX_NOTE_BYTES),
    async *lines(wanted: LogSize | undefined, from?: LogPlace): AsyncGenerator<LogBytes, void, undefined> {
      const bundles = newEntryBundlesIn(from?.index ?? 0, wanted ?? logSize(0))
      const ahead: { index: number; width: number; bytes: Promise<Uint8Array | undefined> }[] = []
      const refill = (): void => {
        while (ahead.length < BUNDLES_AHEAD) {
          const next = bundles.next()
          if (next.done === true) return
          const { index, width } = next.value
          const full = formatEntriesPath({ index, width: TILE_WIDTH })
          const bytes = tileOrFull(formatEntriesPath({ index, width }), full, MAX_BUNDLE_BYTES)
          // Awaited in its turn; until then its failure is nobody's.
          bytes.catch(() => {})
          ahead.push({ index, width, bytes })
        }
      }
      let offset = from?.offset ?? 0
      for (refill(); ; refill()) {
        const next = ahead.shift()
        if (next === undefined) return
        const bundle = await next.bytes
        if (bundle === undefined) return
        const bytes = linesOf(bundle, next, offset)
        yield { offset, bytes }
        offset += bytes.length
      }
    },
    readTiles: (tiles) =>
      Promise.all(
        tiles.map((tile) =>
          tileOrFull(formatTilePath(tile), formatTilePath({ ...tile, width: TILE_WIDTH }), TILE_BYTES),
        ),
      ),
  }
}

/** One at a time: a server may claim any size, and a list of its bundles would fill the memory. */
function* newEntryBundlesIn(
  first: number,
  size: LogSize,
): Generator<{ index: number; width: number }, void, undefined> {
  for (let from = first; from < size; from += TILE_WIDTH) {
    yield* newEntryBundles(logSize(from), logSize(Math.min(from + TILE_WIDTH, size)))
  }
}

/** @throws TamperedError for what is no bundle, and for an entry that would be more than one line. */
function linesOf(
  bundle: Uint8Array,
  { index, width }: { index: number; width: number },
  offset: number,
): Uint8Array {
  const first = index * TILE_WIDTH
  const entries = entriesOf(bundle, width)
  if (entries === undefined) {
    throw new TamperedError(`the entries from record ${first} on are no bundle of ${width}`, first, offset)
  }
  const parts: Uint8Array[] = []
  let at = offset
  for (const [i, entry] of entries.entries()) {
    if (entry.includes(NEWLINE)) {
      throw new TamperedError(`record ${first + i} has a newline in it, which no line has`, first + i, at)
    }
    parts.push(entry, Uint8Array.of(NEWLINE))
    at += entry.length + 1
  }
  return concatBytes(parts)
}

/** The first `width` of a bundle that may have more. */
function entriesOf(bundle: Uint8Array, width: number): Uint8Array[] | undefined {
  let offset = 0
  for (let i = 0; i < width; i++) {
    const [high, low] = [bundle[offset], bundle[offset + 1]]
    if (high === undefined || low === undefined) return undefined
    offset += 2 + high * 256 + low
  }
  return offset > bundle.length ? undefined : parseEntryBundle(bundle.subarray(0, offset), width)
}

async function download(url: URL, max: number, options: UrlSourceOptions): Promise<Uint8Array | undefined> {
  const { timeoutMs = 30_000, timers = systemTimers, signal, fetch: doFetch = fetch } = options
  const deadline = new AbortController()
  const cancel = timers.after(timeoutMs, () => deadline.abort(new Error(`no answer within ${timeoutMs} ms`)))
  try {
    const response = await doFetch(url, {
      signal: signal === undefined ? deadline.signal : AbortSignal.any([signal, deadline.signal]),
    })
    if (response.status === 404 || response.status === 410) {
      await response.body?.cancel()
      return undefined
    }
    if (!response.ok) {
      await response.body?.cancel()
      throw new Error(`the server answers ${response.status}`)
    }
    return await bodyWithin(response, max)
  } catch (cause) {
    signal?.throwIfAborted()
    const why =
      cause instanceof Error ? (cause.cause instanceof Error ? cause.cause.message : cause.message) : ""
    throw new StoreUnavailableError(`cannot get ${url.href}: ${why}`, { cause })
  } finally {
    cancel()
  }
}

/** One byte more than `max` when it is longer: enough to be refused. */
async function bodyWithin(response: Response, max: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of response.body ?? []) {
    const bytes = part as Uint8Array
    parts.push(bytes.subarray(0, max + 1 - length))
    length += bytes.length
    // Leaving the loop cancels the rest.
    if (length > max) break
  }
  return concatBytes(parts)
}
