import type { Tally } from "../stats.ts"
import type { Block } from "./block.ts"
import type { Codes } from "./coding.ts"
import { positionOf } from "./select.ts"

/** Rows whose numbers go into the buckets of their times. */
export interface Numbers {
  /** By row. */
  readonly ids: Codes
  /** How many rows have each. */
  readonly totals: Uint32Array
}

/**
 * How many rows of each bucket have each number, by the bucket's start; of all rows, or of some. Times are decoded only of
 * chunks that reach across the end of a bucket, and the bucket with the most rows has what the others have not.
 *
 * @throws InvalidInputError when there are too many buckets
 */
export async function bucketCounts(
  block: Block,
  rows: Uint32Array | undefined,
  { ids, totals }: Numbers,
  tally: Tally,
): Promise<Map<number, Uint32Array>> {
  const buckets = new Map<number, Uint32Array>()
  const { interval } = tally
  if (interval === undefined) return buckets
  const { chunkRows, minTime, maxTime } = block.header
  if (block.isTimed && tally.bucketStart(minTime) === tally.bucketStart(maxTime)) {
    return buckets.set(tally.bucketStart(minTime), totals)
  }
  const at = (from: number): Uint32Array => {
    let bucket = buckets.get(from)
    if (bucket === undefined) {
      tally.checkBuckets(buckets.size + 1)
      bucket = new Uint32Array(totals.length)
      buckets.set(from, bucket)
    }
    return bucket
  }
  const stretches = stretchesOf(block, rows, tally)
  // Where a row has no time, nobody knows how many are in any.
  const most = block.isTimed ? largest(stretches) : undefined
  for (const { chunk, first, last, bucket } of stretches) {
    if (bucket === undefined) {
      const times = await block.times(chunk)
      countByTime(ids, rows, first, last, times, chunk * chunkRows, interval, at)
    } else if (bucket !== most) addIds(ids, rows, first, last, at(bucket))
  }
  if (most !== undefined) {
    const rest = totals.slice()
    for (const [from, counts] of buckets) {
      if (from === most) continue
      for (let id = 0; id < rest.length; id++) rest[id] = (rest[id] ?? 0) - (counts[id] ?? 0)
    }
    buckets.set(most, rest)
  }
  return buckets
}

/** Rows of one chunk, from position `first` to `last`. */
interface Stretch {
  readonly chunk: number
  readonly first: number
  readonly last: number
  /** Where the bucket starts that they all lie in; `undefined` when that has to be seen. */
  readonly bucket: number | undefined
}

function stretchesOf(block: Block, rows: Uint32Array | undefined, tally: Tally): Stretch[] {
  const { count, chunkRows } = block.header
  const stretches: Stretch[] = []
  for (let chunk = 0, i = 0; chunk < block.chunks; chunk++) {
    const end = Math.min(count, (chunk + 1) * chunkRows)
    const first = rows === undefined ? chunk * chunkRows : i
    const last = rows === undefined ? end : positionOf(rows, i, end)
    i = last
    if (first === last) continue
    const low = block.ranges[chunk * 2] ?? -Infinity
    const high = block.ranges[chunk * 2 + 1] ?? Infinity
    const isOne = Number.isFinite(low) && tally.bucketStart(low) === tally.bucketStart(high)
    stretches.push({ chunk, first, last, bucket: isOne ? tally.bucketStart(low) : undefined })
  }
  return stretches
}

/** The bucket with the most rows of those that lie in one for sure. */
function largest(stretches: readonly Stretch[]): number | undefined {
  const rows = new Map<number, number>()
  for (const { bucket, first, last } of stretches) {
    if (bucket !== undefined) rows.set(bucket, (rows.get(bucket) ?? 0) + last - first)
  }
  return [...rows].toSorted(([, a], [, b]) => b - a)[0]?.[0]
}

/** How many of the rows have each number. */
export function countIds(ids: Codes, rows: Uint32Array, size: number): Uint32Array {
  const counts = new Uint32Array(size)
  addIds(ids, rows, 0, rows.length, counts)
  return counts
}

/** Adds the numbers of the rows at positions `[first, last)` of `rows`, or of these very rows when it is undefined. */
function addIds(
  ids: Codes,
  rows: Uint32Array | undefined,
  first: number,
  last: number,
  counts: Uint32Array,
): void {
  // Three times the same, so that the compiler sees one type in each loop: see `select.ts`.
  if (!(ids instanceof Uint16Array)) {
    for (let n = first; n < last; n++) {
      const id = ids[rows === undefined ? n : (rows[n] ?? 0)] ?? 0
      counts[id] = (counts[id] ?? 0) + 1
    }
  } else if (rows === undefined) {
    for (let n = first; n < last; n++) {
      const id = ids[n] ?? 0
      counts[id] = (counts[id] ?? 0) + 1
    }
  } else {
    for (let n = first; n < last; n++) {
      const id = ids[rows[n] ?? 0] ?? 0
      counts[id] = (counts[id] ?? 0) + 1
    }
  }
}

/** The same, each row in the bucket of its time. Neighbours are mostly in one. */
function countByTime(
  ids: Codes,
  rows: Uint32Array | undefined,
  first: number,
  last: number,
  times: Float64Array,
  firstRow: number,
  interval: number,
  at: (from: number) => Uint32Array,
): void {
  let [from, to] = [0, 0]
  let counts: Uint32Array | undefined
  for (let n = first; n < last; n++) {
    const row = rows === undefined ? n : (rows[n] ?? 0)
    const time = times[row - firstRow] ?? NaN
    if (Number.isNaN(time)) continue
    if (counts === undefined || time < from || time >= to) {
      from = Math.floor(time / interval) * interval
      to = from + interval
      counts = at(from)
    }
    const id = ids[row] ?? 0
    counts[id] = (counts[id] ?? 0) + 1
  }
}
