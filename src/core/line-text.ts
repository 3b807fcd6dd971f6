/** How CPython's `json.dumps` spells strings and numbers, and how it orders keys. */
import { RecordTooLargeError } from "./errors.ts"

/** Of a line without its newline: the entry limit of tlog-tiles. */
export const MAX_LINE_BYTES = 65_535

/** Writing stops here, so that no record, however large or self-similar, can exhaust memory. */
export const ABANDON_BYTES = 1_048_576

// Anchored at both ends: twice as fast in V8 as looking for the first character that is not plain.
const PLAIN = /^[ !#-[\]-~]*$/
const PRINTABLE = /^[ -~]*$/
const BELOW_SURROGATES = /^[\0-\ud7ff]*$/

/** Whether `text` stands in a line as it is. */
export function isPlainText(text: string): boolean {
  return text.length <= ABANDON_BYTES && PLAIN.test(text)
}

/**
 * `text` in double quotes; all but printable ASCII escaped, surrogates one by one.
 *
 * @throws RecordTooLargeError above {@link ABANDON_BYTES}.
 */
export function quote(text: string): string {
  if (text.length > ABANDON_BYTES) throw new RecordTooLargeError(text.length, MAX_LINE_BYTES)
  if (PLAIN.test(text)) return `"${text}"`
  // Escapes quotes, backslashes, controls and lone surrogates just as CPython does; the rest is left to us.
  const quoted = JSON.stringify(text)
  return PRINTABLE.test(quoted) ? quoted : escapeRest(quoted)
}

const LOW_BYTE = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))
const HIGH_BYTE = LOW_BYTE.map((byte) => `\\u${byte}`)

function escapeRest(quoted: string): string {
  let text = ""
  let start = 0
  for (let i = 0; i < quoted.length; i++) {
    const unit = quoted.charCodeAt(i)
    if (unit < 0x7f) continue
    if (start < i) text += quoted.slice(start, i)
    text += HIGH_BYTE[unit >> 8]
    text += LOW_BYTE[unit & 0xff]
    start = i + 1
  }
  return text + quoted.slice(start)
}

/**
 * A safe integer in full, any other finite number as CPython's `repr(float)`: 1e16 is `1e+16`, 2^53 is
 * `9007199254740992.0`. NaN and the infinities become strings.
 */
export function numberText(value: number): string {
  if (Number.isSafeInteger(value)) return String(value)
  if (!Number.isFinite(value)) return `"${value}"`
  const magnitude = Math.abs(value)
  const text = String(value)
  // JavaScript switches to exponents at 1e-6 and 1e21, CPython at 1e-4 and 1e16.
  if (magnitude < 1e-4) return smallText(value)
  if (magnitude < 1e16) return Number.isInteger(value) ? `${text}.0` : text
  return magnitude < 1e21 ? value.toExponential() : text
}

function smallText(value: number): string {
  const [digits = "", exponent = ""] = value.toExponential().split("e-")
  return `${digits}e-${exponent.padStart(2, "0")}`
}

/** A sorted copy, by Unicode code point. */
export function sortedByCodePoint(keys: readonly string[]): string[] {
  // UTF-16 units and code points agree below the surrogates.
  return keys.every((key) => BELOW_SURROGATES.test(key)) ? keys.toSorted() : keys.toSorted(compareCodePoints)
}

function compareCodePoints(a: string, b: string): number {
  for (let at = 0; ; at++) {
    const left = a.codePointAt(at) ?? -1
    const right = b.codePointAt(at) ?? -1
    if (left !== right) return left - right
    if (left === -1) return 0
  }
}
