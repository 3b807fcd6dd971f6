import { InvalidInputError } from "../core/errors.ts"
import { utf8 } from "../core/bytes.ts"
import { MAX_PATH_BYTES } from "./contract.ts"

/**
 * The one spelling of a path: `/a/b`; `/` for the root.
 *
 * @throws InvalidInputError for `.` and `..`, for NUL, and for paths that are too long.
 */
export function normalisePath(path: string): string {
  if (path.includes("\0")) throw refused(path, "holds a NUL")
  const segments = path.split("/").filter((segment) => segment !== "")
  for (const segment of segments) {
    if (segment === "." || segment === "..") throw refused(path, `has a segment ${JSON.stringify(segment)}`)
  }
  const normal = `/${segments.join("/")}`
  if (normal.length > MAX_PATH_BYTES || utf8(normal).length > MAX_PATH_BYTES) {
    throw refused(path.slice(0, 60), `is longer than ${MAX_PATH_BYTES} bytes`)
  }
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

function refused(path: string, why: string): InvalidInputError {
  return new InvalidInputError(`the path ${JSON.stringify(path)} ${why}`)
}
