import { expect, test } from "vitest"
import { parseTime } from "../core/system.ts"
import { timeOf } from "./time.ts"

test("a time is what a filter takes it for, however it is written", () => {
  const day = Date.UTC(2026, 1, 28)
  const times = Array.from({ length: 200 }, (_, n) => new Date(day + n * 12_345_678).toISOString())
  const odd = [
    "2026-02-30T10:00:00.000Z",
    "2026-02-28T24:00:00.000Z",
    "2026-02-28T23:59:60.000Z",
    "2026-13-01T00:00:00.000Z",
  ]
  const others = [
    "2026-05-05",
    "2026-05-05T10:00:00Z",
    "2026-05-05T10:00:00.123456+00:00",
    "once",
    "",
    null,
    7,
  ]
  for (const at of [...times, ...odd, ...others, ...times.toReversed()]) {
    expect(timeOf({ at }), String(at)).toBe(parseTime(at))
  }
})
