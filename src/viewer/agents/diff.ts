/** What differs between two values, leaf by leaf. Pure. */

export interface Difference {
  /** `limits.inbox.max_pending`. */
  readonly path: string
  readonly before: unknown
  readonly after: unknown
}

/** In the order of `after`, then what only `before` has. Lists are compared as a whole. */
export function differences(before: unknown, after: unknown, path = ""): Difference[] {
  if (!isObject(before) || !isObject(after)) {
    return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ path, before, after }]
  }
  const keys = new Set([...Object.keys(after), ...Object.keys(before)])
  return [...keys].flatMap((key) =>
    differences(before[key], after[key], path === "" ? key : `${path}.${key}`),
  )
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
