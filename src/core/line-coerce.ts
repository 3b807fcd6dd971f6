/**
 * What stands in a line for a value that JSON cannot hold: `default=str`, in JavaScript's terms.
 *
 * Each function here runs the caller's code (getters, `toJSON`, `toString`, proxy traps) and none of them throws.
 */

/** For a failed getter, `toJSON` or proxy: the record is kept, and says what went wrong. */
export function unreadable(error: unknown): string {
  try {
    return `[unreadable: ${error instanceof Error ? error.message : String(error)}]`
  } catch {
    return "[unreadable]"
  }
}

export function readProperty(from: object, key: string | number): unknown {
  try {
    return (from as Record<string | number, unknown>)[key]
  } catch (error) {
    return unreadable(error)
  }
}

/** Is it an object literal's kind of object, of this realm or another? May throw for a proxy. */
export function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return true
  // Another realm's Object.prototype: an iframe, a worker's vm context.
  return (
    typeof prototype === "object" &&
    Object.getPrototypeOf(prototype) === null &&
    Object.hasOwn(prototype, "isPrototypeOf")
  )
}

/**
 * The text of a Date or an Error, which have one whatever `toJSON` they carry.
 *
 * An Error's message and nothing else: stacks and the `toJSON` of HTTP errors hold paths and secrets.
 */
export function dateOrErrorText(value: object): string | undefined {
  try {
    if (value instanceof Date) {
      return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString()
    }
    if (value instanceof Error || Object.prototype.toString.call(value) === "[object Error]") {
      return String((value as Error).message)
    }
    return undefined
  } catch (error) {
    return unreadable(error)
  }
}

/** What `toJSON` answers; the value itself when it has none, or when that is the answer. */
export function callToJson(value: object, key: string): unknown {
  try {
    const { toJSON } = value as { readonly toJSON?: unknown }
    return typeof toJSON === "function" ? Reflect.apply(toJSON, value, [key]) : value
  } catch (error) {
    return unreadable(error)
  }
}

/** What a boxed primitive holds, else undefined. */
export function unbox(value: object): unknown {
  try {
    return value instanceof Number ||
      value instanceof String ||
      value instanceof Boolean ||
      value instanceof BigInt ||
      value instanceof Symbol
      ? value.valueOf()
      : undefined
  } catch (error) {
    return unreadable(error)
  }
}

/** The members of a Map or a Set, to be written after the name; undefined for anything else. */
export function members(value: object): { readonly name: string; readonly items: unknown[] } | undefined {
  try {
    if (value instanceof Map) return { name: "Map", items: [...value] }
    if (value instanceof Set) return { name: "Set", items: [...value] }
    return undefined
  } catch (error) {
    return { name: "Map or Set", items: [unreadable(error)] }
  }
}

/** Of a function, only its name: source text is long and may hold secrets. */
export function stringForm(value: object | symbol): string {
  try {
    if (typeof value === "function") return `[function ${String(value.name) || "anonymous"}]`
    const text = String(value)
    return text === "[object Object]" ? `[object ${value.constructor.name}]` : text
  } catch {
    return "[object]"
  }
}
