/** The log that a command verifies: a data folder, files, or what a URL serves. */
import { statSync } from "node:fs"
import { availableParallelism } from "node:os"
import { join, resolve } from "node:path"
import { fileLogSource, storeLogSource, urlLogSource } from "../audit/log-source.ts"
import { parallelScan, partsOfFiles, partsOfStore, type LogFileParts } from "../audit/parallel-scan.ts"
import { LOG_PATH } from "../audit/index.ts"
import type { Scanning } from "../core/verify-scan.ts"
import type { LogSource } from "../core/verify-source.ts"
import type { KnowledgeStore } from "../store/index.ts"
import { openStoreToRead } from "./folder.ts"
import { tokenOf } from "./remote.ts"
import { systemError, usageError } from "./report.ts"
import { sealedFile } from "./sealed.ts"

/** In bytes. Below this a log is read before threads have started. */
const WORTH_THREADS_BYTES = 8 * 2 ** 20

export interface LogTarget extends AsyncDisposable {
  readonly source: LogSource
  /** What was named: one name for one log. */
  readonly name: string
  readonly scan: Scanning
}

/** A data folder's log; of one that seals another program's log, that log. */
export interface FolderTarget extends LogTarget {
  readonly store: KnowledgeStore
}

export interface TargetOptions {
  readonly dir: string
  readonly url?: string
  readonly token?: string
  readonly checkpoint?: string
  readonly tiles?: string
}

/** @throws InvalidInputError, NotFoundError for what is not there. */
export async function openTarget(
  files: readonly string[],
  options: TargetOptions,
  signal: AbortSignal,
): Promise<LogTarget> {
  if (options.url !== undefined) {
    if (files.length > 0) throw usageError("both --url and files are given", "Verify one log at a time.")
    return urlTarget(options.url, tokenOf(options), signal)
  }
  return files.length > 0 ? filesTarget(files, options) : await folderTarget(options.dir)
}

export async function folderTarget(dir: string): Promise<FolderTarget> {
  const store = await openStoreToRead(dir)
  const sealed = await sealedFile(store)
  const fileOf = (path: string): string =>
    sealed !== undefined && path === LOG_PATH ? sealed : join(resolve(dir), "store", path)
  return {
    store,
    source: storeLogSource(store),
    name: `folder ${resolve(dir)}`,
    scan: onThreads(() => partsOfStore(store, fileOf)),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  }
}

function filesTarget(files: readonly string[], { checkpoint, tiles }: TargetOptions): LogTarget {
  for (const file of files) checkFile(file)
  return {
    source: fileLogSource({
      lines: files,
      ...(checkpoint === undefined ? {} : { checkpoint: checkFile(checkpoint) }),
      ...(tiles === undefined ? {} : { tiles }),
    }),
    name: `files ${files.map((file) => resolve(file)).join(" ")}`,
    scan: onThreads(() => partsOfFiles(files)),
    [Symbol.asyncDispose]: async () => {},
  }
}

function urlTarget(url: string, token: string | undefined, signal: AbortSignal): LogTarget {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw usageError(
      "--url is no http or https address",
      "Give the address that `checkpoint` and `tile/` lie below.",
    )
  }
  return {
    source: urlLogSource(url, { signal, ...(token === undefined ? {} : { fetch: fetchWith(token) }) }),
    name: `url ${new URL(url).href}`,
    // The server is what is waited for.
    scan: async () => undefined,
    [Symbol.asyncDispose]: async () => {},
  }
}

/** On all the machine's processors, if it is worth it. */
function onThreads(open: () => Promise<LogFileParts> | LogFileParts): Scanning {
  return async (source, options) => {
    const threads = availableParallelism()
    const files = await open()
    if ((files.parts.at(-1)?.end ?? 0) < WORTH_THREADS_BYTES) {
      files[Symbol.dispose]()
      return undefined
    }
    return await parallelScan(() => files, { threads })(source, options)
  }
}

function checkFile(path: string): string {
  try {
    if (!statSync(path).isFile()) throw usageError(`${path} is not a file`, "Give files of lines, or --dir.")
  } catch (error) {
    throw systemError(`read ${path}`, error)
  }
  return path
}

/** Sends the token with each request. */
function fetchWith(token: string): typeof fetch {
  return (input, init) => {
    const headers = new Headers(init?.headers)
    headers.set("authorization", `Bearer ${token}`)
    return fetch(input, { ...init, headers })
  }
}
