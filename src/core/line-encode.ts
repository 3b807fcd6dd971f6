import { InvalidRecordError, RecordTooLargeError } from "./errors.ts"
import {
  callToJson,
  dateOrErrorText,
  isPlain,
  members,
  readProperty,
  stringForm,
  unbox,
  unreadable,
} from "./line-coerce.ts"
import { CUT_KEY, cutKeys, cutKeysMark, cutString, type Cuts } from "./line-cut.ts"
import { AFTER_STRING, BEFORE_STRING, MAX_REMEMBERED_LENGTH, shapeOf } from "./line-shape.ts"
import { ABANDON_BYTES, isPlainText, MAX_LINE_BYTES, numberText, quote } from "./line-text.ts"

/** Arrays and objects inside one another, and answers of `toJSON`. What lies deeper is replaced by {@link TOO_DEEP}. */
export const MAX_DEPTH = 500

const TOO_DEEP = `"[nested deeper than ${MAX_DEPTH}]"`

/** As in `"": 0, `. */
const MIN_PROPERTY_BYTES = 7

/**
 * The record's line, without its newline: printable ASCII, so its length is its size in bytes.
 *
 * Keys are sorted by code point at every level. What JSON cannot hold is coerced and never refused:
 *
 * - `undefined` properties are left out; in arrays, and as the answer of a `toJSON`, `undefined` is null;
 * - NaN and the infinities are strings, a BigInt is its digits, a boxed primitive what it holds;
 * - a Date is its ISO form or "Invalid Date", an Error its message, whatever `toJSON` they have;
 * - anything else is the answer of its `toJSON(key)`, or else: plain objects and arrays are written as such; the rest
 *   are strings: `Map [["a", 1]]`, `Set [1]`, `[function name]`, `[object ClassName]`, `String(x)`;
 * - a getter, proxy or `toJSON` that throws leaves `[unreadable: message]`;
 * - what lies deeper than {@link MAX_DEPTH} leaves `[nested deeper than 500]`.
 *
 * The record's own `toJSON` is not called: a record is what its enumerable properties say. Symbol keys are ignored.
 * Costs about twice `JSON.stringify` for shapes of objects seen before.
 *
 * @throws InvalidRecordError unless `record` is a plain object without cycles; the message names the cycle's path.
 * @throws RecordTooLargeError above {@link MAX_LINE_BYTES}. Its `bytes` is exact up to 1 MiB, a lower bound beyond.
 */
export function encodeLine(record: object): string {
  const line = writeRecord(record, undefined)
  if (line.length > MAX_LINE_BYTES) throw new RecordTooLargeError(line.length, MAX_LINE_BYTES)
  return line
}

/** The record's line, of whatever length up to {@link ABANDON_BYTES}; with `cuts`, less what they take away. */
export function writeRecord(record: object, cuts: Cuts | undefined): string {
  requirePlain(record)
  return writePlain(record, "", undefined, cuts)
}

function requirePlain(record: unknown): void {
  let what = record === null ? "null" : `a ${typeof record}`
  let cause: unknown
  try {
    if (Array.isArray(record)) what = "an array"
    else if (typeof record === "object" && record !== null && isPlain(record)) return
  } catch (error) {
    cause = error
  }
  throw new InvalidRecordError(`a record must be a plain object; this is ${what}`, { cause })
}

type Key = string | number | undefined

/** An object being written, and the way to it. A linked list; made only for objects that hold objects. */
interface Place {
  readonly value: object
  /** Undefined for what stands for `parent`: its `toJSON` answer, its members. */
  readonly key: Key
  readonly parent: Place | undefined
  readonly depth: number
}

function placeOf(value: object, key: Key, parent: Place | undefined): Place {
  return { value, key, parent, depth: parent === undefined ? 1 : parent.depth + 1 }
}

function writePlain(value: object, key: Key, parent: Place | undefined, cuts: Cuts | undefined): string {
  let keys: string[]
  try {
    keys = Object.keys(value)
  } catch (error) {
    if (parent === undefined) throw new InvalidRecordError("the record cannot be read", { cause: error })
    return writeString(unreadable(error), cuts)
  }
  const limit = cuts === undefined ? ABANDON_BYTES : MAX_LINE_BYTES
  let lost = 0
  if (cuts !== undefined) {
    const kept = cutKeys(keys, parent === undefined, cuts)
    lost = keys.length - kept.length
    keys = kept
  }
  let values = lost > 0 ? keys.map((name) => readProperty(value, name)) : valuesOf(value, keys)
  if (lost > 0) {
    keys = [...keys, CUT_KEY]
    values = [...values, cutKeysMark(lost)]
  }
  if (keys.length * MIN_PROPERTY_BYTES > limit) [keys, values] = onlyDefined(keys, values, limit)
  const { order, between, opening, plain } = shapeOf(keys)
  let place: Place | undefined
  let text = ""
  /** {@link AFTER_STRING} while the quote that ends the last value is still to be written. */
  let open = 0
  for (let i = 0; i < order.length; i++) {
    const at = order[i] ?? 0
    const item = values[at]
    if (item === undefined) continue
    const asIs = typeof item === "string" && cuts === undefined && isAsIs(item, plain, i) ? BEFORE_STRING : 0
    text = text === "" ? (opening[2 * i + asIs] ?? "") : text + (between[4 * i + open + asIs] ?? "")
    if (asIs) text += item as string
    else if (typeof item === "string") text += writeString(item, cuts)
    else if (isObject(item)) {
      text += writeObject(item, keys[at] ?? "", (place ??= placeOf(value, key, parent)), cuts)
    } else text += writeScalar(item, cuts)
    open = asIs ? AFTER_STRING : 0
    if (text.length > limit) abandon(text.length)
  }
  return text === "" ? "{}" : text + (open ? '"}' : "}")
}

/** Whether a text stands in the line as it is. @param plain what was found so before, by place */
function isAsIs(text: string, plain: string[], place: number): boolean {
  if (text === plain[place]) return true
  if (!isPlainText(text)) return false
  if (text.length <= MAX_REMEMBERED_LENGTH) plain[place] = text
  return true
}

/** Spares the sorting of more keys than can fit. */
function onlyDefined(
  keys: readonly string[],
  values: readonly unknown[],
  limit: number,
): [string[], unknown[]] {
  const defined = values.filter((value) => value !== undefined)
  const bytes = defined.length * MIN_PROPERTY_BYTES
  if (bytes > limit) abandon(bytes)
  return [keys.filter((_key, i) => values[i] !== undefined), defined]
}

/** In the order of `keys`. */
function valuesOf(value: object, keys: readonly string[]): unknown[] {
  try {
    const values = Object.values(value)
    // Fewer when a getter has deleted a property that follows.
    if (values.length === keys.length) return values
  } catch {
    // Some getter throws: below, only its own property suffers.
  }
  return keys.map((key) => readProperty(value, key))
}

function writeArray(
  items: readonly unknown[],
  key: Key,
  parent: Place | undefined,
  cuts: Cuts | undefined,
): string {
  const place = placeOf(items, key, parent)
  const limit = cuts === undefined ? ABANDON_BYTES : MAX_LINE_BYTES
  const length = lengthOf(items)
  const kept = cuts === undefined ? length : Math.min(length, cuts.maxItems)
  let text = "["
  for (let i = 0; i < kept; i++) {
    if (i > 0) text += ", "
    text += writeValue(readProperty(items, i), i, place, cuts)
    if (text.length > limit) abandon(text.length)
  }
  if (kept < length) text += `${kept > 0 ? ", " : ""}${quote(`…[cut ${length - kept} items]`)}`
  return text + "]"
}

function lengthOf(items: readonly unknown[]): number {
  const length = readProperty(items, "length")
  return typeof length === "number" ? length : 0
}

function writeValue(value: unknown, key: Key, parent: Place, cuts: Cuts | undefined): string {
  if (typeof value === "string") return writeString(value, cuts)
  return isObject(value) ? writeObject(value, key, parent, cuts) : writeScalar(value, cuts)
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function"
}

function writeString(text: string, cuts: Cuts | undefined): string {
  return quote(cuts === undefined ? text : cutString(text, cuts))
}

function writeScalar(value: unknown, cuts: Cuts | undefined): string {
  switch (typeof value) {
    case "number":
      return numberText(value)
    case "boolean":
      return value ? "true" : "false"
    case "bigint":
      return writeBigInt(value, cuts)
    case "symbol":
      return writeString(stringForm(value), cuts)
    default:
      return "null"
  }
}

/** The digits; when they cannot fit, and are to be cut, a string that starts with them in hexadecimal. */
function writeBigInt(value: bigint, cuts: Cuts | undefined): string {
  if (BigInt.asIntN(64, value) === value) return String(value)
  // Decimal digits take more than linear time.
  const hexadecimal = value.toString(16)
  if (hexadecimal.length <= MAX_LINE_BYTES) {
    const decimal = String(value)
    return cuts === undefined || cutString(decimal, cuts) === decimal ? decimal : writeString(decimal, cuts)
  }
  return cuts === undefined ? abandon(hexadecimal.length) : writeString(`0x${hexadecimal}`, cuts)
}

function writeObject(value: object, key: Key, parent: Place, cuts: Cuts | undefined): string {
  for (let above: Place | undefined = parent; above !== undefined; above = above.parent) {
    if (above.value === value) throw cycleError(above, key, parent)
  }
  if (parent.depth >= MAX_DEPTH) return TOO_DEEP
  let kind: "array" | "plain" | "other"
  try {
    kind = Array.isArray(value) ? "array" : isPlain(value) ? "plain" : "other"
  } catch (error) {
    return writeString(unreadable(error), cuts)
  }
  if (kind === "other") {
    const text = dateOrErrorText(value)
    if (text !== undefined) return writeString(text, cuts)
  }
  const answer = callToJson(value, String(key ?? ""))
  if (answer !== value) return writeValue(answer, undefined, placeOf(value, key, parent), cuts)
  if (kind === "plain") return writePlain(value, key, parent, cuts)
  if (kind === "array") return writeArray(value as readonly unknown[], key, parent, cuts)
  return writeOther(value, key, parent, cuts)
}

function writeOther(value: object, key: Key, parent: Place, cuts: Cuts | undefined): string {
  const boxed = unbox(value)
  if (boxed !== undefined) return writeValue(boxed, key, parent, cuts)
  const held = members(value)
  if (held === undefined) return writeString(stringForm(value), cuts)
  return writeString(
    `${held.name} ${writeArray(held.items, undefined, placeOf(value, key, parent), cuts)}`,
    cuts,
  )
}

function abandon(bytes: number): never {
  throw new RecordTooLargeError(bytes, MAX_LINE_BYTES)
}

function cycleError(target: Place, key: Key, parent: Place): InvalidRecordError {
  const from = pathOf(key, parent)
  const to = target.parent === undefined ? "the record itself" : pathOf(target.key, target.parent)
  return new InvalidRecordError(`the record contains a cycle: ${from} is ${to}`)
}

/** Such as `detail.parties[0]`. */
function pathOf(key: Key, parent: Place): string {
  const steps = [key]
  for (let place = parent; place.parent !== undefined; place = place.parent) steps.unshift(place.key)
  return steps
    .filter((step) => step !== undefined)
    .map((step, i) => (typeof step === "number" ? `[${step}]` : i === 0 ? step : `.${step}`))
    .join("")
}
