import { TamperedError } from "../core/errors.ts"
import type { ByteRange, KnowledgeStore } from "../store/contract.ts"
import { FrameCache, linesBytes, openFrames, readFrames } from "./frames.ts"
import type { Frames } from "./frames.ts"
import { compressedPath, LOG_PATH, parseSegmentName, segmentPath, SEGMENTS_FOLDER } from "./paths.ts"

/** A part of the log that will never change again: a file of its own. */
export interface Segment {
  /** Of the log. */
  readonly firstIndex: number
  /** Logical: where its first line starts. */
  readonly start: number
  /** Logical, exclusive. */
  readonly end: number
  /** Where its frames lie, if it has been compressed. */
  readonly frames: Frames | undefined
}

/** Which file holds what, at one moment. Never changed: replaced by another. */
interface Layout {
  readonly segments: readonly Segment[]
  /** Logical: where the active file starts. */
  readonly activeStart: number
  /** The record that it begins with: set once, by whoever measures the log as far as that. */
  activeFirst: number | undefined
}

export interface LogFilesOptions {
  /**
   * Whether another process may write to the log meanwhile. Then every read of the active file is followed by a look
   * whether it was still the active one. Without it this object is the only one that ever rotates.
   */
  readonly shared: boolean
}

/**
 * The files that a log lies in, as one: the sealed segments in order, then the active file.
 *
 * **Offsets** are logical, here and everywhere above: bytes from the start of the whole log. This is the only place that
 * knows which file holds which. Rotation, at a line's end and between batches, moves the active file to its sealed name
 * in one atomic step; the next append makes a new one. So no offset ever changes, and a rotation that a crash cuts
 * short has happened or has not.
 *
 * Sealed segments may have been compressed, which nobody above can tell: offsets are those of the lines.
 *
 * Memory: some numbers a segment, and two for each frame of a compressed one.
 */
export class LogFiles {
  readonly #store: KnowledgeStore
  readonly #shared: boolean
  readonly #cache = new FrameCache()
  #layout: Layout | undefined
  /** A rotation that is under way; never rejects. */
  #rotating: Promise<void> | undefined
  /** What a move would have made that failed: a store that speaks over a network can have done it all the same. */
  #suspect: Layout | undefined

  constructor(store: KnowledgeStore, options: LogFilesOptions) {
    this.#store = store
    this.#shared = options.shared
  }

  /** The sealed segments that the last look found, in order. */
  get segments(): readonly Segment[] {
    return this.#layout?.segments ?? []
  }

  /** Logical: where the active file starts, at the last look. */
  get activeStart(): number {
    return this.#layout?.activeStart ?? 0
  }

  /** The record that the active file begins with; `undefined` until the log has been measured as far as that. */
  get activeFirst(): number | undefined {
    return this.#layout?.activeFirst
  }

  /** The log has been measured, and has `index` records before `offset`. */
  measured(index: number, offset: number): void {
    if (this.#layout?.activeStart === offset) this.#layout.activeFirst = index
  }

  /** Looks which files there are. Costs a list, and the size of each segment that is new. */
  async look(): Promise<void> {
    const known = new Map(this.segments.map((segment) => [segment.firstIndex, segment]))
    const segments: Segment[] = []
    let start = 0
    for (const { firstIndex, isCompressed } of await this.#list()) {
      const before = known.get(firstIndex)
      const frames = isCompressed
        ? (before?.frames ?? (await openFrames(this.#store, compressedPath(firstIndex), firstIndex)))
        : undefined
      const bytes =
        before !== undefined
          ? before.end - before.start
          : frames !== undefined
            ? linesBytes(frames)
            : await this.#store.size(segmentPath(firstIndex))
      segments.push({ firstIndex, start, end: start + bytes, frames })
      start += bytes
    }
    const isSame = this.#layout?.activeStart === start
    this.#layout = { segments, activeStart: start, activeFirst: isSame ? this.activeFirst : undefined }
  }

  /** How many bytes the log has now, a torn tail included. */
  async size(): Promise<number> {
    for (;;) {
      const layout = await this.#current()
      const bytes = await this.#store.size(LOG_PATH)
      if (!(await this.#hasChangedSince(layout))) return layout.activeStart + bytes
    }
  }

  /**
   * Bytes `[start, end)` of the log; fewer when it ends sooner. Costs one read of each file that the range touches,
   * nearly always one; in a shared log, a list more where that is the active file.
   */
  async read(start: number, end: number): Promise<Uint8Array> {
    // Not filled with zeros first: what is not read is cut off.
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(Math.max(0, end - start)).buffer)
    const got = await this.readInto(start, bytes)
    return got < bytes.length ? bytes.slice(0, got) : bytes
  }

  /** Fills `into` with the bytes of the log from `start` on. @returns how many there were. Costs what {@link read} does. */
  async readInto(start: number, into: Uint8Array): Promise<number> {
    for (;;) {
      const layout = await this.#current()
      const { bytes, certain } = await this.#readInto(layout, start, into)
      if (certain || !(await this.#hasChangedSince(layout))) return bytes
    }
  }

  /** Whether the store reads many small ranges for little more than one. */
  get readsManyCheaply(): boolean {
    return this.#store.readRanges !== undefined
  }

  /** What {@link read} gives for each range, in their order. Ascending ranges cost one call of the store a file. */
  async readMany(ranges: readonly ByteRange[]): Promise<Uint8Array[]> {
    const { readRanges } = this.#store
    if (readRanges === undefined)
      return await Promise.all(ranges.map(({ start, end }) => this.read(start, end)))
    for (;;) {
      const layout = await this.#current()
      const found: Uint8Array[] = []
      let certain = true
      for (const { path, start, end, parts } of byFile(layout, ranges)) {
        // In a compressed segment; or one that reaches into another file, for what a reader of lines never asks.
        if (path === undefined) found.push(await this.read(start, end))
        else found.push(...(await readRanges.call(this.#store, path, parts)))
        certain &&= path !== LOG_PATH
      }
      const isWhole = ranges.every(({ start, end }, i) => found[i]?.length === end - start)
      if ((certain && isWhole) || !(await this.#hasChangedSince(layout))) return found
    }
  }

  /** The segment that holds the byte at `offset`; `undefined` for the active file, and what is beyond. */
  segmentAt(offset: number): Segment | undefined {
    if (offset >= this.activeStart) return undefined
    return this.segments[firstEndingAfter(this.segments, offset)]
  }

  /** In which file the byte at `offset` lies, and where in it, before compression. */
  placeOf(offset: number): { readonly path: string; readonly offset: number } {
    const segment = this.segmentAt(offset)
    if (segment === undefined) return { path: LOG_PATH, offset: offset - this.activeStart }
    return { path: segment.frames?.path ?? segmentPath(segment.firstIndex), offset: offset - segment.start }
  }

  /** Adds to the active file. Only after a look. @returns the logical offset at which `bytes` start. */
  async append(bytes: Uint8Array): Promise<number> {
    return this.activeStart + (await this.#store.append(LOG_PATH, bytes))
  }

  /** Cuts the log to `size` bytes: as far as the start of the active file, for what is sealed stays. */
  async truncate(size: number): Promise<void> {
    const { activeStart } = await this.#current()
    if (size < activeStart) throw new Error("bug: a sealed segment is not cut")
    await this.#store.truncate(LOG_PATH, size - activeStart)
  }

  /**
   * Seals the active file; the next append makes another. Call it between appends.
   *
   * @param size of the whole log, in records
   * @param bytes of the whole log: durable, and whole lines
   * @throws the store's error, and then the file is the active one still.
   */
  async rotate(size: number, bytes: number): Promise<void> {
    const { segments, activeStart, activeFirst } = await this.#current()
    if (activeFirst === undefined) throw new Error("bug: a log is measured before it rotates")
    const segment = { firstIndex: activeFirst, start: activeStart, end: bytes, frames: undefined }
    const after: Layout = { segments: [...segments, segment], activeStart: bytes, activeFirst: size }
    const rotating = this.#move(segment, after)
    this.#rotating = rotating.catch(() => {})
    try {
      await rotating
    } finally {
      this.#rotating = undefined
    }
  }

  /** A sealed segment is there in compressed form too, durable and equal: from now on that one is read. */
  compressed(firstIndex: number, frames: Frames): void {
    if (this.#layout === undefined) return
    const segments = this.segments.map((segment) =>
      segment.firstIndex === firstIndex ? { ...segment, frames } : segment,
    )
    this.#layout = { ...this.#layout, segments }
  }

  /** Makes a sealed segment read-only, where the store can. */
  async guard(firstIndex: number): Promise<void> {
    await this.#store.seal?.(segmentPath(firstIndex))
  }

  /** Calls back when the log may have grown or rotated. */
  async onChange(callback: () => void): Promise<AsyncDisposable> {
    const active = await this.#store.onChange(LOG_PATH, callback)
    const sealed = await this.#store.onChange(SEGMENTS_FOLDER, callback)
    return {
      [Symbol.asyncDispose]: async () => {
        await active[Symbol.asyncDispose]()
        await sealed[Symbol.asyncDispose]()
      },
    }
  }

  async #move(segment: Segment, after: Layout): Promise<void> {
    const path = segmentPath(segment.firstIndex)
    if ((await this.#store.exists(path)) || (await this.#store.exists(compressedPath(segment.firstIndex)))) {
      // The move would replace it.
      throw new TamperedError(
        `${path} is there already: somebody else writes to the log`,
        segment.firstIndex,
        segment.start,
      )
    }
    try {
      await this.#store.move(LOG_PATH, path)
      this.#layout = after
    } catch (error) {
      this.#suspect = after
      const layout = await this.#current().catch(() => undefined)
      if (layout !== after) throw error
    }
  }

  async #current(): Promise<Layout> {
    if (this.#suspect !== undefined) await this.#findOut(this.#suspect)
    if (this.#layout === undefined) await this.look()
    return this.#layout ?? { segments: [], activeStart: 0, activeFirst: undefined }
  }

  /** Whether a move that is said to have failed has made `after` all the same. */
  async #findOut(after: Layout): Promise<void> {
    const last = after.segments.at(-1)
    const path = segmentPath(last?.firstIndex ?? 0)
    const bytes = (last?.end ?? 0) - (last?.start ?? 0)
    if (!(await this.#store.exists(LOG_PATH)) && (await this.#store.size(path)) === bytes)
      this.#layout = after
    this.#suspect = undefined
  }

  /** `certain` says that the bytes are right whatever happens to the files meanwhile. */
  async #readInto(
    { segments, activeStart }: Layout,
    start: number,
    into: Uint8Array,
  ): Promise<{ bytes: number; certain: boolean }> {
    const end = start + into.length
    let at = start
    for (let n = firstEndingAfter(segments, at); n < segments.length && at < end; n++) {
      const segment = segments[n]
      if (segment === undefined) break
      const stop = Math.min(end, segment.end)
      const part = into.subarray(at - start, stop - start)
      if (segment.frames !== undefined) {
        const bytes = await this.#readSegment(segment, at - segment.start, stop - segment.start)
        part.set(bytes)
        at += bytes.length
      } else at += await this.#fill(segmentPath(segment.firstIndex), at - segment.start, part)
      if (at < stop) return { bytes: at - start, certain: false }
    }
    if (at >= end) return { bytes: at - start, certain: true }
    const bytes = await this.#fill(LOG_PATH, at - activeStart, into.subarray(at - start))
    return { bytes: at - start + bytes, certain: false }
  }

  async #fill(path: string, start: number, into: Uint8Array): Promise<number> {
    if (this.#store.readInto !== undefined) return await this.#store.readInto(path, start, into)
    const bytes = await this.#store.readRange(path, start, start + into.length)
    into.set(bytes)
    return bytes.length
  }

  #readSegment({ firstIndex, frames }: Segment, start: number, end: number): Promise<Uint8Array> {
    if (frames === undefined) return this.#store.readRange(segmentPath(firstIndex), start, end)
    return readFrames(this.#store, frames, start, end, this.#cache)
  }

  /**
   * Whether a file that was read as part of `layout` may have been another one. The move comes before the first append
   * to the new file; so whoever looks after reading, and finds nothing moved, has read the right one.
   */
  async #hasChangedSince(layout: Layout): Promise<boolean> {
    await this.#rotating
    if (this.#layout !== layout) return true
    if (!this.#shared) return false
    const now = await this.#list()
    const { segments } = layout
    const isSame = now.every(({ firstIndex, isCompressed }, i) => {
      const segment = segments[i]
      return segment?.firstIndex === firstIndex && (segment.frames !== undefined) === isCompressed
    })
    if (isSame && now.length === segments.length) return false
    await this.look()
    return true
  }

  /** In order. Where a segment is there in both forms, the original: nobody has yet compared the other. */
  async #list(): Promise<{ readonly firstIndex: number; readonly isCompressed: boolean }[]> {
    const names = (await this.#store.list(SEGMENTS_FOLDER))
      .map(parseSegmentName)
      .filter((name) => name !== undefined)
    const originals = new Set(names.filter((name) => !name.isCompressed).map(({ firstIndex }) => firstIndex))
    return names
      .filter(({ firstIndex, isCompressed }) => !isCompressed || !originals.has(firstIndex))
      .sort((a, b) => a.firstIndex - b.firstIndex)
  }
}

/** The number of the first segment that ends after `offset`; the number of segments when none does. */
function firstEndingAfter(segments: readonly Segment[], offset: number): number {
  let low = 0
  let high = segments.length
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if ((segments[middle]?.end ?? Infinity) <= offset) low = middle + 1
    else high = middle
  }
  return low
}

/** Neighbouring ranges that lie in one plain file, relative to it; `path` is undefined for one that does not. */
interface InFile {
  readonly path: string | undefined
  readonly start: number
  readonly end: number
  readonly parts: ByteRange[]
}

function byFile({ segments, activeStart }: Layout, ranges: readonly ByteRange[]): InFile[] {
  const files: InFile[] = []
  for (const { start, end } of ranges) {
    const segment = segments[firstEndingAfter(segments, start)]
    const base = segment?.start ?? activeStart
    const isPlain = segment !== undefined && segment.frames === undefined && end <= segment.end
    const path = segment === undefined ? LOG_PATH : isPlain ? segmentPath(segment.firstIndex) : undefined
    const last = files.at(-1)
    const part = { start: start - base, end: end - base }
    if (path !== undefined && last?.path === path) last.parts.push(part)
    else files.push({ path, start, end, parts: [part] })
  }
  return files
}

/** What to throw when a sealed segment is not where the lines before it end. */
export function misplaced(segment: Segment, index: number, offset: number): TamperedError {
  return new TamperedError(
    `${segmentPath(segment.firstIndex)} should begin with record ${index}, at byte ${offset}: a segment is missing, or not whole`,
    index,
    offset,
    { hint: "Put the missing segment back from a copy. Keep every file." },
  )
}
