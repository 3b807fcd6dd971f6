/** What may be taken from a record to make its line fit. `line-fit.ts` chooses how much. */
export interface Cuts {
  /** In UTF-16 units, the mark not counted. */
  readonly maxString: number
  /** Of an array or an object; the record's `at` and `kind` come on top. */
  readonly maxItems: number
  /** In UTF-16 units. A longer key is dropped with its value: two cut keys could be the same. */
  readonly maxKey: number
}

/** The property that tells of dropped ones, and replaces a property of that name. It is U+2026, as in the other marks. */
export const CUT_KEY = "…"

/** Never dropped. */
const RECORD_KEYS = ["at", "kind"]

/**
 * No mark takes more bytes: the number of characters in a string has at most nine digits. A string is cut only where
 * more than this is saved, so that a tighter cut never makes a line longer.
 */
const MARK_BYTES = String.raw`\u2026[cut 123456789 characters]`.length

/** A start of `text` that never ends within a surrogate pair, and how many UTF-16 units followed. */
export function cutString(text: string, { maxString }: Cuts): string {
  if (text.length <= maxString + MARK_BYTES) return text
  const kept = isHighSurrogate(text.charCodeAt(maxString - 1)) ? maxString - 1 : maxString
  return `${text.slice(0, kept)}…[cut ${text.length - kept} characters]`
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff
}

/** The keys that stay; they are `keys` itself when all do. The first ones, in the object's own order. */
export function cutKeys(keys: string[], isRecord: boolean, { maxItems, maxKey }: Cuts): string[] {
  if (keys.length <= maxItems && keys.every((key) => key.length <= maxKey)) return keys
  const kept = isRecord ? RECORD_KEYS.filter((key) => keys.includes(key)) : []
  const most = kept.length + maxItems
  for (const key of keys) {
    if (kept.length >= most) break
    if (key.length <= maxKey && key !== CUT_KEY && !(isRecord && RECORD_KEYS.includes(key))) kept.push(key)
  }
  // `at` and `kind` come on top, so that all may stay after all: then in the object's own order, which values have too.
  return kept.length === keys.length ? keys : kept
}

/** The value of {@link CUT_KEY}. */
export function cutKeysMark(lost: number): string {
  return `[cut ${lost} keys]`
}
