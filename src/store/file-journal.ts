import { StoreUnavailableError } from "../core/errors.ts"
import type { Logger } from "../core/logger.ts"
import { RESERVED_NAME } from "./contract.ts"
import { encodeBatch, type JournalEntry } from "./file-journal-format.ts"
import { READ, READ_WRITE, writeAll } from "./file-system.ts"
import { makeFolder, syncFolder, type FileTree } from "./file-tree.ts"
import { isAtOrUnder, parentOf } from "./paths.ts"

/** In bytes. A file of the journal that is this long is followed by the next, and goes once its appends are in place. */
export const MAX_JOURNAL_BYTES: number = 64 * 1024 * 1024

/** Of a store's own folder. */
export function journalFolder(tree: FileTree): string {
  return tree.at(`/${RESERVED_NAME}/journal`)
}

/**
 * Makes appends to many files durable with one sync.
 *
 * Each append has been written to its own file, which is not synced; here it is written once more, together with all
 * others of its moment, and that is synced. Later, in the background, the files themselves are; then the journal's file
 * goes. After a crash, opening the store writes what the journal holds to where it belongs: `recoverJournal`.
 *
 * A disk syncs some thousand times a second, however many files wait: that is why.
 *
 * **What is no append.** Before a file is replaced, cut, moved, sealed or deleted, it is synced and the journal told that
 * what it says of it holds no more ({@link release}): so replaying changes nothing that came later.
 *
 * **Failures.** A batch that fails is cut off again before its appends reject. Where the disk refuses that, {@link mend}
 * is how the appends' own repairs try again; nothing is built on the file before it has succeeded.
 */
export class Journal {
  readonly #tree: FileTree
  readonly #logger: Logger
  #current: JournalFile | undefined
  /** Full ones, oldest first, until their appends are in place. */
  readonly #full = new Set<JournalFile>()
  #next = 0
  /** The folder is there, and its name durable. */
  #made = false
  /** One change to the journal at a time. */
  #turn: Promise<unknown> = Promise.resolve()
  #placing: Promise<void> = Promise.resolve()
  /** Their sync failed: what the system says of the next one cannot be believed. */
  readonly #doubtful = new Set<string>()

  constructor(tree: FileTree, logger: Logger) {
    this.#tree = tree
    this.#logger = logger
  }

  /** Durable when it resolves; when it rejects, none of it is there, or `mend` has still to see to that. */
  write(entries: readonly JournalEntry[]): Promise<void> {
    return this.#inTurn(async () => {
      const file = await this.#file()
      const batch = encodeBatch(file.number, entries)
      file.suspect = true
      try {
        writeAll(this.#tree.fs, file.fd, batch, file.size)
        await this.#tree.syncFile(file.fd)
      } catch (error) {
        await this.#mend().catch(() => {})
        throw error
      }
      file.suspect = false
      file.size += batch.length
      for (const { kind, path } of entries) if (kind === "append") file.paths.add(path)
      if (file.size < MAX_JOURNAL_BYTES) return
      this.#current = undefined
      this.#full.add(file)
      this.#placing = this.#placing.then(() => this.#place(file))
    })
  }

  /** Takes a batch that failed off the journal, if there is one. @throws what the disk says. */
  mend(): Promise<void> {
    return this.#current?.suspect === true ? this.#inTurn(() => this.#mend()) : Promise.resolve()
  }

  /** `path`, or with `tree` anything under it, is about to change otherwise than by an append. */
  async release(path: string, tree = false): Promise<void> {
    const held = this.#held(path, tree)
    if (held.size === 0) return
    for (const one of held) await this.#sync(one)
    await this.write([{ kind: "void", path }])
    for (const file of this.#files()) for (const one of held) file.paths.delete(one)
  }

  /** Puts everything in place. What cannot be put there stays in the journal, for the next open. */
  async close(): Promise<void> {
    await this.#inTurn(async () => {
      await this.#mend().catch(() => {})
      const file = this.#current
      this.#current = undefined
      if (file === undefined) return
      if (file.suspect) return this.#tree.close(file.fd)
      this.#full.add(file)
      this.#placing = this.#placing.then(() => this.#place(file))
    })
    await this.#placing
  }

  #files(): JournalFile[] {
    return this.#current === undefined ? [...this.#full] : [...this.#full, this.#current]
  }

  #held(path: string, tree: boolean): Set<string> {
    const held = new Set<string>()
    for (const { paths } of this.#files()) {
      if (!tree) {
        if (paths.has(path)) held.add(path)
        continue
      }
      for (const one of paths) if (isAtOrUnder(one, path)) held.add(one)
    }
    return held
  }

  /** The file to write to, made if need be. */
  async #file(): Promise<JournalFile> {
    await this.#mend()
    if (this.#current !== undefined) return this.#current
    const { fs } = this.#tree
    const folder = journalFolder(this.#tree)
    if (!this.#made) {
      makeFolder(fs, folder)
      for (const place of [this.#tree.at("/"), this.#tree.at(`/${RESERVED_NAME}`)])
        await syncFolder(fs, place)
      this.#made = true
    }
    // What a failed attempt has left under a number is empty, and goes with the next open.
    const number = this.#next++
    const place = `${folder}/${number}`
    const file = new JournalFile(number, place, this.#tree.create(place))
    try {
      await syncFolder(fs, folder)
    } catch (error) {
      this.#tree.close(file.fd)
      throw error
    }
    return (this.#current = file)
  }

  async #mend(): Promise<void> {
    const file = this.#current
    if (file === undefined || !file.suspect) return
    // By a new descriptor: what the old one has been told about its sync cannot be believed.
    const fd = this.#tree.fs.openSync(file.place, READ_WRITE)
    try {
      this.#tree.fs.ftruncateSync(fd, file.size)
      await this.#tree.syncFile(fd)
    } catch (error) {
      this.#tree.close(fd)
      throw error
    }
    this.#tree.close(file.fd)
    file.fd = fd
    file.suspect = false
  }

  /**
   * Makes a full file's appends durable where they belong, and then removes it. Unless an older one could not be: what this
   * one says to be void must not come back with that one.
   */
  async #place(file: JournalFile): Promise<void> {
    const { fs } = this.#tree
    const [oldest] = this.#full
    if (oldest !== file) return
    try {
      for (const path of file.paths) await this.#sync(path)
      this.#tree.close(file.fd)
      fs.unlinkSync(file.place)
      // Only once that is durable may a later one go.
      await syncFolder(fs, journalFolder(this.#tree))
      this.#full.delete(file)
    } catch (error) {
      this.#logger.error(
        { err: error, journal: file.place },
        "appends could not be put in place; the next open of the store will do it from its journal",
      )
    }
  }

  async #sync(path: string): Promise<void> {
    if (this.#doubtful.has(path)) {
      throw new StoreUnavailableError(`${path} could not be synced`, {
        hint: "Open the store again: what was acknowledged is in its journal, and will be put in place.",
      })
    }
    const file = this.#tree.openFile(path, READ)
    if (file === undefined) throw new StoreUnavailableError(`${path} is gone, and not by this store`)
    try {
      await this.#tree.syncFile(file.fd)
      await this.#tree.settle(parentOf(path))
    } catch (error) {
      this.#doubtful.add(path)
      throw error
    } finally {
      this.#tree.close(file.fd)
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work)
    this.#turn = result.then(nothing, nothing)
    return result
  }
}

class JournalFile {
  readonly number: number
  readonly place: string
  fd: number
  /** In bytes, of what is durable. */
  size = 0
  /** Something may lie behind that: a batch that failed. */
  suspect = false
  /** Of whose appends the journal alone is sure. */
  readonly paths = new Set<string>()

  constructor(number: number, place: string, fd: number) {
    this.number = number
    this.place = place
    this.fd = fd
  }
}

function nothing(): void {}
