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
const OVERSCAN = 12

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
}: {
  readonly rows: Rows
  /** Index of a record. */
  readonly selected: number | undefined
  readonly onSelect: (index: number, row: number) => void
  /** Whether the newest record is in view. */
  readonly onTop: (isTop: boolean) => void
  readonly handle: { current: ListHandle | undefined }
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
    const made = new Scroller(element, () => draw((n) => n + 1))
    scroller.current = made
    handle.current = {
      toRow: (row, align) => made.toRow(row, align),
      rowsInView: () => Math.max(1, Math.floor(element.clientHeight / ROW_HEIGHT) - 1),
      element: () => element,
    }
    made.setCount(rows.count)
    draw((n) => n + 1)
    const onScroll = (): void => act.current.onTop(element.scrollTop < 2)
    element.addEventListener("scroll", onScroll, { passive: true })
    return () => {
      element.removeEventListener("scroll", onScroll)
      made.stop()
    }
  }, [])
  useLayoutEffect(() => scroller.current?.setCount(count), [count])

  const { first, last, shift, height } = scroller.current?.layout() ?? {
    first: 0,
    last: -1,
    shift: 0,
    height: 0,
  }
  const end = Math.min(last, count - 1)
  useEffect(() => {
    if (end >= first) rows.want(first, end)
  }, [rows, first, end, version])

  const drawn = Array.from({ length: Math.max(0, end - first + 1) }, (_, i) => first + i)
  const topDay = day(rows.get(first + OVERSCAN)?.record["at"] ?? rows.get(first)?.record["at"])
  return (
    <div class="list" role="grid" aria-label={T.list} aria-rowcount={count + 1}>
      <div class="row head" role="row" aria-rowindex={1}>
        <span role="columnheader" class="cell-index">
          {T.columns.index}
        </span>
        <span role="columnheader" class="cell-time">
          {T.columns.time} <span class="muted">{topDay}</span>
        </span>
        <span role="columnheader" class="cell-kind">
          {T.columns.kind}
        </span>
        <span role="columnheader" class="cell-what">
          {T.columns.what}
        </span>
      </div>
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
            {drawn.map((row) => cache.current.row(row, rows.get(row), selected, pick))}
          </div>
        </div>
      </div>
    </div>
  )
}

/** How many drawn rows are kept beyond those in the window. */
const MAX_CACHED = 200

/**
 * Rows that are as they were are the same objects as before, which are not even compared: in a frame of a scroll only
 * the rows that come into the window are made.
 */
class RowCache {
  readonly #rows = new Map<number, { item: RecordItem | undefined; isSelected: boolean; made: JSX.Element }>()

  row(
    row: number,
    item: RecordItem | undefined,
    selected: number | undefined,
    pick: (index: number, row: number) => void,
  ): JSX.Element {
    const isSelected = item !== undefined && item.index === selected
    const known = this.#rows.get(row)
    if (known !== undefined && known.item === item && known.isSelected === isSelected) return known.made
    // By its record, so that it stays the same element when others come on top of it.
    const key = item === undefined ? `row ${row}` : item.index
    const made = <Row key={key} row={row} item={item} isSelected={isSelected} onSelect={pick} />
    if (this.#rows.size > MAX_CACHED) this.#rows.clear()
    this.#rows.set(row, { item, isSelected, made })
    return made
  }
}

function Row({
  row,
  item,
  isSelected,
  onSelect,
}: {
  readonly row: number
  readonly item: RecordItem | undefined
  readonly isSelected: boolean
  readonly onSelect: (index: number, row: number) => void
}): JSX.Element {
  if (item === undefined) {
    return (
      <div class="row" role="row" aria-rowindex={row + 2} aria-busy="true">
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
        <Kind kind={String(record["kind"])} tabIndex={-1} />
      </span>
      <span role="gridcell" class="cell-what">
        <Sentence record={record} tabIndex={-1} />
      </span>
    </div>
  )
}

/** Where the window stands in the list; beyond the browser's longest element, to scale. */
class Scroller {
  readonly #element: HTMLElement
  readonly #virtual: Virtualizer<HTMLElement, HTMLElement>
  readonly #unmount: () => void
  #count = 0

  constructor(element: HTMLElement, changed: () => void) {
    this.#element = element
    this.#virtual = new Virtualizer<HTMLElement, HTMLElement>({
      count: 0,
      getScrollElement: () => element,
      estimateSize: () => ROW_HEIGHT,
      overscan: OVERSCAN,
      onChange: changed,
      scrollToFn: (offset) => element.scrollTo({ top: offset / this.#ratio }),
      observeElementRect: (_instance, tell) => {
        const watch = new ResizeObserver(() => {
          tell({ width: element.clientWidth, height: element.clientHeight })
        })
        watch.observe(element)
        tell({ width: element.clientWidth, height: element.clientHeight })
        return () => watch.disconnect()
      },
      observeElementOffset: (_instance, tell) => {
        let cancel = (): void => {}
        const onScroll = (): void => {
          tell(element.scrollTop * this.#ratio, true)
          cancel()
          cancel = systemTimers.after(150, () => tell(element.scrollTop * this.#ratio, false))
        }
        element.addEventListener("scroll", onScroll, { passive: true })
        tell(element.scrollTop * this.#ratio, false)
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
    const view = this.#element.clientHeight
    const whole = this.#count * ROW_HEIGHT
    return whole <= MAX_HEIGHT_PX ? 1 : (whole - view) / (MAX_HEIGHT_PX - view)
  }

  setCount(count: number): void {
    const isNewStep = Math.ceil(count / COUNT_STEP) !== Math.ceil(this.#count / COUNT_STEP)
    this.#count = count
    if (!isNewStep) return
    this.#virtual.setOptions({ ...this.#virtual.options, count: Math.ceil(count / COUNT_STEP) * COUNT_STEP })
    this.#virtual._willUpdate()
  }

  layout(): { first: number; last: number; shift: number; height: number } {
    const items = this.#virtual.getVirtualItems()
    const [first] = items
    const last = items.at(-1)
    const { scrollTop } = this.#element
    return {
      first: first?.index ?? 0,
      last: last?.index ?? -1,
      shift: (first?.start ?? 0) - scrollTop * this.#ratio + scrollTop,
      height: Math.min(this.#count * ROW_HEIGHT, MAX_HEIGHT_PX),
    }
  }

  toRow(row: number, align: "nearest" | "centre"): void {
    const view = this.#element.clientHeight
    const at = this.#element.scrollTop * this.#ratio
    const start = row * ROW_HEIGHT
    let to = at
    if (align === "centre") to = start - view / 2 + ROW_HEIGHT / 2
    else if (start < at) to = start
    else if (start + ROW_HEIGHT > at + view) to = start + ROW_HEIGHT - view
    if (to !== at) this.#element.scrollTop = Math.max(0, to) / this.#ratio
  }

  stop(): void {
    this.#unmount()
  }
}
