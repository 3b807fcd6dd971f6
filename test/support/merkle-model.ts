/** The tree of RFC 6962 by its recursive definition, slow and obviously right: what the real code is compared with. */
import { createHash } from "node:crypto"

const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash("sha256")
  for (const part of parts) hash.update(part)
  return hash.digest()
}

export const modelLeaf = (data: Uint8Array): Buffer => sha256(Uint8Array.of(0), data)
export const modelNode = (left: Uint8Array, right: Uint8Array): Buffer =>
  sha256(Uint8Array.of(1), left, right)

/** Remembers the roots of ranges, so that every tree up to some hundred leaves is affordable. */
export class MerkleModel {
  readonly #roots = new Map<string, Buffer>()
  readonly leaves: readonly Buffer[]

  constructor(leaves: readonly Buffer[]) {
    this.leaves = leaves
  }

  /** MTH(D[lo:hi]). */
  root(lo: number, hi: number): Buffer {
    const key = `${lo}-${hi}`
    let root = this.#roots.get(key)
    if (root === undefined) {
      root = this.#compute(lo, hi)
      this.#roots.set(key, root)
    }
    return root
  }

  /** PATH(m, D[lo:hi]). */
  path(m: number, lo: number, hi: number): Buffer[] {
    if (hi - lo === 1) return []
    const k = split(hi - lo)
    if (m < k) return [...this.path(m, lo, lo + k), this.root(lo + k, hi)]
    return [...this.path(m - k, lo + k, hi), this.root(lo, lo + k)]
  }

  /** SUBPROOF(m, D[lo:hi], whole). */
  subproof(m: number, lo: number, hi: number, whole: boolean): Buffer[] {
    if (m === hi - lo) return whole ? [] : [this.root(lo, hi)]
    const k = split(hi - lo)
    if (m <= k) return [...this.subproof(m, lo, lo + k, whole), this.root(lo + k, hi)]
    return [...this.subproof(m - k, lo + k, hi, false), this.root(lo, lo + k)]
  }

  #compute(lo: number, hi: number): Buffer {
    if (hi === lo) return sha256()
    if (hi - lo === 1) return this.leaves[lo] ?? sha256()
    const k = split(hi - lo)
    return modelNode(this.root(lo, lo + k), this.root(lo + k, hi))
  }
}

function split(n: number): number {
  let k = 1
  while (k * 2 < n) k *= 2
  return k
}
