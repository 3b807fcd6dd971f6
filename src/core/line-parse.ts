import { InvalidInputError } from "./errors.ts"

/**
 * The record in a line, with or without its newline. Python's bare `NaN`, `Infinity` and `-Infinity` become the
 * strings that `encodeLine` writes for them.
 *
 * Integers beyond 2^53 lose precision, as in any `JSON.parse`: nothing may be verified by writing a parsed record
 * again. A key `__proto__` becomes an ordinary property.
 *
 * @throws InvalidInputError for text that is not JSON, or not an object.
 */
export function parseLine(line: string): Readonly<Record<string, unknown>> {
  return parse(line, undefined)
}

/**
 * Like {@link parseLine}, but integers beyond 2^53 become BigInts, which `encodeLine` writes in full: for records that
 * come to us as text, so that a 64-bit id is recorded as it was sent. Slower only for text with such an integer.
 *
 * In a browser without `JSON.parse` source access (before Safari 18.4, Firefox 135) it is `parseLine`.
 */
export function parseRecord(text: string): Readonly<Record<string, unknown>> {
  return parse(text, /\d{16}/.test(text) ? reviveInteger : undefined)
}

/** The third argument is newer than the compiler's library. */
type Reviver = (key: string, value: unknown, context?: { readonly source?: string }) => unknown

const reviveInteger: Reviver = (_key, value, context) => {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value
  const source = context?.source
  return source !== undefined && /^-?\d+$/.test(source) ? BigInt(source) : value
}

function parse(text: string, reviver: Reviver | undefined): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = parseJson(text, reviver)
  } catch (error) {
    value = parsePython(text, reviver, error)
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InvalidInputError("a line must hold one JSON object")
  }
  return value as Readonly<Record<string, unknown>>
}

/** A whole string, passed over, or one of Python's tokens where a value may stand. */
const STRING_OR_TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|(?:NaN|-?Infinity)(?=\s*[,\]}])/g

function parsePython(text: string, reviver: Reviver | undefined, cause: unknown): unknown {
  try {
    return parseJson(
      text.replace(STRING_OR_TOKEN, (match) => (match.startsWith('"') ? match : `"${match}"`)),
      reviver,
    )
  } catch {
    throw new InvalidInputError("a line must be JSON", { cause })
  }
}

/**
 * `JSON.parse`, but right about keys with escapes.
 *
 * V8 (Node 24 and 26, https://github.com/nodejs/node/issues/63785) compares such a key, still escaped, with keys of
 * earlier objects: after `{"p":[],"\\\\":0}` was parsed anywhere in the process, `{"p":1,"\\n":2}` gives the key `\\`. A
 * sender of one record could so rename what is read of another.
 */
function parseJson(text: string, reviver: Reviver | undefined): unknown {
  return hasEscapedKey(text) ? parseNumberedKeys(text, reviver) : JSON.parse(text, reviver)
}

const QUOTE = 0x22
const BACKSLASH = 0x5c

/**
 * Many lines at once: `[`, the lines with commas between, `]`. Faster than line by line.
 *
 * `undefined` when it is not certain that this gives what {@link parseLine} gives for each line; then parse each. It is
 * certain when the whole is an array of as many objects as there are lines, each line begins with `{` and ends with `}`,
 * and in no line `}`, a comma and `{` follow one another, with space between or without. For then no comma inside a line
 * can be one between two elements, so all commas that we put in are; whatever is in a line, it cannot reach into its neighbour.
 *
 * @param ends where each line ends in `joined`: there stands our comma, or at the end our bracket
 */
export function parseJoinedLines(
  joined: string,
  ends: readonly number[],
): Readonly<Record<string, unknown>>[] | undefined {
  if (!isJoinedByUsAlone(joined, ends) || hasEscapedKey(joined)) return undefined
  let values: unknown
  try {
    values = JSON.parse(joined)
  } catch {
    return undefined
  }
  if (!Array.isArray(values) || values.length !== ends.length) return undefined
  for (const value of values as unknown[]) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined
  }
  return values as Readonly<Record<string, unknown>>[]
}

const OPEN = 0x7b
const COMMA = 0x2c

/** Whether each line is closed by `}`, the next opened by `{`, and no `}` within may be followed by a comma and `{`. */
function isJoinedByUsAlone(joined: string, ends: readonly number[]): boolean {
  if (joined.charCodeAt(1) !== OPEN || ends.at(-1) !== joined.length - 1) return false
  let n = 0
  for (let at = joined.indexOf("}"); at !== -1; at = joined.indexOf("}", at + 1)) {
    const after = joined.charCodeAt(at + 1)
    if (at + 1 === ends[n]) {
      if (++n < ends.length && joined.charCodeAt(at + 2) !== OPEN) return false
      continue
    }
    // We write no space there: a line that has some is looked at alone.
    if (isSpace(after)) return false
    if (after !== COMMA) continue
    const next = joined.charCodeAt(at + 2)
    if (next === OPEN || (isSpace(next) && opensAfterSpace(joined.charCodeAt(at + 3)))) return false
  }
  return n === ends.length
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0d
}

/** More space may be followed by anything. */
function opensAfterSpace(code: number): boolean {
  return code === OPEN || isSpace(code)
}

/** Jumps from one string with an escape to the next. In JSON a backslash stands only in strings. */
function hasEscapedKey(text: string): boolean {
  for (let at = text.indexOf("\\"); at !== -1; at = text.indexOf("\\", at)) {
    for (; at < text.length && text.charCodeAt(at) !== QUOTE; at++) {
      if (text.charCodeAt(at) === BACKSLASH) at += 1
    }
    at += 1
    if (/^\s*(?::|$)/.test(text.slice(at, at + 8))) return true
  }
  return false
}

const STRING_OR_KEY = /("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?/g

/** Parses with the number of each key instead of the key, and then puts the keys back. */
function parseNumberedKeys(text: string, reviver: Reviver | undefined): unknown {
  const keys: string[] = []
  const numbered = text.replace(STRING_OR_KEY, (whole: string, key: string, colon: string | undefined) =>
    colon === undefined ? whole : `"${keys.push(JSON.parse(key) as string) - 1}":`,
  )
  return putBack(JSON.parse(numbered, reviver), keys)
}

function putBack(value: unknown, keys: readonly string[]): unknown {
  if (typeof value !== "object" || value === null) return value
  if (Array.isArray(value)) return value.map((item) => putBack(item, keys))
  // Not by assignment: that would set the prototype for a key `__proto__`.
  return Object.fromEntries(
    Object.entries(value).map(([number, item]) => [keys[Number(number)] ?? "", putBack(item, keys)]),
  )
}
