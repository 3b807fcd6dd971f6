import * as fs from "node:fs"
import { HansardError, InvalidInputError, StoreFullError, StoreUnavailableError } from "../core/errors.ts"

/**
 * Exactly the calls that {@link FileStore} makes, so that a test can count them, fail them and cut them short.
 *
 * What touches only names, sizes and the page cache is called at once: 2–10 µs against 30 µs for a hop through the
 * thread pool, and nothing of this process comes between a check and the change that it was for. What waits for the
 * disk (reads, syncs, the removal of trees) goes through the pool. The price: on a hanging network mount the whole
 * process waits.
 *
 * Errors are Node's, with a `code` such as `ENOSPC`.
 */
export interface FileSystem {
  openSync(path: string, flags: number, mode?: number): number
  closeSync(fd: number): void
  /** May write less than `length`. */
  writeSync(fd: number, bytes: Uint8Array, offset: number, length: number, position: number): number
  ftruncateSync(fd: number, size: number): void
  fchmodSync(fd: number, mode: number): void
  fstatSync(fd: number): FileStat
  /** Of the link itself; `undefined` when there is nothing. */
  lstatSync(path: string): FileStat | undefined
  realpathSync(path: string): string
  mkdirSync(path: string, mode: number): void
  chmodSync(path: string, mode: number): void
  rmdirSync(path: string): void
  renameSync(from: string, to: string): void
  linkSync(existing: string, path: string): void
  unlinkSync(path: string): void
  readdirSync(path: string): FolderEntry[]
  opendirSync(path: string): OpenFolder
  /** May read less than `length`; 0 at the end of the file. Waits for the disk: only for what it probably need not. */
  readSync(fd: number, into: Uint8Array, offset: number, length: number, position: number): number
  /** May read less than `length`; 0 at the end of the file. */
  read(fd: number, into: Uint8Array, offset: number, length: number, position: number): Promise<number>
  fdatasync(fd: number): Promise<void>
  /** Of folders, and of a file's rights. */
  fsync(fd: number): Promise<void>
  /** Removes a file or a whole tree; nothing happens when there is none. */
  remove(path: string): Promise<void>
  /** Calls back with the name of the entry of the folder that changed; `null` when the system does not say. */
  watch(folder: string, changed: (name: string | null) => void, failed: (error: Error) => void): FolderWatcher
}

export interface FileStat {
  readonly size: number
  readonly mode: number
  isFile(): boolean
  isDirectory(): boolean
  isSymbolicLink(): boolean
}

export interface FolderEntry {
  readonly name: string
  isFile(): boolean
  isDirectory(): boolean
}

export interface OpenFolder {
  readSync(): FolderEntry | null
  closeSync(): void
}

export interface FolderWatcher {
  close(): void
}

/** The machine's own. */
export const nodeFileSystem: FileSystem = {
  openSync: fs.openSync,
  closeSync: fs.closeSync,
  writeSync: fs.writeSync,
  readSync: fs.readSync,
  ftruncateSync: fs.ftruncateSync,
  fchmodSync: fs.fchmodSync,
  fstatSync: (fd) => fs.fstatSync(fd),
  lstatSync: (path) => fs.lstatSync(path, { throwIfNoEntry: false }),
  realpathSync: (path) => fs.realpathSync.native(path),
  mkdirSync: (path, mode) => {
    fs.mkdirSync(path, { mode })
  },
  chmodSync: fs.chmodSync,
  rmdirSync: (path) => fs.rmdirSync(path),
  renameSync: fs.renameSync,
  linkSync: fs.linkSync,
  unlinkSync: fs.unlinkSync,
  readdirSync: (path) => fs.readdirSync(path, { withFileTypes: true }),
  // A small buffer: it is opened to learn whether a folder holds anything, not what.
  opendirSync: (path) => fs.opendirSync(path, { bufferSize: 4 }),
  read: (fd, into, offset, length, position) =>
    new Promise((resolve, reject) => {
      fs.read(fd, into, offset, length, position, (error, bytes) => (error ? reject(error) : resolve(bytes)))
    }),
  fdatasync: (fd) =>
    new Promise((resolve, reject) => {
      fs.fdatasync(fd, (error) => (error ? reject(error) : resolve()))
    }),
  fsync: (fd) =>
    new Promise((resolve, reject) => {
      fs.fsync(fd, (error) => (error ? reject(error) : resolve()))
    }),
  remove: (path) => fs.promises.rm(path, { recursive: true, force: true }),
  watch: (folder, changed, failed) => {
    const watcher = fs.watch(folder, (_event, name) => changed(name))
    watcher.on("error", failed)
    return watcher
  },
}

const { O_NOFOLLOW = 0, O_NONBLOCK = 0 } = fs.constants
/** No link is followed, and a named pipe in the way does not stop the process. */
const SAFELY = O_NOFOLLOW | O_NONBLOCK

export const READ: number = fs.constants.O_RDONLY | SAFELY
export const READ_WRITE: number = fs.constants.O_RDWR | SAFELY
/** Fails when the file is there. */
export const CREATE: number = fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_EXCL | SAFELY

export const FILE_MODE = 0o600
export const FOLDER_MODE = 0o700
/** Of what is sealed. Others may read it no more than before: the folders above are their owner's alone. */
export const SEALED_MODE = 0o444

/** Goes on after a short write, and fails rather than go round for ever when nothing more is taken. */
export function writeAll(fs: FileSystem, fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length;) {
    const written = fs.writeSync(fd, bytes, done, bytes.length - done, position + done)
    if (written === 0)
      throw new StoreUnavailableError("the file system takes no more bytes and gives no reason")
    done += written
  }
}

/** Bytes `[start, end)`, or fewer when the file ends before. */
export async function readBytes(fs: FileSystem, fd: number, start: number, end: number): Promise<Uint8Array> {
  // Not filled with zeros first: what is not read is cut off.
  const bytes = new Uint8Array(Buffer.allocUnsafeSlow(end - start).buffer)
  const got = await fillBytes(fs, fd, start, bytes)
  return got < bytes.length ? bytes.slice(0, got) : bytes
}

/** Fills `into` from `start` on, as far as `size`, where the file ends for a reader. @returns how many bytes there were. */
export async function fillBytes(
  fs: FileSystem,
  fd: number,
  start: number,
  into: Uint8Array,
  size: number = Infinity,
): Promise<number> {
  const wanted = Math.max(0, Math.min(into.length, size - start))
  let done = 0
  while (done < wanted) {
    const got = await fs.read(fd, into, done, Math.min(wanted - done, MAX_READ_BYTES), start + done)
    if (got === 0) break
    done += got
  }
  return done
}

/** Linux reads no more at a time. */
const MAX_READ_BYTES = 0x40000000

export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined
  return typeof error.code === "string" ? error.code : undefined
}

/** Whether there is nothing at a path, not even a folder above it. */
export function isAbsent(error: unknown): boolean {
  const code = codeOf(error)
  return code === "ENOENT" || code === "ENOTDIR"
}

/** The error of the contract for a driver's. Our own bugs have no `errno` code and stay as they are. */
export function fileError(error: unknown, doing: string): unknown {
  const code = codeOf(error)
  if (error instanceof HansardError || code === undefined) return error
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return new StoreFullError(`there is no room to ${doing}`, { cause: error })
    case "ELOOP":
    case "EISDIR":
    case "ENOTDIR":
      return new InvalidInputError(`cannot ${doing}: a directory, a file or a link is in the way`, {
        cause: error,
      })
    default:
      return new StoreUnavailableError(`could not ${doing} (${code})`, { cause: error })
  }
}
