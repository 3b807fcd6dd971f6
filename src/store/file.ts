import { resolve } from "node:path"
import { toBytes } from "../core/bytes.ts"
import {
  ClosedError,
  HansardError,
  InvalidInputError,
  NotFoundError,
  StoreUnavailableError,
} from "../core/errors.ts"
import { silentLogger, type Logger } from "../core/logger.ts"
import { RESERVED_NAME, type AppendOptions, type ByteRange, type KnowledgeStore } from "./contract.ts"
import { Appends } from "./file-append.ts"
import { Journal } from "./file-journal.ts"
import { recoverJournal } from "./file-journal-recover.ts"
import { takeLease, type Lease } from "./file-lease.ts"
import { readFileRanges } from "./file-ranges.ts"
import { Repairs } from "./file-repairs.ts"
import { Replacements } from "./file-replace.ts"
import {
  codeOf,
  fileError,
  nodeFileSystem,
  READ,
  fillBytes,
  readBytes,
  type FileSystem,
} from "./file-system.ts"
import { FileTree, makeFolder, makeRoot } from "./file-tree.ts"
import { FileWatch } from "./file-watch.ts"
import { Listeners } from "./listeners.ts"
import { checkBytes, childOf, normaliseFilePath, normalisePath } from "./paths.ts"
import { Turns } from "./turns.ts"

/**
 * What a resolved change survives.
 *
 * - `sync`: power loss, as far as the disk keeps its word. Costs one `fdatasync` per group of appends.
 * - `os`: the death of the process, `kill -9` included, but not of the machine. Nothing is synced at all: an
 *   acknowledged change may be gone after a power loss, and a replaced file may then be empty.
 */
export type Durability = "sync" | "os"

export interface FileStoreOptions {
  /** Default `sync`. */
  readonly durability?: Durability
  /**
   * Takes no lease and refuses every change with `InvalidInputError`; works beside a process that writes, and may see
   * what that process has written but not yet synced. Default: false.
   */
  readonly readOnly?: boolean
  /** Whether to make the folder when it is missing; a read-only store never does. Default: true. */
  readonly create?: boolean
  /** Hears of leftovers, watches that fail, and exceptions in change callbacks. Default: nobody does. */
  readonly logger?: Logger
  /** For tests that make the disk fail. The lease is taken without it. Default: the machine's own. */
  readonly fs?: FileSystem
}

/**
 * Keeps each path as a file below one folder, readable with any tool.
 *
 * **Durability:** {@link Durability}. Files are for their owner alone (0600, folders 0700), whatever the umask; a
 * folder that was there already keeps its rights.
 *
 * **One writer.** A store that is not read-only holds the lease of its folder until it is disposed of or its process
 * ends. Whoever changes the files behind its back (an editor, `logrotate`) works against open descriptors.
 *
 * **Failures.** A change that fails is taken back before its promise rejects. If the disk refuses that too, the paths
 * concerned answer every call by trying again, or with an error; only the durable part of a log can still be read.
 *
 * Its own files lie in `.hansard/`: the lease, its holder's process id, `tmp/`, which the next open empties, and `journal/`
 * with appends that shared a sync and that the next open puts in place; a clean close leaves nothing in either.
 * POSIX only is tested. On macOS Node's sync is a full one; on Windows folders cannot be synced.
 */
export class FileStore implements KnowledgeStore {
  readonly #tree: FileTree
  readonly #lease: Lease | undefined
  readonly #logger: Logger
  readonly #turns = new Turns()
  readonly #listeners: Listeners
  readonly #repairs: Repairs
  readonly #journal: Journal
  readonly #appends: Appends
  readonly #replacements: Replacements
  readonly #watches = new Set<AsyncDisposable>()
  /** Set once, by the first disposal. */
  #closing: Promise<void> | undefined

  private constructor(tree: FileTree, lease: Lease | undefined, logger: Logger) {
    this.#tree = tree
    this.#lease = lease
    this.#logger = logger
    this.#listeners = new Listeners(logger)
    this.#repairs = new Repairs(logger)
    this.#journal = new Journal(tree, logger)
    this.#appends = new Appends(tree, this.#turns, this.#repairs, this.#listeners, this.#journal)
    this.#replacements = new Replacements(tree, this.#repairs)
  }

  /**
   * Opens the store in the folder `root`.
   *
   * @throws LogLockedError when another process, or this one, has it open for writing.
   * @throws NotFoundError when there is no folder and none is to be made.
   * @throws StoreUnavailableError when the folder cannot be used.
   */
  static async open(root: string, options: FileStoreOptions = {}): Promise<FileStore> {
    const { durability = "sync", readOnly = false, create = true, logger = silentLogger } = options
    const fs = options.fs ?? nodeFileSystem
    const syncs = durability === "sync"
    const folder = resolve(root)
    try {
      const stat = fs.lstatSync(folder)
      if (stat === undefined) {
        if (readOnly || !create) throw new NotFoundError(`there is no folder ${folder}`)
        await makeRoot(fs, folder, syncs)
      }
      const real = fs.realpathSync(folder)
      if (!fs.lstatSync(real)?.isDirectory()) throw unusable(folder, "it is not a folder")
      const tree = new FileTree(fs, real, syncs, logger)
      if (readOnly) return new FileStore(tree, undefined, logger)
      return new FileStore(tree, await takePossession(tree, real, logger), logger)
    } catch (error) {
      if (codeOf(error) === "ENOENT") {
        throw new NotFoundError(`there is no folder ${folder}`, { cause: error })
      }
      if (error instanceof HansardError || codeOf(error) === undefined) throw error
      throw unusable(folder, `the system says ${codeOf(error)}`, error)
    }
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    const normal = this.#enter(normaliseFilePath(path))
    return this.#doing(`read ${normal}`, () => this.#readFrom(normal, 0))
  }

  async readRange(path: string, start: number, end?: number): Promise<Uint8Array> {
    checkBytes("start", start)
    if (end !== undefined) checkBytes("end", end)
    const normal = this.#enter(normaliseFilePath(path))
    const bytes = await this.#doing(`read ${normal}`, () => this.#readFrom(normal, start, end))
    return bytes ?? new Uint8Array(0)
  }

  async readRanges(path: string, ranges: readonly ByteRange[]): Promise<Uint8Array[]> {
    for (const { start, end } of ranges) {
      checkBytes("start", start)
      checkBytes("end", end)
    }
    const normal = this.#enter(normaliseFilePath(path))
    const found = await this.#doing(`read ${normal}`, () =>
      this.#withFile(normal, (fd, size) => readFileRanges(this.#tree.fs, fd, size, ranges)),
    )
    return found ?? ranges.map(() => new Uint8Array(0))
  }

  async readInto(path: string, start: number, into: Uint8Array): Promise<number> {
    checkBytes("start", start)
    const normal = this.#enter(normaliseFilePath(path))
    const fill = (fd: number, size: number): Promise<number> =>
      fillBytes(this.#tree.fs, fd, start, into, size)
    return (await this.#doing(`read ${normal}`, () => this.#withFile(normal, fill))) ?? 0
  }

  async write(path: string, content: Uint8Array | string): Promise<void> {
    const normal = this.#enterToChange(normaliseFilePath(path))
    const bytes = copyOf(content)
    await this.#change(`write ${normal}`, [normal], async () => {
      await this.#replacements.write(normal, bytes)
      this.#listeners.tell(normal)
    })
  }

  async writeIf(
    path: string,
    content: Uint8Array | string,
    expected: Uint8Array | string | undefined,
  ): Promise<boolean> {
    const normal = this.#enterToChange(normaliseFilePath(path))
    const bytes = copyOf(content)
    const wanted = expected === undefined ? undefined : copyOf(expected)
    return this.#change(`write ${normal}`, [normal], async () => {
      if (!(await this.#replacements.holds(normal, wanted))) return false
      await this.#replacements.write(normal, bytes)
      this.#listeners.tell(normal)
      return true
    })
  }

  // Not `async`, and the path checked only if it is not one of an open log: this is the hot path of the whole package.
  append(path: string, content: Uint8Array | string, options?: AppendOptions): Promise<number> {
    try {
      const normal = this.#enterToChange(this.#appends.isOpen(path) ? path : normaliseFilePath(path))
      return this.#appends.append(normal, content, options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async truncate(path: string, size: number): Promise<void> {
    checkBytes("size", size)
    const normal = this.#enterToChange(normaliseFilePath(path))
    await this.#change(`truncate ${normal}`, [normal], async () => {
      if (await this.#replacements.truncate(normal, size)) this.#listeners.tell(normal)
    })
  }

  async move(from: string, to: string): Promise<void> {
    const source = this.#enterToChange(normaliseFilePath(from))
    const target = normaliseFilePath(to)
    const paths = source === target ? [source] : [source, target]
    await this.#change(`move ${source} to ${target}`, paths, async () => {
      await this.#replacements.move(source, target)
      for (const path of source === target ? [] : paths) this.#listeners.tell(path)
    })
  }

  /** Mode 0444. One that fails may have happened: it changes no byte. */
  async seal(path: string): Promise<void> {
    const normal = this.#enterToChange(normaliseFilePath(path))
    await this.#change(`seal ${normal}`, [normal], () => this.#tree.seal(normal))
  }

  async list(path = "/"): Promise<string[]> {
    const normal = this.#enter(normalisePath(path))
    return this.#doing(`list ${normal}`, async () => {
      await this.#repairs.mend(normal, true)
      return this.#tree
        .list(normal)
        .filter(({ name }) => !this.#appends.isUnborn(childOf(normal, name)))
        .map((entry) => (entry.isFile() ? entry.name : `${entry.name}/`))
        .sort()
    })
  }

  async delete(path: string): Promise<void> {
    const normal = this.#enterToChange(normalisePath(path))
    await this.#doing(`delete ${normal}`, () =>
      this.#turns.takeTree(normal, async () => {
        await this.#repairs.mend(normal)
        const gone = this.#listeners.concern(normal) ? [...this.#tree.files(normal)] : []
        await this.#journal.release(normal, true)
        this.#appends.forgetTree(normal)
        await this.#replacements.delete(normal)
        for (const file of gone) this.#listeners.tell(file)
      }),
    )
  }

  async exists(path: string): Promise<boolean> {
    const normal = this.#enter(normalisePath(path))
    return this.#doing(`look for ${normal}`, async () => {
      await this.#repairs.mend(normal, true)
      const stat = this.#tree.stat(normal)
      if (stat?.isDirectory()) return this.#tree.holdsFile(normal)
      return stat !== undefined && stat.isFile() && !this.#appends.isUnborn(normal)
    })
  }

  async size(path: string): Promise<number> {
    const normal = this.#enter(normaliseFilePath(path))
    return this.#doing(`measure ${normal}`, async () => {
      await this.#repairs.mend(normal, true)
      if (this.#appends.isUnborn(normal)) return 0
      const durable = this.#appends.durableBytes(normal)
      if (durable !== undefined) return durable
      const stat = this.#tree.stat(normal)
      return stat?.isFile() ? Math.min(stat.size, this.#repairs.visibleBytes(normal) ?? stat.size) : 0
    })
  }

  /**
   * A store that holds the lease tells its own changes, for there are no others. A read-only store asks the system,
   * which tells of the writer's; it takes one watch a folder, and keeps the process alive while it is subscribed.
   */
  async onChange(path: string, callback: (path: string) => void): Promise<AsyncDisposable> {
    const normal = this.#enter(normalisePath(path))
    if (this.#lease !== undefined) return this.#listeners.add(normal, callback)
    return this.#doing(`watch ${normal}`, async () => {
      const own = new Listeners(this.#logger)
      own.add(normal, callback)
      const watch = new FileWatch(this.#tree, normal, (changed) => own.tell(changed), this.#logger)
      const subscription = {
        [Symbol.asyncDispose]: async (): Promise<void> => {
          this.#watches.delete(subscription)
          own.clear()
          watch.close()
        },
      }
      this.#watches.add(subscription)
      return subscription
    })
  }

  /** Finishes the changes that were called before, then gives up the lease. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await this.#turns.idle()
    this.#listeners.clear()
    for (const watch of [...this.#watches]) await watch[Symbol.asyncDispose]()
    await this.#journal.close()
    this.#appends.forgetTree("/")
    this.#lease?.release()
  }

  #enter(normal: string): string {
    if (this.#closing !== undefined) throw new ClosedError("the store")
    return normal
  }

  #enterToChange(normal: string): string {
    if (this.#closing !== undefined) throw new ClosedError("the store")
    if (this.#lease === undefined) {
      throw new InvalidInputError("the store was opened read-only", {
        hint: "Open it without `readOnly` to change it; one process at a time can.",
      })
    }
    return normal
  }

  #change<T>(doing: string, paths: readonly string[], work: () => Promise<T>): Promise<T> {
    for (const path of paths) this.#appends.close(path)
    return this.#doing(doing, () =>
      this.#turns.take(paths, async () => {
        for (const path of paths) await this.#repairs.mend(path)
        for (const path of paths) await this.#journal.release(path)
        for (const path of paths) this.#appends.forget(path)
        return work()
      }),
    )
  }

  #readFrom(path: string, start: number, end = Infinity): Promise<Uint8Array | undefined> {
    return this.#withFile(path, (fd, size) =>
      readBytes(this.#tree.fs, fd, start, Math.max(start, Math.min(end, size))),
    )
  }

  /** @param read gets the file's descriptor, and where it ends for a reader. `undefined` when there is no file. */
  async #withFile<T>(path: string, read: (fd: number, size: number) => Promise<T>): Promise<T | undefined> {
    await this.#repairs.mend(path, true)
    if (this.#appends.isUnborn(path)) return undefined
    const log = this.#appends.borrow(path)
    if (log !== undefined) {
      try {
        return await read(log.fd, log.size)
      } finally {
        log.release()
      }
    }
    const visible = this.#repairs.visibleBytes(path) ?? Infinity
    const file = this.#tree.openFile(path, READ)
    if (file === undefined) return undefined
    try {
      return await read(file.fd, Math.min(file.size, visible))
    } finally {
      this.#tree.close(file.fd)
    }
  }

  async #doing<T>(doing: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw fileError(error, doing)
    }
  }
}

/** Takes the lease, and then removes what a crash has left in the way, and puts in place what it has kept from there. */
async function takePossession(tree: FileTree, root: string, logger: Logger): Promise<Lease> {
  const own = tree.at(`/${RESERVED_NAME}`)
  makeFolder(tree.fs, own)
  const lease = takeLease(own, root)
  try {
    await tree.fs.remove(`${own}/tmp`)
    makeFolder(tree.fs, `${own}/tmp`)
    await recoverJournal(tree, logger)
    return lease
  } catch (error) {
    lease.release()
    throw error
  }
}

function unusable(folder: string, why: string, cause?: unknown): StoreUnavailableError {
  return new StoreUnavailableError(`cannot keep a store in ${folder}: ${why}`, {
    cause,
    hint: `Make ${folder} a folder that this process may write to, or name another one.`,
  })
}

function copyOf(content: Uint8Array | string): Uint8Array {
  // Not `slice`: a Buffer's is a view.
  return typeof content === "string" ? toBytes(content) : new Uint8Array(content)
}
