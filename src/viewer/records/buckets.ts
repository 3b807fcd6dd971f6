/** A histogram as columns of numbers, and the time that it shows. Pure. */
import { parseTime } from "../../core/index.ts"
import type { Histogram, StatsAnswer } from "../../wire/http.ts"

/** In Unix milliseconds, `to` exclusive. */
export interface TimeRange {
  readonly from: number
  readonly to: number
}

/** Empty buckets are filled in up to so many, so that every bar is as wide as the next. */
const MAX_COLUMNS = 4_000

/**
 * Times in seconds, then for each kind from the last to the first the height of its stack: its own count and those of
 * all kinds before it.
 */
export function columnsOf(
  { interval_ms, buckets }: Histogram,
  kinds: readonly string[],
): [number[], ...number[][]] {
  const byTime = new Map(buckets.map((bucket) => [parseTime(bucket.at) ?? 0, bucket]))
  const times = filled([...byTime.keys()], interval_ms)
  const stacks = kinds.map(() => new Array<number>(times.length).fill(0))
  for (const [i, time] of times.entries()) {
    const counts = byTime.get(time)?.by_kind
    let height = 0
    for (const [k, kind] of kinds.entries()) {
      height += counts?.[kind] ?? 0
      const stack = stacks[k]
      if (stack !== undefined) stack[i] = height
    }
  }
  return [times.map((time) => time / 1_000), ...stacks.reverse()]
}

/** What is asked for, its open ends closed by the data; `undefined` when neither says anything. */
export function visibleRange(stats: StatsAnswer, range: Partial<TimeRange>): TimeRange | undefined {
  const { interval_ms, buckets } = stats.histogram
  const first = parseTime(buckets[0]?.at)
  const last = parseTime(buckets.at(-1)?.at)
  const from = range.from ?? first
  const to = range.to ?? (last === undefined ? undefined : last + interval_ms)
  if (from === undefined || to === undefined) return undefined
  return from < to ? { from, to } : { from, to: from + interval_ms }
}

/** Around the middle. `factor` below 1 zooms in. */
export function zoomed({ from, to }: TimeRange, factor: number): TimeRange {
  const middle = (from + to) / 2
  const half = Math.max(5, ((to - from) / 2) * factor)
  return { from: Math.floor(middle - half), to: Math.ceil(middle + half) }
}

/** By a part of its length; negative is earlier. */
export function moved({ from, to }: TimeRange, part: number): TimeRange {
  const step = Math.round((to - from) * part)
  return { from: from + step, to: to + step }
}

function filled(times: readonly number[], interval: number): number[] {
  const first = times[0]
  const last = times.at(-1)
  if (first === undefined || last === undefined || interval <= 0) return []
  const count = Math.round((last - first) / interval) + 1
  if (count > MAX_COLUMNS) return [...times]
  return Array.from({ length: count }, (_, i) => first + i * interval)
}
