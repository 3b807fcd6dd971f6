/** The time that a view looks at: how it is moved and zoomed, by the histogram and by keys. */
import { isoTime, parseTime } from "../../core/index.ts"
import type { StatsAnswer } from "../../wire/http.ts"
import { useKeys } from "../keys.ts"
import type { Filter } from "../place.ts"
import { T } from "../texts.ts"
import { moved, visibleRange, zoomed } from "./buckets.ts"
import type { TimeRange } from "./buckets.ts"

/** ISO 8601; without one that end is open. */
export interface TimeBounds {
  readonly from?: string
  readonly to?: string
}

export interface TimeControl {
  /** What is asked for; open ends are those of the data. */
  readonly range: Partial<TimeRange>
  readonly set: (range: TimeRange) => void
  readonly zoomOut: () => void
}

/** @param go shows that time. */
export function useTime(
  stats: StatsAnswer | undefined,
  { from, to }: Filter,
  go: (bounds: TimeBounds) => void,
): TimeControl {
  const [start, end] = [parseTime(from), parseTime(to)]
  const range = {
    ...(start === undefined ? {} : { from: start }),
    ...(end === undefined ? {} : { to: end }),
  }
  const shown = stats === undefined ? undefined : visibleRange(stats, range)
  const set = (next: TimeRange): void => go({ from: isoTime(next.from), to: isoTime(next.to) })
  const zoomOut = (): void => {
    // All of it is seen already.
    if (shown !== undefined && (start !== undefined || end !== undefined)) set(zoomed(shown, 2))
  }
  const change = (to: (shown: TimeRange) => TimeRange) => () => {
    if (shown !== undefined) set(to(shown))
  }
  const group = T.keys.time
  useKeys([
    { keys: ["+", "="], text: T.keys.zoomIn, group, run: change((now) => zoomed(now, 0.5)) },
    { keys: ["-", "_"], text: T.keys.zoomOut, group, run: zoomOut },
    { keys: ["[", "ArrowLeft"], text: T.keys.earlier, group, run: change((now) => moved(now, -0.5)) },
    { keys: ["]", "ArrowRight"], text: T.keys.later, group, run: change((now) => moved(now, 0.5)) },
    { keys: ["0"], text: T.keys.allTime, group, run: () => go({}) },
  ])
  return { range, set, zoomOut }
}
