import fc from "fast-check"
import { expect, test } from "vitest"
import { InvalidInputError } from "../core/errors.ts"
import { freshSeed } from "../testing/random.ts"
import { parseDuration } from "./duration.ts"

const seed = freshSeed()
console.info(`duration property: HANSARD_SEED=${seed}`)

test.each([
  ["30s", 30],
  ["15m", 900],
  ["2h", 7200],
  ["1d", 86_400],
  ["90", 90],
  ["", 0],
  ["  ", 0],
  [" 30 s ", 30],
  ["-1m", -60],
  ["+5", 5],
  [0, 0],
  [1.5, 1.5],
  [-3, -3],
])("%j is %d seconds", (duration, seconds) => {
  expect(parseDuration(duration)).toBe(seconds)
})

test.each(["1.5s", "s", "1w", "1 2", "1S", "1h30m", "0x10", "1e3", "٣", "9007199254740992", "200000000000d"])(
  "%j is none",
  (duration) => {
    expect(() => parseDuration(duration)).toThrow(InvalidInputError)
    expect(() => parseDuration(duration)).toThrow(JSON.stringify(duration))
  },
)

test("what is neither a number nor a text is none", () => {
  for (const duration of [NaN, Infinity, null, undefined, true, [], {}] as number[]) {
    expect(() => parseDuration(duration)).toThrow(InvalidInputError)
  }
  expect(() => parseDuration(NaN)).toThrow("NaN is not a duration")
})

test("a whole number means the same with each unit, as text or as number", () => {
  const units = fc.constantFrom(["", 1], ["s", 1], ["m", 60], ["h", 3600], ["d", 86_400]) as fc.Arbitrary<
    readonly [string, number]
  >
  fc.assert(
    fc.property(
      fc.integer({ min: -(10 ** 9), max: 10 ** 9 }),
      units,
      fc.boolean(),
      (n, [unit, factor], space) => {
        expect(parseDuration(`${n}${space ? " " : ""}${unit}`)).toBe(n * factor)
        expect(parseDuration(n * factor)).toBe(n * factor)
      },
    ),
    { seed },
  )
})
