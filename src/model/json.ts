/** What JSON can hold. Objects are snake_case exactly as stored or sent. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject
export interface JsonObject {
  readonly [key: string]: JsonValue
}

/** A string that is one of `Known`, or any other: open sets keep their completions. */
export type Open<Known extends string> = Known | (string & Record<never, never>)

/** The value if it is an object of JSON. */
export function parseObject(value: unknown): JsonObject | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as JsonObject)
    : undefined
}

/** Whether two values are the same JSON, whatever the order of their keys. */
export function sameJson(a: JsonValue, b: JsonValue): boolean {
  if (a === b) return true
  if (Array.isArray(a) && Array.isArray(b)) {
    return (
      a.length === b.length && a.every((one: JsonValue, i) => sameJson(one, (b as JsonValue[])[i] ?? null))
    )
  }
  const [left, right] = [parseObject(a), parseObject(b)]
  if (left === undefined || right === undefined) return false
  const keys = Object.keys(left)
  return (
    keys.length === Object.keys(right).length &&
    keys.every((key) => Object.hasOwn(right, key) && sameJson(left[key] ?? null, right[key] ?? null))
  )
}
