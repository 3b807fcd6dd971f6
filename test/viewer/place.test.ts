/** The page's pure parts: addresses, time ranges, event streams, rows. */
import { describe, expect, test } from "vitest"
import { columnsOf, moved, visibleRange, zoomed } from "../../src/viewer/records/buckets.ts"
import { FilteredRows, IndexedRows } from "../../src/viewer/records/rows.ts"
import type { LoadPage } from "../../src/viewer/records/rows.ts"
import { EventCutter } from "../../src/viewer/sse.ts"
import {
  EXCLUDABLE,
  formatPlace,
  NO_FILTER,
  parsePlace,
  START,
  withField,
  withValue,
} from "../../src/viewer/place.ts"
import type { Place } from "../../src/viewer/place.ts"

describe("the address", () => {
  test("holds every place, and reads back as it was written", () => {
    const places: Place[] = [
      START,
      { ...START, record: 0 },
      { view: "channels", filter: NO_FILTER, id: "18ea", event: "w3" },
      {
        view: "records",
        record: 812,
        filter: {
          kind: ["turn_failed", "é&=?"],
          not: [
            { field: "kind", value: "tick" },
            { field: "agent", value: "a2" },
            { field: "q", value: '"n": 1, "o"' },
          ],
          agent: "a1",
          channel: "c 1",
          task: "t/1",
          outcome: "failed",
          from: "2026-05-05T10:00:00.000Z",
          to: "2026-05-06T10:00:00.000Z",
          q: '"exc": "No+way"',
        },
      },
    ]
    for (const place of places) expect(parsePlace(formatPlace(place))).toEqual(place)
  })

  test("whatever is in it, there is a place", () => {
    for (const text of [
      "",
      "?",
      "?view=nowhere",
      "?record=-1",
      "?record=1e9",
      "?event=<b>",
      "?kind=,,&q=",
      "?%%%",
    ]) {
      expect(parsePlace(text)).toEqual(START)
    }
    expect(parsePlace(`?q=${"x".repeat(5_000)}`)).toEqual(START)
    expect(parsePlace("?kind=a,b&kind=b").filter.kind).toEqual(["a", "b"])
    // As addresses were written once.
    expect(parsePlace("?not=a&not_kind=a,b").filter.not).toEqual([
      { field: "kind", value: "a" },
      { field: "kind", value: "b" },
    ])
  })

  test("filters are set and taken away one by one", () => {
    const filter = withValue(withField(NO_FILTER, "agent", "a1"), "kind", "x", "in")
    expect(filter).toEqual({ kind: ["x"], not: [], agent: "a1" })
    const out = withValue(filter, "kind", "x", "out")
    expect(out).toEqual({ kind: [], not: [{ field: "kind", value: "x" }], agent: "a1" })
    expect(withField(filter, "agent", undefined)).toEqual({ kind: ["x"], not: [] })
  })

  test("what is left out is not asked for, and the other way about", () => {
    for (const field of EXCLUDABLE) {
      const asked = withValue(NO_FILTER, field, "x", "in")
      const left = withValue(asked, field, "x", "out")
      expect(left).toEqual({ kind: [], not: [{ field, value: "x" }] })
      expect(withValue(left, field, "x", "in")).toEqual(asked)
      expect(withValue(left, field, "x", "any")).toEqual(NO_FILTER)
      expect(withValue(left, field, "y", "out").not).toHaveLength(2)
    }
  })
})

describe("time", () => {
  const at = (ms: number): string => new Date(ms).toISOString()
  const stats = {
    total: 3,
    by_kind: { a: 2, b: 1 },
    by_outcome: {},
    by_agent: {},
    first_at: at(1_000),
    last_at: at(4_000),
    size: 3,
    histogram: {
      interval_ms: 1_000,
      buckets: [
        { at: at(1_000), total: 2, by_kind: { a: 1, b: 1 } },
        { at: at(4_000), total: 1, by_kind: { a: 1 } },
      ],
    },
  }

  test("stacks are filled in and add up, the whole first", () => {
    expect(columnsOf(stats.histogram, ["a", "b"])).toEqual([
      [1, 2, 3, 4],
      [2, 0, 0, 1],
      [1, 0, 0, 1],
    ])
  })

  test("an open range is the data's", () => {
    expect(visibleRange(stats, {})).toEqual({ from: 1_000, to: 5_000 })
    expect(visibleRange(stats, { from: 0 })).toEqual({ from: 0, to: 5_000 })
    expect(visibleRange({ ...stats, histogram: { interval_ms: 1_000, buckets: [] } }, {})).toBeUndefined()
  })

  test("zooming in and out comes back, moving keeps the length", () => {
    expect(zoomed(zoomed({ from: 0, to: 1_000 }, 0.5), 2)).toEqual({ from: 0, to: 1_000 })
    expect(moved({ from: 0, to: 1_000 }, -0.5)).toEqual({ from: -500, to: 500 })
    expect(zoomed({ from: 0, to: 1 }, 0.5).to).toBeGreaterThan(zoomed({ from: 0, to: 1 }, 0.5).from)
  })
})

describe("an event stream", () => {
  test("is the same however it is cut", () => {
    const text =
      ': hello\n\nid: 7\nevent: record\ndata: {"a": 1}\n\nevent: checkpoint\ndata: x\ndata: y\n\n: beat\n\n'
    const whole = new EventCutter().push(text)
    expect(whole).toEqual([
      { event: "record", id: "7", data: '{"a": 1}' },
      { event: "checkpoint", id: undefined, data: "x\ny" },
    ])
    for (let size = 1; size < 12; size++) {
      const cutter = new EventCutter()
      const parts = text.match(new RegExp(`[^]{1,${size}}`, "g")) ?? []
      expect(parts.flatMap((part) => cutter.push(part))).toEqual(whole)
    }
  })

  test("that never ends is given up", () => {
    const cutter = new EventCutter()
    expect(() => {
      for (let i = 0; i < 100; i++) cutter.push("x".repeat(100_000))
    }).toThrow("too long")
  })
})

describe("rows", () => {
  const item = (index: number): { index: number; record: { n: number } } => ({ index, record: { n: index } })
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

  test("of a whole log: any part is one request away, and what arrives goes on top", async () => {
    const asked: string[] = []
    const load: LoadPage = async (order, cursor, limit) => {
      asked.push(`${order} ${cursor} ${limit}`)
      const from = Number(cursor)
      return {
        records: Array.from({ length: limit }, (_, i) => item(from + i)).filter(
          ({ index }) => index < 1_000_000,
        ),
        next_cursor: null,
        size: 1_000_000,
      }
    }
    const rows = new IndexedRows(1_000_000, load)
    rows.want(500_000, 500_030)
    rows.want(500_000, 500_030)
    await settled()
    // And the page after it, in the direction in which the window went.
    expect(asked).toEqual(["asc 499800 200", "asc 499600 200"])
    expect(rows.get(500_000)?.index).toBe(499_999)
    expect(rows.get(0)).toBeUndefined()
    rows.add([item(1_000_000), item(1_000_001)])
    expect([rows.count, rows.get(0)?.index, rows.get(500_002)?.index]).toEqual([
      1_000_002, 1_000_001, 499_999,
    ])
    expect(rows.rowOf(499_999)).toBe(500_002)
  })

  test("of a query: pages follow each other, the newest on top, none twice", async () => {
    const all = Array.from({ length: 1_300 }, (_, i) => item(i * 3))
    const load: LoadPage = async (_order, cursor, limit) => {
      const before = cursor === undefined ? Infinity : Number(cursor)
      const found = all.filter(({ index }) => index < before).toReversed()
      const records = found.slice(0, limit)
      return {
        records,
        next_cursor: found.length > limit ? String(records.at(-1)?.index) : null,
        size: 3_900,
      }
    }
    const rows = new FilteredRows(load)
    for (let i = 0; i < 5; i++) {
      rows.want(0, rows.count + 300)
      await settled()
    }
    expect(rows.count).toBe(1_300)
    rows.add([item(3_900), item(3_900), item(3_903)])
    rows.add([item(3_903)])
    expect(rows.get(0)?.index).toBe(3_903)
    for (let row = 1; row < rows.count; row++) {
      expect(rows.get(row)?.index ?? 0).toBeLessThan(rows.get(row - 1)?.index ?? 0)
      expect(rows.rowOf(rows.get(row)?.index ?? -1)).toBe(row)
    }
    expect(rows.rowOf(1)).toBeUndefined()
  })

  test("of a query of any length: what is far away is let go, and read again where it was", async () => {
    const all = 400_000
    const asked: (string | undefined)[] = []
    const load: LoadPage = async (_order, cursor, limit) => {
      asked.push(cursor)
      const newest = cursor === undefined ? all - 1 : Number(cursor) - 1
      const records = Array.from({ length: Math.min(limit, newest + 1) }, (_, i) => item(newest - i))
      return {
        records,
        next_cursor: newest + 1 > limit ? String(records.at(-1)?.index) : null,
        size: all,
      }
    }
    const rows = new FilteredRows(load)
    for (let last = 0; rows.count < all; last = rows.count) {
      rows.want(last - 30, last)
      await settled()
    }
    expect(rows.count).toBe(all)
    expect(rows.get(all - 1)?.index).toBe(0)
    const kept = (): number =>
      Array.from({ length: all / 500 }, (_, i) => rows.get(i * 500)).filter(Boolean).length
    expect(kept()).toBeLessThanOrEqual(101)
    expect(rows.get(150_000)).toBeUndefined()
    asked.length = 0
    rows.want(150_000, 150_030)
    rows.want(150_000, 150_030)
    await settled()
    expect(asked).toEqual(["250000"])
    expect(rows.get(150_000)?.index).toBe(all - 1 - 150_000)
    expect(rows.rowOf(all - 1 - 150_200)).toBe(150_200)
    expect(rows.rowOf(0)).toBeUndefined()
    expect(rows.get(0)?.index).toBe(all - 1)
  })
})
