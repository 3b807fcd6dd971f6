/**
 * Entry bundles, https://c2sp.org/tlog-tiles#log-entries: up to 256 records in one file, each as a big-endian uint16
 * length and its bytes. The lines of a log and its bundles are two encodings of the same leaves.
 */
import { InvalidInputError } from "./errors.ts"
import { TILE_WIDTH } from "./tile.ts"

/** Of one entry: what its length field can say. */
export const MAX_ENTRY_BYTES = 65_535

/** @throws InvalidInputError for no entries, more than 256, or one longer than 65,535 bytes. */
export function formatEntryBundle(entries: readonly Uint8Array[]): Uint8Array {
  checkCount(entries.length)
  const bundle = new Uint8Array(entries.reduce((sum, entry) => sum + 2 + entry.length, 0))
  const view = new DataView(bundle.buffer)
  let offset = 0
  for (const entry of entries) {
    if (entry.length > MAX_ENTRY_BYTES) {
      throw new InvalidInputError(`an entry of ${entry.length} bytes is longer than ${MAX_ENTRY_BYTES}`)
    }
    view.setUint16(offset, entry.length)
    bundle.set(entry, offset + 2)
    offset += 2 + entry.length
  }
  return bundle
}

/**
 * The entries, as views into `bundle`.
 *
 * What they are worth is for their leaf hashes to say: a bundle is not authenticated by being well-formed.
 *
 * @throws InvalidInputError unless the bytes are exactly `count` entries.
 */
export function parseEntryBundle(bundle: Uint8Array, count: number): Uint8Array[] {
  checkCount(count)
  const view = new DataView(bundle.buffer, bundle.byteOffset, bundle.byteLength)
  const entries: Uint8Array[] = []
  let offset = 0
  for (let i = 0; i < count; i++) {
    if (offset + 2 > bundle.length) break
    const end = offset + 2 + view.getUint16(offset)
    entries.push(bundle.subarray(offset + 2, end))
    offset = end
  }
  // Too short, cut inside an entry, or too long: in each case the last entry does not end where the bytes do.
  if (entries.length !== count || offset !== bundle.length) {
    throw new InvalidInputError(`the ${bundle.length} bytes are not ${count} entries`)
  }
  return entries
}

function checkCount(count: number): void {
  if (!Number.isInteger(count) || count < 1 || count > TILE_WIDTH) {
    throw new InvalidInputError(`a bundle holds 1 to ${TILE_WIDTH} entries, not ${count}`)
  }
}
