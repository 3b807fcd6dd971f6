import { InvalidInputError } from "../core/errors.ts"

/** Seconds as a number, or a text: `"30s"`, `"15m"`, `"2h"`, `"1d"`, `"90"`, `""` (0). Zero and less mean "never". */
export type Duration = number | string

const UNIT_SECONDS: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3600, d: 86_400 }

/**
 * In seconds.
 *
 * @throws InvalidInputError for anything else, fractions in texts included.
 */
export function parseDuration(duration: Duration): number {
  if (typeof duration === "number" && Number.isFinite(duration)) return duration
  const match = typeof duration === "string" ? /^(?:([+-]?\d+)\s*([smhd]?))?$/.exec(duration.trim()) : null
  const seconds = match === null ? NaN : Number(match[1] ?? 0) * (UNIT_SECONDS[match[2] ?? ""] ?? NaN)
  if (!Number.isSafeInteger(seconds)) {
    const shown = typeof duration === "string" ? JSON.stringify(duration) : String(duration)
    throw new InvalidInputError(`${shown} is not a duration such as 90, "30s", "15m", "2h" or "1d"`)
  }
  return seconds
}
