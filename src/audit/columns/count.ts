import { compileFilter } from "../filter.ts"
import { NO_KIND } from "../stats.ts"
import type { Tally } from "../stats.ts"
import type { LogFilter, StatsGroup } from "../types.ts"
import type { Block } from "./block.ts"
import { countsOfTexts } from "./column.ts"
import type { Codes } from "./coding.ts"
import type { Dictionary } from "./column.ts"
import { fetchRows } from "./fetch.ts"
import { DamagedBlock } from "./file.ts"
import type { Piece } from "./log-index.ts"
import { needlesOf } from "./needles.ts"
import { Scanner } from "./scan.ts"
import type { SearchedLog } from "./search.ts"
import { findExtremes } from "./extremes.ts"
import { positionOf, planFilter, selectRows } from "./select.ts"
import type { Selection } from "./select.ts"

/**
 * Adds the records that a filter lets through to a tally: of blocks whose columns answer the filter without looking at
 * a record; of the rest by reading them.
 */
export async function countLog(
  log: SearchedLog,
  filter: LogFilter,
  tally: Tally,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { files, extent, index } = log
  const lets = compileFilter(filter)
  const plan = planFilter(filter, index.fields)
  const needles = needlesOf(plan, filter, index.fields)
  const counted: Block[] = []
  const scanner = new Scanner(files, extent)
  const work = { scanned: 0 }
  const read = async ({ from, to }: Piece): Promise<void> => {
    for await (const entries of scanner.scan({ from, to, order: "asc", signal }, needles, work)) {
      for (const entry of entries) if (lets(entry)) tally.add(entry)
    }
  }
  for await (const piece of index.pieces(0, extent.size, "asc")) {
    signal?.throwIfAborted()
    const { block } = piece
    if (block === undefined) {
      await read(piece)
      continue
    }
    try {
      const selection = await selectRows(block, plan)
      if (selection.rows?.length === 0) continue
      const dictionaries = selection.exact ? await dictionariesFor(block, log, tally.by) : undefined
      if (dictionaries !== undefined) {
        await countBlock(block, selection, dictionaries, tally)
        counted.push(block)
      } else if (selection.rows === undefined) {
        await read(piece)
      } else {
        const entries = await fetchRows(files, block, selection.rows)
        work.scanned += entries.length
        for (const entry of entries) if (lets(entry)) tally.add(entry)
      }
    } catch (error) {
      if (!(error instanceof DamagedBlock)) throw error
      index.drop(block, error)
      await read(piece)
    }
  }
  await findExtremes({ log, plan, lets, tally }, counted)
  tally.scanned(work.scanned)
}

/** A column's counts by code. */
interface ColumnCounts {
  readonly dictionary: Dictionary
  readonly counts: Uint32Array
}

type Dictionaries = ReadonlyMap<StatsGroup, { readonly column: number; readonly dictionary: Dictionary }>

/** Of the columns that are counted; `undefined` when one of them holds hashes alone. */
async function dictionariesFor(
  block: Block,
  { index }: SearchedLog,
  by: StatsGroup,
): Promise<Dictionaries | undefined> {
  const all = new Map<StatsGroup, { readonly column: number; readonly dictionary: Dictionary }>()
  for (const group of new Set<StatsGroup>(["kind", "outcome", "agent", by])) {
    const column = index.fields.columnOf(group)
    const dictionary = await block.dictionary(column)
    if (dictionary.texts === undefined) return undefined
    all.set(group, { column, dictionary })
  }
  return all
}

/** All is read before the first is added: a block that turns out to be damaged has not been counted in part. */
async function countBlock(
  block: Block,
  { rows }: Selection,
  dictionaries: Dictionaries,
  tally: Tally,
): Promise<void> {
  const counted = new Map<StatsGroup, ColumnCounts>()
  for (const [group, { column, dictionary }] of dictionaries) {
    if (rows === undefined) {
      counted.set(group, { dictionary, counts: dictionary.counts })
      continue
    }
    const codes = await block.codes(column)
    const counts = new Uint32Array(dictionary.counts.length)
    countCodes(codes, rows, 0, rows.length, counts)
    counted.set(group, { dictionary, counts })
  }
  const buckets = await bucketsOf(block, rows, dictionaries, tally)
  tally.addTotal(rows?.length ?? block.count)
  for (const [group, column] of counted) {
    eachName(group, column, (name, n) => tally.addNamed(group, name, n))
  }
  for (const [from, column] of buckets) {
    const bucket = tally.bucket(from)
    eachName(tally.by, column, (name, n) => bucket.set(name, (bucket.get(name) ?? 0) + n))
  }
}

function eachName(
  group: StatsGroup,
  { dictionary, counts }: ColumnCounts,
  add: (name: string, n: number) => void,
): void {
  const none = counts[0] ?? 0
  if (group === "kind" && none > 0) add(NO_KIND, none)
  const { texts } = dictionary
  if (texts === undefined) throw new Error("bug: a column without texts is not counted")
  const byText = countsOfTexts(dictionary, counts)
  for (let id = 0; id < texts.length; id++) {
    const n = byText[id] ?? 0
    if (n > 0) add(texts[id] ?? "", n)
  }
}

/** By the bucket's start. Times are decoded only of chunks that reach across the end of a bucket. */
async function bucketsOf(
  block: Block,
  rows: Uint32Array | undefined,
  dictionaries: Dictionaries,
  tally: Tally,
): Promise<ReadonlyMap<number, ColumnCounts>> {
  const buckets = new Map<number, ColumnCounts>()
  const by = dictionaries.get(tally.by)
  if (tally.interval === undefined || by === undefined) return buckets
  const { dictionary } = by
  const at = (time: number): Uint32Array => {
    const from = tally.bucketStart(time)
    let bucket = buckets.get(from)
    if (bucket === undefined) {
      tally.checkBuckets(buckets.size + 1)
      bucket = { dictionary, counts: new Uint32Array(dictionary.counts.length) }
      buckets.set(from, bucket)
    }
    return bucket.counts
  }
  const { count, chunkRows, minTime, maxTime } = block.header
  const oneBucket = tally.bucketStart(minTime) === tally.bucketStart(maxTime)
  if (rows === undefined && oneBucket && block.isTimed) {
    at(minTime).set(dictionary.counts)
    return buckets
  }
  const codes = await block.codes(by.column)
  for (let chunk = 0, i = 0; chunk < block.chunks; chunk++) {
    const end = Math.min(count, (chunk + 1) * chunkRows)
    const first = rows === undefined ? chunk * chunkRows : i
    const last = rows === undefined ? end : positionOf(rows, i, end)
    i = last
    if (first === last) continue
    const low = block.ranges[chunk * 2] ?? -Infinity
    const high = block.ranges[chunk * 2 + 1] ?? Infinity
    if (Number.isFinite(low) && tally.bucketStart(low) === tally.bucketStart(high)) {
      countCodes(codes, rows, first, last, at(low))
    } else {
      const times = await block.times(chunk)
      countByTime(codes, rows, first, last, times, chunk * chunkRows, tally.interval, at)
    }
  }
  return buckets
}

/** Counts the codes of the rows at positions `[first, last)` of `rows`, or of these very rows when it is undefined. */
function countCodes(
  codes: Codes,
  rows: Uint32Array | undefined,
  first: number,
  last: number,
  counts: Uint32Array,
): void {
  // Twice the same, so that the compiler sees bytes in the one: see `select.ts`.
  if (codes instanceof Uint8Array) {
    for (let n = first; n < last; n++) {
      const code = codes[rows === undefined ? n : (rows[n] ?? 0)] ?? 0
      counts[code] = (counts[code] ?? 0) + 1
    }
  } else {
    for (let n = first; n < last; n++) {
      const code = codes[rows === undefined ? n : (rows[n] ?? 0)] ?? 0
      counts[code] = (counts[code] ?? 0) + 1
    }
  }
}

/** The same, each row in the bucket of its time. Neighbours are mostly in one. */
function countByTime(
  codes: Codes,
  rows: Uint32Array | undefined,
  first: number,
  last: number,
  times: Float64Array,
  firstRow: number,
  interval: number,
  at: (time: number) => Uint32Array,
): void {
  let [from, to] = [0, 0]
  let counts: Uint32Array | undefined
  for (let n = first; n < last; n++) {
    const row = rows === undefined ? n : (rows[n] ?? 0)
    const time = times[row - firstRow] ?? NaN
    if (Number.isNaN(time)) continue
    if (counts === undefined || time < from || time >= to) {
      counts = at(time)
      from = Math.floor(time / interval) * interval
      to = from + interval
    }
    const code = codes[row] ?? 0
    counts[code] = (counts[code] ?? 0) + 1
  }
}
