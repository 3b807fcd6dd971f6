/**
 * The rows of a list, newest first, of which only those near the window are here.
 *
 * Without a filter a row's place is its index, so that any part of a million is one request away. With one, pages follow
 * each other by cursor, and the list grows as it is scrolled. Either way what arrives live goes on top, and the rows
 * under it keep their records.
 */
import { signal } from "@preact/signals"
import type { Signal } from "@preact/signals"
import type { RecordItem, RecordsPage } from "../../wire/http.ts"

/** One page of records. */
export type LoadPage = (
  order: "asc" | "desc",
  cursor: string | undefined,
  limit: number,
  signal: AbortSignal,
) => Promise<RecordsPage>

export interface Rows {
  /** Raised whenever a row has changed: what draws, reads it. */
  readonly version: Signal<number>
  readonly error: Signal<Error | undefined>
  /** How many there are to draw. */
  readonly count: number
  /** Whether older ones are there and will not be loaded. */
  readonly isCut: boolean
  get(row: number): RecordItem | undefined
  /** A number that the row's record keeps when others come on top of it; neighbours have neighbouring ones. */
  ordinalOf(row: number): number
  /** The row of a record, if it is known. */
  rowOf(index: number): number | undefined
  /** These rows are in the window. */
  want(first: number, last: number): void
  /** Oldest first, as a tail brings them. */
  add(items: readonly RecordItem[]): void
  stop(): void
}

const PAGE = 200
/** Of indexed pages that are kept: 40,000 records. */
const MAX_PAGES = 200
/** Of rows that a filtered list grows to. */
const MAX_LOADED = 100_000
/** The service's own limit is 1,000. */
const FILTERED_PAGE = 500
/** In rows before the end of what is loaded: then the next page is asked for. */
const AHEAD = 300

/** Of the whole log, which had `size` records. */
export class IndexedRows implements Rows {
  readonly version: Signal<number> = signal(0)
  readonly error: Signal<Error | undefined> = signal(undefined)
  readonly isCut = false
  #size: number
  readonly #load: LoadPage
  /** Where the window was: the page that comes next is loaded before it is seen. */
  #lastFirst = 0
  /** Least recently wanted first. */
  readonly #pages = new Map<number, Map<number, RecordItem>>()
  readonly #loading = new Map<number, AbortController>()

  constructor(size: number, load: LoadPage) {
    this.#size = size
    this.#load = load
  }

  get count(): number {
    return this.#size
  }

  get(row: number): RecordItem | undefined {
    const index = this.#size - 1 - row
    return this.#pages.get(Math.floor(index / PAGE))?.get(index)
  }

  ordinalOf(row: number): number {
    return row - this.#size
  }

  rowOf(index: number): number | undefined {
    return index < this.#size ? this.#size - 1 - index : undefined
  }

  want(first: number, last: number): void {
    const newest = Math.floor((this.#size - 1 - Math.max(0, first)) / PAGE)
    const oldest = Math.floor(Math.max(0, this.#size - 1 - last) / PAGE)
    const isGoingDown = first > this.#lastFirst
    const ahead = first === this.#lastFirst ? undefined : isGoingDown ? oldest - 1 : newest + 1
    this.#lastFirst = first
    for (const [page, loading] of this.#loading) {
      if (page > newest + 1 || page < oldest - 1) loading.abort()
    }
    for (let page = newest; page >= oldest; page--) if (page >= 0) this.#wantPage(page)
    if (ahead !== undefined && ahead >= 0 && ahead * PAGE < this.#size) this.#wantPage(ahead)
  }

  add(items: readonly RecordItem[]): void {
    for (const item of items) {
      this.#pageFor(Math.floor(item.index / PAGE)).set(item.index, item)
      this.#size = Math.max(this.#size, item.index + 1)
    }
    this.version.value++
  }

  /** The log has at least so many, though not all of them went by here. */
  growTo(size: number): void {
    if (size <= this.#size) return
    this.#size = size
    this.version.value++
  }

  stop(): void {
    for (const loading of this.#loading.values()) loading.abort()
  }

  #wantPage(page: number): void {
    const known = this.#pages.get(page)
    const full = Math.min(PAGE, this.#size - page * PAGE)
    if (known !== undefined) {
      this.#pages.delete(page)
      this.#pages.set(page, known)
      if (known.size >= full) return
    }
    if (this.#loading.has(page)) return
    const stop = new AbortController()
    this.#loading.set(page, stop)
    this.#load("asc", String(page * PAGE), PAGE, stop.signal)
      .then(
        ({ records }) => {
          const items = this.#pageFor(page)
          for (const item of records) if (Math.floor(item.index / PAGE) === page) items.set(item.index, item)
          this.error.value = undefined
          this.version.value++
        },
        (error: unknown) => {
          if (!stop.signal.aborted)
            this.error.value = error instanceof Error ? error : new Error(String(error))
        },
      )
      .finally(() => this.#loading.delete(page))
  }

  #pageFor(page: number): Map<number, RecordItem> {
    const known = this.#pages.get(page)
    if (known !== undefined) return known
    const made = new Map<number, RecordItem>()
    this.#pages.set(page, made)
    const [oldest] = this.#pages.keys()
    if (this.#pages.size > MAX_PAGES && oldest !== undefined) this.#pages.delete(oldest)
    return made
  }
}

/** Of a query. */
export class FilteredRows implements Rows {
  readonly version: Signal<number> = signal(0)
  readonly error: Signal<Error | undefined> = signal(undefined)
  readonly #load: LoadPage
  readonly #stop = new AbortController()
  /** Oldest first, so that what arrives is pushed; older pages are put into `#older`. */
  readonly #newer: RecordItem[] = []
  /** Newest first. */
  readonly #older: RecordItem[] = []
  #cursor: string | null | undefined
  #isLoading = false

  constructor(load: LoadPage) {
    this.#load = load
  }

  /** One more while there is more: the row that says so. */
  get count(): number {
    return this.#loaded + (this.#cursor === null || this.isCut ? 0 : 1)
  }

  get isCut(): boolean {
    return this.#cursor !== null && this.#loaded >= MAX_LOADED
  }

  /** Nothing has come yet, so nothing can be said. */
  get isFirstLoad(): boolean {
    return this.#cursor === undefined
  }

  get #loaded(): number {
    return this.#newer.length + this.#older.length
  }

  get(row: number): RecordItem | undefined {
    const { length } = this.#newer
    return row < length ? this.#newer[length - 1 - row] : this.#older[row - length]
  }

  ordinalOf(row: number): number {
    return row - this.#newer.length
  }

  rowOf(index: number): number | undefined {
    // Rows fall by index, so half of them can be left out at each step.
    let low = 0
    let high = this.#loaded - 1
    while (low <= high) {
      const middle = Math.floor((low + high) / 2)
      const found = this.get(middle)?.index ?? -1
      if (found === index) return middle
      if (found > index) low = middle + 1
      else high = middle - 1
    }
    return undefined
  }

  want(_first: number, last: number): void {
    if (this.#cursor === null || this.isCut || this.#isLoading || last < this.#loaded - AHEAD) return
    this.#isLoading = true
    const { signal } = this.#stop
    this.#load("desc", this.#cursor, FILTERED_PAGE, signal)
      .then(
        ({ records, next_cursor }) => {
          const newest = this.#newer[0]?.index ?? Infinity
          this.#older.push(...records.filter(({ index }) => index < newest))
          this.#cursor = next_cursor
          this.error.value = undefined
        },
        (error: unknown) => {
          if (!signal.aborted) this.error.value = error instanceof Error ? error : new Error(String(error))
        },
      )
      .finally(() => {
        this.#isLoading = false
        this.version.value++
      })
  }

  add(items: readonly RecordItem[]): void {
    for (const item of items) if (item.index > (this.get(0)?.index ?? -1)) this.#newer.push(item)
    this.version.value++
  }

  stop(): void {
    this.#stop.abort()
  }
}
