/** A list of any length, of which only what is seen is drawn. */
import { Virtualizer } from "@tanstack/virtual-core"
import type { JSX } from "preact"
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks"
import { systemTimers } from "../../core/index.ts"
import type { RecordItem } from "../../wire/http.ts"
import { day, number, timeOfDay } from "../format.ts"
import { Kind, Sentence, Value } from "../parts/values.tsx"
import { T } from "../texts.ts"
import type { Rows } from "./rows.ts"

/** In CSS pixels; the style sheet has the same. */
export const ROW_HEIGHT = 28
/** Browsers end an element somewhere above this; a longer list's scroll bar is to scale. */
const MAX_HEIGHT_PX = 15_000_000
/** The virtualiser lays out again when its count changes, which costs milliseconds at a million: so it seldom does. */
const COUNT_STEP = 4_096
const OVERSCAN = 10
/** In rows: rows keep their place in the window until it has moved so far. */
const ANCHOR_STEP = 1_024

/** What the view around the list may ask of it. */
export interface ListHandle {
  readonly toRow: (row: number, align: "nearest" | "centre") => void
  readonly rowsInView: () => number
  readonly element: () => HTMLElement | null
}

export function RecordList({
  rows,
  selected,
  onSelect,
  onTop,
  handle,
  children,
}: {
  readonly rows: Rows
  /** Index of a record. */
  readonly selected: number | undefined
  readonly onSelect: (index: number, row: number) => void
  /** Whether the newest record is in view. */
  readonly onTop: (isTop: boolean) => void
  readonly handle: { current: ListHandle | undefined }
  /** Stands in the rows' place when there are none. */
  readonly children?: JSX.Element | null
}): JSX.Element {
  const box = useRef<HTMLDivElement>(null)
  const [, draw] = useState(0)
  const scroller = useRef<Scroller>(undefined)
  const version = rows.version.value
  const { count } = rows
  const act = useRef({ onTop, onSelect })
  act.current = { onTop, onSelect }
  const cache = useRef(new RowCache())
  const pick = useRef((index: number, row: number) => act.current.onSelect(index, row)).current

  useLayoutEffect(() => {
    const element = box.current
    if (element === null) return
    const made = new Scroller(element, {
      changed: () => draw((n) => n + 1),
      atTop: (isTop) => act.current.onTop(isTop),
    })
    scroller.current = made
    handle.current = {
      toRow: (row, align) => made.toRow(row, align),
      rowsInView: () => Math.max(1, Math.floor(element.clientHeight / ROW_HEIGHT) - 1),
      element: () => element,
    }
    made.setCount(rows.count)
    draw((n) => n + 1)
    return () => made.stop()
  }, [])
  useLayoutEffect(() => scroller.current?.setCount(count), [count])

  const { first, last, anchor, shift, height } = scroller.current?.layout() ?? NO_LAYOUT
  const end = Math.min(last, count - 1)
  useEffect(() => {
    if (end >= first) rows.want(first, end)
  }, [rows, first, end, version])

  const drawn = Array.from({ length: Math.max(0, end - first + 1) }, (_, i) => first + i)
  cache.current.fit(drawn.length)
  const topDay = day(rows.get(first + OVERSCAN)?.record["at"] ?? rows.get(first)?.record["at"])
  return (
    <div class="list" role="grid" aria-label={T.list} aria-rowcount={count + 1}>
      <div class="row head" role="row" aria-rowindex={1}>
        <span role="columnheader" class="cell-index">
          {T.columns.index}
        </span>
        <span role="columnheader" class="cell-time">
          {T.columns.time} <span class="muted wide-only">{topDay}</span>
        </span>
        <span role="columnheader" class="cell-kind">
          {T.columns.kind}
        </span>
        <span role="columnheader" class="cell-what">
          {T.columns.what}
        </span>
      </div>
      {children}
      <div
        class="scroll"
        ref={box}
        tabIndex={0}
        role="rowgroup"
        aria-label={T.list}
        {...(selected === undefined ? {} : { "aria-activedescendant": `record-${selected}` })}
      >
        <div class="sizer" style={{ height: `${height}px` }}>
          <div class="window" style={{ transform: `translateY(${shift}px)` }}>
            {drawn.map((row) => cache.current.row(rows, row, anchor, selected, pick))}
          </div>
        </div>
      </div>
    </div>
  )
}

/** Elements that rows take turns in; doubled for windows that show more. */
const SLOTS = 64

/**
 * Rows that are as they were are the same objects as before, which are not even compared: in a frame of a scroll only
 * the rows that come into the window are made, in the elements of those that have left it.
 */
class RowCache {
  #slots: (Drawn | undefined)[] = new Array<undefined>(SLOTS)

  /** For so many rows in a window. */
  fit(count: number): void {
    if (count > this.#slots.length) this.#slots = new Array<undefined>(this.#slots.length * 2)
  }

  row(
    rows: Rows,
    row: number,
    anchor: number,
    selected: number | undefined,
    pick: (index: number, row: number) => void,
  ): JSX.Element {
    const item = rows.get(row)
    const isSelected = item !== undefined && item.index === selected
    const place = row - anchor
    // A record keeps its slot when others come on top of it; neighbours never share one.
    const slot = modulo(rows.ordinalOf(row), this.#slots.length)
    const known = this.#slots[slot]
    if (
      known !== undefined &&
      known.item === item &&
      known.row === row &&
      known.place === place &&
      known.isSelected === isSelected
    )
      return known.made
    const made = (
      <Row key={slot} row={row} place={place} item={item} isSelected={isSelected} onSelect={pick} />
    )
    this.#slots[slot] = { item, row, place, isSelected, made }
    return made
  }
}

interface Drawn {
  readonly item: RecordItem | undefined
  readonly row: number
  readonly place: number
  readonly isSelected: boolean
  readonly made: JSX.Element
}

function modulo(n: number, by: number): number {
  return ((n % by) + by) % by
}

function Row({
  row,
  place,
  item,
  isSelected,
  onSelect,
}: {
  readonly row: number
  /** From the window's anchor. */
  readonly place: number
  readonly item: RecordItem | undefined
  readonly isSelected: boolean
  readonly onSelect: (index: number, row: number) => void
}): JSX.Element {
  const style = { top: `${place * ROW_HEIGHT}px` }
  if (item === undefined) {
    return (
      <div class="row" role="row" style={style} aria-rowindex={row + 2} aria-busy="true">
        <span class="skeleton" />
      </div>
    )
  }
  const { index, record } = item
  return (
    <div
      class="row"
      role="row"
      id={`record-${index}`}
      aria-rowindex={row + 2}
      aria-selected={isSelected}
      style={style}
      onClick={() => onSelect(index, row)}
    >
      <span role="gridcell" class="cell-index">
        {number(index)}
      </span>
      <span role="gridcell" class="cell-time">
        <Value field="at" value={String(record["at"] ?? "")} tabIndex={-1}>
          {timeOfDay(record["at"])}
        </Value>
      </span>
      <span role="gridcell" class="cell-kind">
        <Kind record={record} tabIndex={-1} />
      </span>
      <span role="gridcell" class="cell-what">
        <Sentence record={record} tabIndex={-1} />
      </span>
    </div>
  )
}

interface Layout {
  /** Rows to draw. */
  readonly first: number
  readonly last: number
  /** The row at the top of the window's element. */
  readonly anchor: number
  /** In CSS pixels: where the window's element stands in the list's. */
  readonly shift: number
  readonly height: number
}

const NO_LAYOUT: Layout = { first: 0, last: -1, anchor: 0, shift: 0, height: 0 }

/**
 * Where the window stands in the list; beyond the browser's longest element, to scale.
 *
 * What the browser has laid out is read once an event, before anything is written: reading after writing would make it
 * lay out twice a frame.
 */
class Scroller {
  readonly #element: HTMLElement
  readonly #virtual: Virtualizer<HTMLElement, HTMLElement>
  readonly #unmount: () => void
  #count = 0
  #top = 0
  #view = 0

  constructor(
    element: HTMLElement,
    options: { readonly changed: () => void; readonly atTop: (isTop: boolean) => void },
  ) {
    this.#element = element
    this.#virtual = new Virtualizer<HTMLElement, HTMLElement>({
      count: 0,
      getScrollElement: () => element,
      estimateSize: () => ROW_HEIGHT,
      overscan: OVERSCAN,
      onChange: options.changed,
      scrollToFn: (offset) => element.scrollTo({ top: offset / this.#ratio }),
      observeElementRect: (_instance, measured) => {
        const measure = (): void => {
          this.#view = element.clientHeight
          measured({ width: element.clientWidth, height: this.#view })
        }
        const watch = new ResizeObserver(measure)
        watch.observe(element)
        measure()
        return () => watch.disconnect()
      },
      observeElementOffset: (_instance, moved) => {
        let cancel = (): void => {}
        const onScroll = (): void => {
          this.#top = element.scrollTop
          options.atTop(this.#top < 2)
          moved(this.#top * this.#ratio, true)
          // To scale, the window moves against the list even while the same rows are in it.
          if (this.#ratio !== 1) options.changed()
          cancel()
          cancel = systemTimers.after(150, () => moved(this.#top * this.#ratio, false))
        }
        element.addEventListener("scroll", onScroll, { passive: true })
        this.#top = element.scrollTop
        moved(this.#top * this.#ratio, false)
        return () => {
          cancel()
          element.removeEventListener("scroll", onScroll)
        }
      },
    })
    this.#unmount = this.#virtual._didMount()
    this.#virtual._willUpdate()
  }

  /** How far the list moves for a pixel of the scroll bar: 1 but for very long lists. */
  get #ratio(): number {
    const whole = this.#count * ROW_HEIGHT
    return whole <= MAX_HEIGHT_PX ? 1 : (whole - this.#view) / (MAX_HEIGHT_PX - this.#view)
  }

  setCount(count: number): void {
    const isNewStep = Math.ceil(count / COUNT_STEP) !== Math.ceil(this.#count / COUNT_STEP)
    this.#count = count
    if (!isNewStep) return
    this.#virtual.setOptions({ ...this.#virtual.options, count: Math.ceil(count / COUNT_STEP) * COUNT_STEP })
    this.#virtual._willUpdate()
  }

  layout(): Layout {
    const items = this.#virtual.getVirtualItems()
    const first = items[0]?.index ?? 0
    const anchor = Math.floor(first / ANCHOR_STEP) * ANCHOR_STEP
    return {
      first,
      last: items.at(-1)?.index ?? -1,
      anchor,
      shift: anchor * ROW_HEIGHT - this.#top * this.#ratio + this.#top,
      height: Math.min(this.#count * ROW_HEIGHT, MAX_HEIGHT_PX),
    }
  }

  toRow(row: number, align: "nearest" | "centre"): void {
    const at = this.#top * this.#ratio
    const start = row * ROW_HEIGHT
    let to = at
    if (align === "centre") to = start - this.#view / 2 + ROW_HEIGHT / 2
    else if (start < at) to = start
    else if (start + ROW_HEIGHT > at + this.#view) to = start + ROW_HEIGHT - this.#view
    if (to === at) return
    this.#top = Math.max(0, to) / this.#ratio
    this.#element.scrollTop = this.#top
  }

  stop(): void {
    this.#unmount()
  }
}
