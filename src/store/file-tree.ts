import { dirname } from "node:path"
import type { Logger } from "../core/logger.ts"
import { InvalidInputError, NotFoundError } from "../core/errors.ts"
import { RESERVED_NAME } from "./contract.ts"
import {
  codeOf,
  CREATE,
  FILE_MODE,
  FOLDER_MODE,
  isAbsent,
  READ,
  SEALED_MODE,
  type FileStat,
  type FileSystem,
  type FolderEntry,
} from "./file-system.ts"
import { childOf, isReserved, parentOf } from "./paths.ts"

/**
 * Where paths lie on disk: folders made, synced and pruned, and links kept out. Knows nothing of contents.
 *
 * **Links.** A symbolic link anywhere below the root is refused, wherever it leads. Links that stay inside would do no
 * harm to others, but they would make two paths of one file, and every promise about order is made per path.
 */
export class FileTree {
  readonly fs: FileSystem
  /** Real and absolute, without a slash at the end. */
  readonly root: string
  /** Whether changes are made durable. */
  readonly syncs: boolean
  readonly #logger: Logger
  /** Folders whose names changed since their last sync, with the number of the newest change. */
  readonly #dirty = new Map<string, number>()
  #changes = 0
  #temporaries = 0

  constructor(fs: FileSystem, root: string, syncs: boolean, logger: Logger) {
    this.fs = fs
    this.root = root === "/" ? "" : root
    this.syncs = syncs
    this.#logger = logger
  }

  /** Of a normal path. */
  at(path: string): string {
    return path === "/" ? this.root || "/" : this.root + path
  }

  /** A name nobody has used, on the same file system. What a crash leaves there goes when the store is next opened. */
  temporary(): string {
    return `${this.root}/${RESERVED_NAME}/tmp/${this.#temporaries++}`
  }

  /**
   * What lies at `path`, or `undefined`. A link is refused, at `path` or above it.
   *
   * The check and a later use are two moments: somebody who can swap folders for links in between is inside the root
   * already, with the rights of this process.
   */
  stat(path: string): FileStat | undefined {
    this.#refuseLinks(path)
    let stat: FileStat | undefined
    try {
      stat = this.fs.lstatSync(this.at(path))
    } catch (error) {
      if (isAbsent(error)) return undefined
      throw error
    }
    if (stat?.isSymbolicLink()) throw linked(path)
    return stat
  }

  /** The same, for a path that is to become a file: `undefined` when it is not there, an error when it is no file. */
  fileToChange(path: string): FileStat | undefined {
    const stat = this.stat(path)
    if (stat === undefined || stat.isFile()) return stat
    // Folders that a crash left empty are no directories, by the contract.
    if (!stat.isDirectory() || this.holdsFile(path)) throw new InvalidInputError(`${path} is not a file`)
    this.#removeEmpty(path)
    return undefined
  }

  /** Opens a file that is there; `undefined` when it is not. */
  openFile(path: string, flags: number): { fd: number; size: number } | undefined {
    this.#refuseLinks(path)
    let fd: number
    try {
      fd = this.fs.openSync(this.at(path), flags)
    } catch (error) {
      if (isAbsent(error) || codeOf(error) === "EISDIR") return undefined
      throw error
    }
    try {
      const stat = this.fs.fstatSync(fd)
      if (stat.isFile()) return { fd, size: stat.size }
    } catch (error) {
      this.close(fd)
      throw error
    }
    this.close(fd)
    return undefined
  }

  /** Makes the file at a place on disk, for its owner alone whatever the umask says. */
  create(place: string): number {
    const fd = this.fs.openSync(place, CREATE, FILE_MODE)
    try {
      // A umask takes rights away and never adds them, so there is no moment at which others could look.
      if ((this.fs.fstatSync(fd).mode & 0o777) !== FILE_MODE) this.fs.fchmodSync(fd, FILE_MODE)
      return fd
    } catch (error) {
      this.close(fd)
      throw error
    }
  }

  /** Makes every folder above `path` that is missing. */
  makeParents(path: string): void {
    const folder = parentOf(path)
    if (folder === "/") return
    const stat = this.stat(folder)
    if (stat?.isDirectory()) return
    if (stat !== undefined) throw new InvalidInputError(`${path} lies under a file`)
    this.makeParents(folder)
    // Before the call: one that reports an error may have made it all the same.
    this.changed(parentOf(folder))
    makeFolder(this.fs, this.at(folder))
  }

  /** Takes away every folder above `path` that has become empty. Nobody need wait for it: empty is absent. */
  prune(path: string): void {
    for (let folder = parentOf(path); folder !== "/"; folder = parentOf(folder)) {
      try {
        this.fs.rmdirSync(this.at(folder))
      } catch {
        return
      }
    }
  }

  /** The names in `folder` are not those of the last sync. */
  changed(folder: string): void {
    if (this.syncs) this.#dirty.set(folder, ++this.#changes)
  }

  /**
   * Makes the name of every folder from `/` down to `folder`, and the names in it, durable.
   *
   * Those include folders that another call made and has not yet synced: a file is no more durable than the folders
   * above it.
   */
  async settle(folder: string): Promise<void> {
    for (let next = folder; this.#dirty.size > 0; next = parentOf(next)) {
      const change = this.#dirty.get(next)
      if (change !== undefined) {
        await this.#syncFolder(next)
        if (this.#dirty.get(next) === change) this.#dirty.delete(next)
      }
      if (next === "/") return
    }
  }

  /** Makes the bytes and the size of an open file durable. */
  async syncFile(fd: number): Promise<void> {
    if (this.syncs) await this.fs.fdatasync(fd)
  }

  /** Makes a file read-only, durably. @throws NotFoundError when there is none. */
  async seal(path: string): Promise<void> {
    const file = this.openFile(path, READ)
    if (file === undefined) throw new NotFoundError(`there is no file ${path} to seal`)
    try {
      this.fs.fchmodSync(file.fd, SEALED_MODE)
      if (this.syncs) await this.fs.fsync(file.fd)
    } finally {
      this.close(file.fd)
    }
  }

  /** The entries of a folder that are files, or folders that hold one; none when there is no such folder. */
  list(path: string): FolderEntry[] {
    const stat = this.stat(path)
    if (!stat?.isDirectory()) return []
    return this.#entries(path).filter(
      (entry) => entry.isFile() || (entry.isDirectory() && this.holdsFile(childOf(path, entry.name))),
    )
  }

  /** Whether there is a file anywhere under a folder. Stops at the first. */
  holdsFile(path: string): boolean {
    const below: string[] = []
    let folder
    try {
      folder = this.fs.opendirSync(this.at(path))
    } catch (error) {
      if (isAbsent(error)) return false
      throw error
    }
    try {
      for (let entry = folder.readSync(); entry !== null; entry = folder.readSync()) {
        if (path === "/" && isReserved(entry.name)) continue
        if (entry.isFile()) return true
        if (entry.isDirectory()) below.push(childOf(path, entry.name))
      }
    } finally {
      folder.closeSync()
    }
    return below.some((inside) => this.holdsFile(inside))
  }

  /** Every file at or under `path`, in no order. */
  *files(path: string): Generator<string> {
    const stat = this.stat(path)
    if (stat?.isFile()) yield path
    if (!stat?.isDirectory()) return
    for (const entry of this.#entries(path)) {
      if (entry.isFile()) yield childOf(path, entry.name)
      else if (entry.isDirectory()) yield* this.files(childOf(path, entry.name))
    }
  }

  /** A close that fails changes nothing that was promised: what had to be durable has been synced. */
  close(fd: number): void {
    try {
      this.fs.closeSync(fd)
    } catch (error) {
      this.#logger.warn({ err: error }, "could not close a descriptor")
    }
  }

  /** Removes what nobody needs any more, a temporary file or a tree that was deleted. */
  async discard(place: string): Promise<void> {
    try {
      const stat = this.fs.lstatSync(place)
      if (stat?.isDirectory()) await this.fs.remove(place)
      else if (stat !== undefined) this.fs.unlinkSync(place)
    } catch (error) {
      this.#logger.warn({ err: error, place }, "could not remove a leftover; the next open will")
    }
  }

  #removeEmpty(path: string): void {
    for (const { name } of this.#entries(path)) this.#removeEmpty(childOf(path, name))
    this.fs.rmdirSync(this.at(path))
  }

  #entries(path: string): FolderEntry[] {
    try {
      const entries = this.fs.readdirSync(this.at(path))
      return path === "/" ? entries.filter((entry) => !isReserved(entry.name)) : entries
    } catch (error) {
      if (isAbsent(error)) return []
      throw error
    }
  }

  async #syncFolder(path: string): Promise<void> {
    try {
      await syncFolder(this.fs, this.at(path))
    } catch (error) {
      // Pruned meanwhile: there are no names left in it to lose.
      if (!isAbsent(error)) throw error
    }
  }

  /** Whole paths are compared, so that `/data/root-evil` is not inside `/data/root`. */
  #refuseLinks(path: string): void {
    for (let folder = parentOf(path); folder !== "/"; folder = parentOf(folder)) {
      const place = this.at(folder)
      try {
        if (this.fs.realpathSync(place) === place) return
      } catch (error) {
        if (isAbsent(error)) continue
        if (codeOf(error) !== "ELOOP") throw error
      }
      throw linked(path)
    }
  }
}

/** Makes the root with every folder above it that is missing, and makes their names durable. */
export async function makeRoot(fs: FileSystem, folder: string, syncs: boolean): Promise<void> {
  const above = dirname(folder)
  if (fs.lstatSync(above) === undefined) await makeRoot(fs, above, syncs)
  makeFolder(fs, folder)
  if (syncs) await syncFolder(fs, above)
}

/** Makes one folder, for its owner alone. */
export function makeFolder(fs: FileSystem, place: string): void {
  try {
    fs.mkdirSync(place, FOLDER_MODE)
  } catch (error) {
    if (codeOf(error) === "EEXIST" && fs.lstatSync(place)?.isDirectory()) return
    throw error
  }
  const mode = fs.lstatSync(place)?.mode ?? FOLDER_MODE
  if ((mode & 0o777) !== FOLDER_MODE) fs.chmodSync(place, FOLDER_MODE)
}

/** Makes the names in a folder durable. Windows cannot, and keeps them in a journal of its own. */
export async function syncFolder(fs: FileSystem, place: string): Promise<void> {
  if (process.platform === "win32") return
  const fd = fs.openSync(place, 0)
  try {
    await fs.fsync(fd)
  } finally {
    fs.closeSync(fd)
  }
}

function linked(path: string): InvalidInputError {
  return new InvalidInputError(`the path ${path} leads through a symbolic link`, {
    hint: "Put the folder itself there, or mount it: a store follows no links below its root.",
  })
}
