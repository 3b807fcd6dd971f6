import fc from "fast-check"
import { expect, test } from "vitest"
import { testSeed } from "../../test/support/fake-time.ts"
import { InvalidInputError } from "../core/errors.ts"
import {
  copyJson,
  copyObject,
  deepFreeze,
  MAX_JSON_DEPTH,
  MAX_JSON_SIZE,
  unknownFields,
} from "./plain-json.ts"

test("a copy is equal, frozen, and apart from the original", () => {
  const seed = testSeed()
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const before = JSON.stringify(value)
      const copy = copyJson(value, "value")
      expect(JSON.stringify(copy)).toBe(before)
      const isFrozen = (part: unknown): boolean =>
        typeof part !== "object" ||
        part === null ||
        (Object.isFrozen(part) && Object.values(part).every(isFrozen))
      expect(isFrozen(copy)).toBe(true)
      if (typeof value === "object" && value !== null) expect(copy).not.toBe(value)
    }),
    { seed },
  )
})

test.each<[string, unknown]>([
  ["undefined", undefined],
  ["NaN", NaN],
  ["an infinity", [Infinity]],
  ["a function", { f() {} }],
  ["a symbol", Symbol("s")],
  ["a BigInt", 1n],
  ["a Date", new Date(0)],
  ["a Map", new Map()],
  ["a class instance", new (class Thing {})()],
  ["a hole in an array", [1, , 2]], // eslint-disable-line no-sparse-arrays
  ["something with toJSON", { toJSON: () => 1 }],
])("refuses %s", (_what, value) => {
  expect(() => copyJson(value, "it")).toThrow(InvalidInputError)
})

test("undefined properties are left out; a __proto__ is a property", () => {
  const hostile = JSON.parse('{"__proto__": {"polluted": true}, "a": 1}') as object
  const copy = copyObject({ ...hostile, nothing: undefined, inner: hostile }, "it")
  expect(Object.keys(copy)).toEqual(expect.arrayContaining(["a", "inner"]))
  expect("nothing" in copy).toBe(false)
  expect(Object.getPrototypeOf(copy["inner"])).toBe(Object.prototype)
  expect(Object.keys(copy["inner"] as object)).toEqual(["__proto__", "a"])
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
})

test("depth and size have limits", () => {
  let deep: unknown = 1
  for (let i = 0; i < MAX_JSON_DEPTH; i++) deep = [deep]
  expect(() => copyJson(deep, "it")).not.toThrow()
  expect(() => copyJson([deep], "it")).toThrow(/deeper/)
  expect(() => copyJson("x".repeat(MAX_JSON_SIZE - 1), "it")).not.toThrow()
  expect(() => copyJson("x".repeat(MAX_JSON_SIZE), "it")).toThrow(/larger/)
  expect(() =>
    copyJson(
      Array.from({ length: MAX_JSON_SIZE }, () => 0),
      "it",
    ),
  ).toThrow(/larger/)
})

test("only objects are objects", () => {
  for (const value of [null, [], "text", 1]) expect(() => copyObject(value, "it")).toThrow(InvalidInputError)
})

test("unknown fields are those that the known record lacks", () => {
  expect(unknownFields({ a: 1, b: 2 }, { a: 0 })).toEqual({ b: 2 })
  expect(deepFreeze({ a: [1] })).toEqual({ a: [1] })
})
