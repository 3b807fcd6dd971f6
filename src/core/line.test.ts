import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { runInNewContext } from "node:vm"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { InvalidRecordError, RecordTooLargeError } from "./errors.ts"
import { encodeLine, encodeLineFitting, MAX_LINE_BYTES, parseLine, parseRecord } from "./line.ts"
import { seedProperties } from "../../test/support/property.ts"

const seed = seedProperties({ numRuns: 1000 })

const PRINTABLE = /^[ -~]*$/

describe("vectors", () => {
  const { cases } = JSON.parse(
    readFileSync(new URL("../../test/vectors/audit-lines.json", import.meta.url), "utf8"),
  ) as { cases: { name: string; record: string; line: string }[] }

  test("all 455 lines, from record texts read without loss", () => {
    expect(cases).toHaveLength(455)
    for (const { name, record, line } of cases)
      expect(encodeLine(parseRecord(record)) + "\n", name).toBe(line)
  })

  test("JSON.parse loses one of them: an integer beyond 2^53", () => {
    const lost = cases.filter(({ record, line }) => encodeLine(parseLine(record)) + "\n" !== line)
    expect(lost.map(({ name }) => name)).toEqual(["integer 123456789012345680000"])
  })

  test("a line read and written again is the same line", () => {
    for (const { name, line } of cases) expect(encodeLine(parseRecord(line)) + "\n", name).toBe(line)
  })
})

describe("strings, keys and numbers", () => {
  test.each([
    [1e16, "1e+16"],
    [-123456789012345680, "-1.2345678901234568e+17"],
    [2 ** 53, "9007199254740992.0"],
    [1e21, "1e+21"],
    [1.5e300, "1.5e+300"],
    [0.0001, "0.0001"],
    [0.00001, "1e-05"],
    [-0.000012345, "-1.2345e-05"],
    [1e-7, "1e-07"],
    [5e-324, "5e-324"],
    [-0, "0"],
    [NaN, '"NaN"'],
    [Infinity, '"Infinity"'],
    [-Infinity, '"-Infinity"'],
    [12345678901234567890n, "12345678901234567890"],
    [-(2n ** 200n), String(-(2n ** 200n))],
  ])("%s is written %s", (value, text) => {
    expect(encodeLine({ a: value })).toBe(`{"a": ${text}}`)
    expect(encodeLine({ a: [value] })).toBe(`{"a": [${text}]}`)
  })

  test("keys sort by code point, a lone surrogate below its pairs and below U+E000", () => {
    const sorted = [
      "",
      "\0",
      "10",
      "9",
      "a",
      "aa",
      "é",
      "\ud83d",
      "\ud83da",
      "\udc00",
      "\ue000",
      "\uffff",
      "😀",
      "😀a",
    ]
    for (const keys of [sorted, sorted.toReversed()]) {
      const line = encodeLine({ at: Object.fromEntries(keys.map((key) => [key, 0])) })
      expect(Object.keys(parseLine(line).at as object).filter((key) => !/^\d/.test(key))).toEqual(
        sorted.filter((key) => !/^\d/.test(key)),
      )
      expect(line.indexOf('"10"')).toBeLessThan(line.indexOf('"9"'))
    }
  })

  test("an own __proto__ is data, written and read", () => {
    const record = parseLine('{"__proto__": {"x": 1}, "a": {"__proto__": 2}}')
    expect(Object.getPrototypeOf(record)).toBe(Object.prototype)
    expect(encodeLine(record)).toBe('{"__proto__": {"x": 1}, "a": {"__proto__": 2}}')
  })

  test("more shapes than the cache holds, each twice", () => {
    for (const round of [1, 2]) {
      for (let i = 0; i < 20_000; i++) {
        const keys = ["z", `k${i}`, i % 7 === 0 ? "x".repeat(70) : "x", `k${i % 5}`]
        const record = Object.fromEntries(keys.map((key) => [key, round]))
        expect(encodeLine(record)).toBe(modelLine(record))
      }
    }
    const wide = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`k${99 - i}`, i]))
    expect(encodeLine(wide)).toBe(modelLine(wide))
  })
})

describe("properties", () => {
  const json = fc.dictionary(anyText(), fc.jsonValue({ depthSize: "small", stringUnit: anyUnit() }))

  test("what is written is read back, sorted, in printable ASCII, and written again as the same line", () => {
    fc.assert(
      fc.property(json, (record) => {
        const line = encodeLine(record)
        expect(line).toMatch(PRINTABLE)
        expect(line).toBe(modelLine(record))
        const read = parseLine(line)
        expect(read).toEqual(withoutMinusZero(record))
        expect(encodeLine(read)).toBe(line)
      }),
    )
  })

  test("no value whatever makes it throw anything but its two errors, or fitting but the one", () => {
    const anything = fc.anything({
      withBigInt: true,
      withBoxedValues: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withNullPrototype: true,
      withObjectString: true,
      withSparseArray: true,
      withTypedArray: true,
      withUnicodeString: true,
      maxDepth: 5,
    })
    const value = fc.oneof(anything, fc.func(anything))
    const record = fc.dictionary(anyText(), fc.oneof(value, fc.array(value)))
    // Put in here, since fast-check itself stumbles over some of them.
    const hostile = fc.array(fc.nat(hostileValues().length - 1), { maxLength: 3 })
    fc.assert(
      fc.property(fc.oneof(record, value), hostile, (made, places) => {
        const values = hostileValues()
        const found = places.map((place) => values[place])
        checkErrors(found.length > 0 ? { ...(made as object), found, first: found[0] } : made)
      }),
      { numRuns: 200 },
    )
    for (const value of hostileValues()) checkErrors(value)

    function checkErrors(value: unknown): void {
      const line = refusal(() => encodeLine(value as object), [InvalidRecordError, RecordTooLargeError])
      if (line !== undefined) {
        expect(line).toMatch(PRINTABLE)
        expect(typeof parseLine(line)).toBe("object")
      }
      const fitting = refusal(() => encodeLineFitting(value as object), [InvalidRecordError])
      if (fitting !== undefined) expect(fitting.length).toBeLessThanOrEqual(MAX_LINE_BYTES)
      if (line !== undefined) expect(fitting?.length).toBe(line.length)
    }
  })
})

describe("CPython", () => {
  const python = spawnSync("python3", ["-c", "import sys; print(sys.implementation.name)"], {
    encoding: "utf8",
  })
  const found = python.stdout?.trim() === "cpython"

  test.skipIf(!found)(`json.dumps agrees${found ? "" : " (skipped: no CPython found as python3)"}`, () => {
    const double = fc.double({ noNaN: true, noDefaultInfinity: true })
    const scaled = fc
      .tuple(fc.double({ min: 1, max: 10, noNaN: true }), fc.integer({ min: -30, max: 30 }))
      .map(([digits, exponent]) => digits * 10 ** exponent)
    const power = fc.integer({ min: -324, max: 308 }).map((exponent) => Number(`1e${exponent}`))
    const number = fc.oneof(fc.maxSafeInteger(), fc.maxSafeNat(), double, scaled, power)
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: "small" },
        number,
        anyText(),
        fc.constantFrom(null, true, false),
        fc.bigInt(),
        fc.array(tie("value")),
        fc.dictionary(anyText(), tie("value")),
      ),
    }))
    const records = fc.sample(fc.dictionary(anyText(), value), { numRuns: 4000, seed })
    // Numbers go as text, since JavaScript's own spelling of 1e16 is an integer to Python.
    const input = records.map((record) =>
      JSON.stringify(record, (_key, item: unknown) => {
        if (typeof item === "bigint") return { "int of": String(item) }
        if (typeof item !== "number") return item
        return Number.isSafeInteger(item) ? { "int of": String(item) } : { "float of": String(item) }
      }),
    )
    const script = `
import json, sys
def number(o):
    if len(o) == 1:
        if "int of" in o: return int(o["int of"])
        if "float of" in o: return float(o["float of"])
    return o
for line in sys.stdin:
    print(json.dumps(json.loads(line, object_hook=number), default=str, sort_keys=True))
`
    const ran = spawnSync("python3", ["-c", script], {
      input: input.join("\n"),
      encoding: "utf8",
      maxBuffer: 2 ** 28,
    })
    expect(ran.stderr).toBe("")
    const lines = ran.stdout.trimEnd().split("\n")
    expect(lines).toHaveLength(records.length)
    records.forEach((record, i) => expect(encodeLine(record)).toBe(lines[i]))
  })
})

describe("coercion", () => {
  class Point {
    x = 1
  }
  class Money {
    toJSON(key: string): unknown {
      return { [key]: 5n }
    }
  }
  class Selfish {
    toJSON(): unknown {
      return this
    }
  }
  const cases: [string, unknown, string][] = [
    ["undefined in an array", [undefined, 1], "[null, 1]"],
    ["a hole", [, 1], "[null, 1]"], // eslint-disable-line no-sparse-arrays
    ["a Date", new Date(0), '"1970-01-01T00:00:00.000Z"'],
    ["an invalid Date", new Date(NaN), '"Invalid Date"'],
    ["a Date with a toJSON", Object.assign(new Date(0), { toJSON: () => 1 }), '"1970-01-01T00:00:00.000Z"'],
    ["an Error", new TypeError("no “x”"), '"no \\u201cx\\u201d"'],
    ["an Error with a toJSON", Object.assign(new Error("m"), { toJSON: () => "secret" }), '"m"'],
    ["an Error of another realm", runInNewContext("new Error('far')"), '"far"'],
    ["a plain object of another realm", runInNewContext("({ b: 1, a: [2] })"), '{"a": [2], "b": 1}'],
    ["an object without prototype", Object.assign(Object.create(null), { b: 1 }), '{"b": 1}'],
    ["a Map", new Map<unknown, unknown>([["a", new Set([1])]]), '"Map [[\\"a\\", \\"Set [1]\\"]]"'],
    ["a Set", new Set(["é"]), '"Set [\\"\\\\u00e9\\"]"'],
    ["a URL", new URL("https://example.com/a"), '"https://example.com/a"'],
    ["a function", function named() {}, '"[function named]"'],
    ["a function without name", () => {}, '"[function anonymous]"'],
    ["a function with toJSON", Object.assign(() => {}, { toJSON: () => 1 }), "1"],
    ["a symbol", Symbol("s"), '"Symbol(s)"'],
    ["a class instance", new Point(), '"[object Point]"'],
    ["a class instance with toJSON", new Money(), '{"v": 5}'],
    ["toJSON of a plain object", { toJSON: (key: string) => [key] }, '["v"]'],
    ["toJSON of an array", Object.assign([1], { toJSON: () => undefined }), "null"],
    ["toJSON answering its object", new Selfish(), '"[object Selfish]"'],
    ["toJSON answering another with toJSON", { toJSON: () => new Money() }, '{"": 5}'],
    ["a RegExp", /a"b/, '"/a\\"b/"'],
    ["a typed array", new Uint8Array([1, 2]), '"1,2"'],
    [
      "boxed primitives",
      [new Number(1.5), new String("s"), new Boolean(false), Object(2n)],
      '[1.5, "s", false, 2]',
    ],
    ["a boxed symbol", Object(Symbol("s")), '"Symbol(s)"'],
    ["a null-prototype instance", Object.create(Object.create(new Point())), '"[object Point]"'],
    ["symbol keys", { [Symbol("k")]: 1, a: 1 }, '{"a": 1}'],
    ["a getter", { get a() { return 1 } }, '{"a": 1}'], // prettier-ignore
    ["a getter that throws", { get a() { throw new Error("boom") }, b: 1 }, '{"a": "[unreadable: boom]", "b": 1}'], // prettier-ignore
    ["a getter that throws null", { get a() { throw null } }, '{"a": "[unreadable: null]"}'], // prettier-ignore
    ["a getter that deletes", { get a() { delete (this as { b?: number }).b; return 1 }, b: 1, c: 2 }, '{"a": 1, "c": 2}'], // prettier-ignore
    ["a toJSON that throws", { toJSON() { throw new Error("boom") } }, '"[unreadable: boom]"'], // prettier-ignore
    ["a toString that throws", Object.assign(new Point(), { toString() { throw 1 } }), '"[object]"'], // prettier-ignore
    ["an Error whose message throws", Object.defineProperty(new Error(), "message", { get() { throw 2 } }), '"[unreadable: 2]"'], // prettier-ignore
    ["a proxy that throws", new Proxy({}, { ownKeys() { throw 3 } }), '"[unreadable: 3]"'], // prettier-ignore
    ["a fake Date", Object.create(Date.prototype), '"[unreadable: this is not a Date object.]"'],
  ]
  test.each(cases)("%s", (_name, value, text) => {
    expect(encodeLine({ v: value })).toBe(`{"v": ${text}}`)
  })

  test("undefined properties are left out wherever they stand", () => {
    expect(encodeLine({ a: undefined, b: 1, c: undefined, d: { e: undefined } })).toBe('{"b": 1, "d": {}}')
    expect(encodeLine({ a: undefined })).toBe("{}")
    expect(encodeLine({ a: 1, b: 2, c: 3, d: {} })).toBe('{"a": 1, "b": 2, "c": 3, "d": {}}')
  })

  test("any number of undefined properties are left out", () => {
    const record = Object.fromEntries(
      Array.from({ length: 200_000 }, (_, i) => [`k${i}`, i % 99_999 === 7 ? i : undefined]),
    )
    expect(encodeLine(record)).toBe('{"k100006": 100006, "k7": 7}')
  })

  test("a revoked proxy is unreadable", () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    expect(encodeLine({ v: proxy })).toMatch(/^\{"v": "\[unreadable: .*\]"\}$/)
  })

  test("an enumerable property on Object.prototype is not the record's", () => {
    Object.defineProperty(Object.prototype, "polluted", { value: 1, enumerable: true, configurable: true })
    let line: string
    try {
      line = encodeLine({ a: { b: 1 } })
    } finally {
      delete (Object.prototype as { polluted?: number }).polluted
    }
    expect(line).toBe('{"a": {"b": 1}}')
  })

  test("a toJSON that encodes another record meanwhile", () => {
    const inner = { toJSON: () => encodeLine({ z: { y: 1 }, a: 2 }) }
    expect(encodeLine({ b: inner, a: { c: inner } })).toBe(
      String.raw`{"a": {"c": "{\"a\": 2, \"z\": {\"y\": 1}}"}, "b": "{\"a\": 2, \"z\": {\"y\": 1}}"}`,
    )
  })

  test("the record's own toJSON is a property like any other", () => {
    expect(encodeLine({ toJSON: () => ({}), a: 1 })).toBe('{"a": 1, "toJSON": "[function toJSON]"}')
  })

  test("deep nesting ends in a mark, at 500 levels with the record", () => {
    for (const wrap of [
      (inner: unknown): unknown => ({ a: inner }),
      (inner: unknown): unknown => [inner],
      (inner: unknown): unknown => ({ toJSON: () => inner }),
      (inner: unknown): unknown => new Map([[1, inner]]),
    ]) {
      let deep: unknown = "bottom"
      for (let i = 0; i < 20_000; i++) deep = wrap(deep)
      // Each level of a Map in a Map doubles the backslashes: too large, and still no stack overflow.
      const line = refusal(() => encodeLine({ a: deep }), [RecordTooLargeError])
      if (line !== undefined) expect(line).toContain('"[nested deeper than 500]"')
    }
    const nest = (levels: number): unknown => (levels === 0 ? 1 : { a: nest(levels - 1) })
    expect(encodeLine(nest(500) as object)).not.toContain("deeper")
    expect(encodeLine(nest(501) as object)).toContain("deeper")
  })
})

describe("refusals", () => {
  test.each([
    ["null", null],
    ["undefined", undefined],
    ["a string", "s"],
    ["a number", 1],
    ["a function", () => {}],
    ["an array", []],
    ["a Date", new Date()],
    ["a Map", new Map()],
    ["a class instance", new (class Record {})()],
    ["an Error", new Error("x")],
    ["an unreadable proxy", new Proxy({}, { ownKeys: () => { throw 1 } })], // prettier-ignore
    ["a proxy without prototype", new Proxy({}, { getPrototypeOf: () => { throw 1 } })], // prettier-ignore
  ])("%s is not a record", (_name, value) => {
    expect(() => encodeLine(value as unknown as object)).toThrow(InvalidRecordError)
    expect(() => encodeLineFitting(value as unknown as object)).toThrow(InvalidRecordError)
  })

  test("an array is called one, whatever its prototype", () => {
    for (const value of [[1], Object.setPrototypeOf([1], null) as object]) {
      expect(() => encodeLine(value)).toThrow("a record must be a plain object; this is an array")
    }
  })

  test("a cycle is refused by the path of its end and of its start", () => {
    const record: Record<string, unknown> = { detail: { parties: [1, {}] } }
    const detail = record.detail as { parties: unknown[] }
    detail.parties[1] = { up: detail.parties }
    const message = "the record contains a cycle: detail.parties[1].up is detail.parties"
    expect(() => encodeLine(record)).toThrow(new InvalidRecordError(message))
    expect(() => encodeLineFitting(record)).toThrow(new InvalidRecordError(message))
    const self: Record<string, unknown> = {}
    self.me = self
    expect(() => encodeLine(self)).toThrow("the record contains a cycle: me is the record itself")
    const map = new Map<string, unknown>()
    map.set("m", map)
    expect(() => encodeLine({ map })).toThrow("the record contains a cycle: map[0][1] is map")
    const a = { toJSON: (): unknown => b }
    const b = { toJSON: (): unknown => a }
    expect(() => encodeLine({ a })).toThrow("the record contains a cycle: a is a")
  })

  test("one object in two places is no cycle", () => {
    const shared = { x: [1] }
    expect(encodeLine({ a: shared, b: [shared, shared] })).toBe(
      '{"a": {"x": [1]}, "b": [{"x": [1]}, {"x": [1]}]}',
    )
  })
})

/** The line by the shortest way that is obviously right, for JSON values with integers below 2^53. */
function modelLine(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(modelLine).join(", ")}]`
  if (typeof value === "object" && value !== null) {
    const points = (text: string): number[] => Array.from(text, (point) => point.codePointAt(0) ?? 0)
    const byPoints = ([a]: [string, unknown], [b]: [string, unknown]): number => {
      const [left, right] = [points(a), points(b)]
      const i = left.findIndex((point, at) => point !== right[at])
      return i === -1 ? left.length - right.length : (left[i] ?? 0) - (right[i] ?? -1)
    }
    const entries = Object.entries(value).sort(byPoints)
    return `{${entries.map(([key, item]) => `${modelLine(key)}: ${modelLine(item)}`).join(", ")}}`
  }
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    // Python's rule from its manual: exponents below 1e-4 and from 1e16.
    const [digits = "", exponent = "0"] = value.toExponential().split("e")
    const size = Number(exponent)
    if (size < -4 || size >= 16)
      return `${digits}e${size < 0 ? "-" : "+"}${String(Math.abs(size)).padStart(2, "0")}`
    return Number.isInteger(value) ? `${value}.0` : String(value)
  }
  return JSON.stringify(value).replace(
    /[\x7f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  )
}

function withoutMinusZero(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutMinusZero)
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutMinusZero(item)]))
  }
  return value === 0 ? 0 : value
}

/** One UTF-16 unit or code point of any kind, those that matter most often. */
function anyUnit(): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: 0x20, max: 0x7e }).map((unit) => String.fromCharCode(unit)) },
    fc.integer({ min: 0, max: 0x1f }).map((unit) => String.fromCharCode(unit)),
    fc.constantFrom('"', "\\", "\x7f", "\u2028", "\ue000", "\uffff", "\ufeff", "…"),
    fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)),
    fc.integer({ min: 0xd800, max: 0xdfff }).map((unit) => String.fromCharCode(unit)),
    fc.integer({ min: 0x10000, max: 0x10ffff }).map((point) => String.fromCodePoint(point)),
  )
}

function anyText(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.string({ unit: anyUnit() }),
    fc.constantFrom("at", "kind", "__proto__", "toJSON", "0", "10"),
  )
}

/** What `make` returns; undefined when it throws one of these errors. Any other error passes through. */
function refusal<T>(make: () => T, allowed: readonly (new (...args: never[]) => Error)[]): T | undefined {
  try {
    return make()
  } catch (error) {
    if (allowed.some((kind) => error instanceof kind)) return undefined
    throw error
  }
}

function hostileValues(): unknown[] {
  const traps = ["get", "has", "ownKeys", "getPrototypeOf", "getOwnPropertyDescriptor"] as const
  const throwing = (): never => {
    throw new Error("trap")
  }
  const revoked = Proxy.revocable([], {})
  revoked.revoke()
  const cycle: Record<string, unknown> = {}
  cycle.self = [cycle]
  const endless = { toJSON: (): unknown => ({ toJSON: endless.toJSON, a: 1 }) }
  const recursive = { toJSON: (): unknown => recursive.toJSON() }
  return [
    ...traps.flatMap((trap) => [
      new Proxy({ a: 1 }, { [trap]: throwing }),
      new Proxy([1], { [trap]: throwing }),
    ]),
    revoked.proxy,
    new Proxy([1], { get: (_target, key) => (key === "length" ? 2 ** 40 : 1) }),
    new Proxy(() => {}, { get: throwing }),
    cycle,
    endless,
    recursive,
    new (class extends Map {
      override [Symbol.iterator](): never {
        return throwing()
      }
    })(),
    { [Symbol.toPrimitive]: throwing, toString: throwing, [Symbol.toStringTag]: 5 },
    Object.create({ toString: throwing }),
    Object.create(null),
    Object.create(Number.prototype),
    globalThis.Math,
    new WeakMap(),
    Promise.resolve(),
    (function* () {})(),
    new ArrayBuffer(4),
    Object.assign([], { length: 100_000 }),
    10n ** 5000n,
    { giant: "x".repeat(2 ** 20 + 1) },
  ]
}
