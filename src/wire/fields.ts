import { InvalidInputError } from "../core/errors.ts"
import type { JsonObject } from "../model/json.ts"

/**
 * Reads the outermost fields of what came over the wire. `null` and a missing field are the same. Fields that nobody asks
 * for are passed over: a newer client may send them.
 *
 * What lies deeper (a passport, a rule, an envelope) is read by the hub, whose it is.
 *
 * @throws InvalidInputError that names the field.
 */
export class WireFields {
  readonly #values: JsonObject
  readonly #what: string

  constructor(values: JsonObject, what: string) {
    this.#values = values
    this.#what = what
  }

  text(key: string): string {
    return this.textOr(key, undefined) ?? this.#refuse(key, "text")
  }

  textOr<Missing>(key: string, missing: Missing): string | Missing {
    const value = this.#values[key] ?? null
    if (value === null) return missing
    return typeof value === "string" ? value : this.#refuse(key, "text")
  }

  texts(key: string): readonly string[] {
    const value = this.#values[key]
    return Array.isArray(value) && value.every((item) => typeof item === "string")
      ? (value as readonly string[])
      : this.#refuse(key, "a list of texts")
  }

  flag(key: string): boolean {
    const value = this.#values[key]
    return typeof value === "boolean" ? value : this.#refuse(key, "true or false")
  }

  /** A whole number from 0. */
  countOr<Missing>(key: string, missing: Missing): number | Missing {
    const value = this.#values[key] ?? null
    if (value === null) return missing
    return typeof value === "number" && Number.isSafeInteger(value) && value >= 0
      ? value
      : this.#refuse(key, "a whole number from 0")
  }

  numberOr<Missing>(key: string, missing: Missing): number | Missing {
    const value = this.#values[key] ?? null
    if (value === null) return missing
    return typeof value === "number" ? value : this.#refuse(key, "a number")
  }

  object(key: string): JsonObject {
    return this.objectOr(key, undefined) ?? this.#refuse(key, "an object")
  }

  objectOr<Missing>(key: string, missing: Missing): JsonObject | Missing {
    const value = this.#values[key] ?? null
    if (value === null) return missing
    return typeof value === "object" && !Array.isArray(value)
      ? (value as JsonObject)
      : this.#refuse(key, "an object")
  }

  oneOf<T extends string>(key: string, options: readonly T[]): T {
    return this.oneOfOr(key, options, undefined) ?? this.#refuse(key, `one of ${options.join(", ")}`)
  }

  oneOfOr<T extends string, Missing>(key: string, options: readonly T[], missing: Missing): T | Missing {
    const value = this.#values[key] ?? null
    if (value === null) return missing
    return options.find((option) => option === value) ?? this.#refuse(key, `one of ${options.join(", ")}`)
  }

  #refuse(key: string, wanted: string): never {
    const value = this.#values[key]
    const found = value === undefined ? "missing" : JSON.stringify(value).slice(0, 60)
    throw new InvalidInputError(`${this.#what}.${key} must be ${wanted}; it is ${found}`)
  }
}
