import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { MerkleModel, modelLeaf } from "../../test/support/merkle-model.ts"
import { equalBytes } from "./bytes.ts"
import { InvalidInputError } from "./errors.ts"
import { hashFrom, hashIndex, logSize, recordIndex, type Hash, type HashIndex } from "./hash-types.ts"
import { emptyRoot, leafHash, nodeHash } from "./merkle-hash.ts"
import {
  checkRecord,
  checkTree,
  computeHashes,
  edgeIndexes,
  planRecordProof,
  planTreeHash,
  planTreeProof,
  proveRecord,
  proveRecords,
  proveTree,
  rootOfEdge,
  treeHash,
} from "./merkle.ts"
import { BadProofError } from "./proof-errors.ts"
import { splitStoredHashIndex, storedHashCount, storedHashIndex } from "./stored-hash.ts"
import { seedProperties } from "../../test/support/property.ts"

seedProperties({ numRuns: 300 })

/** Every tree up to this size, each with all its proofs. */
const MOST = 200
/** Every corruption of every proof up to this size; above it, each proof is corrupted in one sampled way of each kind. */
const EXHAUSTED = 24

const model = new MerkleModel(Array.from({ length: MOST }, (_, i) => modelLeaf(Buffer.from(`record ${i}`))))
const root = (size: number): Hash => hashFrom(model.root(0, size))
const leaf = (index: number): Hash => hashFrom(model.root(index, index + 1))

/** Reads from the model; stricter than the contract: indexes must be there, and distinct. */
const stored = (index: HashIndex): Hash => {
  const { level, n } = splitStoredHashIndex(index)
  if ((n + 1) * 2 ** level > MOST) throw new Error(`hash ${index} is past the end`)
  return hashFrom(model.root(n * 2 ** level, (n + 1) * 2 ** level))
}
const read = (indexes: readonly HashIndex[]): Hash[] => {
  expect(new Set(indexes).size).toBe(indexes.length)
  return indexes.map(stored)
}
const recordProof = (size: number, index: number): Hash[] => {
  const plan = planRecordProof(logSize(size), recordIndex(index))
  return computeHashes(plan, read(plan.indexes))
}
const treeProof = (size: number, from: number): Hash[] => {
  const plan = planTreeProof(logSize(size), logSize(from))
  return computeHashes(plan, read(plan.indexes))
}
const accepts = (check: () => void): boolean => {
  try {
    check()
    return true
  } catch (error) {
    if (error instanceof BadProofError) return false
    throw error
  }
}

describe("hashes", () => {
  const LEAVES = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
  ]
  const ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
  ]

  test.each(ROOTS.map((hex, size) => [size, hex] as const))(
    "the RFC 6962 root of size %i",
    async (size, hex) => {
      const leaves = LEAVES.slice(0, size).map((data) => leafHash(Buffer.from(data, "hex")))
      const readHash = (index: HashIndex): Hash => {
        const { level, n } = splitStoredHashIndex(index)
        if (level === 0) return leaves[n] ?? expect.unreachable()
        return nodeHash(
          readHash(storedHashIndex(level - 1, 2 * n)),
          readHash(storedHashIndex(level - 1, 2 * n + 1)),
        )
      }
      const got = await treeHash(logSize(size), async (indexes) => indexes.map(readHash))
      expect(Buffer.from(got).toString("hex")).toBe(hex)
    },
  )

  test("a leaf is not a node: 64 bytes of two hashes have another hash as a record", () => {
    const both = Buffer.concat([leaf(0), leaf(1)])
    expect(equalBytes(leafHash(both), nodeHash(leaf(0), leaf(1)))).toBe(false)
  })

  test("each call of emptyRoot is a buffer of its own", () => {
    emptyRoot().fill(0)
    expect(Buffer.from(emptyRoot()).toString("hex")).toBe(ROOTS[0])
  })
})

describe("every tree", () => {
  test(`of 0 to ${MOST} records has the root of the recursive definition`, async () => {
    for (let size = 0; size <= MOST; size++) {
      const plan = planTreeHash(logSize(size))
      const got = await treeHash(logSize(size), async (indexes) => read(indexes))
      expect(equalBytes(got, root(size))).toBe(true)
      expect(plan.indexes).toEqual(edgeIndexes(logSize(size)))
      expect(equalBytes(rootOfEdge(read(plan.indexes)), root(size))).toBe(true)
      expect(plan.indexes.length).toBeLessThanOrEqual(1 + Math.log2(Math.max(size, 1)))
    }
  })

  test("every inclusion proof is RFC 6962's PATH, and accepted", async () => {
    for (let size = 1; size <= MOST; size++) {
      for (let index = 0; index < size; index++) {
        const proof = recordProof(size, index)
        expect(same(proof, model.path(index, 0, size))).toBe(true)
        checkRecord(proof, logSize(size), root(size), recordIndex(index), leaf(index))
      }
    }
    const proof = await proveRecord(logSize(13), recordIndex(9), async (indexes) => read(indexes))
    expect(same(proof, model.path(9, 0, 13))).toBe(true)
  })

  test("proofs of many records are those of each, out of one read that has no hash twice", async () => {
    for (const size of [1, 2, 13, 64, 100]) {
      const indexes = [...Array(size).keys(), size - 1, 0].map((index) => recordIndex(index))
      const reads: (readonly number[])[] = []
      const proofs = await proveRecords(logSize(size), indexes, async (wanted) => {
        reads.push(wanted)
        return read(wanted)
      })
      expect(proofs).toHaveLength(indexes.length)
      for (const [i, proof] of proofs.entries()) {
        expect(same(proof, model.path(indexes[i] ?? -1, 0, size))).toBe(true)
      }
      expect(reads).toHaveLength(size === 1 ? 0 : 1)
      expect(new Set(reads[0]).size).toBe(reads[0]?.length ?? 0)
    }
    await expect(proveRecords(logSize(5), [recordIndex(5)], async (wanted) => read(wanted))).rejects.toThrow(
      InvalidInputError,
    )
  })

  test("every consistency proof is RFC 6962's PROOF, and accepted", async () => {
    for (let size = 1; size <= MOST; size++) {
      for (let from = 1; from <= size; from++) {
        const proof = treeProof(size, from)
        expect(same(proof, model.subproof(from, 0, size, true))).toBe(true)
        checkTree(proof, logSize(size), root(size), logSize(from), root(from))
      }
    }
    const proof = await proveTree(logSize(13), logSize(6), async (indexes) => read(indexes))
    expect(same(proof, model.subproof(6, 0, 13, true))).toBe(true)
  })

  test("an older root of the wrong log is refused by every pair, powers of two included", () => {
    for (let size = 1; size <= MOST; size++) {
      for (let from = 1; from <= size; from++) {
        const check = (): void =>
          checkTree(
            treeProof(size, from),
            logSize(size),
            root(size),
            logSize(from),
            flip(root(from), 8 * from),
          )
        expect(accepts(check), `${from} to ${size}`).toBe(false)
      }
    }
  })
})

describe("corrupted proofs are refused", () => {
  test.each([
    [`every way, sizes 1 to ${EXHAUSTED}`, 1, EXHAUSTED],
    [`sampled, sizes ${EXHAUSTED + 1} to ${MOST}`, EXHAUSTED + 1, MOST],
  ])("inclusion: %s", (_name, first, last) => {
    for (let size = first; size <= last; size++) {
      for (let index = 0; index < size; index++) {
        const proof = recordProof(size, index)
        const check = (p: readonly Hash[], s = size, r = root(size), i = index, l = leaf(index)): boolean =>
          accepts(() => checkRecord(p, logSize(s), r, recordIndex(i), l))
        const sample = last > EXHAUSTED ? size * 31 + index : undefined
        for (const bad of corrupted(proof, sample)) refused(check(bad))
        refused(check(proof, size, flip(root(size), index)))
        refused(check(proof, size, root(size), index, flip(leaf(index), size)))
        // Another index: all of them, and two past the end.
        for (let other = 0; other <= size + 1; other++) {
          if (other !== index && (sample === undefined || other % 67 === sample % 67 || other >= size - 1)) {
            refused(check(proof, size, root(size), other), `${other} for ${index} of ${size}`)
          }
        }
        // Another tree of the same log, with its own true root: the proof is for one tree only.
        for (const other of [size - 1, size + 1]) {
          if (other > 0 && other <= MOST) refused(check(proof, other, root(other)), `${other}`)
        }
      }
    }
  })

  test.each([
    [`every way, sizes 1 to ${EXHAUSTED}`, 1, EXHAUSTED],
    [`sampled, sizes ${EXHAUSTED + 1} to ${MOST}`, EXHAUSTED + 1, MOST],
  ])("consistency: %s", (_name, first, last) => {
    for (let size = first; size <= last; size++) {
      for (let from = 1; from <= size; from++) {
        const proof = treeProof(size, from)
        const check = (p: readonly Hash[], s = size, r = root(size), f = from, o = root(from)): boolean =>
          accepts(() => checkTree(p, logSize(s), r, logSize(f), o))
        const sample = last > EXHAUSTED ? size * 37 + from : undefined
        for (const bad of corrupted(proof, sample)) refused(check(bad))
        refused(check(proof, size, flip(root(size), from)))
        if (from < size) {
          refused(check(proof, from, root(from), size, root(size)), "swapped")
          refused(check(proof, size, root(from), from, root(size)), "roots swapped")
        }
        for (let other = 0; other <= size + 1; other++) {
          if (other === from || (sample !== undefined && other % 67 !== sample % 67)) continue
          refused(check(proof, size, root(size), other, root(from)), `${other} for ${from}`)
          if (other <= size) refused(check(proof, size, root(size), other, root(other)))
        }
      }
    }
  })

  test("nothing is proved about the empty tree, but that it is itself", () => {
    checkTree([], logSize(0), emptyRoot(), logSize(0), emptyRoot())
    expect(accepts(() => checkTree([], logSize(5), root(5), logSize(0), emptyRoot()))).toBe(false)
    expect(accepts(() => checkTree([], logSize(0), root(1), logSize(0), emptyRoot()))).toBe(false)
    expect(accepts(() => checkTree([], logSize(0), root(1), logSize(0), root(1)))).toBe(false)
    expect(accepts(() => checkTree([root(1)], logSize(0), emptyRoot(), logSize(0), emptyRoot()))).toBe(false)
    expect(accepts(() => checkRecord([], logSize(0), emptyRoot(), recordIndex(0), leaf(0)))).toBe(false)
  })

  test("proofs that cannot be asked for", () => {
    expect(() => planRecordProof(logSize(5), recordIndex(5))).toThrow(InvalidInputError)
    expect(() => planTreeProof(logSize(5), logSize(6))).toThrow(InvalidInputError)
    expect(() => planTreeProof(logSize(5), logSize(0))).toThrow(InvalidInputError)
    expect(() => computeHashes(planTreeHash(logSize(5)), [root(1)])).toThrow(InvalidInputError)
  })
})

describe("stored hashes", () => {
  test("are numbered in the order in which a log completes them", () => {
    let next = 0
    for (let record = 0; record < 5_000; record++) {
      expect(storedHashCount(logSize(record))).toBe(next)
      for (let level = 0; (record + 1) % 2 ** level === 0; level++) {
        const n = (record + 1) / 2 ** level - 1
        expect(storedHashIndex(level, n)).toBe(next)
        expect(splitStoredHashIndex(hashIndex(next))).toEqual({ level, n })
        next++
      }
    }
  })

  // Where 32-bit operators fail: 2^31 and 2^32; and the largest log there can be.
  const EDGES = [2 ** 31, 2 ** 32, 2 ** 51, 2 ** 52 - 10]

  test.each(EDGES)("around record %i", (edge) => {
    for (let record = edge - 5; record < edge + 5; record++) {
      const index = storedHashIndex(0, record)
      expect(BigInt(index)).toBe(exactIndex(BigInt(record)))
      expect(splitStoredHashIndex(index)).toEqual({ level: 0, n: record })
      for (let level = 1; level < 53 && (record + 1) % 2 ** level === 0; level++) {
        const n = (record + 1) / 2 ** level - 1
        expect(splitStoredHashIndex(storedHashIndex(level, n))).toEqual({ level, n })
      }
    }
  })

  test("there and back, anywhere", () => {
    const place = fc.nat(52).chain((level) =>
      fc.tuple(
        fc.constant(level),
        fc.maxSafeNat().map((n) => n % 2 ** (52 - level)),
      ),
    )
    fc.assert(
      fc.property(place, ([level, n]) => {
        expect(splitStoredHashIndex(storedHashIndex(level, n))).toEqual({ level, n })
      }),
    )
  })

  test.each([
    [0, -1],
    [0, 0.5],
    [-1, 0],
    [53, 0],
    [0, 2 ** 52],
    [1, 2 ** 51],
    [0, Number.NaN],
  ])("no log has level %d, hash %d", (level, n) => {
    expect(() => storedHashIndex(level, n)).toThrow(InvalidInputError)
  })

  test.each([2 ** 31 + 3, 2 ** 32 + 7, 2 ** 52 - 1, 2 ** 52])("proofs in a log of %i records", (size) => {
    // The hashes are the same everywhere, so that a tree of any size is at hand: level l has one value.
    const level: Hash[] = [leafHash(new Uint8Array(1))]
    for (let l = 1; l <= 52; l++) level.push(nodeHash(level[l - 1] ?? root(0), level[l - 1] ?? root(0)))
    const reader = (indexes: readonly HashIndex[]): Hash[] =>
      indexes.map((index) => level[splitStoredHashIndex(index).level] ?? expect.unreachable())
    const rootAt = (s: number): Hash => rootOfEdge(reader(planTreeHash(logSize(s)).indexes))
    for (const index of [0, 1, 2 ** 31 - 1, 2 ** 31, size - 2, size - 1]) {
      const plan = planRecordProof(logSize(size), recordIndex(index))
      const proof = computeHashes(plan, reader(plan.indexes))
      checkRecord(proof, logSize(size), rootAt(size), recordIndex(index), level[0] ?? root(0))
      expect(plan.indexes.length).toBeLessThanOrEqual(2 * 52)
    }
    for (const from of [1, 2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1, size - 1, size]) {
      const plan = planTreeProof(logSize(size), logSize(from))
      const proof = computeHashes(plan, reader(plan.indexes))
      checkTree(proof, logSize(size), rootAt(size), logSize(from), rootAt(from))
      if (from > 1 && from < size) {
        expect(
          accepts(() => checkTree(proof, logSize(size), rootAt(size), logSize(from), rootAt(from - 1))),
        ).toBe(false)
      }
    }
  })
})

/** In exact integers: n + n/2 + n/4 + … */
function exactIndex(n: bigint): bigint {
  let index = 0n
  for (let rest = n; rest > 0n; rest /= 2n) index += rest
  return index
}

/** `expect` would take most of the time: there are hundreds of thousands of these. */
function refused(accepted: boolean, what = "a corrupted proof"): void {
  if (accepted) expect.unreachable(`${what} was accepted`)
}

function same(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.length === b.length && a.every((hash, i) => equalBytes(hash, b[i] ?? new Uint8Array(0)))
}

function flip(hash: Hash, bit: number): Hash {
  const copy = hashFrom(hash)
  const at = bit % 256
  copy[at >> 3] = (copy[at >> 3] ?? 0) ^ (1 << (at & 7))
  return copy
}

/** A bit flipped in each hash, each hash dropped, doubled or swapped with its neighbour, one added at each end. */
function corrupted(proof: readonly Hash[], sample: number | undefined): Hash[][] {
  const all: Hash[][] = [
    [...proof, leaf(0)],
    [leaf(0), ...proof],
  ]
  const places = sample === undefined ? proof.keys() : proof.length === 0 ? [] : [sample % proof.length]
  for (const i of places) {
    const hash = proof[i] ?? expect.unreachable()
    all.push(proof.with(i, flip(hash, sample ?? i * 67)), proof.with(i, flip(hash, 255)))
    all.push(proof.toSpliced(i, 1), proof.toSpliced(i, 0, hash))
    const next = proof[i + 1]
    if (next !== undefined && !equalBytes(hash, next)) all.push(proof.with(i, next).with(i + 1, hash))
    all.push(proof.slice(0, i))
  }
  return all
}
