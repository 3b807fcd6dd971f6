/** Times and numbers as they are shown. Pure. */
import { parseTime } from "../core/index.ts"

const NUMBER = new Intl.NumberFormat("en")

/** 12,345. */
export function number(value: number): string {
  return NUMBER.format(value)
}

/** The reader's own time of day, to the millisecond; the record is in UTC, and the panel shows that. */
export function timeOfDay(at: unknown): string {
  const time = parseTime(at)
  if (time === undefined) return "--:--:--.---"
  const date = new Date(time)
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}`
}

/** 2026-05-05, in the reader's zone. */
export function day(at: unknown): string {
  const time = parseTime(at)
  if (time === undefined) return ""
  const date = new Date(time)
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
}

/** Day and time to the second. */
export function dateTime(at: unknown): string {
  return parseTime(at) === undefined ? "—" : `${day(at)} ${timeOfDay(at).slice(0, 8)}`
}

/** 850 ms, 3.2 s, 4 min, 5 h, 3 d: one unit, two digits that matter. */
export function duration(milliseconds: number): string {
  const units: [number, string][] = [
    [86_400_000, "d"],
    [3_600_000, "h"],
    [60_000, "min"],
    [1_000, "s"],
  ]
  for (const [size, unit] of units) {
    if (milliseconds >= size) {
      const value = milliseconds / size
      return `${value < 10 && !Number.isInteger(value) ? value.toFixed(1) : Math.round(value)} ${unit}`
    }
  }
  return `${Math.round(milliseconds)} ms`
}

/** "just now", "4 min ago". */
export function ago(then: number, now: number): string {
  return now - then < 1_500 ? "just now" : `${duration(now - then)} ago`
}

export function bytes(count: number): string {
  if (count < 1_024) return `${count} B`
  if (count < 1_048_576) return `${(count / 1_024).toFixed(1)} KiB`
  return `${(count / 1_048_576).toFixed(1)} MiB`
}

function two(value: number): string {
  return String(value).padStart(2, "0")
}
