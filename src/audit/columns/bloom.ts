/**
 * Which texts a block may hold: a Bloom filter over the hashes of all its values. One per cent of the texts that it
 * does not hold look as if it did.
 */
const BITS_A_HASH = 10
const PROBES = 5

export function makeBloom(hashes: readonly number[]): Uint8Array {
  const bloom = new Uint8Array(8 + Math.ceil((hashes.length * BITS_A_HASH) / 64) * 8)
  for (const hash of hashes) {
    for (let probe = 0; probe < PROBES; probe++) {
      const bit = place(hash, probe, bloom.length)
      const at = Math.floor(bit / 8)
      bloom[at] = (bloom[at] ?? 0) | (1 << (bit % 8))
    }
  }
  return bloom
}

/** False: surely not. */
export function mayHold(bloom: Uint8Array, hash: number): boolean {
  for (let probe = 0; probe < PROBES; probe++) {
    const bit = place(hash, probe, bloom.length)
    if (((bloom[Math.floor(bit / 8)] ?? 0) & (1 << (bit % 8))) === 0) return false
  }
  return true
}

function place(hash: number, probe: number, bytes: number): number {
  const mixed = Math.imul(hash ^ Math.imul(probe + 1, 0x9e3779b1), 0x85ebca6b)
  return ((mixed ^ (mixed >>> 15)) >>> 0) % (bytes * 8)
}
