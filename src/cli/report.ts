import { CommanderError } from "commander"
import { HansardError, InvalidInputError, StoreUnavailableError, TamperedError } from "../core/errors.ts"
import { visible } from "./colours.ts"
import type { Output } from "./output.ts"

export const OK = 0
export const VERIFICATION_FAILED = 1
export const USAGE_OR_ENVIRONMENT = 2

interface Told {
  readonly code: string
  readonly message: string
  readonly hint: string
}

/** A wrong argument or option. */
export function usageError(message: string, hint: string): InvalidInputError {
  return new InvalidInputError(message, { hint })
}

/** What a call of the system failed with, in our words; any other error as it is. @param doing as in "cannot {doing}". */
export function systemError(doing: string, error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof HansardError || !("code" in error)) return error
  const code = String(error.code)
  const message = `cannot ${doing}: ${REASONS[code] ?? error.message}`
  return ["EIO", "ENOSPC", "EROFS"].includes(code)
    ? new StoreUnavailableError(message, {
        cause: error,
        hint: "Mend the medium, or make room on it, and run it again.",
      })
    : new InvalidInputError(message, { cause: error, hint: "Check the path and its permissions." })
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EISDIR: "it is a folder",
  ENOSPC: "there is no room left",
  ENOENT: "there is no such file",
  ENOTDIR: "a part of the path is a file",
  EPERM: "not permitted",
  EROFS: "the file system is read-only",
}

/** Tells an error in two lines, or as JSON. @returns the exit status that it asks for. */
export function report(error: unknown, err: Output, json: boolean): number {
  const told = describe(error)
  if (json) {
    err.line(JSON.stringify({ error: told }))
  } else {
    err.line(`hansard: ${visible(told.message)} (${told.code})`)
    if (told.hint !== "") err.line(`  hint: ${visible(told.hint)}`)
  }
  if (told.code === INTERNAL && process.env["HANSARD_DEBUG"] && error instanceof Error) {
    err.line(error.stack ?? "")
  }
  return error instanceof TamperedError ? VERIFICATION_FAILED : USAGE_OR_ENVIRONMENT
}

const INTERNAL = "internal"

function describe(error: unknown): Told {
  if (error instanceof HansardError) {
    return { code: error.code, message: error.message, hint: error.hint }
  }
  if (error instanceof CommanderError) {
    // "error: unknown option '--josn'\n(Did you mean --json?)"
    const message = error.message.replace(/^error: /, "").replace(/\s*\n\s*/g, " ")
    return {
      code: "invalid_input",
      message,
      hint: "`hansard --help` and `hansard COMMAND --help` list what there is.",
    }
  }
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return {
    code: INTERNAL,
    message,
    hint: "This should not happen: please report it, with what HANSARD_DEBUG=1 adds.",
  }
}
