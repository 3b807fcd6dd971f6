/**
 * Where everything is kept: identities, write-ahead logs, audit lines, and later tiles and checkpoints.
 *
 * A store knows paths and bytes and nothing else. It does no parsing, hashing or checking; it may be slow or wrong,
 * and the rooms above it notice. That keeps a store small and lets all of them pass one suite, which is the precise
 * form of this comment: `testing/store.ts`, published as `hansard/testing`.
 *
 * **Paths** are Unix style. They are normalised by adding a leading slash, collapsing repeated slashes and dropping a
 * trailing one. `InvalidInputError` refuses a `.` or `..` segment, a NUL, half a surrogate pair, more than
 * {@link MAX_PATH_BYTES} bytes or {@link MAX_NAME_BYTES} in one segment, a top-level name that begins with
 * {@link RESERVED_NAME}, and `/` where a file is meant.
 *
 * **Directories** are implied by the files in them: none is ever empty. A path is a file or a directory, not both: a
 * change that would make it both is refused with `InvalidInputError`.
 *
 * **Text** is stored as UTF-8; half a surrogate pair becomes U+FFFD, as everywhere on the web.
 *
 * **Order.** Calls may overlap. Changes to one path happen one at a time, in the order of the calls; a read sees every
 * change whose promise resolved before the read was called, and may see one that is under way. A change to a directory
 * is a change to every path under it. Between different paths nothing is promised.
 *
 * **Durability.** When the promise of a change resolves, the change survives what the store's class says it survives
 * (memory: nothing; file: power loss). A failed change has not happened, and no later read sees a part of it.
 *
 * **Errors.** `StoreUnavailableError` when the medium failed, `StoreFullError` when it has no room, `ClosedError` after
 * disposal; each keeps the driver's error as its `cause`. They arrive as rejections: no method throws. Nobody below the
 * caller retries, and nobody holds the caller back: what is not yet durable waits in memory, so bound it yourself.
 *
 * **Buffers.** A caller may reuse a buffer as soon as the call has returned its promise, and owns the buffers it gets.
 *
 * Not promised: transactions over several paths, memory of deleted files, times of change.
 */
export interface KnowledgeStore extends AsyncDisposable {
  /** The whole file, or `undefined` when there is none. */
  read(path: string): Promise<Uint8Array | undefined>

  /**
   * Bytes `[start, end)`; to the end of the file when `end` is left out. Short or empty when the file ends sooner or
   * does not exist, empty when `end` is not after `start`: the caller compares the length. Costs the bytes asked for,
   * not the size of the file.
   */
  readRange(path: string, start: number, end?: number): Promise<Uint8Array>

  /**
   * What {@link readRange} gives for each of many ranges of one file, in their order.
   *
   * Optional: a store has it if it can do better than one call for each.
   */
  readRanges?(path: string, ranges: readonly ByteRange[]): Promise<Uint8Array[]>

  /**
   * Fills `into` with the bytes from `start` on, for who reads much and keeps nothing: a new buffer for every read costs
   * more than the read. `into` is the store's until the promise settles; what it holds after a failure is not said.
   *
   * Optional: a store has it if it saves the buffer.
   *
   * @returns how many bytes there were: fewer than `into` holds when the file ends sooner, 0 when there is none.
   */
  readInto?(path: string, start: number, into: Uint8Array): Promise<number>

  /** Replaces the file, or makes it. Atomic: every reader, now or after a crash, sees the old bytes or the new ones. */
  write(path: string, content: Uint8Array | string): Promise<void>

  /**
   * Compare-and-swap: writes only if the file holds exactly `expected` (`undefined`: only if there is no file).
   *
   * @returns whether it wrote. Of many racing calls with one `expected`, one returns true.
   */
  writeIf(
    path: string,
    content: Uint8Array | string,
    expected: Uint8Array | string | undefined,
  ): Promise<boolean>

  /**
   * Adds to the end of the file, or makes it.
   *
   * Atomic among callers: the bytes of two calls never mix, and they lie in the order of the calls. Concurrent appends
   * to one path share one write and one sync, so a thousand of them cost little more than one. After a crash a file may
   * end in a prefix of appends whose promises had not resolved; never in anything else.
   *
   * @returns the byte offset at which the content starts.
   */
  append(path: string, content: Uint8Array | string, options?: AppendOptions): Promise<number>

  /**
   * Cuts the file to `size` bytes. Nothing happens if it is not longer.
   *
   * For recovery alone: it is how a torn tail is taken off without rewriting what is good.
   */
  truncate(path: string, size: number): Promise<void>

  /**
   * Renames a file, replacing the file at `to`. Atomic and durable; nothing happens when the two are one path.
   *
   * @throws NotFoundError when there is no file at `from`.
   */
  move(from: string, to: string): Promise<void>

  /**
   * Says that the file will not change any more, so that the medium can guard it against accidents (`FileStore`: mode
   * 0444). Afterwards `append` and `truncate` of it may be refused; it is still read, moved, replaced and deleted.
   *
   * Optional: what is sealed is as safe without it, only less guarded.
   *
   * @throws NotFoundError when there is no such file.
   */
  seal?(path: string): Promise<void>

  /**
   * The names directly under `path` (default `/`); names of directories end in `/`, and with it they are sorted by code
   * unit. Empty when there is nothing, or a file. Costs what the directory holds, not what lies below it.
   */
  list(path?: string): Promise<string[]>

  /** Removes a file, or everything under a directory (`/`: all there is). Nothing happens when there is neither. */
  delete(path: string): Promise<void>

  /** Whether there is a file at `path`, or any file under it. */
  exists(path: string): Promise<boolean>

  /** In bytes; 0 when there is no such file. */
  size(path: string): Promise<number>

  /**
   * Calls back with the path of each file that changes at or under `path`.
   *
   * It comes after the change can be read, never inside the call that made it, and an exception in it stays there.
   * Several changes may be told once, and one may be told twice: it says "look again", and no more. Changes by other
   * processes are told where the medium can tell them.
   *
   * @returns a subscription; no call is made after its disposal has resolved.
   */
  onChange(path: string, callback: (path: string) => void): Promise<AsyncDisposable>
}

/** Of a normalised path in UTF-8. Every engine that we know holds keys of this length. */
export const MAX_PATH_BYTES = 1024

/** Of one segment in UTF-8: what file systems hold. The memory store refuses longer ones too, so that tests tell. */
export const MAX_NAME_BYTES = 255

/** What the top-level names begin with that belong to the stores themselves, in any mixture of cases. */
export const RESERVED_NAME = ".hansard"

export interface AppendOptions {
  /**
   * The file is one of many that are appended to at the same time: the store may make them durable together, in a place
   * of its own, and put them into their files durably later. After a crash the file is whole once a store has been opened
   * for writing, and until then it may end sooner than what was acknowledged. Default: false.
   */
  readonly shareSync?: boolean
}

/** Bytes `[start, end)`. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}
