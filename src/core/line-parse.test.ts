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
    const pairs = [
      ["\\", "\n"],
      ["\\", "é"],
      ["\\", '"'],
      ["caf\\", "café"],
      ["\\u", "\u0001b"],
    ] as const
    const colons = [":", " :", `${" ".repeat(20)}:`]
    for (const [i, [before, key]] of pairs.entries()) {
      for (const [j, colon] of colons.entries()) {
        // V8 goes wrong only where one key alone has followed this one, and when the wrong key is the last.
        const first = `first_${i}_${j}`
        JSON.parse(`{"${first}": [], ${JSON.stringify(before)}: 0}`)
        const escaped = JSON.stringify(key).replace(/é/, "\\u00e9")
        const read = parseLine(`{"${first}": 1, ${escaped}${colon} 2}`)
        expect(Object.entries(read)).toEqual([
          [first, 1],
          [key, 2],
        ])
        const nested = parseLine(
          `{"s": "\\"x\\\\", ${escaped}${colon} [{${escaped}: 1}, NaN], "__proto__": 2}`,
        )
        expect(Object.entries(nested)).toEqual([
          ["s", '"x\\'],
          [key, [{ [key]: 1 }, "NaN"]],
          ["__proto__", 2],
        ])
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
