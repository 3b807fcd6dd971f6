import * as fs from "node:fs"
import { join } from "node:path"
import { nodeFileSystem, type FileSystem } from "../../src/store/file-system.ts"

/** Which names a power loss leaves: those that were synced, or those that there were. Both happen. */
export type Names = "synced" | "latest"

/** What is on the disk at one moment, as far as it is certain to be. */
export interface Image {
  /** Makes the folder as the next process finds it. */
  write(folder: string, names: Names): void
}

type Node = { readonly file: Buffer } | { readonly synced: Folder; readonly latest: Folder }
type Folder = ReadonlyMap<string, number>

/**
 * A file system of which a power loss leaves what was synced and nothing else: of each file the content of its last
 * sync, of each folder the names of its last sync.
 */
export class LosablePower {
  readonly fs: FileSystem
  /** Called before each call that changes something. */
  before: () => void = () => {}
  readonly #root: string
  /** By inode: what is safe of it. An inode that is made anew starts empty. */
  readonly #files = new Map<number, Buffer>()
  readonly #folders = new Map<number, Folder>()

  constructor(root: string) {
    this.#root = root
    const real = nodeFileSystem
    this.fs = {
      ...real,
      openSync: (path, flags, mode) => {
        const isNew = (flags & fs.constants.O_CREAT) !== 0
        if (isNew) this.before()
        const fd = real.openSync(path, flags, mode)
        if (isNew) this.#files.set(fs.fstatSync(fd).ino, Buffer.alloc(0))
        return fd
      },
      mkdirSync: (path, mode) => {
        this.before()
        real.mkdirSync(path, mode)
        this.#folders.set(fs.statSync(path).ino, new Map())
      },
      writeSync: (...args) => (this.before(), real.writeSync(...args)),
      ftruncateSync: (...args) => (this.before(), real.ftruncateSync(...args)),
      renameSync: (...args) => (this.before(), real.renameSync(...args)),
      unlinkSync: (path) => (this.before(), real.unlinkSync(path)),
      linkSync: (...args) => (this.before(), real.linkSync(...args)),
      fdatasync: async (fd) => {
        this.before()
        const { ino, size } = fs.fstatSync(fd)
        const content = Buffer.alloc(size)
        fs.readSync(fd, content, 0, size, 0)
        await real.fdatasync(fd)
        // What is written meanwhile is not in it.
        this.#files.set(ino, content)
      },
      fsync: async (fd) => {
        this.before()
        const { ino } = fs.fstatSync(fd)
        const names = namesIn(`/proc/self/fd/${fd}`)
        await real.fsync(fd)
        this.#folders.set(ino, names)
      },
    }
  }

  image(): Image {
    const nodes = new Map<number, Node>()
    const root = fs.statSync(this.#root).ino
    const look = (folder: string): void => {
      const { ino } = fs.statSync(folder)
      const latest = namesIn(folder)
      nodes.set(ino, { synced: this.#folders.get(ino) ?? new Map(), latest })
      for (const name of latest.keys())
        if (fs.statSync(join(folder, name)).isDirectory()) look(join(folder, name))
    }
    look(this.#root)
    for (const [ino, file] of this.#files) nodes.set(ino, { file })
    return { write: (folder, names) => write(nodes, root, folder, names) }
  }
}

function namesIn(folder: string): Folder {
  const names = fs.readdirSync(folder).filter((name) => name !== "lease" && name !== "holder")
  return new Map(names.map((name) => [name, fs.statSync(join(folder, name)).ino]))
}

function write(nodes: ReadonlyMap<number, Node>, ino: number, place: string, names: Names): void {
  const node = nodes.get(ino)
  if (node === undefined) return
  if ("file" in node) return fs.writeFileSync(place, node.file)
  fs.mkdirSync(place)
  for (const [name, inside] of node[names]) write(nodes, inside, join(place, name), names)
}
