/** How numbers lie in the files of the index. All is little-endian, which every machine that Node runs on today is. */
import { isAscii } from "node:buffer"

/** Bits of a code in a column: as few as hold the largest. */
export type Width = 0 | 1 | 2 | 4 | 8 | 16 | 32

export function widthFor(largest: number): Width {
  if (largest === 0) return 0
  if (largest < 2) return 1
  if (largest < 4) return 2
  if (largest < 16) return 4
  if (largest < 256) return 8
  return largest < 65_536 ? 16 : 32
}

/** One code a row. */
export type Codes = Uint8Array | Uint16Array | Uint32Array

/** @param codes each below 2^width */
export function packCodes(codes: Uint32Array, width: Width): Uint8Array {
  if (width === 32) return bytesOf(codes)
  if (width === 16) return bytesOf(Uint16Array.from(codes))
  if (width === 8) return Uint8Array.from(codes)
  if (width === 0) return new Uint8Array(0)
  const perByte = 8 / width
  const packed = new Uint8Array(Math.ceil(codes.length / perByte))
  for (let row = 0; row < codes.length; row++) {
    const at = Math.floor(row / perByte)
    packed[at] = (packed[at] ?? 0) | ((codes[row] ?? 0) << ((row % perByte) * width))
  }
  return packed
}

/** The length that {@link packCodes} makes, in bytes. */
export function packedBytes(rows: number, width: Width): number {
  return Math.ceil((rows * width) / 8)
}

/** The codes again. Of 8 bits and more they are a view. */
export function unpackCodes(packed: Uint8Array, rows: number, width: Width): Codes {
  if (width === 8) return packed.subarray(0, rows)
  if (width === 16) return uint16s(packed).subarray(0, rows)
  if (width === 32) return uint32s(packed).subarray(0, rows)
  const codes = new Uint8Array(rows)
  if (width === 0) return codes
  const perByte = 8 / width
  const mask = 2 ** width - 1
  for (let at = 0, row = 0; row < rows; at++) {
    let byte = packed[at] ?? 0
    for (let i = 0; i < perByte && row < rows; i++) {
      codes[row++] = byte & mask
      byte >>= width
    }
  }
  return codes
}

export function bytesOf(array: Uint16Array | Uint32Array | Float64Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

export function uint32s(bytes: Uint8Array): Uint32Array {
  const from = aligned(bytes)
  return new Uint32Array(from.buffer, from.byteOffset, from.byteLength / 4)
}

export function uint16s(bytes: Uint8Array): Uint16Array {
  const from = aligned(bytes)
  return new Uint16Array(from.buffer, from.byteOffset, from.byteLength / 2)
}

export function float64s(bytes: Uint8Array): Float64Array {
  const from = aligned(bytes)
  return new Float64Array(from.buffer, from.byteOffset, from.byteLength / 8)
}

/** The same bytes where a typed array may begin; a copy if they do not lie there. */
function aligned(bytes: Uint8Array): Uint8Array {
  return bytes.byteOffset % 8 === 0 ? bytes : bytes.slice()
}

/** Grows as it is written to. */
export class VarintWriter {
  #bytes = new Uint8Array(64 * 1024)
  length = 0

  /** A whole number from 0 to 2^53 − 1. */
  add(value: number): void {
    if (this.length + 8 > this.#bytes.length) {
      const roomier = new Uint8Array(this.#bytes.length * 2)
      roomier.set(this.#bytes)
      this.#bytes = roomier
    }
    let rest = value
    // Not by shifts alone: they cut to 32 bits.
    while (rest >= 0x80) {
      this.#bytes[this.length++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#bytes[this.length++] = rest
  }

  take(): Uint8Array {
    return this.#bytes.slice(0, this.length)
  }
}

/** Reads what a {@link VarintWriter} wrote. Past the end it reads zeros. */
export class VarintReader {
  readonly #bytes: Uint8Array
  #at: number

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes
    this.#at = at
  }

  next(): number {
    let byte = this.#bytes[this.#at++] ?? 0
    if (byte < 0x80) return byte
    let value = byte & 0x7f
    let scale = 0x80
    do {
      byte = this.#bytes[this.#at++] ?? 0
      value += (byte & 0x7f) * scale
      scale *= 0x80
    } while (byte >= 0x80)
    return value
  }
}

/** Signed as unsigned: 0, −1, 1, −2, … */
export function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value
}

export function unzigzag(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2
}

/** 32 bits of a text: FNV-1a over its UTF-16 units, then mixed. `seed` keeps the columns apart. */
export function hashText(text: string, seed: number): number {
  let hash = 0x811c9dc5 ^ Math.imul(seed + 1, 0x9e3779b1)
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** Bytes of lines as text: ours are ASCII, which is five times faster. */
export function textOf(lines: Buffer): string {
  return lines.toString(isAscii(lines) ? "latin1" : "utf8")
}
