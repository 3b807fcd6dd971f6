/** Records by kind over time, which is also the time picker. */
import type { JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import uPlot from "uplot"
import { isoTime, parseTime } from "../../core/index.ts"
import type { Bucket, StatsAnswer } from "../../wire/http.ts"
import { dateTime, duration, number } from "../format.ts"
import { canvasColour, kindColour } from "../parts/colour.ts"
import { theme } from "../state.ts"
import { T } from "../texts.ts"
import { columnsOf, visibleRange } from "./buckets.ts"
import type { TimeRange } from "./buckets.ts"

const HEIGHT = 92
/** A shorter drag is a click that slipped. */
const MIN_DRAG_PX = 4
const AXIS_FONT = "11px system-ui, sans-serif"

export function Histogram({
  stats,
  range,
  onRange,
  onZoomOut,
}: {
  readonly stats: StatsAnswer
  /** What is asked for; open ends are those of the data. */
  readonly range: Partial<TimeRange>
  readonly onRange: (range: TimeRange) => void
  readonly onZoomOut: () => void
}): JSX.Element {
  const box = useRef<HTMLDivElement>(null)
  const [hover, setHover] = useState<Bucket | undefined>(undefined)
  const kinds = Object.keys(stats.by_kind)
  const shown = visibleRange(stats, range)
  const now = useRef({ stats, shown, kinds, onRange, onZoomOut })
  now.current = { stats, shown, kinds, onRange, onZoomOut }
  const look = theme.value
  const plot = useRef<uPlot>(undefined)

  // Made once for these kinds in this look; new counts are only data.
  useEffect(() => {
    const element = box.current
    if (element === null || shown === undefined) return
    const made = makePlot(element, kinds, {
      range: () => now.current.shown ?? shown,
      onRange: (next) => now.current.onRange(next),
      onHover: (at) => setHover(at === undefined ? undefined : bucketAt(now.current.stats, at)),
    })
    plot.current = made
    made.setData(columnsOf(now.current.stats.histogram, kinds))
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }))
    resized.observe(element)
    const onDouble = (): void => now.current.onZoomOut()
    made.over.addEventListener("dblclick", onDouble)
    return () => {
      resized.disconnect()
      made.destroy()
      plot.current = undefined
    }
  }, [shown === undefined, kinds.join(" "), look, useSystemLook()])
  useEffect(() => {
    plot.current?.setData(columnsOf(stats.histogram, kinds))
  }, [stats, shown?.from, shown?.to])

  return (
    <section class="histogram" aria-label={T.histogram}>
      <div class="histogram-chart" ref={box} title={T.histogramHint}>
        {shown === undefined ? <div class="notice empty muted">{T.noTimes}</div> : null}
      </div>
      <div class="histogram-words" aria-hidden="true">
        {hover === undefined ? describeRange(shown, stats.histogram.interval_ms) : describe(hover)}
      </div>
    </section>
  )
}

function makePlot(
  element: HTMLElement,
  kinds: readonly string[],
  act: {
    readonly range: () => TimeRange
    readonly onRange: (range: TimeRange) => void
    /** In Unix milliseconds; `undefined` when the pointer has left. */
    readonly onHover: (at: number | undefined) => void
  },
): uPlot {
  const bars = uPlot.paths.bars?.({ size: [0.86, 48], align: 1, gap: 0 })
  const axis = { stroke: canvasColour("var(--muted)"), font: AXIS_FONT, ticks: { show: false } }
  return new uPlot(
    {
      width: element.clientWidth,
      height: HEIGHT,
      padding: [6, 24, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
      scales: {
        x: { time: true, range: () => [act.range().from / 1_000, act.range().to / 1_000] },
        y: { range: (_plot, _min, max) => [0, Math.max(1, max)] },
      },
      axes: [
        { ...axis, size: 22, grid: { show: false } },
        {
          ...axis,
          size: 44,
          grid: { stroke: canvasColour("var(--line)"), width: 1 },
          splits: (_plot, _axis, _min, max) => [0, max],
          values: (_plot, splits) => splits.map((value) => compact(value)),
        },
      ],
      // The tallest stack first: each next one paints over it.
      series: [
        {},
        ...kinds.toReversed().map((kind) => ({
          label: kind,
          stroke: canvasColour(kindColour(kind)),
          fill: canvasColour(kindColour(kind)),
          width: 0,
          points: { show: false },
          ...(bars === undefined ? {} : { paths: bars }),
        })),
      ],
      hooks: {
        setSelect: [
          (self) => {
            if (self.select.width < MIN_DRAG_PX) return
            const from = self.posToVal(self.select.left, "x") * 1_000
            const to = self.posToVal(self.select.left + self.select.width, "x") * 1_000
            self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
            act.onRange({ from: Math.floor(from), to: Math.ceil(to) })
          },
        ],
        setCursor: [
          (self) => {
            const x = self.cursor.left ?? -1
            act.onHover(x < 0 ? undefined : self.posToVal(x, "x") * 1_000)
          },
        ],
      },
    },
    [[], ...kinds.map(() => [])],
    element,
  )
}

function bucketAt({ histogram: { interval_ms, buckets } }: StatsAnswer, at: number): Bucket | undefined {
  return buckets.find((bucket) => {
    const start = parseTime(bucket.at) ?? Infinity
    return at >= start && at < start + interval_ms
  })
}

/** Whether the system is dark: a canvas keeps the colours that it was painted with. */
function useSystemLook(): boolean {
  const media = useRef(matchMedia("(prefers-color-scheme: dark)")).current
  const [isDark, setDark] = useState(media.matches)
  useEffect(() => {
    const changed = (): void => setDark(media.matches)
    media.addEventListener("change", changed)
    return () => media.removeEventListener("change", changed)
  }, [])
  return isDark
}

/** Facets: how much of what, each a button. */
export function Kinds({
  stats,
  wanted,
  onToggle,
}: {
  readonly stats: StatsAnswer
  readonly wanted: readonly string[]
  readonly onToggle: (kind: string, without: boolean) => void
}): JSX.Element {
  return (
    <div class="kinds">
      <div class="kinds-row" role="group" aria-label={T.columns.kind}>
        {Object.entries(stats.by_kind).map(([kind, count]) => (
          <button
            type="button"
            key={kind}
            class="kind-facet"
            aria-pressed={wanted.includes(kind)}
            onClick={(event) => onToggle(kind, event.shiftKey)}
          >
            <i class="dot" style={{ background: kindColour(kind) }} />
            {kind}
            <span class="count">{number(count)}</span>
          </button>
        ))}
      </div>
    </div>
  )
}

function describe(bucket: Bucket): string {
  const parts = Object.entries(bucket.by_kind).map(([kind, count]) => `${number(count)} ${kind}`)
  return `${dateTime(bucket.at)} · ${parts.join(", ")}`
}

function describeRange(range: TimeRange | undefined, interval: number): string {
  if (range === undefined) return ""
  return `${dateTime(isoTime(range.from))} – ${dateTime(isoTime(range.to))} · bars of ${duration(interval)}`
}

const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 })

function compact(value: number): string {
  return COMPACT.format(value)
}
