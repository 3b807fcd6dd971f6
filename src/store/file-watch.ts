import type { Logger } from "../core/logger.ts"
import type { FileTree } from "./file-tree.ts"
import { isAbsent, type FolderWatcher } from "./file-system.ts"
import { childOf, isAtOrUnder, isReserved } from "./paths.ts"

/**
 * Tells of changes that other processes make at or under one path, which need not exist yet.
 *
 * The system watches folders one at a time. Watched are the folders from the root down to the path, as far as they
 * exist, and, if the path is a directory, every folder in it; a folder that appears is watched first and then searched,
 * so that nothing falls between the two. Not `fs.watch` with `recursive`: on Linux it is this same walk, but it misses
 * what is made while it walks, and it cannot start at a path that does not exist.
 *
 * A directory that vanishes is told as one path, without the files that were in it. There are no timers: what the
 * system does not tell (most network mounts) is not told.
 */
export class FileWatch {
  readonly #tree: FileTree
  readonly #path: string
  readonly #tell: (path: string) => void
  readonly #logger: Logger
  readonly #folders = new Map<string, FolderWatcher>()

  constructor(tree: FileTree, path: string, tell: (path: string) => void, logger: Logger) {
    this.#tree = tree
    this.#path = path
    this.#tell = tell
    this.#logger = logger
    try {
      this.#look("/", false)
    } catch (error) {
      this.close()
      throw error
    }
  }

  close(): void {
    this.#drop("/")
  }

  /** Watches the folder and whatever matters in it; then tells of the files it finds, if they are news. */
  #look(folder: string, news: boolean): void {
    if (!this.#arm(folder)) return
    for (const entry of this.#entries(folder)) {
      const path = childOf(folder, entry.name)
      if (entry.isDirectory() && this.#concerns(path)) this.#look(path, news)
      else if (news && isAtOrUnder(path, this.#path)) this.#tell(path)
    }
  }

  /** @returns whether it is a folder, and watched. */
  #arm(folder: string): boolean {
    if (this.#folders.has(folder)) return true
    try {
      if (!this.#tree.stat(folder)?.isDirectory()) return false
      const watcher = this.#tree.fs.watch(
        this.#tree.at(folder),
        (name) => this.#changed(folder, name),
        (error) => this.#failed(folder, error),
      )
      this.#folders.set(folder, watcher)
      return true
    } catch (error) {
      // Gone again; the folder above will tell if it comes back.
      if (isAbsent(error)) return false
      throw error
    }
  }

  #changed(folder: string, name: string | null): void {
    // Closed while this was under way.
    if (!this.#folders.has(folder)) return
    try {
      if (name === null) {
        this.#drop(folder)
        this.#look(folder, true)
        return
      }
      if (folder === "/" && isReserved(name)) return
      const path = childOf(folder, name)
      if (!this.#concerns(path)) return
      const isFolder = this.#tree.stat(path)?.isDirectory() ?? false
      // Perhaps another folder of the same name: a watcher stays with the one that was moved away.
      const wasFolder = this.#drop(path)
      if (isFolder) this.#look(path, true)
      else if (isAtOrUnder(path, this.#path)) this.#tell(path)
      else if (wasFolder) this.#tell(this.#path)
    } catch (error) {
      this.#failed(folder, error)
    }
  }

  /** Whether a change at `path` can be one at or under ours. */
  #concerns(path: string): boolean {
    return isAtOrUnder(path, this.#path) || isAtOrUnder(this.#path, path)
  }

  /** @returns whether `path` was watched. */
  #drop(path: string): boolean {
    const was = this.#folders.has(path)
    for (const [folder, watcher] of this.#folders) {
      if (!isAtOrUnder(folder, path)) continue
      this.#folders.delete(folder)
      watcher.close()
    }
    return was
  }

  #entries(folder: string): ReturnType<FileTree["fs"]["readdirSync"]> {
    try {
      const entries = this.#tree.fs.readdirSync(this.#tree.at(folder))
      return entries.filter(({ name }) => folder !== "/" || !isReserved(name))
    } catch (error) {
      if (isAbsent(error)) return []
      throw error
    }
  }

  /** The folder is given up, and whoever subscribed told to look again, for the last time it may be. */
  #failed(folder: string, error: unknown): void {
    this.#logger.warn(
      { err: error, folder },
      "cannot watch a folder any more; changes in it will not be told",
    )
    this.#drop(folder)
    this.#tell(isAtOrUnder(folder, this.#path) ? folder : this.#path)
  }
}
