import { InvalidInputError } from "../core/errors.ts"
import { parseTime } from "../core/system.ts"
import type { JsonObject, JsonValue } from "../model/index.ts"

/**
 * Reads the fields of an object that came from outside or from a file.
 *
 * A field that is missing takes the given default; one without a default must be there. Fields that nobody asks for
 * are passed over: a newer version may have written them.
 *
 * @throws InvalidInputError that names the field.
 */
export class Fields {
  readonly #values: Readonly<Record<string, unknown>>
  readonly #what: string

  constructor(value: unknown, what: string) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new InvalidInputError(`${what} must be an object`)
    }
    this.#values = value as Readonly<Record<string, unknown>>
    this.#what = what
  }

  text(key: string, missing?: string): string {
    const value = this.#values[key] ?? missing
    if (typeof value !== "string") throw this.#wrong(key, "text")
    return value
  }

  /** Text that names something: not empty. */
  id(key: string): string {
    const value = this.#values[key]
    if (typeof value !== "string" || value === "") throw this.#wrong(key, "text that is not empty")
    return value
  }

  textOrNull(key: string): string | null {
    const value = this.#values[key] ?? null
    if (value !== null && typeof value !== "string") throw this.#wrong(key, "text or null")
    return value
  }

  /** An instant in ISO 8601, kept as it was written. */
  timeOrNull(key: string): string | null {
    const value = this.textOrNull(key)
    if (value === null || value === "") return null
    if (parseTime(value) === undefined) throw this.#wrong(key, "a time in ISO 8601")
    return value
  }

  oneOf<T extends string>(key: string, options: readonly T[], missing?: T): T {
    const value = this.#values[key] ?? missing
    const found = options.find((option) => option === value)
    if (found === undefined) throw this.#wrong(key, `one of ${options.join(", ")}`)
    return found
  }

  number(key: string, missing?: number): number {
    const value = this.#values[key] ?? missing
    if (typeof value !== "number" || !Number.isFinite(value)) throw this.#wrong(key, "a number")
    return value
  }

  numberOrNull(key: string): number | null {
    return (this.#values[key] ?? null) === null ? null : this.number(key)
  }

  whole(key: string, missing?: number): number {
    const value = this.number(key, missing)
    if (!Number.isSafeInteger(value)) throw this.#wrong(key, "a whole number")
    return value
  }

  texts(key: string, missing?: readonly string[]): readonly string[] {
    const value = this.#values[key] ?? missing
    if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) {
      throw this.#wrong(key, "a list of texts")
    }
    return value as readonly string[]
  }

  textsOrNull(key: string): readonly string[] | null {
    return (this.#values[key] ?? null) === null ? null : this.texts(key)
  }

  textMap(key: string): Readonly<Record<string, string>> {
    const value = this.object(key, {})
    if (!Object.values(value).every((item) => typeof item === "string"))
      throw this.#wrong(key, "a map of texts")
    return value as Readonly<Record<string, string>>
  }

  list(key: string, missing?: readonly unknown[]): readonly unknown[] {
    const value = this.#values[key] ?? missing
    if (!Array.isArray(value)) throw this.#wrong(key, "a list")
    return value as readonly unknown[]
  }

  object(key: string, missing?: JsonObject): JsonObject {
    const value = this.#values[key] ?? missing
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw this.#wrong(key, "an object")
    return value as JsonObject
  }

  json(key: string): JsonValue {
    return (this.#values[key] ?? null) as JsonValue
  }

  /** The fields of an object inside this one; every field is missing when the object is. */
  inside(key: string): Fields {
    return new Fields(this.#values[key] ?? {}, `${this.#what}.${key}`)
  }

  #wrong(key: string, wanted: string): InvalidInputError {
    const value = this.#values[key]
    const found = value === undefined ? "missing" : `${JSON.stringify(value)?.slice(0, 60) ?? typeof value}`
    return new InvalidInputError(`${this.#what}.${key} must be ${wanted}; it is ${found}`)
  }
}
