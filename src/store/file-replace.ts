import { equalBytes } from "../core/bytes.ts"
import { NotFoundError } from "../core/errors.ts"
import { cutBack } from "./file-append.ts"
import type { Repairs } from "./file-repairs.ts"
import { codeOf, READ, READ_WRITE, readBytes, writeAll } from "./file-system.ts"
import type { FileTree } from "./file-tree.ts"
import { childOf, parentOf } from "./paths.ts"

/**
 * The longest tail that a failed truncation can put back; it is kept in memory, for on a full disk there is no other
 * place. A longer one is cut all the same, and after a failure it may be gone.
 */
const MAX_KEPT_TAIL_BYTES = 16 * 1024 * 1024

/**
 * The changes that give a path another file or none. Each is one rename, so that there is never a half of it, and each
 * keeps what it replaces under a second name until the folder is durable, so that it can be taken back.
 *
 * All are called within the path's turn, with no descriptor of it open.
 */
export class Replacements {
  readonly #tree: FileTree
  readonly #repairs: Repairs

  constructor(tree: FileTree, repairs: Repairs) {
    this.#tree = tree
    this.#repairs = repairs
  }

  async write(path: string, bytes: Uint8Array): Promise<void> {
    const tree = this.#tree
    const fresh = tree.temporary()
    try {
      const fd = tree.create(fresh)
      try {
        writeAll(tree.fs, fd, bytes, 0)
        await tree.syncFile(fd)
      } finally {
        tree.close(fd)
      }
      const former = new Former(tree, path)
      await this.#orUndo([path], former, async () => {
        tree.makeParents(path)
        former.keep()
        tree.changed(parentOf(path))
        tree.fs.renameSync(fresh, tree.at(path))
        await tree.settle(parentOf(path))
      })
      await former.discard()
    } catch (error) {
      await tree.discard(fresh)
      throw error
    }
  }

  /** Whether the file holds exactly `expected`; the size is compared first. */
  async holds(path: string, expected: Uint8Array | undefined): Promise<boolean> {
    const tree = this.#tree
    if (expected === undefined) return !tree.stat(path)?.isFile()
    const file = tree.openFile(path, READ)
    if (file === undefined) return false
    try {
      return (
        file.size === expected.length && equalBytes(await readBytes(tree.fs, file.fd, 0, file.size), expected)
      )
    } finally {
      tree.close(file.fd)
    }
  }

  /** @returns whether there was anything to cut. */
  async truncate(path: string, size: number): Promise<boolean> {
    const tree = this.#tree
    const file = tree.openFile(path, READ_WRITE)
    if (file === undefined) return false
    const cut = file.size - size
    try {
      if (cut <= 0) return false
      const kept = cut <= MAX_KEPT_TAIL_BYTES ? file.size : size
      const tail = await readBytes(tree.fs, file.fd, size, kept)
      await this.#orUndo([path], { undo: () => putBack(tree, path, size, tail) }, () =>
        cutBack(tree, path, size),
      )
      return true
    } finally {
      tree.close(file.fd)
    }
  }

  async move(from: string, to: string): Promise<void> {
    const tree = this.#tree
    if (!tree.stat(from)?.isFile()) throw new NotFoundError(`there is no file ${from} to move`)
    if (from === to) return
    const former = new Former(tree, to)
    const undo = async (): Promise<void> => {
      if (tree.stat(from) === undefined) {
        tree.makeParents(from)
        tree.changed(parentOf(from))
        tree.fs.renameSync(tree.at(to), tree.at(from))
        await tree.settle(parentOf(from))
      }
      await former.undo()
    }
    await this.#orUndo([from, to], { undo }, async () => {
      tree.makeParents(to)
      former.keep()
      tree.changed(parentOf(to))
      tree.changed(parentOf(from))
      tree.fs.renameSync(tree.at(from), tree.at(to))
      // The new name first: a crash between the two may leave both, never neither.
      await tree.settle(parentOf(to))
      await tree.settle(parentOf(from))
    })
    await former.discard()
    tree.prune(from)
  }

  /** Sets the file or the whole tree aside in one step, and removes it when that is durable. */
  async delete(path: string): Promise<void> {
    const tree = this.#tree
    const stat = tree.stat(path)
    if (stat === undefined) return
    const doomed = path === "/" ? tree.list("/").map(({ name }) => childOf("/", name)) : [path]
    const aside = doomed.map((place) => ({ place, trash: tree.temporary() }))
    const undo = async (): Promise<void> => {
      for (const { place, trash } of aside) {
        if (tree.fs.lstatSync(trash) === undefined) continue
        tree.makeParents(place)
        tree.changed(parentOf(place))
        tree.fs.renameSync(trash, tree.at(place))
      }
      await tree.settle(parentOf(path))
    }
    await this.#orUndo([path], { undo }, async () => {
      tree.changed(parentOf(path))
      for (const { place, trash } of aside) tree.fs.renameSync(tree.at(place), trash)
      await tree.settle(parentOf(path))
    })
    for (const { trash } of aside) await tree.discard(trash)
    tree.prune(path)
  }

  async #orUndo(paths: string[], back: { undo(): Promise<void> }, steps: () => Promise<void>): Promise<void> {
    try {
      await steps()
    } catch (error) {
      await this.#repairs.undo(paths, { run: () => back.undo() })
      throw error
    }
  }
}

/** What a path held before it got another file: a second name for that file, or the memory that there was none. */
class Former {
  readonly #tree: FileTree
  readonly #path: string
  readonly #place: string
  #was: "unknown" | "absent" | "linked" | "lost" = "unknown"

  constructor(tree: FileTree, path: string) {
    this.#tree = tree
    this.#path = path
    this.#place = tree.temporary()
  }

  /** Call it right before the change. @throws InvalidInputError when the path is no file. */
  keep(): void {
    const tree = this.#tree
    if (tree.fileToChange(this.#path) === undefined) {
      this.#was = "absent"
      return
    }
    // Set before the call: one that reports an error may have made the link all the same.
    this.#was = "linked"
    try {
      tree.fs.linkSync(tree.at(this.#path), this.#place)
    } catch (error) {
      if (!WITHOUT_LINKS.has(codeOf(error) ?? "")) throw error
      this.#was = "lost"
    }
  }

  async undo(): Promise<void> {
    const tree = this.#tree
    if (this.#was === "linked") {
      tree.changed(parentOf(this.#path))
      // When both are still names of one file nothing happens, and `discard` takes the second away.
      if (tree.fs.lstatSync(this.#place) !== undefined) tree.fs.renameSync(this.#place, tree.at(this.#path))
    } else if (this.#was === "absent" && tree.stat(this.#path) !== undefined) {
      tree.changed(parentOf(this.#path))
      tree.fs.unlinkSync(tree.at(this.#path))
    }
    await tree.settle(parentOf(this.#path))
    tree.prune(this.#path)
    await this.discard()
  }

  async discard(): Promise<void> {
    if (this.#was === "linked") await this.#tree.discard(this.#place)
  }
}

/**
 * What FAT and some network mounts answer to `link`. There a change is as atomic as anywhere, but one whose folder
 * cannot be synced is not taken back: it fails and may show.
 */
const WITHOUT_LINKS: ReadonlySet<string> = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"])

/** Undoes a truncation. */
async function putBack(tree: FileTree, path: string, size: number, tail: Uint8Array): Promise<void> {
  const file = tree.openFile(path, READ_WRITE)
  if (file === undefined) return
  try {
    writeAll(tree.fs, file.fd, tail, size)
    await tree.syncFile(file.fd)
  } finally {
    tree.close(file.fd)
  }
}
