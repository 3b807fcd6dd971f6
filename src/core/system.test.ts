import { spawnSync } from "node:child_process"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { freshSeed } from "../testing/random.ts"
import { isoClock, isoTime, parseTime, systemClock, systemRandom, systemTimers } from "./system.ts"

const MAX_TIME = 8.64e15

describe("parseTime", () => {
  test("reads every spelling of one instant", () => {
    const at = Date.UTC(2026, 4, 5, 10, 30, 15, 123)
    for (const text of [
      "2026-05-05T10:30:15.123Z",
      "2026-05-05T10:30:15.123456+00:00",
      "2026-05-05T10:30:15.123999Z",
      "2026-05-05T12:30:15.123+02:00",
      "2026-05-05T12:30:15.123+0200",
      "2026-05-05T05:00:15.123-05:30",
      "2026-05-06T00:30:15.123+14:00",
      "2026-05-05 10:30:15.123Z",
      "2026-05-05t10:30:15.123z",
      "2026-05-05T10:30:15.123",
    ]) {
      expect(parseTime(text)).toBe(at)
    }
    expect(parseTime("2026-05-05T10:30:15.1Z")).toBe(at - 23)
    expect(parseTime("2026-05-05T10:30:15Z")).toBe(at - 123)
    expect(parseTime("2026-05-05T10:30Z")).toBe(at - 15_123)
    expect(parseTime("2026-05-05")).toBe(Date.UTC(2026, 4, 5))
    expect(parseTime("2024-02-29")).toBe(Date.UTC(2024, 1, 29))
  })

  test("refuses what is not a time", () => {
    for (const text of [
      "",
      "now",
      "2026",
      "2026-05",
      "05/05/2026",
      "Tue May 05 2026",
      "2026-13-01",
      "2026-00-01",
      "2026-05-00",
      "2026-02-30",
      "2026-02-29T10:00:00Z",
      "2026-05-05T25:00:00Z",
      "2026-05-05T10:60:00Z",
      "2026-05-05T10:00:60Z",
      "2026-05-05T10:00:00+99:99",
      "2026-05-05T10:00:00 PST",
      "2026-05-05T10:00:00.Z",
      "2026-05-05 (a comment)",
      "2026-05-05garbage",
      " 2026-05-05",
      "2026-05-05T10:00:00Z\n",
      undefined,
      null,
      0,
      new Date(0),
    ]) {
      expect(parseTime(text), String(text)).toBeUndefined()
    }
  })

  test("reads back whatever isoTime writes", () => {
    const seed = freshSeed()
    console.info(`time property: HANSARD_SEED=${seed}`)
    const time = fc.oneof(fc.integer({ min: 0, max: 4e12 }), fc.integer({ min: -MAX_TIME, max: MAX_TIME }))
    fc.assert(
      fc.property(time, (at) => {
        expect(parseTime(isoTime(at))).toBe(at)
      }),
      { seed, numRuns: 1000 },
    )
  })

  test("does not depend on the machine's zone", () => {
    const file = JSON.stringify(new URL("./system.ts", import.meta.url).href)
    const script = `import(${file}).then((system) => console.log(system.parseTime("2026-05-05T10:00:00")))`
    const child = spawnSync(process.execPath, ["-e", script], {
      env: { ...process.env, TZ: "Asia/Tokyo", NODE_OPTIONS: "" },
      encoding: "utf8",
    })
    expect(child.stdout.trim()).toBe(String(Date.UTC(2026, 4, 5, 10)))
  })
})

test("isoTime writes UTC with milliseconds and Z", () => {
  expect(isoTime(0)).toBe("1970-01-01T00:00:00.000Z")
  expect(isoTime(Date.UTC(2026, 4, 5, 10, 30, 15, 120))).toBe("2026-05-05T10:30:15.120Z")
})

test("isoClock follows its clock, forwards and back", () => {
  let now = 5
  const text = isoClock(() => now)
  for (const next of [5, 5, 6, 5, 1e12, 5]) {
    now = next
    expect(text()).toBe(isoTime(next))
  }
})

describe("the system's own", () => {
  test("short draws have their length, differ, and stay what they were", () => {
    const draws = Array.from({ length: 3_000 }, (_, i) => systemRandom(8 + (i % 9)))
    const seen = draws.map((bytes) => Buffer.from(bytes).toString("hex"))
    expect(draws.map(({ length }) => length)).toEqual(draws.map((_, i) => 8 + (i % 9)))
    expect(new Set(seen.map((text) => text.slice(0, 16))).size).toBe(3_000)
    systemRandom(16)
    expect(draws.map((bytes) => Buffer.from(bytes).toString("hex"))).toEqual(seen)
  })

  test("clock counts milliseconds", () => {
    expect(systemClock()).toBeGreaterThan(Date.UTC(2025, 0))
    expect(systemClock()).toBeLessThan(Date.UTC(2125, 0))
  })

  test("random bytes are as many as asked for, and others each time", () => {
    expect(systemRandom(0)).toHaveLength(0)
    expect(systemRandom(16)).toHaveLength(16)
    expect(systemRandom(16)).not.toEqual(systemRandom(16))
  })

  test("timers call once, in time's order, and not when cancelled", async () => {
    const calls: string[] = []
    await new Promise<void>((done) => {
      const cancel = systemTimers.after(1, () => calls.push("cancelled"))
      systemTimers.after(20, done)
      const late = systemTimers.after(5, () => calls.push("late"))
      systemTimers.after(0, () => calls.push("early"))
      cancel()
      cancel()
      systemTimers.after(15, late)
    })
    expect(calls).toEqual(["early", "late"])
  })
})
