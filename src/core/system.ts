/**
 * Time, timers and randomness, as options that everything below takes.
 *
 * This is the only file of the library that reads the machine's clock, starts a timer or draws a random number
 * (`test/rooms.test.ts` holds it to that), so that a whole hub can be simulated from a seed.
 */

/** Milliseconds since the Unix epoch. `Date.now` is one. */
export type Clock = () => number

/** `length` unpredictable bytes, or predictable ones in a simulation. */
export type RandomBytes = (length: number) => Uint8Array

export interface Timers {
  /**
   * Calls back once, not before `milliseconds` have passed.
   *
   * @returns a function that cancels the call; after the call it does nothing.
   */
  after(milliseconds: number, callback: () => void): () => void
}

export const systemClock: Clock = () => Date.now()

/** Milliseconds since some moment, with fractions, and never going back: for how long something takes. */
export const systemStopwatch: Clock = () => performance.now()

/** In bytes. Longer draws, such as keys, are never pooled. */
const MAX_POOLED = 16
let pool: Uint8Array = new Uint8Array(0)
let drawn = 0

/** Short draws, such as ids, share one call of the machine's generator, and are wiped where they were. */
export const systemRandom: RandomBytes = (length) => {
  if (length > MAX_POOLED) return globalThis.crypto.getRandomValues(new Uint8Array(length))
  if (drawn + length > pool.length) {
    pool = globalThis.crypto.getRandomValues(new Uint8Array(256 * MAX_POOLED))
    drawn = 0
  }
  const bytes = pool.slice(drawn, drawn + length)
  pool.fill(0, drawn, drawn + length)
  drawn += length
  return bytes
}

/** Timers that keep the process alive while they wait. */
export const systemTimers: Timers = {
  after(milliseconds, callback) {
    const handle = setTimeout(callback, milliseconds)
    return () => clearTimeout(handle)
  },
}

/** ISO 8601 in UTC with milliseconds and `Z`: the one spelling of time that we write. */
export function isoTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString()
}

/** The clock as text. Many ask within one millisecond, and are given one text. */
export function isoClock(clock: Clock): () => string {
  let latest = NaN
  let text = ""
  return () => {
    const now = clock()
    if (now !== latest) {
      text = isoTime(now)
      latest = now
    }
    return text
  }
}

const ISO_TIME =
  /^((?:\d{4}|[+-]\d{6})-\d\d-(\d\d))(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(?:Z|([+-]\d\d):?(\d\d))?)?$/i

/**
 * Reads any ISO 8601 instant, AG2's `+00:00` with microseconds included. Without a zone it is UTC, never the machine's
 * own, so that a log reads the same everywhere. What is finer than a millisecond is dropped.
 *
 * Always compare what this returns, never the texts: `Z` and `+00:00` sort differently.
 *
 * @returns milliseconds since the epoch, or `undefined` for what is not a time.
 */
export function parseTime(text: unknown): number | undefined {
  const match = typeof text === "string" ? ISO_TIME.exec(text) : null
  if (match === null) return undefined
  const [, date, day, time = "00:00", offsetHours, offsetMinutes] = match
  // `Date.parse` takes February 30th for March 2nd.
  if (Number(day) > 28 && new Date(`${date}T00:00Z`).getUTCDate() !== Number(day)) return undefined
  const milliseconds = Date.parse(
    `${date}T${time}${offsetHours === undefined ? "Z" : `${offsetHours}:${offsetMinutes}`}`,
  )
  return Number.isNaN(milliseconds) ? undefined : milliseconds
}
