import { crc32 } from "node:zlib"
import { sha256 } from "#sha256"
import { concatBytes, equalBytes, utf8 } from "../../core/bytes.ts"
import type { Fields } from "./fields.ts"

/**
 * One block of the index as a file: a header, then the sections that it lists, each with its checksum.
 *
 * The header says of which lines the file speaks: where they begin and end, how many they are, and the SHA-256 of
 * samples of them, so that an index of other lines is noticed. The checksums find damage, not forgery: whoever can
 * write to the index can make it lie, which `verify`, who reads the lines alone, does not hear.
 */
export interface BlockHeader {
  readonly firstIndex: number
  readonly count: number
  /** Logical, of the first line. */
  readonly start: number
  /** Logical, after the last line's newline. */
  readonly end: number
  /** Rows that share a time range and an anchor. */
  readonly chunkRows: number
  /** The least and greatest time; NaN when no record has one. */
  readonly minTime: number
  readonly maxTime: number
  /** The first rows that have them; 0 when there is none. */
  readonly minRow: number
  readonly maxRow: number
  readonly sample: Uint8Array
  readonly sections: readonly Section[]
}

export interface Section {
  readonly start: number
  readonly bytes: number
  readonly crc: number
}

/** What is wrong with a file of the index. Never seen outside: the block is read from the log, and rebuilt. */
export class DamagedBlock extends Error {
  override readonly name = "DamagedBlock"
}

const MAGIC = utf8("HANSIDX1")
const SAMPLE_BYTES = 32
/** Magic, nine numbers, the sample, the hash of the fields. */
const FIXED_BYTES = 8 + 9 * 8 + SAMPLE_BYTES + 32
const SECTION_BYTES = 12
const CRC_BYTES = 4
const ALIGNMENT = 8

export function headerBytes(sections: number): number {
  return Math.ceil((FIXED_BYTES + sections * SECTION_BYTES + CRC_BYTES) / ALIGNMENT) * ALIGNMENT
}

export type BlockFacts = Omit<BlockHeader, "sample" | "sections">

/** The file of a block that is not yet bound to its lines: {@link bindBlock} does that. */
export function formatBlock(facts: BlockFacts, fields: Fields, sections: readonly Uint8Array[]): Uint8Array {
  const header = new Uint8Array(headerBytes(sections.length))
  const parts: Uint8Array[] = [header]
  const view = new DataView(header.buffer)
  header.set(MAGIC)
  const numbers = [
    facts.firstIndex,
    facts.count,
    facts.start,
    facts.end,
    facts.chunkRows,
    facts.minTime,
    facts.maxTime,
    facts.minRow,
    facts.maxRow,
  ]
  for (const [i, number] of numbers.entries()) view.setFloat64(8 + i * 8, number, true)
  header.set(sha256(utf8(fields.text)), 8 + 9 * 8 + SAMPLE_BYTES)
  let start = header.length
  for (const [i, content] of sections.entries()) {
    const section = padded(content)
    const at = FIXED_BYTES + i * SECTION_BYTES
    view.setUint32(at, start, true)
    view.setUint32(at + 4, section.length, true)
    view.setUint32(at + 8, crc32(section), true)
    parts.push(section)
    start += section.length
  }
  sealHeader(header)
  return concatBytes(parts)
}

/** Writes into the file of which lines it speaks. */
export function bindBlock(file: Uint8Array, sections: number, sample: Uint8Array): void {
  file.set(sample, 8 + 9 * 8)
  sealHeader(file.subarray(0, headerBytes(sections)))
}

/**
 * The header of a file.
 *
 * @param bytes the beginning of the file, at least the header
 * @param size of the whole file
 * @throws DamagedBlock when it is not what {@link formatBlock} writes for these fields.
 */
export function parseHeader(bytes: Uint8Array, size: number, fields: Fields, sections: number): BlockHeader {
  const length = headerBytes(sections)
  if (bytes.length < length) throw new DamagedBlock("it is too short")
  const header = bytes.subarray(0, length)
  const view = new DataView(header.buffer, header.byteOffset, length)
  if (view.getUint32(length - CRC_BYTES, true) !== crc32(header.subarray(0, length - CRC_BYTES))) {
    throw new DamagedBlock("its header has another checksum")
  }
  if (!equalBytes(header.subarray(0, 8), MAGIC)) throw new DamagedBlock("it is of another version")
  if (!equalBytes(header.subarray(8 + 9 * 8 + SAMPLE_BYTES, FIXED_BYTES), sha256(utf8(fields.text)))) {
    throw new DamagedBlock("it is of other fields")
  }
  const number = (i: number): number => view.getFloat64(8 + i * 8, true)
  const table = Array.from({ length: sections }, (_, i) => {
    const at = FIXED_BYTES + i * SECTION_BYTES
    return {
      start: view.getUint32(at, true),
      bytes: view.getUint32(at + 4, true),
      crc: view.getUint32(at + 8, true),
    }
  })
  const last = table.at(-1)
  if (last !== undefined && size !== last.start + last.bytes) {
    throw new DamagedBlock(`it is ${size} bytes long`)
  }
  return {
    firstIndex: number(0),
    count: number(1),
    start: number(2),
    end: number(3),
    chunkRows: number(4),
    minTime: number(5),
    maxTime: number(6),
    minRow: number(7),
    maxRow: number(8),
    sample: header.slice(8 + 9 * 8, 8 + 9 * 8 + SAMPLE_BYTES),
    sections: table,
  }
}

/** @throws DamagedBlock when these are not the bytes that were written. */
export function checkSection(bytes: Uint8Array, section: Section): void {
  if (bytes.length !== section.bytes || crc32(bytes) !== section.crc) {
    throw new DamagedBlock(`its section at ${section.start} has another checksum`)
  }
}

const SAMPLE_WINDOW = 1024

/** The SHA-256 of a kibibyte each at the beginning, in the middle and at the end of lines `[start, end)`. */
export async function sampleOf(
  read: (start: number, end: number) => Promise<Uint8Array>,
  start: number,
  end: number,
): Promise<Uint8Array> {
  const last = Math.max(start, end - SAMPLE_WINDOW)
  const windows = [start, Math.floor((start + last) / 2), last].map((from) =>
    read(from, Math.min(end, from + SAMPLE_WINDOW)),
  )
  return sha256(concatBytes(await Promise.all(windows)))
}

/** So that every section begins where a typed array may, and every byte is under a checksum. */
function padded(content: Uint8Array): Uint8Array {
  const section = new Uint8Array(Math.ceil(content.length / ALIGNMENT) * ALIGNMENT)
  section.set(content)
  return section
}

function sealHeader(header: Uint8Array): void {
  const view = new DataView(header.buffer, header.byteOffset, header.length)
  view.setUint32(header.length - CRC_BYTES, crc32(header.subarray(0, header.length - CRC_BYTES)), true)
}
