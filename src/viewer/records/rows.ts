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
  get(row: number): RecordItem | undefined
  /** A number that the row's record keeps when others come on top of it; neighbours have neighbouring ones. */
  ordinalOf(row: number): number
  /** The row of a record, if it is known. */
  rowOf(index: number): number | undefined
  /** These rows are in the window. */
  want(first: number, last: number): void
  /** Oldest first, as a tail brings them. */
  add(items: readonly RecordItem[]): void
  /** What could not be loaded is asked for again. */
  again(): void
  stop(): void
}

const PAGE = 200
/** Of indexed pages that are kept: 40,000 records. */
const MAX_PAGES = 200
/** Of pages of a query that are kept: 50,000 records. Others are read again by their cursors. */
const MAX_FILTERED_PAGES = 100
/** The service's own limit is 1,000. */
const FILTERED_PAGE = 500
/** In rows before the end of what is loaded: then the next page is asked for. */
const AHEAD = 300

/** Of the whole log, which had `size` records. */
export class IndexedRows implements Rows {
  readonly version: Signal<number> = signal(0)
  readonly error: Signal<Error | undefined> = signal(undefined)
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

  again(): void {
    this.error.value = undefined
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

/** A page of a query that was read once. */
interface QueryPage {
  /** What it was asked with. */
  readonly cursor: string | undefined
  /** Its first row among those that were not brought by the tail. */
  readonly start: number
  readonly count: number
  /** Indexes of its first and last record. */
  readonly newest: number
  readonly oldest: number
  /** Newest first; `undefined` once it was far away for long enough. */
  items: readonly RecordItem[] | undefined
}

/** Of a query. */
export class FilteredRows implements Rows {
  readonly version: Signal<number> = signal(0)
  readonly error: Signal<Error | undefined> = signal(undefined)
  readonly #load: LoadPage
  readonly #stop = new AbortController()
  /** What the tail brought, oldest first: what arrives is pushed. */
  readonly #newer: RecordItem[] = []
  /** Newest first, none of them empty. */
  readonly #pages: QueryPage[] = []
  /** Of the page after the last one. */
  #cursor: string | null | undefined
  #isLoading = false
  readonly #loadingAgain = new Set<QueryPage>()

  constructor(load: LoadPage) {
    this.#load = load
  }

  /** One more while there is more: the row that says so. */
  get count(): number {
    return this.#loaded + (this.#cursor === null ? 0 : 1)
  }

  get #older(): number {
    const last = this.#pages.at(-1)
    return last === undefined ? 0 : last.start + last.count
  }

  get #loaded(): number {
    return this.#newer.length + this.#older
  }

  get(row: number): RecordItem | undefined {
    const { length } = this.#newer
    if (row < length) return this.#newer[length - 1 - row]
    const page = this.#pageAt(row - length)
    return page?.items?.[row - length - page.start]
  }

  ordinalOf(row: number): number {
    return row - this.#newer.length
  }

  rowOf(index: number): number | undefined {
    const { length } = this.#newer
    const inNewer = find(length, (i) => (this.#newer[i]?.index ?? 0) - index)
    if (inNewer !== undefined) return length - 1 - inNewer
    const at = find(this.#pages.length, (i) => {
      const { newest, oldest } = this.#pages[i] ?? { newest: -1, oldest: -1 }
      return index > newest ? 1 : index < oldest ? -1 : 0
    })
    const page = at === undefined ? undefined : this.#pages[at]
    const { items } = page ?? {}
    const within = items && find(items.length, (i) => index - (items[i]?.index ?? 0))
    return page === undefined || within === undefined ? undefined : length + page.start + within
  }

  want(first: number, last: number): void {
    const { length } = this.#newer
    for (let row = Math.max(0, first - length); row <= last - length;) {
      const page = this.#pageAt(row)
      if (page === undefined) break
      if (page.items === undefined) this.#again(page)
      row = page.start + page.count
    }
    if (this.#cursor === null || this.#isLoading || last < this.#loaded - AHEAD) return
    this.#isLoading = true
    const { signal } = this.#stop
    const cursor = this.#cursor
    this.#load("desc", cursor, FILTERED_PAGE, signal)
      .then(
        ({ records, next_cursor }) => {
          const limit = this.#pages.at(-1)?.oldest ?? this.#newer[0]?.index ?? Infinity
          const items = records.filter(({ index }) => index < limit)
          const [newest, oldest] = [items[0], items.at(-1)]
          if (newest !== undefined && oldest !== undefined) {
            const [start, count] = [this.#older, items.length]
            this.#pages.push({ cursor, start, count, newest: newest.index, oldest: oldest.index, items })
          }
          this.#cursor = next_cursor
          this.error.value = undefined
          this.#forget(last - length)
        },
        (error: unknown) => this.#failed(error),
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

  again(): void {
    this.error.value = undefined
    this.version.value++
  }

  stop(): void {
    this.#stop.abort()
  }

  #again(page: QueryPage): void {
    if (this.#loadingAgain.has(page)) return
    this.#loadingAgain.add(page)
    this.#load("desc", page.cursor, FILTERED_PAGE, this.#stop.signal)
      .then(
        ({ records }) => {
          page.items = records.filter(({ index }) => index <= page.newest && index >= page.oldest)
          this.error.value = undefined
          this.#forget(page.start)
        },
        (error: unknown) => this.#failed(error),
      )
      .finally(() => {
        this.#loadingAgain.delete(page)
        this.version.value++
      })
  }

  /** Lets go of the pages that are farthest from a row; the first was asked for without a cursor, and stays. */
  #forget(row: number): void {
    const kept = this.#pages.filter(({ items, cursor }) => items !== undefined && cursor !== undefined)
    const distance = ({ start, count }: QueryPage): number => Math.abs(start + count / 2 - row)
    kept.sort((a, b) => distance(a) - distance(b))
    for (const page of kept.slice(MAX_FILTERED_PAGES)) page.items = undefined
  }

  #failed(error: unknown): void {
    if (this.#stop.signal.aborted) return
    this.error.value = error instanceof Error ? error : new Error(String(error))
  }

  #pageAt(row: number): QueryPage | undefined {
    const at = find(this.#pages.length, (i) => {
      const { start, count } = this.#pages[i] ?? { start: 0, count: 0 }
      return row < start ? 1 : row >= start + count ? -1 : 0
    })
    return at === undefined ? undefined : this.#pages[at]
  }
}

/**
 * Halves a sorted list.
 *
 * @param side below 0: what is looked for is after place `i`; above 0: before it.
 */
function find(length: number, side: (i: number) => number): number | undefined {
  let low = 0
  let high = length - 1
  while (low <= high) {
    const middle = Math.floor((low + high) / 2)
    const where = side(middle)
    if (where === 0) return middle
    if (where < 0) low = middle + 1
    else high = middle - 1
  }
  return undefined
}
