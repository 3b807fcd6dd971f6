import type { LogFilter } from "../types.ts"
import type { Fields } from "./fields.ts"
import type { Plan } from "./select.ts"

/**
 * Bytes one of which stands in every line that a filter lets through. Lines without any need not be parsed; of those
 * that have one, each is. `undefined`: nothing is known of the lines.
 */
export type Needles = readonly Buffer[] | undefined

/** JSON can write any character as an escape: a line with a backslash may hold any text. */
const BACKSLASH = Buffer.from("\\")

/** The needles of the condition that the fewest lines can meet, as far as that can be guessed: the longest. */
export function needlesOf(plan: Plan, filter: LogFilter, fields: Fields): Needles {
  // Half a surrogate pair stands in no UTF-8, but may in a line's text.
  if (plan.texts.length > 0 && plan.texts.every((text) => text.isWellFormed())) {
    return plan.texts.map((text) => Buffer.from(text))
  }
  const choices = plan.conditions.map(({ any }) => any)
  for (const [key, value] of Object.entries(filter.where ?? {})) {
    if (typeof value === "string" && fields.columnOfKey(key) === undefined) choices.push([value])
  }
  const longest = choices
    .filter((any) => any.length > 0)
    .toSorted((a, b) => shortest(b) - shortest(a))
    .at(0)
  if (longest === undefined) return undefined
  return [...longest.map((text) => Buffer.from(`"${text}"`)), BACKSLASH]
}

function shortest(any: readonly string[]): number {
  return any.reduce((least, { length }) => Math.min(least, length), Infinity)
}

/** Where the lines lie in `bytes` that hold a needle: `[start, end)` of each, without its newline, ascending. */
export function* linesWith(bytes: Buffer, needles: readonly Buffer[]): Generator<[number, number]> {
  const next = needles.map((needle) => position(bytes, needle, 0))
  for (;;) {
    const at = Math.min(...next)
    if (at === Infinity) return
    const start = at === 0 ? 0 : bytes.lastIndexOf(NEWLINE, at - 1) + 1
    const end = bytes.indexOf(NEWLINE, at)
    if (end === -1) return
    yield [start, end]
    for (let i = 0; i < needles.length; i++) {
      const needle = needles[i]
      if (needle !== undefined && (next[i] ?? Infinity) <= end) next[i] = position(bytes, needle, end + 1)
    }
  }
}

const NEWLINE = 0x0a

function position(bytes: Buffer, needle: Buffer, from: number): number {
  const at = bytes.indexOf(needle, from)
  return at === -1 ? Infinity : at
}
