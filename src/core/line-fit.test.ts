import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { InvalidRecordError, RecordTooLargeError } from "./errors.ts"
import { encodeLine, encodeLineFitting, MAX_LINE_BYTES, parseLine } from "./line.ts"
import { seedProperties } from "../../test/support/property.ts"

seedProperties()

describe("size", () => {
  const overhead = '{"a": ""}'.length

  test("the last line that fits, and the first that does not", () => {
    const most = MAX_LINE_BYTES - overhead
    expect(encodeLine({ a: "x".repeat(most) })).toHaveLength(MAX_LINE_BYTES)
    expect(() => encodeLine({ a: "x".repeat(most + 1) })).toThrow(new RecordTooLargeError(65_536, 65_535))
    // It counts bytes of the line, not characters of the record.
    expect(encodeLine({ a: "é".repeat(most / 6) })).toHaveLength(overhead + most - (most % 6))
    expect(() => encodeLine({ a: "é".repeat(most / 6 + 1) })).toThrow(RecordTooLargeError)
    expect(encodeLineFitting({ a: "x".repeat(most) })).toBe(encodeLine({ a: "x".repeat(most) }))
  })

  test.each(Object.entries(giants()))("%s is too large, soon, and can be made to fit", (_name, make) => {
    const record = { at: "t", kind: "k", v: make() }
    const start = performance.now()
    expect(() => encodeLine(record)).toThrow(RecordTooLargeError)
    const line = encodeLineFitting(record)
    expect(performance.now() - start).toBeLessThan(20_000)
    expect(line.length).toBeLessThanOrEqual(MAX_LINE_BYTES)
    expect(parseLine(line)).toMatchObject({ at: "t", kind: "k" })
    expect(line).toContain("\\u2026")
    expect(line).toContain("[cut ")
  })
})

describe("fitting", () => {
  const base = { at: "2026-05-05T10:00:00Z", kind: "turn_failed" }

  test("one long string takes the whole room that the others leave", () => {
    const text = Array.from({ length: 20_000 }, (_, i) => `${i} `).join("")
    const line = encodeLineFitting({ ...base, text, short: "s".repeat(1000) })
    expect(line.length).toBeGreaterThan(MAX_LINE_BYTES - 10)
    expect(line.length).toBeLessThanOrEqual(MAX_LINE_BYTES)
    const read = parseLine(line)
    expect(read.short).toBe("s".repeat(1000))
    const [, kept = "", cut] = /^(.*)…\[cut (\d+) characters\]$/.exec(String(read.text)) ?? []
    expect(text.startsWith(kept)).toBe(true)
    expect(kept.length + Number(cut)).toBe(text.length)
    expect(line).toContain("\\u2026[cut ")
  })

  test("the longest strings are cut, at any depth and to one length; the record is left as it was", () => {
    const record = { ...base, a: "a".repeat(100_000), b: [{ c: "c".repeat(40_000) }], d: "d".repeat(20_000) }
    const before = structuredClone(record)
    const line = encodeLineFitting(Object.freeze(record))
    expect(record).toEqual(before)
    const read = parseLine(line) as typeof record
    expect(read.d).toBe(record.d)
    const kept = [read.a, read.b[0]?.c].map((text) => text?.indexOf("…"))
    expect(kept[0]).toBe(kept[1])
    expect(kept[0]).toBeGreaterThan(20_000)
    expect(encodeLineFitting(record)).toBe(line)
  })

  test("a surrogate pair is never cut in half", () => {
    for (const lead of ["", "x"]) {
      const line = encodeLineFitting({ ...base, text: lead + "😀".repeat(30_000) })
      const text = String(parseLine(line).text)
      expect(text).toMatch(/😀…\[cut \d+ characters\]$/u)
      expect(text.isWellFormed()).toBe(true)
      expect(line.length).toBeGreaterThan(MAX_LINE_BYTES - 20)
    }
  })

  test("arrays are cut when strings are not enough, and say by how much", () => {
    const read = parseLine(encodeLineFitting({ ...base, list: Array.from({ length: 50_000 }, (_, i) => i) }))
    const list = read.list as unknown[]
    expect(list.slice(0, 3)).toEqual([0, 1, 2])
    expect(list.length).toBeGreaterThan(5_000)
    expect(list.at(-1)).toBe(`…[cut ${50_000 - (list.length - 1)} items]`)
  })

  test("objects are cut too, the record's at and kind never", () => {
    const many = Object.fromEntries(Array.from({ length: 30_000 }, (_, i) => [`key_${i}`, i]))
    const read = parseLine(encodeLineFitting({ ...many, ...base }))
    expect(read).toMatchObject(base)
    const kept = Object.keys(read).length - 1
    expect(kept).toBeGreaterThan(3_000)
    expect(read["…"]).toBe(`[cut ${30_002 - kept} keys]`)
    const nested = parseLine(encodeLineFitting({ ...base, many })).many as Record<string, unknown>
    expect(nested["…"]).toBe(`[cut ${30_001 - Object.keys(nested).length} keys]`)
  })

  test("every property keeps its own value, also when just as many stay as there are", () => {
    // 12^4 strings, of which those of five items an array fit: so records of five to eight properties are at the edge.
    const tree = (depth: number): unknown =>
      depth === 0 ? "x".repeat(70) : Array.from({ length: 12 }, () => tree(depth - 1))
    for (let count = 0; count < 12; count++) {
      const others = Object.fromEntries(Array.from({ length: count }, (_, i) => [`o${i}`, `own_o${i}`]))
      for (const record of [
        { ...others, tree: tree(4), ...base },
        { ...base, ...others, tree: tree(4) },
      ]) {
        const { tree: _, "…": mark, ...read } = parseLine(encodeLineFitting(record))
        expect(record).toMatchObject(read)
        expect(read).toMatchObject(base)
      }
    }
  })

  test("a key that is too long goes with its value; the others stay", () => {
    const read = parseLine(encodeLineFitting({ ...base, ["x".repeat(70_000)]: 1, other: "o" }))
    expect(read).toEqual({ ...base, other: "o", "…": "[cut 1 keys]" })
  })

  test("a record's own property of the mark's name gives way to the mark", () => {
    const many = Array.from({ length: 30_000 }, (_, i) => [`key_${i}`, i] as const)
    const line = encodeLineFitting({ ...base, "…": "own", ...Object.fromEntries(many) })
    expect(line.split(String.raw`"\u2026": `)).toHaveLength(2)
    expect(parseLine(line)["…"]).toMatch(/^\[cut \d+ keys\]$/)
  })

  test("what is not a record is refused all the same", () => {
    const cycle: Record<string, unknown> = { long: "x".repeat(70_000) }
    cycle.me = cycle
    for (const value of [null, [], new Map(), cycle]) {
      expect(() => encodeLineFitting(value as unknown as object)).toThrow(InvalidRecordError)
    }
  })

  test("whatever is too large fits, is deterministic and keeps at and kind", () => {
    const text = fc
      .tuple(fc.constantFrom("x", "é", "😀", '"', "\n", "\ud800"), fc.nat(40_000))
      .map(([unit, length]) => unit.repeat(length))
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: "small" },
        text,
        fc.integer(),
        fc.array(tie("value")),
        fc.dictionary(fc.string({ unit: "binary" }), tie("value")),
        fc.nat(30_000).map((length) => Array.from({ length }, (_, i) => i % 9)),
      ),
    }))
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: "binary" }), value), (other) => {
        const record = { ...other, ...base }
        const line = encodeLineFitting(record)
        expect(line.length).toBeLessThanOrEqual(MAX_LINE_BYTES)
        expect(line).toMatch(/^[ -~]*$/)
        expect(parseLine(line)).toMatchObject(base)
        expect(encodeLine(parseLine(line))).toBe(line)
        expect(encodeLineFitting(record)).toBe(line)
      }),
      { numRuns: 30 },
    )
  })
})

function giants(): Record<string, () => unknown> {
  return {
    "a long string": () => "x".repeat(2 ** 20 + 1),
    "a string of which no escaped form exists": () => "\u0001".repeat(2 ** 27),
    "strings that no string could hold together": () => Array.from({ length: 5 }, () => "x".repeat(2 ** 27)),
    "an array of four billion holes": () => new Array(2 ** 32 - 1),
    "a set of many": () => new Set(Array.from({ length: 300_000 }, (_, i) => i)),
    "an integer of a million digits": () => 2n ** 4_000_000n,
    "an object of 2^60 leaves": () => {
      let shared: unknown = { leaf: 1 }
      for (let i = 0; i < 60; i++) shared = [shared, { shared }]
      return shared
    },
    "an object of 50,000 keys": () =>
      Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`k${i}`, i])),
    "a long key": () => ({ ["k".repeat(2 ** 27)]: 1 }),
  }
}
