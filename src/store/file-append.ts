import type { AppendOptions } from "./contract.ts"
import type { Journal } from "./file-journal.ts"
import { everyoneTold, SharedSyncs } from "./file-sync.ts"
import type { FileTree } from "./file-tree.ts"
import { codeOf, fileError, READ_WRITE, writeAll } from "./file-system.ts"
import type { Repair, Repairs } from "./file-repairs.ts"
import type { Listeners } from "./listeners.ts"
import { isAtOrUnder, parentOf } from "./paths.ts"
import type { Turns } from "./turns.ts"

/**
 * Of one write and one sync. Measured: 64 KiB a sync give 211 MB/s, 256 KiB 587, 1 MiB 1,094, 4 MiB 286. One content
 * that is longer makes a group of its own.
 */
export const MAX_GROUP_BYTES: number = 1024 * 1024

/**
 * In bytes. A content as long as this is a group already, and is on its way to the disk before its call returns: while
 * the disk works, whoever made it makes the next.
 */
export const WHOLE_GROUP_BYTES: number = 16 * 1024

/**
 * Descriptors kept open between appends; opening and closing takes 20–30 µs. Where the system allows fewer, as many as it
 * allows: Node raises a process's limit to what it may be.
 */
export const MAX_OPEN_FILES = 1024

/**
 * Group commit. The appends to one path that come while its disk works become one write and one sync.
 *
 * Nobody waits for company: when the disk is free, a group is closed as soon as the callers whose appends have just
 * become durable have had their turn. Why not at once: they are about to append again, some awaits later, and a group
 * closed before them is a sync for one and then a sync for the rest.
 *
 * Bytes are written into the page cache within the event loop, and only the sync goes to the thread pool.
 */
export class Appends {
  readonly #tree: FileTree
  readonly #turns: Turns
  readonly #repairs: Repairs
  readonly #listeners: Listeners
  readonly #journal: Journal
  readonly #shared: SharedSyncs
  /** The newest group of each path that still takes appends. */
  readonly #gathering = new Map<string, Group>()
  /** Least recently used first. Only a file without a group under way is closed. */
  readonly #open = new Map<string, OpenFile>()
  /** Files that are being made by their first append: not there for a reader until that is durable. */
  readonly #unborn = new Set<string>()

  constructor(tree: FileTree, turns: Turns, repairs: Repairs, listeners: Listeners, journal: Journal) {
    this.#tree = tree
    this.#journal = journal
    this.#shared = new SharedSyncs(journal)
    this.#turns = turns
    this.#repairs = repairs
    this.#listeners = listeners
  }

  /** `path` is normal. Text is encoded when the group is written; bytes are copied unless they are written at once. */
  append(
    path: string,
    content: Uint8Array | string,
    { shareSync = false }: AppendOptions = {},
  ): Promise<number> {
    const bytes = typeof content === "string" ? Buffer.byteLength(content) : content.length
    return new Promise((resolve, reject) => {
      const one = new Pending(content, bytes, resolve, reject)
      const gathering = this.#gathering.get(path)
      if (gathering !== undefined && gathering.hasRoomFor(bytes) && this.#turns.isFree(path)) {
        gathering.add(one, shareSync)
        one.keep()
        return
      }
      const group = new Group()
      group.add(one, shareSync)
      this.#gathering.set(path, group)
      void this.#turns.take([path], () => this.#commit(path, group))
      if (!group.isEncoded) one.keep()
    })
  }

  /** Whether `path` is already in its normal form, because it is that of an open file. Saves a hot path the check. */
  isOpen(path: string): boolean {
    return this.#open.has(path)
  }

  isUnborn(path: string): boolean {
    return this.#unborn.size > 0 && this.#unborn.has(path)
  }

  /** The durable size of a file that is open here; what lies after it is not acknowledged. */
  durableBytes(path: string): number | undefined {
    return this.#open.get(path)?.size
  }

  /** The open file for a reader, who has to release it. */
  borrow(path: string): OpenFile | undefined {
    const file = this.#open.get(path)
    file?.acquire()
    return file
  }

  /** Closes what is open at `path`, which is about to become another file or none. */
  forget(path: string): void {
    const only = this.#open.get(path)
    if (only !== undefined) {
      this.#open.delete(path)
      only.release()
    }
  }

  /** The same for everything under `path`. */
  forgetTree(path: string): void {
    for (const [open, file] of this.#open) {
      if (!isAtOrUnder(open, path)) continue
      this.#open.delete(open)
      file.release()
    }
  }

  /** Any other change to `path` comes after the appends before it, and before those after it. */
  close(path: string): void {
    this.#gathering.delete(path)
  }

  /** Never rejects: what went wrong is told to those who appended. */
  async #commit(path: string, group: Group): Promise<void> {
    if (group.bytes < WHOLE_GROUP_BYTES) await everyoneTold()
    if (this.#gathering.get(path) === group) this.#gathering.delete(path)
    /** What to take back, filled in before each step: one that fails may have happened. */
    const before = { touched: false, made: false, size: 0 }
    let file: OpenFile | undefined
    try {
      if (this.#repairs.areWaiting) await this.#repairs.mend(path)
      file = this.#fileFor(path, before)
      before.size = file.size
      before.touched = true
      const bytes = group.encode()
      writeAll(this.#tree.fs, file.fd, bytes, file.size)
      const written = file
      const alone = (): Promise<void> => this.#sync(path, written)
      if (!group.sharesSync || !this.#tree.syncs) await alone()
      else await this.#shared.sync({ kind: "append", path, offset: file.size, bytes }, alone)
    } catch (error) {
      if (before.touched) await this.#repairs.undo([path], this.#rollback(path, before.made, before.size))
      // Only now, for until then it tells readers where to stop. No append uses the descriptor again: after a failed
      // sync the kernel may report the next one as a success.
      this.forget(path)
      file?.release()
      this.#unborn.delete(path)
      group.reject(fileError(error, `append to ${path}`))
      return
    }
    const start = file.size
    file.size += group.bytes
    file.release()
    this.#unborn.delete(path)
    this.#listeners.tell(path)
    group.resolve(start)
  }

  async #sync(path: string, file: OpenFile): Promise<void> {
    await this.#tree.syncFile(file.fd)
    if (!file.settled) await this.#tree.settle(parentOf(path))
    file.settled = true
  }

  /** To be released. */
  #fileFor(path: string, before: { touched: boolean; made: boolean }): OpenFile {
    const known = this.#open.get(path)
    if (known !== undefined) {
      this.#open.delete(path)
      this.#open.set(path, known)
      known.acquire()
      return known
    }
    const { fd, size } = this.#opened(path) ?? this.#make(path, before)
    const file = new OpenFile(fd, size, () => this.#tree.close(fd))
    this.#open.set(path, file)
    file.acquire()
    this.#makeRoom()
    return file
  }

  #opened(path: string): { fd: number; size: number } | undefined {
    try {
      return this.#tree.openFile(path, READ_WRITE)
    } catch (error) {
      if (codeOf(error) !== "EMFILE" && codeOf(error) !== "ENFILE") throw error
      this.#makeRoom(0)
      return this.#tree.openFile(path, READ_WRITE)
    }
  }

  #make(path: string, before: { touched: boolean; made: boolean }): { fd: number; size: number } {
    this.#tree.fileToChange(path)
    this.#tree.makeParents(path)
    this.#unborn.add(path)
    before.touched = true
    before.made = true
    this.#tree.changed(parentOf(path))
    try {
      return { fd: this.#tree.create(this.#tree.at(path)), size: 0 }
    } catch (error) {
      // Somebody else's: it is not ours to remove.
      before.touched = codeOf(error) !== "EEXIST"
      throw error
    }
  }

  /** Cuts the file back to what is durable, through a descriptor of its own. */
  #rollback(path: string, made: boolean, size: number): Repair {
    const tree = this.#tree
    const journal = this.#journal
    // The journal first: what it still said of a failed append could be written over a later one.
    const cut = async (): Promise<void> => {
      await journal.mend()
      await cutBack(tree, path, size)
    }
    if (!made) return { run: cut, visibleBytes: size }
    return {
      run: async () => {
        await journal.mend()
        if (tree.stat(path) !== undefined) {
          tree.changed(parentOf(path))
          tree.fs.unlinkSync(tree.at(path))
        }
        await tree.settle(parentOf(path))
        tree.prune(path)
      },
    }
  }

  #makeRoom(most: number = MAX_OPEN_FILES): void {
    for (const [path, file] of this.#open) {
      if (this.#open.size <= most) return
      if (file.inUse) continue
      this.#open.delete(path)
      file.release()
    }
  }
}

/** A descriptor that is closed when its last user lets go, so that a reader never reads another file's bytes. */
class OpenFile {
  readonly fd: number
  /** In bytes, of what is durable. Owned by the path's commit. */
  size: number
  /** Whether the folders above have been seen to be durable. Owned by the path's commit. */
  settled = false
  readonly #close: () => void
  #users = 1

  constructor(fd: number, size: number, close: () => void) {
    this.fd = fd
    this.size = size
    this.#close = close
  }

  get inUse(): boolean {
    return this.#users > 1
  }

  acquire(): void {
    this.#users++
  }

  release(): void {
    if (--this.#users === 0) this.#close()
  }
}

export type { OpenFile }

class Pending {
  /** The caller's own until {@link keep}. */
  content: Uint8Array | string
  readonly bytes: number
  readonly resolve: (offset: number) => void
  readonly reject: (error: unknown) => void

  constructor(
    content: Uint8Array | string,
    bytes: number,
    resolve: (offset: number) => void,
    reject: (error: unknown) => void,
  ) {
    this.content = content
    this.bytes = bytes
    this.resolve = resolve
    this.reject = reject
  }

  /** The call returns, and its caller may use the buffer for something else. */
  keep(): void {
    if (typeof this.content !== "string") this.content = Buffer.from(this.content)
  }
}

/** Appends that share their fate, in the order of the calls. */
class Group {
  readonly #all: Pending[] = []
  bytes = 0
  /** It is on its way to the disk, and what it was made of is of no more use. */
  isEncoded = false
  #mayShare = true

  /** Whether it may be made durable in the journal. One that is long is a group already, and is not written twice. */
  get sharesSync(): boolean {
    return this.#mayShare && this.bytes < WHOLE_GROUP_BYTES
  }

  hasRoomFor(bytes: number): boolean {
    return this.bytes + bytes <= MAX_GROUP_BYTES
  }

  add(one: Pending, shareSync: boolean): void {
    this.#all.push(one)
    this.bytes += one.bytes
    if (!shareSync) this.#mayShare = false
  }

  encode(): Uint8Array {
    this.isEncoded = true
    const [only] = this.#all
    if (this.#all.length === 1 && only !== undefined && typeof only.content !== "string") return only.content
    const all = Buffer.allocUnsafe(this.bytes)
    let offset = 0
    // One by one: joined first, two halves of a surrogate pair from two calls would become one character.
    for (const { content, bytes } of this.#all) {
      if (typeof content === "string") all.write(content, offset)
      else all.set(content, offset)
      offset += bytes
    }
    return all
  }

  resolve(start: number): void {
    let offset = start
    for (const one of this.#all) {
      one.resolve(offset)
      offset += one.bytes
    }
  }

  reject(error: unknown): void {
    for (const one of this.#all) one.reject(error)
  }
}

/** Makes a file end at `size` again, durably. Nothing to do when it is gone. */
export async function cutBack(tree: FileTree, path: string, size: number): Promise<void> {
  const file = tree.openFile(path, READ_WRITE)
  if (file === undefined) return
  try {
    if (file.size > size) tree.fs.ftruncateSync(file.fd, size)
    // Even when there is nothing to cut: what an earlier descriptor was told about its sync cannot be believed.
    await tree.syncFile(file.fd)
  } finally {
    tree.close(file.fd)
  }
}
