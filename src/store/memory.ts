import { equalBytes, toBytes } from "../core/bytes.ts"
import { ClosedError, InvalidInputError, NotFoundError, StoreUnavailableError } from "../core/errors.ts"
import { silentLogger, type Logger } from "../core/logger.ts"
import type { KnowledgeStore } from "./contract.ts"
import { Listeners } from "./listeners.ts"
import { checkBytes, childOf, normaliseFilePath, normalisePath } from "./paths.ts"

export interface MemoryStoreOptions {
  /** Hears of exceptions in change callbacks. Default: nobody does. */
  readonly logger?: Logger
}

/**
 * Keeps everything in memory: for tests, trials and browsers.
 *
 * **Durability:** the life of the object. {@link MemoryStore.from} stands in for opening a place again.
 *
 * It is a stricter store than the ones that it stands in for: bytes are copied in and out, every call does its work in
 * a later microtask, in the order of the calls, and what only some engines refuse is refused here.
 */
export class MemoryStore implements KnowledgeStore {
  readonly #root: Folder = new Map()
  readonly #listeners: Listeners
  /** Owned by disposal. */
  #closed = false

  constructor(options: MemoryStoreOptions = {}) {
    this.#listeners = new Listeners(options.logger ?? silentLogger)
  }

  /**
   * A new store with a copy of everything that `other` holds now, open or closed.
   *
   * What a process finds that opens the same place later; or, taken in the middle of work, what it finds after a crash.
   */
  static from(other: MemoryStore, options: MemoryStoreOptions = {}): MemoryStore {
    const copy = new MemoryStore(options)
    for (const [path, file] of files(other.#root, "/"))
      copy.#put(path, file.bytes.slice(0, file.size), file.sealed)
    return copy
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    const file = await this.#file(path)
    return file?.bytes.slice(0, file.size)
  }

  async readRange(path: string, start: number, end?: number): Promise<Uint8Array> {
    checkBytes("start", start)
    if (end !== undefined) checkBytes("end", end)
    const file = await this.#file(path)
    if (file === undefined) return new Uint8Array(0)
    const stop = Math.min(end ?? file.size, file.size)
    return file.bytes.slice(Math.min(start, stop), stop)
  }

  async write(path: string, content: Uint8Array | string): Promise<void> {
    const bytes = copyOf(content)
    const normal = await this.#turn(normaliseFilePath(path))
    this.#put(normal, bytes)
    this.#listeners.tell(normal)
  }

  async writeIf(
    path: string,
    content: Uint8Array | string,
    expected: Uint8Array | string | undefined,
  ): Promise<boolean> {
    const bytes = copyOf(content)
    const wanted = expected === undefined ? undefined : copyOf(expected)
    const normal = await this.#turn(normaliseFilePath(path))
    const file = this.#at(normal)
    if (wanted === undefined ? isFile(file) : !isFile(file) || !equalBytes(contentOf(file), wanted))
      return false
    this.#put(normal, bytes)
    this.#listeners.tell(normal)
    return true
  }

  async append(path: string, content: Uint8Array | string): Promise<number> {
    const bytes = copyOf(content)
    const normal = await this.#turn(normaliseFilePath(path))
    const file = this.#at(normal)
    if (isFile(file)) refuseSealed(file, normal)
    const offset = isFile(file) ? file.size : 0
    if (isFile(file)) extend(file, bytes)
    else this.#put(normal, bytes)
    this.#listeners.tell(normal)
    return offset
  }

  async truncate(path: string, size: number): Promise<void> {
    checkBytes("size", size)
    const normal = await this.#turn(normaliseFilePath(path))
    const file = this.#at(normal)
    if (!isFile(file) || file.size <= size) return
    refuseSealed(file, normal)
    file.size = size
    this.#listeners.tell(normal)
  }

  async move(from: string, to: string): Promise<void> {
    const target = normaliseFilePath(to)
    const source = await this.#turn(normaliseFilePath(from))
    const file = this.#at(source)
    if (!isFile(file)) throw new NotFoundError(`there is no file ${source} to move`)
    if (source === target) return
    // Put before removed: what cannot be put stays where it was. A file is not moved under itself, so both can hold.
    this.#put(target, contentOf(file), file.sealed)
    this.#remove(source)
    this.#listeners.tell(source)
    this.#listeners.tell(target)
  }

  /** From now on appends and truncations are refused: as a file system refuses them, and more strictly than it may. */
  async seal(path: string): Promise<void> {
    const normal = await this.#turn(normaliseFilePath(path))
    const file = this.#at(normal)
    if (!isFile(file)) throw new NotFoundError(`there is no file ${normal} to seal`)
    file.sealed = true
  }

  async list(path = "/"): Promise<string[]> {
    const found = this.#at(await this.#turn(normalisePath(path)))
    if (!(found instanceof Map)) return []
    return [...found].map(([name, entry]) => (isFile(entry) ? name : `${name}/`)).sort()
  }

  async delete(path: string): Promise<void> {
    const normal = await this.#turn(normalisePath(path))
    const found = this.#at(normal)
    if (found === undefined) return
    const gone = isFile(found) ? [normal] : [...files(found, normal)].map(([name]) => name)
    if (normal === "/") this.#root.clear()
    else this.#remove(normal)
    for (const file of gone) this.#listeners.tell(file)
  }

  async exists(path: string): Promise<boolean> {
    const found = this.#at(await this.#turn(normalisePath(path)))
    return found !== undefined && (isFile(found) || found.size > 0)
  }

  async size(path: string): Promise<number> {
    return (await this.#file(path))?.size ?? 0
  }

  async onChange(path: string, callback: (path: string) => void): Promise<AsyncDisposable> {
    return this.#listeners.add(await this.#turn(normalisePath(path)), callback)
  }

  /** Calls made before it are still carried out. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    await Promise.resolve()
    this.#listeners.clear()
  }

  /** Every call waits exactly one microtask, so they run in the order in which they were made. */
  async #turn(normal: string): Promise<string> {
    if (this.#closed) throw new ClosedError("the store")
    return normal
  }

  async #file(path: string): Promise<MemoryFile | undefined> {
    const found = this.#at(await this.#turn(normaliseFilePath(path)))
    return isFile(found) ? found : undefined
  }

  #at(normal: string): Entry | undefined {
    let entry: Entry | undefined = this.#root
    for (const name of namesIn(normal)) entry = entry instanceof Map ? entry.get(name) : undefined
    return entry
  }

  /** Keeps `bytes` itself: the caller has copied them. */
  #put(normal: string, bytes: Uint8Array, sealed = false): void {
    const names = namesIn(normal)
    const last = names.pop() ?? ""
    // Looked at first, so that a refusal leaves no empty directory behind.
    if (this.#at(normal) instanceof Map) throw new InvalidInputError(`${normal} is a directory`)
    let above: Entry | undefined = this.#root
    for (const name of names) {
      if (above instanceof Map) above = above.get(name)
      if (isFile(above)) throw new InvalidInputError(`${normal} lies under a file`)
    }
    let folder = this.#root
    for (const name of names) {
      const next: Entry = folder.get(name) ?? new Map()
      if (isFile(next)) return
      folder.set(name, next)
      folder = next
    }
    folder.set(last, { bytes, size: bytes.length, sealed })
  }

  /** With every directory that it leaves empty. */
  #remove(normal: string): void {
    const names = namesIn(normal)
    for (let last = names.pop(); last !== undefined; last = names.pop()) {
      const folder = this.#at(`/${names.join("/")}`)
      if (!(folder instanceof Map)) return
      folder.delete(last)
      if (folder.size > 0) return
    }
  }
}

type Folder = Map<string, Entry>
type Entry = Folder | MemoryFile

interface MemoryFile {
  /** Room for more than the file: doubled when full, so an append costs what it adds. Past `size` it means nothing. */
  bytes: Uint8Array
  size: number
  sealed: boolean
}

function isFile(entry: Entry | undefined): entry is MemoryFile {
  return entry !== undefined && !(entry instanceof Map)
}

function refuseSealed(file: MemoryFile, path: string): void {
  if (file.sealed) throw new StoreUnavailableError(`${path} is sealed`)
}

function* files(folder: Folder, path: string): Generator<[string, MemoryFile]> {
  for (const [name, entry] of folder) {
    const inside = childOf(path, name)
    if (isFile(entry)) yield [inside, entry]
    else yield* files(entry, inside)
  }
}

function extend(file: MemoryFile, bytes: Uint8Array): void {
  const size = file.size + bytes.length
  if (size > file.bytes.length) {
    const roomier = new Uint8Array(Math.max(size, file.bytes.length * 2))
    roomier.set(contentOf(file))
    file.bytes = roomier
  }
  file.bytes.set(bytes, file.size)
  file.size = size
}

/** A view, not a copy. */
function contentOf(file: MemoryFile): Uint8Array {
  return file.bytes.subarray(0, file.size)
}

function copyOf(content: Uint8Array | string): Uint8Array {
  // Not `slice`: a Buffer's is a view.
  return typeof content === "string" ? toBytes(content) : new Uint8Array(content)
}

function namesIn(normal: string): string[] {
  return normal === "/" ? [] : normal.slice(1).split("/")
}
