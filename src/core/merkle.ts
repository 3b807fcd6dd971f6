/**
 * Tree hashes, inclusion proofs and consistency proofs of RFC 6962, as functions over numbers.
 *
 * A tree of more than one record is split at the largest power of two below its size; every proof is the list of
 * subtrees that lie beside one way down from the root. That way is walked by a single function, {@link descend}:
 * a plan asks which stored hashes those subtrees are made of, and a check hashes its way back up.
 *
 * Making a proof is plan, fetch, compute: a `plan…` function names every hash that is needed, the caller reads them in
 * one round trip, {@link computeHashes} is arithmetic. {@link treeHash}, {@link proveRecord} and {@link proveTree} do
 * the three in a row.
 *
 * Checking is running: the proof is used up to compute the root that it implies, and only roots are compared. What is
 * too long or too short is refused before a hash is made. No tree, no node, no state.
 */
import { equalBytes } from "./bytes.ts"
import { InvalidInputError, invariant } from "./errors.ts"
import { type Hash, type HashIndex, type LogSize, type RecordIndex } from "./hash-types.ts"
import { emptyRoot, nodeHash } from "./merkle-hash.ts"
import { BadProofError } from "./proof-errors.ts"
import { storedHashIndex } from "./stored-hash.ts"

/**
 * The hashes at `indexes`, in that order; one round trip, however many. Rejects when any is missing.
 *
 * Whoever gives one vouches for its hashes: `tile-reader.ts` makes one that has checked them against a root.
 */
export type ReadHashes = (indexes: readonly HashIndex[]) => Promise<readonly Hash[]>

/** Which hashes to read, and how many of them in a row make up each hash of the result. */
export interface HashPlan {
  readonly indexes: readonly HashIndex[]
  readonly counts: readonly number[]
}

/** At most 1 + log2(size) hashes; none for the empty tree, whose root is a constant. */
export function planTreeHash(size: LogSize): HashPlan {
  return plan(size === 0 ? [] : [{ lo: 0, hi: size }])
}

/**
 * At most 2 log2(size) hashes.
 *
 * @throws InvalidInputError unless record `index` is in a log of `size` records.
 */
export function planRecordProof(size: LogSize, index: RecordIndex): HashPlan {
  if (index >= size) throw new InvalidInputError(`a log of ${size} records has no record ${index}`)
  return plan(recordWay(size, index).aside)
}

/**
 * At most 2 log2(size) hashes.
 *
 * @throws InvalidInputError unless `1 <= from <= size`: about the empty tree there is nothing to prove.
 */
export function planTreeProof(size: LogSize, from: LogSize): HashPlan {
  if (from < 1 || from > size) {
    throw new InvalidInputError(`there is no consistency proof from size ${from} to size ${size}`)
  }
  const { aside, lo, hi } = treeWay(size, from)
  return plan(lo === 0 ? aside : [{ lo, hi }, ...aside])
}

/** What the plan was for: the proof's hashes, or the one root. `hashes` are those at `plan.indexes`. */
export function computeHashes({ indexes, counts }: HashPlan, hashes: readonly Hash[]): Hash[] {
  if (hashes.length !== indexes.length) {
    throw new InvalidInputError(`the plan wants ${indexes.length} hashes and got ${hashes.length}`)
  }
  let used = 0
  return counts.map((count) => rootOfEdge(hashes.slice(used, (used += count))))
}

/** The root of the first `size` records. */
export async function treeHash(size: LogSize, readHashes: ReadHashes): Promise<Hash> {
  const [root] = await follow(planTreeHash(size), readHashes)
  return root ?? emptyRoot()
}

/** The proof that record `index` is in the tree of `size` records: siblings from the leaf up, at most log2(size). */
export function proveRecord(size: LogSize, index: RecordIndex, readHashes: ReadHashes): Promise<Hash[]> {
  return follow(planRecordProof(size, index), readHashes)
}

/** The same for many records, in their order: what several of the proofs need is read once, all of it in one round trip. */
export async function proveRecords(
  size: LogSize,
  indexes: readonly RecordIndex[],
  readHashes: ReadHashes,
): Promise<Hash[][]> {
  const plans = indexes.map((index) => planRecordProof(size, index))
  const wanted = [...new Set(plans.flatMap((plan) => plan.indexes))]
  const hashes = wanted.length === 0 ? [] : await readHashes(wanted)
  const places = new Map(wanted.map((index, place) => [index, place]))
  const hashAt = (index: HashIndex): Hash => {
    const hash = hashes[places.get(index) ?? -1]
    invariant(hash !== undefined, "every hash that was asked for was given")
    return hash
  }
  return plans.map((plan) => computeHashes(plan, plan.indexes.map(hashAt)))
}

/** The proof that the tree of `size` records begins with the `from` records of an older one. */
export function proveTree(size: LogSize, from: LogSize, readHashes: ReadHashes): Promise<Hash[]> {
  return follow(planTreeProof(size, from), readHashes)
}

/**
 * Returns only if the tree of `size` records with this root has `leaf` at `index`.
 *
 * @throws BadProofError otherwise, an index past the end included.
 */
export function checkRecord(
  proof: readonly Hash[],
  size: LogSize,
  root: Hash,
  index: RecordIndex,
  leaf: Hash,
): void {
  if (index >= size) throw new BadProofError(`a log of ${size} records has no record ${index}`)
  const { aside } = recordWay(size, index)
  checkLength(proof, aside.length)
  let implied = leaf
  for (const [i, range] of aside.entries()) {
    implied = range.lo > index ? nodeHash(implied, sibling(proof, i)) : nodeHash(sibling(proof, i), implied)
  }
  if (!equalBytes(implied, root))
    throw new BadProofError(`the proof for record ${index} leads to another root`)
}

/**
 * Returns only if the tree of `size` records with this root begins with the `from` records that have `fromRoot`.
 *
 * Theorem: the subtrees aside of the way to the old tree's right end are either full of old records (left of it) or
 * free of them (right of it). Hashing up with the left ones alone must give the old root, with all of them the new
 * one; two logs that differ in an old record cannot satisfy both without a collision of SHA-256.
 *
 * @throws BadProofError otherwise. Also for `from` 0 and a larger `size`: no proof can bind what has no records, so a
 *   caller that starts from nothing must know that it does (RFC 9162 and `golang.org/x/mod` agree).
 */
export function checkTree(
  proof: readonly Hash[],
  size: LogSize,
  root: Hash,
  from: LogSize,
  fromRoot: Hash,
): void {
  if (from > size || (from === 0 && size > 0)) {
    throw new BadProofError(`nothing proves that size ${size} continues size ${from}`)
  }
  if (size === 0 && !equalBytes(root, emptyRoot())) throw new BadProofError("the empty tree has another root")
  const { aside, lo } = treeWay(size, from)
  // The way ends in the old tree itself, whose root the verifier has, or in a part of it, which the proof brings.
  const brought = lo === 0 ? 0 : 1
  checkLength(proof, brought + aside.length)
  let old = lo === 0 ? fromRoot : sibling(proof, 0)
  let all = old
  for (const [i, range] of aside.entries()) {
    const other = sibling(proof, brought + i)
    if (range.lo < from) old = nodeHash(other, old)
    all = range.lo < from ? nodeHash(other, all) : nodeHash(all, other)
  }
  if (!equalBytes(old, fromRoot)) throw new BadProofError(`the proof is not about the tree of size ${from}`)
  if (!equalBytes(all, root))
    throw new BadProofError(`the tree of size ${size} does not continue that of size ${from}`)
}

/** The perfect subtrees that the first `size` records fall into, largest first: one for each 1 bit of the size. */
export function edgeIndexes(size: LogSize): HashIndex[] {
  return perfectSubtrees({ lo: 0, hi: size })
}

/** Folds the perfect subtrees of a range, largest first, into its root; the empty tree's for none. */
export function rootOfEdge(hashes: readonly Hash[]): Hash {
  return hashes.length === 0 ? emptyRoot() : hashes.reduceRight((right, left) => nodeHash(left, right))
}

/** Records `lo` (inclusive) to `hi` (exclusive): always a subtree of some tree. */
interface Range {
  readonly lo: number
  readonly hi: number
}

/** Where a walk ended, and the subtrees that it left aside, from the end back up to the root. */
interface Way extends Range {
  readonly aside: readonly Range[]
}

/** Down to the leaf of a record. */
function recordWay(size: number, index: number): Way {
  return descend(size, index, ({ lo, hi }) => hi - lo === 1)
}

/** Down to the largest subtree that ends where the old tree ended. It is the old tree itself exactly when it starts at 0. */
function treeWay(size: number, from: number): Way {
  return descend(size, from - 1, ({ hi }) => hi === from)
}

/** The one walk: from the root towards a record, until `isEnd`. */
function descend(size: number, record: number, isEnd: (range: Range) => boolean): Way {
  let range: Range = { lo: 0, hi: size }
  const aside: Range[] = []
  while (!isEnd(range)) {
    const { lo, hi } = range
    const middle = lo + largestPowerBelow(hi - lo)
    const [left, right] = [
      { lo, hi: middle },
      { lo: middle, hi },
    ]
    range = record < middle ? left : right
    aside.push(record < middle ? right : left)
  }
  return { ...range, aside: aside.reverse() }
}

function plan(ranges: readonly Range[]): HashPlan {
  const needed = ranges.map(perfectSubtrees)
  return { indexes: needed.flat(), counts: needed.map((indexes) => indexes.length) }
}

/** A subtree is perfect but for its right edge: the largest perfect part first, then the same for the rest. */
function perfectSubtrees({ lo, hi }: Range): HashIndex[] {
  const indexes: HashIndex[] = []
  for (let at = lo; at < hi;) {
    const width = largestPowerBelow(hi - at + 1)
    invariant(at % width === 0, "a subtree starts at a multiple of its width")
    indexes.push(storedHashIndex(Math.log2(width), at / width))
    at += width
  }
  return indexes
}

/** The largest power of two strictly below n, for n > 1. */
function largestPowerBelow(n: number): number {
  let power = 1
  while (power * 2 < n) power *= 2
  return power
}

async function follow(plan: HashPlan, readHashes: ReadHashes): Promise<Hash[]> {
  return computeHashes(plan, plan.indexes.length === 0 ? [] : await readHashes(plan.indexes))
}

function checkLength(proof: readonly Hash[], length: number): void {
  if (proof.length !== length)
    throw new BadProofError(`the proof has ${proof.length} hashes; it takes ${length}`)
}

function sibling(proof: readonly Hash[], i: number): Hash {
  const hash = proof[i]
  invariant(hash !== undefined, "the length of the proof was checked")
  return hash
}
