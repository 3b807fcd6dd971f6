import { InvalidInputError } from "../core/errors.ts"
import type { JsonObject, JsonValue } from "../model/index.ts"

/** Arrays and objects inside one another. */
export const MAX_JSON_DEPTH = 64

/** Of one value from outside, in UTF-16 units of its keys and strings plus one for each node. */
export const MAX_JSON_SIZE = 1_048_576

/**
 * A frozen copy of what JSON can hold. Properties that are `undefined` are left out.
 *
 * Whatever else is refused rather than coerced: what is stored must read back as what was given.
 *
 * @param what names the value in the error.
 * @throws InvalidInputError for everything that is not plain JSON, too deep or too large.
 */
export function copyJson(value: unknown, what: string): JsonValue {
  return copy(value, { what, left: MAX_JSON_SIZE }, 0)
}

/** The same, for an object. */
export function copyObject(value: unknown, what: string): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InvalidInputError(`${what} must be an object`)
  }
  return copyJson(value, what) as JsonObject
}

interface Budget {
  readonly what: string
  left: number
}

function copy(value: unknown, budget: Budget, depth: number): JsonValue {
  spend(budget, typeof value === "string" ? value.length + 1 : 1)
  switch (typeof value) {
    case "string":
    case "boolean":
      return value
    case "number":
      if (!Number.isFinite(value)) throw refused(budget, String(value))
      return value
    case "object":
      break
    default:
      throw refused(budget, `a ${typeof value}`)
  }
  if (value === null) return null
  if (depth >= MAX_JSON_DEPTH) {
    throw new InvalidInputError(`${budget.what} is nested deeper than ${MAX_JSON_DEPTH}`)
  }
  if (Array.isArray(value)) {
    // Not `map`, which passes over holes.
    return Object.freeze(Array.from(value, (item: unknown) => copy(item, budget, depth + 1)))
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null)
    throw refused(budget, "a class instance")
  if ("toJSON" in value && typeof value.toJSON === "function") throw refused(budget, "an object with toJSON")
  const result: Record<string, JsonValue> = {}
  for (const [key, item] of Object.entries(value as Record<string, unknown>)) {
    if (item === undefined) continue
    spend(budget, key.length)
    const copied = copy(item, budget, depth + 1)
    if (key === "__proto__") Object.defineProperty(result, key, { value: copied, enumerable: true })
    else result[key] = copied
  }
  return Object.freeze(result)
}

function spend(budget: Budget, size: number): void {
  budget.left -= size
  if (budget.left < 0)
    throw new InvalidInputError(`${budget.what} is larger than ${MAX_JSON_SIZE} characters`)
}

function refused(budget: Budget, found: string): InvalidInputError {
  return new InvalidInputError(`${budget.what} must be plain JSON; it holds ${found}`)
}

/** Freezes plain data in place, all the way down. What is frozen already is taken to be so all the way. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const item of Object.values(value)) if (typeof item === "object") deepFreeze(item)
  }
  return value
}

/** What of `stored` a newer version wrote and this one does not know: kept when the file is written again. */
export function unknownFields(stored: JsonObject, known: object): JsonObject {
  return Object.fromEntries(Object.entries(stored).filter(([key]) => !Object.hasOwn(known, key)))
}
