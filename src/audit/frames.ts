import { promisify } from "node:util"
import { constants, zstdCompress, zstdDecompressSync } from "node:zlib"
import { TamperedError } from "../core/errors.ts"
import type { KnowledgeStore } from "../store/contract.ts"

/**
 * Compressed segments: Zstandard frames of whole lines, each readable on its own, and then a table of them in a frame that
 * decompressors skip: the seekable format of the Zstandard project. `zstd -d` reads the whole of it, and one record
 * costs one small read here.
 */
const SKIPPABLE_MAGIC = 0x184d2a5e
const SEEKABLE_MAGIC = 0x8f92eab1
const SKIPPABLE_HEADER_BYTES = 8
const ENTRY_BYTES = 8
const FOOTER_BYTES = 9

/** Of a table: 2^20 frames of 256 records are more than any segment has. */
const MAX_FRAMES = 2 ** 20

/** A frame has at least so many lines, but the last one may have fewer. */
export const FRAME_LINES = 256
/** And at least so many bytes of lines: less compresses worse. */
export const FRAME_BYTES: number = 64 * 1024

const compress = promisify(zstdCompress)
const PARAMETERS = {
  [constants.ZSTD_c_compressionLevel]: 3,
  // So that damage to a frame is noticed when it is read.
  [constants.ZSTD_c_checksumFlag]: 1,
}

/** Where the frames of one compressed segment lie. Memory: 16 bytes for each. */
export interface Frames {
  readonly path: string
  /** One more than there are frames: where each begins, in lines and in the file. */
  readonly starts: Float64Array
  readonly places: Float64Array
}

/** Lines as a frame. Works on another thread. */
export async function compressFrame(lines: Uint8Array): Promise<Uint8Array> {
  return await compress(lines, { params: PARAMETERS })
}

/** The table that follows the frames. */
export function formatFrameTable(
  frames: readonly { readonly compressed: number; readonly lines: number }[],
): Uint8Array {
  const size = frames.length * ENTRY_BYTES + FOOTER_BYTES
  const table = Buffer.alloc(SKIPPABLE_HEADER_BYTES + size)
  table.writeUInt32LE(SKIPPABLE_MAGIC, 0)
  table.writeUInt32LE(size, 4)
  let at = SKIPPABLE_HEADER_BYTES
  for (const { compressed, lines } of frames) {
    table.writeUInt32LE(compressed, at)
    table.writeUInt32LE(lines, at + 4)
    at += ENTRY_BYTES
  }
  table.writeUInt32LE(frames.length, at)
  table.writeUInt32LE(SEEKABLE_MAGIC, at + 5)
  return table
}

/** Reads the table of a compressed segment: two reads. @throws TamperedError for what is no table, or not of this file. */
export async function openFrames(store: KnowledgeStore, path: string, firstIndex: number): Promise<Frames> {
  const bad = (why: string): TamperedError =>
    new TamperedError(`${path} is not a compressed segment: ${why}`, firstIndex, 0, {
      hint: "Put it back from a copy. Keep every file.",
    })
  const size = await store.size(path)
  const footer = asBuffer(await store.readRange(path, Math.max(0, size - FOOTER_BYTES), size))
  if (footer.length < FOOTER_BYTES || footer.readUInt32LE(5) !== SEEKABLE_MAGIC)
    throw bad("it has no table at its end")
  const count = footer.readUInt32LE(0)
  const tableBytes = SKIPPABLE_HEADER_BYTES + count * ENTRY_BYTES + FOOTER_BYTES
  if (count > MAX_FRAMES || footer[4] !== 0 || tableBytes > size) throw bad("its table is none of ours")
  const table = asBuffer(await store.readRange(path, size - tableBytes, size))
  if (table.length < tableBytes || table.readUInt32LE(0) !== SKIPPABLE_MAGIC)
    throw bad("its table is not whole")
  const starts = new Float64Array(count + 1)
  const places = new Float64Array(count + 1)
  for (let n = 0; n < count; n++) {
    const at = SKIPPABLE_HEADER_BYTES + n * ENTRY_BYTES
    places[n + 1] = (places[n] ?? 0) + table.readUInt32LE(at)
    starts[n + 1] = (starts[n] ?? 0) + table.readUInt32LE(at + 4)
  }
  if ((places[count] ?? 0) + tableBytes !== size) throw bad("its table does not fit")
  return { path, starts, places }
}

/** Bytes of lines that the segment holds. */
export function linesBytes({ starts }: Frames): number {
  return starts.at(-1) ?? 0
}

/** Of {@link FrameCache}. */
const CACHED_FRAMES = 8

/** The frames that were read last: rows that lie close together are read one by one. */
export class FrameCache {
  readonly #frames = new Map<string, Uint8Array>()

  get(path: string, n: number): Uint8Array | undefined {
    return this.#frames.get(`${path} ${n}`)
  }

  put(path: string, n: number, lines: Uint8Array): void {
    this.#frames.set(`${path} ${n}`, lines)
    if (this.#frames.size <= CACHED_FRAMES) return
    for (const oldest of this.#frames.keys()) {
      this.#frames.delete(oldest)
      return
    }
  }
}

/**
 * Bytes `[start, end)` of the lines; fewer when the file is no longer there, and then nothing is certain. One read, of the
 * frames that the range touches, and none when it lies in a frame that `cache` has.
 *
 * @throws TamperedError for a frame that is damaged.
 */
export async function readFrames(
  store: KnowledgeStore,
  frames: Frames,
  start: number,
  end: number,
  cache?: FrameCache,
): Promise<Uint8Array> {
  if (start >= end) return new Uint8Array(0)
  const { path, starts, places } = frames
  const first = frameAt(starts, start)
  const last = frameAt(starts, end - 1)
  const begin = starts[first] ?? 0
  const known = first === last ? cache?.get(path, first) : undefined
  if (known !== undefined) return known.slice(start - begin, end - begin)
  const from = places[first] ?? 0
  const compressed = await store.readRange(path, from, places[last + 1] ?? 0)
  const parts: Uint8Array[] = []
  for (let n = first; n <= last; n++) {
    const length = (places[n + 1] ?? 0) - (places[n] ?? 0)
    const at = (places[n] ?? 0) - from
    if (compressed.length < at + length) break
    parts.push(expandFrame(compressed.subarray(at, at + length), frames, n))
  }
  const newest = parts.at(-1)
  if (newest !== undefined && parts.length === last + 1 - first) cache?.put(path, last, newest)
  return Buffer.concat(parts).subarray(start - begin, end - begin)
}

function expandFrame(frame: Uint8Array, { path, starts, places }: Frames, n: number): Uint8Array {
  const size = (starts[n + 1] ?? 0) - (starts[n] ?? 0)
  try {
    const lines = zstdDecompressSync(frame, { maxOutputLength: Math.max(1, size) })
    // A copy: a slice of it is not to be the caller's.
    if (lines.length === size) return new Uint8Array(lines)
  } catch {
    // Told below.
  }
  throw new TamperedError(`${path} is damaged at byte ${places[n] ?? 0}`, 0, starts[n] ?? 0)
}

/** The frame that holds the byte at `offset` of the lines. */
function frameAt(starts: Float64Array, offset: number): number {
  let low = 0
  let high = starts.length - 2
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if ((starts[middle] ?? 0) <= offset) low = middle
    else high = middle - 1
  }
  return low
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
