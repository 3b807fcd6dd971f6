import { InvalidInputError } from "../core/errors.ts"
import { utf8 } from "../core/bytes.ts"
import { MAX_NAME_BYTES, MAX_PATH_BYTES, RESERVED_NAME } from "./contract.ts"

/**
 * The one spelling of a path: `/a/b`; `/` for the root.
 *
 * @throws InvalidInputError for whatever {@link KnowledgeStore} says is no path.
 */
export function normalisePath(path: string): string {
  if (path.includes("\0")) throw refused(path, "holds a NUL")
  // Both halves would become U+FFFD on their way to UTF-8, and two paths one file.
  if (!path.isWellFormed()) throw refused(path, "holds half a surrogate pair")
  const segments = path.split("/").filter((segment) => segment !== "")
  for (const segment of segments) {
    if (segment === "." || segment === "..") throw refused(path, `has a segment ${JSON.stringify(segment)}`)
    if (isLonger(segment, MAX_NAME_BYTES)) {
      throw refused(path, `has a segment of more than ${MAX_NAME_BYTES} bytes`)
    }
  }
  if (isReserved(segments[0] ?? ""))
    throw refused(path, `begins with ${RESERVED_NAME}, a name kept for stores`)
  const normal = `/${segments.join("/")}`
  if (isLonger(normal, MAX_PATH_BYTES)) throw refused(path, `is longer than ${MAX_PATH_BYTES} bytes`)
  return normal
}

/** The same, for a path that must name a file. */
export function normaliseFilePath(path: string): string {
  const normal = normalisePath(path)
  if (normal === "/") throw refused(path, "names the root, not a file")
  return normal
}

/** Whether `path` is `parent` or lies under it. Both are normal. */
export function isAtOrUnder(path: string, parent: string): boolean {
  return parent === "/" || path === parent || path.startsWith(`${parent}/`)
}

/** The directory that a normal path lies in; `/` for `/` itself. */
export function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/"
}

/** `name` inside the directory `parent`. */
export function childOf(parent: string, name: string): string {
  return parent === "/" ? `/${name}` : `${parent}/${name}`
}

/** Without regard to case: some file systems have none, and there `.Hansard` would be our own folder. */
export function isReserved(topLevelName: string): boolean {
  return topLevelName.slice(0, RESERVED_NAME.length).toLowerCase() === RESERVED_NAME
}

/** @throws InvalidInputError unless `value` is a whole number of bytes. */
export function checkBytes(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new InvalidInputError(`${name} is ${value}; it must be a whole number of bytes, 0 or more`)
  }
}

/** Encodes only what could be too long: a UTF-16 unit takes three bytes at most. */
function isLonger(text: string, bytes: number): boolean {
  return text.length * 3 > bytes && (text.length > bytes || utf8(text).length > bytes)
}

function refused(path: string, why: string): InvalidInputError {
  return new InvalidInputError(`the path ${JSON.stringify(path.slice(0, 60))} ${why}`)
}
