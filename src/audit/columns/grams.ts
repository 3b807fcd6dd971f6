import { utf8 } from "../../core/bytes.ts"

/**
 * Which texts a block's lines may contain: for each three bytes that stand together somewhere in them, one bit.
 *
 * A text all of whose trigrams are there may be there; else it is not. In lines full of hexadecimal ids every trigram of
 * hexadecimal digits is there, so parts of ids are looked for in every block; words are not.
 */
const MIN_BITS_LOG = 10
const MAX_BITS_LOG = 17
/** So that a small block has a small filter. */
const BITS_A_RECORD = 64

export class GramFilter {
  readonly bits: Uint8Array

  /** @param records about how many there will be */
  constructor(records: number) {
    const log = Math.ceil(Math.log2(Math.max(1, records * BITS_A_RECORD)))
    this.bits = new Uint8Array(2 ** Math.min(MAX_BITS_LOG, Math.max(MIN_BITS_LOG, log)) / 8)
  }

  /** Adds what another filter of the same size has. @returns false when it is of another. */
  take(other: GramFilter): boolean {
    if (other.bits.length !== this.bits.length) return false
    for (let i = 0; i < this.bits.length; i++) this.bits[i] = (this.bits[i] ?? 0) | (other.bits[i] ?? 0)
    return true
  }

  /** Whole lines; what stands across the end of one is no harm. */
  add(lines: Uint8Array): void {
    const { bits } = this
    const shift = shiftFor(bits)
    let gram = ((lines[0] ?? 0) << 8) | (lines[1] ?? 0)
    for (let i = 2; i < lines.length; i++) {
      gram = ((gram << 8) | (lines[i] ?? 0)) & 0xffffff
      const bit = Math.imul(gram, 0x9e3779b1) >>> shift
      bits[bit >>> 3] = (bits[bit >>> 3] ?? 0) | (1 << (bit & 7))
    }
  }
}

/** A hash keeps its upper bits. */
function shiftFor(bits: Uint8Array): number {
  return 32 - Math.log2(bits.length * 8)
}

/** Whether lines with these trigrams may contain `text`. Half a surrogate pair stands in no UTF-8. */
export function mayContain(bits: Uint8Array, text: string): boolean {
  if (!text.isWellFormed()) return true
  const bytes = utf8(text)
  const shift = shiftFor(bits)
  let gram = ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0)
  for (let i = 2; i < bytes.length; i++) {
    gram = ((gram << 8) | (bytes[i] ?? 0)) & 0xffffff
    const bit = Math.imul(gram, 0x9e3779b1) >>> shift
    if (((bits[bit >>> 3] ?? 0) & (1 << (bit & 7))) === 0) return false
  }
  return true
}
