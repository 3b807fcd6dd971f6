/** Verification on several threads, for logs in files of this machine: what `scanLog` finds, in a part of the time. */
import { closeSync, fstatSync, openSync, statSync } from "node:fs"
import { setImmediate as endOfTurn } from "node:timers/promises"
import { Worker } from "node:worker_threads"
import { digestsIn, HASH_BYTES } from "../core/hash-types.ts"
import { TILE_WIDTH } from "../core/tile.ts"
import { ScanLedger, type Scan, type Scanning, type ScanOptions } from "../core/verify-scan.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import { LogFiles } from "./log-files.ts"
import { LOG_PATH, segmentPath } from "./paths.ts"
import { COUNTS, TAKEN, type FilePart, type ScanMessage, type ScanWork, type ShareScan } from "./scan-work.ts"
import { ShareScanner } from "./share-scanner.ts"
import type { Stretch } from "./stretch.ts"

/** Of the log's bytes, that a thread takes at a time. */
const SHARE_BYTES = 4 * 2 ** 20

export interface ParallelOptions {
  /** How many threads hash, this one included. It hears of events a few hundred times a second meanwhile. */
  readonly threads: number
  /** In bytes; for tests. Default 4 MiB. */
  readonly shareBytes?: number
}

/** The files that a log lies in, at one moment. Disposing closes what is open. */
export interface LogFileParts extends Disposable {
  readonly parts: readonly FilePart[]
}

/** Of plain files, each going on where the one before ends. @throws the system's own error. */
export function partsOfFiles(paths: readonly string[]): LogFileParts {
  let start = 0
  const parts = paths.map((path) => {
    const end = start + statSync(path).size
    const part: FilePart = { start, end, path, fd: undefined }
    start = end
    return part
  })
  return { parts, [Symbol.dispose]: () => {} }
}

/**
 * Of a store that keeps its files as a file store does.
 *
 * @param fileOf where a path of the store lies. The active file is opened at once: a rotation only renames it.
 */
export async function partsOfStore(
  store: KnowledgeStore,
  fileOf: (path: string) => string,
): Promise<LogFileParts> {
  for (;;) {
    const files = new LogFiles(store, { shared: true })
    await files.look()
    // Of no use to a worker, which reads the files itself.
    if (files.segments.some(({ frames }) => frames !== undefined))
      return { parts: [], [Symbol.dispose]: () => {} }
    const parts: FilePart[] = files.segments.map(({ firstIndex, start, end }) => ({
      start,
      end,
      path: fileOf(segmentPath(firstIndex)),
      fd: undefined,
    }))
    const start = files.activeStart
    if (!(await store.exists(LOG_PATH))) return { parts, [Symbol.dispose]: () => {} }
    const path = fileOf(LOG_PATH)
    const fd = openSync(path, "r")
    await files.look()
    // Opened before or after a rotation? If there was none, it does not matter.
    if (files.activeStart !== start) {
      closeSync(fd)
      continue
    }
    parts.push({ start, end: start + fstatSync(fd).size, path, fd })
    return { parts, [Symbol.dispose]: () => closeSync(fd) }
  }
}

/**
 * Scans on worker threads. Memory: some shares of 4 MiB a thread, and four bytes for each share of the log.
 *
 * Where it cannot do what `scanLog` does (a line that is longer than any record, a file that became shorter, a worker
 * that died) it gives up, and `verifyLog` reads the log in one thread.
 *
 * @param open is asked when the scan begins, after the checkpoint was read: what that covers is in the files then.
 */
export function parallelScan(
  open: () => Promise<LogFileParts> | LogFileParts,
  { threads, shareBytes = SHARE_BYTES }: ParallelOptions,
): Scanning {
  return async (source, options) => {
    using files = await open()
    const { parts } = files
    const end = parts.at(-1)?.end ?? 0
    const ledger = new ScanLedger(source, options)
    const { index: firstIndex, offset } = ledger.place ?? { index: 0, offset: 0 }
    // A state of a longer log: what is missing now is told by who reads it all.
    if (offset >= end) return undefined
    const shares = Math.ceil((end - offset) / shareBytes)
    const shared = new Int32Array(new SharedArrayBuffer((COUNTS + shares) * Int32Array.BYTES_PER_ELEMENT))
    const { size = 0, rootsAt, keys, records, tiles } = options
    const work: ScanWork = {
      parts,
      offset,
      firstIndex,
      end,
      shareBytes,
      shares,
      options: { size, limit: ledger.limit, rootsAt, records, keyChanges: keys.length > 0, tiles },
      shared,
      ahead: 4 * threads,
    }
    return await gather(new Crew(work, Math.min(threads, shares) - 1), ledger, work, options)
  }
}

async function gather(
  crew: Crew,
  ledger: ScanLedger,
  work: ScanWork,
  { signal }: ScanOptions,
): Promise<Scan | undefined> {
  const { offset, firstIndex, shares, shared } = work
  using scanner = new ShareScanner(work)
  const onAbort = (): void => void crew.stop()
  signal?.addEventListener("abort", onAbort)
  let records = firstIndex
  let bytes = offset
  let torn = 0
  /** Which share is this thread's own. */
  let own = scanner.take()
  try {
    for (let share = 0; share < shares;) {
      signal?.throwIfAborted()
      const found = crew.take(share)
      if (found !== undefined) {
        takeIn(ledger, found.stretch)
        records += found.stretch.count
        if (found.stretch.count > 0) bytes = found.stretch.end.offset
        torn ||= found.tornBytes
        await ledger.settle(records, bytes)
        Atomics.store(shared, TAKEN, ++share)
        Atomics.notify(shared, TAKEN)
      } else if (crew.hasGivenUp) {
        return undefined
      } else if (own !== undefined && scanner.isTurnOf(own)) {
        const scan = await scanOwn(scanner, own, crew)
        if (scan === undefined) return undefined
        crew.put(scan)
        own = scanner.take()
        // The others' results come in, and whoever wants to stop is heard.
        await endOfTurn()
      } else {
        await crew.change()
      }
    }
  } finally {
    signal?.removeEventListener("abort", onAbort)
    await crew.stop()
  }
  return await ledger.end({ records, bytes: bytes + torn, tornBytes: torn, tampered: undefined })
}

/** This thread does not block: another one that died would never count its lines, and only events tell of that. */
async function scanOwn(scanner: ShareScanner, share: number, crew: Crew): Promise<ShareScan | undefined> {
  if (!scanner.cut(share)) return undefined
  while (!scanner.isPlaced(share)) {
    if (crew.hasGivenUp) return undefined
    await endOfTurn()
  }
  return scanner.scan(share)
}

function takeIn(ledger: ScanLedger, { hashes, found, coveredEnd, tileEnd }: Stretch): void {
  for (const { leaves, roots } of hashes) {
    if (roots === undefined) {
      for (const digest of digestsIn(leaves)) ledger.tally.leaf(digest)
      continue
    }
    const tileBytes = TILE_WIDTH * HASH_BYTES
    for (const [n, root] of digestsIn(roots).entries()) {
      ledger.tally.tile(root, leaves?.subarray(n * tileBytes, (n + 1) * tileBytes))
    }
  }
  ledger.find(found)
  for (const place of [tileEnd, coveredEnd])
    if (place !== undefined) ledger.endLine(place.index - 1, place.offset)
}

/** The workers, and what they have sent. */
class Crew {
  readonly #workers: readonly Worker[]
  readonly #results = new Map<number, ShareScan>()
  /** Set when a result will not come: a thread cannot tell, or has died. */
  hasGivenUp = false
  #wake: () => void = () => {}

  constructor(work: ScanWork, count: number) {
    // The sources run unbuilt as well; then it is TypeScript that the worker is.
    const name = import.meta.url.endsWith(".ts") ? "./scan-worker.ts" : "./scan-worker.js"
    this.#workers = Array.from({ length: count }, () => {
      const worker = new Worker(new URL(name, import.meta.url), { workerData: work })
      worker.on("message", (message: ScanMessage) => {
        if ("gaveUp" in message) this.#giveUp()
        else this.put(message)
      })
      worker.on("error", () => this.#giveUp())
      // With 0 it has done its part; its messages came before.
      worker.on("exit", (code) => {
        if (code !== 0) this.#giveUp()
      })
      return worker
    })
  }

  put(found: ShareScan): void {
    this.#results.set(found.share, found)
    this.#wake()
  }

  /** @returns `undefined` while it is not there. */
  take(share: number): ShareScan | undefined {
    const found = this.#results.get(share)
    this.#results.delete(share)
    return found
  }

  /** Resolves when another result has come, or none will. */
  async change(): Promise<void> {
    await new Promise<void>((resolve) => (this.#wake = resolve))
  }

  async stop(): Promise<void> {
    this.#giveUp()
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }

  #giveUp(): void {
    this.hasGivenUp = true
    this.#wake()
  }
}
