import { describe, expect, test } from "vitest"
import { InvalidInputError } from "./errors.ts"
import { parseLine, parseRecord } from "./line.ts"

describe("parsing", () => {
  test("Python's bare tokens become strings; strings that look like them stay", () => {
    expect(
      parseLine(
        '{"a": NaN, "b": [Infinity,-Infinity , NaN], "c": "NaN, \\"Infinity\\\\", "d": {"NaN": 1, "x":NaN}}',
      ),
    ).toEqual({
      a: "NaN",
      b: ["Infinity", "-Infinity", "NaN"],
      c: 'NaN, "Infinity\\',
      d: { NaN: 1, x: "NaN" },
    })
  })

  test.each(["", "nonsense", "[]", "null", "1", '"{}"', "{", "{} {}", '{"a": 1NaN}', '{"a": -NaN}', "{NaN: 1}", "NaN", '{"a": NaNInfinity}', "{'a': 1}"])(
    "%j is not a line",
    (text) => {
      expect(() => parseLine(text)).toThrow(InvalidInputError)
      expect(() => parseRecord(text)).toThrow(InvalidInputError)
    },
  ) // prettier-ignore

  test("parseRecord keeps integers beyond 2^53, next to a bare NaN too", () => {
    const text =
      '{"a": 12345678901234567890, "b": [-9007199254740993], "c": 1.5, "d": 9007199254740991, "e": 1e20}'
    expect(parseRecord(text)).toEqual({
      a: 12345678901234567890n,
      b: [-9007199254740993n],
      c: 1.5,
      d: 9007199254740991,
      e: 1e20,
    })
    expect(parseRecord('{"a": NaN, "b": 12345678901234567890}')).toEqual({
      a: "NaN",
      b: 12345678901234567890n,
    })
    expect(parseLine(text).a).toBe(12345678901234567000)
  })

  test("keys with escapes are right, whatever was parsed before (nodejs/node#63785)", () => {
    for (const [before, key] of [
      ["\\", "\n"],
      ["\\", "é"],
      ["\\", '"'],
      ["caf\\", "café"],
      ["\\u", "\u0001b"],
    ] as const) {
      JSON.parse(`{"p": [], ${JSON.stringify(before)}: 0}`)
      const escaped = JSON.stringify(key).replace(/é/, "\\u00e9")
      for (const colon of [":", " :", `${" ".repeat(20)}:`]) {
        const text = `{"p": 1, ${escaped}${colon} {"p": "\\n: \\"", ${escaped}: [2, {"p": 3}]}, "__proto__": 4}`
        const read = parseLine(text)
        expect(Object.entries(read)).toEqual([
          ["p", 1],
          [key, { p: '\n: "', [key]: [2, { p: 3 }] }],
          ["__proto__", 4],
        ])
        expect(parseLine(text.replace("4", "NaN"))[key]).toEqual(read[key])
      }
    }
  })

  test("a hostile depth or length is refused or read, never a crash", () => {
    const deep = '{"a":'.repeat(100_000) + "1" + "}".repeat(100_000)
    expect(typeof parseLine(deep)).toBe("object")
    // The slow path may run out of stack, and then it refuses.
    expect(() => parseRecord(deep.replace("1", "1234567890123456789"))).toThrow(InvalidInputError)
    expect(() => parseLine(`{"a": "${'\\"'.repeat(5_000_000)}", "b": nan}`)).toThrow(InvalidInputError)
  })
})
