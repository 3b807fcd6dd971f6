import { TamperedError } from "../core/errors.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import {
  compressFrame,
  formatFrameTable,
  FRAME_BYTES,
  FRAME_LINES,
  linesBytes,
  openFrames,
  readFrames,
} from "./frames.ts"
import type { Frames } from "./frames.ts"
import type { LogFiles, Segment } from "./log-files.ts"
import { compressedPath, segmentPath } from "./paths.ts"

/** Per read of the original, and per append to what is made of it. */
const BLOCK_BYTES = 1024 * 1024
const NEWLINE = 0x0a

/**
 * Compresses sealed segments, one after another, in the background.
 *
 * The compressed segment is made under another name, read back and compared byte for byte, and moved to its own name;
 * only then is the original deleted. While both are there, readers use the original. So a crash leaves one of the two whole,
 * and what it leaves beside is made again, or compared again, by the next process that compresses.
 */
export class Compaction {
  readonly #store: KnowledgeStore
  readonly #files: LogFiles
  readonly #onError: (error: unknown) => void
  #working: Promise<void> | undefined
  #isClosed = false

  constructor(store: KnowledgeStore, files: LogFiles, onError: (error: unknown) => void) {
    this.#store = store
    this.#files = files
    this.#onError = onError
  }

  /** There may be something to do. Nobody waits for it; after a failure it is tried again at the next call. */
  start(): void {
    if (this.#working !== undefined || this.#isClosed || this.#next() === undefined) return
    this.#working = this.#work()
      .catch(this.#onError)
      .finally(() => {
        this.#working = undefined
      })
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    while (this.#working !== undefined) await this.#working
  }

  /** Gives up what is under way, which harms nothing. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.idle()
  }

  #next(): Segment | undefined {
    return this.#files.segments.find(({ frames }) => frames === undefined)
  }

  async #work(): Promise<void> {
    for (let segment = this.#next(); segment !== undefined && !this.#isClosed; segment = this.#next()) {
      const frames = (await this.#leftBehind(segment)) ?? (await this.#make(segment))
      if (frames === undefined) return
      this.#files.compressed(segment.firstIndex, frames)
      await this.#store.delete(segmentPath(segment.firstIndex))
    }
  }

  /** What an earlier process made and did not live to use. */
  async #leftBehind(segment: Segment): Promise<Frames | undefined> {
    const path = compressedPath(segment.firstIndex)
    if (!(await this.#store.exists(path))) return undefined
    try {
      const frames = await openFrames(this.#store, path, segment.firstIndex)
      if (await this.#isEqual(segment, frames)) return frames
    } catch (error) {
      if (!(error instanceof TamperedError)) throw error
    }
    if (!this.#isClosed) await this.#store.delete(path)
    return undefined
  }

  /** `undefined` when it was given up. */
  async #make(segment: Segment): Promise<Frames | undefined> {
    const path = compressedPath(segment.firstIndex)
    const draft = `${path}.new`
    await this.#store.delete(draft)
    const table: { compressed: number; lines: number }[] = []
    let waiting: Uint8Array[] = []
    let waitingBytes = 0
    const flush = async (): Promise<void> => {
      if (waitingBytes > 0) await this.#store.append(draft, Buffer.concat(waiting))
      waiting = []
      waitingBytes = 0
    }
    for await (const lines of this.#slices(segment)) {
      if (this.#isClosed) return undefined
      const frame = await compressFrame(lines)
      table.push({ compressed: frame.length, lines: lines.length })
      waiting.push(frame)
      waitingBytes += frame.length
      if (waitingBytes >= BLOCK_BYTES) await flush()
    }
    await flush()
    await this.#store.append(draft, formatFrameTable(table))
    const made = await openFrames(this.#store, draft, segment.firstIndex)
    if (!(await this.#isEqual(segment, made))) {
      if (this.#isClosed) return undefined
      throw new Error(`${draft} is not what was written to it`)
    }
    await this.#store.move(draft, path)
    await this.#store.seal?.(path)
    return { ...made, path }
  }

  /** The lines of a segment, a frame's worth at a time. */
  async *#slices({ firstIndex, start, end }: Segment): AsyncGenerator<Buffer, void, undefined> {
    const path = segmentPath(firstIndex)
    let rest: Buffer = Buffer.alloc(0)
    for (let at = 0; at < end - start;) {
      const read = await this.#store.readRange(path, at, at + BLOCK_BYTES)
      if (read.length === 0) throw new TamperedError(`${path} has become shorter`, firstIndex, start + at)
      at += read.length
      const bytes = Buffer.concat([rest, read])
      let begin = 0
      for (let cut = cutAfter(bytes, begin); cut !== undefined; cut = cutAfter(bytes, begin)) {
        yield bytes.subarray(begin, cut)
        begin = cut
      }
      rest = bytes.subarray(begin)
    }
    if (rest.length > 0) yield rest
  }

  async #isEqual({ firstIndex, start, end }: Segment, frames: Frames): Promise<boolean> {
    if (linesBytes(frames) !== end - start) return false
    for (let at = 0; at < end - start && !this.#isClosed; at += BLOCK_BYTES) {
      const stop = Math.min(at + BLOCK_BYTES, end - start)
      const original = await this.#store.readRange(segmentPath(firstIndex), at, stop)
      if (original.length < stop - at) return false
      const read = await readFrames(this.#store, frames, at, stop)
      if (Buffer.compare(original, read) !== 0) return false
    }
    return !this.#isClosed
  }
}

/** Where a frame that begins at `begin` may end; `undefined` when more bytes are needed. */
function cutAfter(bytes: Buffer, begin: number): number | undefined {
  let lines = 0
  for (let at = bytes.indexOf(NEWLINE, begin); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) {
    lines++
    if (lines >= FRAME_LINES && at + 1 - begin >= FRAME_BYTES) return at + 1
  }
  return undefined
}
