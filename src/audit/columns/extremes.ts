import type { LogEntry } from "../types.ts"
import type { Tally } from "../stats.ts"
import type { Block } from "./block.ts"
import { fetchRows } from "./fetch.ts"
import { DamagedBlock } from "./file.ts"
import { Scanner } from "./scan.ts"
import type { SearchedLog } from "./search.ts"
import { positionOf, selectRows } from "./select.ts"
import type { Plan } from "./select.ts"

/** What is being counted. */
export interface Counting {
  readonly log: SearchedLog
  readonly plan: Plan
  readonly lets: (entry: LogEntry) => boolean
  readonly tally: Tally
}

/** The record with the least or the greatest time. */
interface Extreme {
  readonly block: Block
  readonly row: number
  readonly time: number
}

/** Tells the tally of the least and greatest times of what was counted by columns. */
export async function findExtremes(counting: Counting, blocks: readonly Block[]): Promise<void> {
  const left = blocks.filter(({ header }) => !Number.isNaN(header.minTime))
  for (const sign of [-1, 1] as const) {
    for (;;) {
      const bound = ({ header }: Block): number => (sign === 1 ? header.maxTime : -header.minTime)
      left.sort((a, b) => bound(b) - bound(a) || a.header.firstIndex - b.header.firstIndex)
      const damaged = await seeExtreme(counting, left, sign, bound)
      if (damaged === undefined) break
      left.splice(left.indexOf(damaged), 1)
    }
  }
}

/** @returns a block that turned out to be damaged: its times were read from its records */
async function seeExtreme(
  counting: Counting,
  blocks: readonly Block[],
  sign: 1 | -1,
  bound: (block: Block) => number,
): Promise<Block | undefined> {
  const { log, plan, tally } = counting
  let best: Extreme | undefined
  for (const block of blocks) {
    if (best !== undefined && bound(block) < sign * best.time) break
    try {
      best = await extremeOf(block, plan, sign, best)
    } catch (error) {
      return await readTimes(counting, block, error)
    }
  }
  if (best === undefined) return undefined
  try {
    const [entry] = await fetchRows(log.files, best.block, Uint32Array.of(best.row))
    const at = entry?.record["at"]
    if (entry === undefined || typeof at !== "string") throw new DamagedBlock("a record has another time")
    tally.seen(at, best.time, entry.index)
    return undefined
  } catch (error) {
    return await readTimes(counting, best.block, error)
  }
}

/** Sees the times of a damaged block's records by reading them. @throws any other error */
async function readTimes({ log, lets, tally }: Counting, block: Block, error: unknown): Promise<Block> {
  if (!(error instanceof DamagedBlock)) throw error
  log.index.drop(block, error)
  const { firstIndex: from, count } = block.header
  const range = { from, to: from + count, order: "asc", signal: undefined } as const
  const scanner = new Scanner(log.files, log.extent)
  for await (const entries of scanner.scan(range, undefined, { scanned: 0 })) {
    for (const entry of entries) if (lets(entry)) tally.see(entry)
  }
  return block
}

/** The selected row of the block with the greatest `sign × time`, the first of several, if it beats `best`. */
async function extremeOf(
  block: Block,
  plan: Plan,
  sign: 1 | -1,
  best: Extreme | undefined,
): Promise<Extreme | undefined> {
  const { rows } = await selectRows(block, plan)
  const { minRow, maxRow, minTime, maxTime, chunkRows, firstIndex } = block.header
  const beats = (time: number, row: number): boolean =>
    best === undefined ||
    sign * time > sign * best.time ||
    (time === best.time && firstIndex + row < best.block.header.firstIndex + best.row)
  if (rows === undefined) {
    const [row, time] = sign === 1 ? [maxRow, maxTime] : [minRow, minTime]
    return beats(time, row) ? { block, row, time } : best
  }
  for (let i = 0; i < rows.length;) {
    const chunk = Math.floor((rows[i] ?? 0) / chunkRows)
    const last = positionOf(rows, i, (chunk + 1) * chunkRows)
    const edge =
      sign === 1 ? (block.ranges[chunk * 2 + 1] ?? Infinity) : -(block.ranges[chunk * 2] ?? -Infinity)
    if (best === undefined || edge >= sign * best.time) {
      const times = await block.times(chunk)
      for (let at = i; at < last; at++) {
        const row = rows[at] ?? 0
        const time = times[row - chunk * chunkRows] ?? NaN
        if (!Number.isNaN(time) && beats(time, row)) best = { block, row, time }
      }
    }
    i = last
  }
  return best
}
