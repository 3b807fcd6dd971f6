import { describe, expect, test } from "vitest"
import { InvalidInputError } from "./errors.ts"
import fc from "fast-check"
import { parseJoinedLines, parseLine, parseRecord } from "./line.ts"
import { seedProperties } from "../../test/support/property.ts"

seedProperties()

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

describe("many lines at once", () => {
  const together = (lines: readonly string[]): unknown => {
    const joined = `[${lines.join(",")}]`
    const ends: number[] = []
    let end = 0
    for (const line of lines) ends.push((end += line.length + 1))
    return parseJoinedLines(joined, ends)
  }
  const each = (lines: readonly string[]): unknown => {
    try {
      return lines.map(parseLine)
    } catch {
      return undefined
    }
  }

  test("give what each gives alone", () => {
    for (const lines of [
      ['{"a": 1}'],
      ['{"a": [1, {"b": {}}]}', "{}", '{"text": "} , {", "n": null}'],
      ['{"__proto__": 1}', '{"constructor": {"a": 2}}'],
      ['{"text": "quote \\" and \\\\ and \\u00e9"}', '{"b": {"c": {}}, "d": 1}'],
    ]) {
      const found = together(lines)
      if (found !== undefined) expect(found).toEqual(each(lines))
    }
    expect(together(['{"a": {"b": 1}, "c": [{}]}', '{"d": "\\n"}'])).toEqual([
      { a: { b: 1 }, c: [{}] },
      { d: "\n" },
    ])
  })

  test.each([
    ["a line that reaches into the next, and one that makes up for it", ['{"a": [{}', "{}]}", "{},{}"]],
    ["the same with space between", ['{"a": [{}', "{}]}", "{} ,\t {}"]],
    ["a string that ends in the next line", ['{"a": "}', '{"}', "{},{}"]],
    ["a number between", ['{"a": [{}', "{}]}", "{},5,{}", "{}"]],
    ["no object", ["[]", "{}"]],
    ["an empty line", ["{}", "", "{}"]],
    ["a key with an escape, which V8 can confuse", ['{"\\\\": 1}', '{"a": 1}']],
    ["Python's NaN", ['{"a": NaN}']],
    ["half a line", ['{"a": 1', "{}"]],
    ["a carriage return", ['{"a": 1}\r', "{}"]],
  ])("are left to be parsed alone: %s", (_what, lines) => {
    expect(together(lines)).toBeUndefined()
  })

  test("whatever lines are made of, they never give anything else", () => {
    const bits = [
      '{"a":',
      "{",
      "}",
      "[",
      "]",
      ",",
      '"',
      "\\",
      " ",
      "1",
      "null",
      '"k": ',
      "{}",
      '{"x": [{}',
      "{}]}",
      "{},{}",
    ]
    let certain = 0
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.array(fc.constantFrom(...bits), { maxLength: 8 }).map((parts) => `{${parts.join("")}}`),
            fc.dictionary(fc.string(), fc.jsonValue()).map((value) => JSON.stringify(value)),
            fc.constantFrom("{}", '{"a": 1}', '{"x": [{}', "{}]}", "{},{}", "{}, {}"),
          ),
          { minLength: 1, maxLength: 5 },
        ),
        (lines) => {
          const found = together(lines)
          if (found === undefined) return
          certain++
          expect(found).toEqual(each(lines))
        },
      ),
      { numRuns: 20_000 },
    )
    expect(certain).toBeGreaterThan(1_000)
  })
})
