/**
 * One number for each perfect subtree: the order in which a growing log completes them.
 *
 * Record n completes its own leaf and one more subtree for each trailing 1 bit of n, so a log's hashes written one
 * after the other form a flat array, and a reader of hashes needs no idea of trees. See section 3.3 of Crosby and
 * Wallach, https://www.usenix.org/legacy/event/sec09/tech/full_papers/crosby.pdf
 *
 * Halving is `Math.floor(n / 2)`: JavaScript's shift operators would cut a size to 32 bits.
 */
import { InvalidInputError } from "./errors.ts"
import { MAX_LOG_SIZE, type HashIndex, type LogSize } from "./hash-types.ts"

/** A perfect subtree: the `2^level` records from `n * 2^level` on. */
export interface Subtree {
  readonly level: number
  readonly n: number
}

/** @throws InvalidInputError for a subtree that no log of at most 2^52 records has. */
export function storedHashIndex(level: number, n: number): HashIndex {
  const width = 2 ** level
  if (
    !Number.isSafeInteger(n) ||
    n < 0 ||
    !Number.isInteger(level) ||
    level < 0 ||
    (n + 1) * width > MAX_LOG_SIZE
  ) {
    throw new InvalidInputError(`no log has a hash ${n} at level ${level}`)
  }
  // The subtree is completed by its last record, right after the `level` smaller ones inside it.
  return (hashesOf((n + 1) * width - 1) + level) as HashIndex
}

/** The inverse of {@link storedHashIndex}. At most 54 steps. */
export function splitStoredHashIndex(index: HashIndex): Subtree {
  // hashesOf(n) lies between 2n - log2(n) - 1 and 2n: the record we want is at half the index or little after.
  let record = Math.floor(index / 2)
  let first = hashesOf(record)
  for (;;) {
    const next = first + 1 + trailingOnes(record)
    if (next > index) break
    record++
    first = next
  }
  const level = index - first
  return { level, n: Math.floor(record / 2 ** level) }
}

/** How many hashes a log of `size` records has completed: fewer than `2 * size`. */
export function storedHashCount(size: LogSize): number {
  return hashesOf(size)
}

/** The hashes completed by the first n records: n + ⌊n/2⌋ + ⌊n/4⌋ + … */
function hashesOf(n: number): number {
  let count = 0
  for (let rest = n; rest > 0; rest = Math.floor(rest / 2)) count += rest
  return count
}

function trailingOnes(n: number): number {
  let count = 0
  for (let rest = n; rest % 2 === 1; rest = (rest - 1) / 2) count++
  return count
}
