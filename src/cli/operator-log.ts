import type { Logger } from "../core/logger.ts"
import { visible } from "./colours.ts"
import { note } from "./shell.ts"
import type { Shell } from "./shell.ts"

/** What a server has to tell its operator, on standard error: warnings and errors, a line each. */
export function operatorLogger(shell: Shell, json: boolean): Logger {
  const tell =
    (level: "warn" | "error") =>
    (fields: object, message: string): void => {
      const told = Object.entries(fields).map(([key, value]) => [key, plain(value)] as const)
      if (json) shell.err.line(JSON.stringify({ level, message, ...Object.fromEntries(told) }))
      else note(shell, visible([message, ...told.map(([key, value]) => `${key}=${value}`)].join(" ")))
    }
  return { debug: () => {}, info: () => {}, warn: tell("warn"), error: tell("error") }
}

/** An error by its message: a stack is for `HANSARD_DEBUG`. */
function plain(value: unknown): string | number | boolean {
  if (value instanceof Error) {
    const stack = process.env["HANSARD_DEBUG"] ? `\n${value.stack ?? ""}` : ""
    return `${value.name}: ${value.message}${stack}`
  }
  return typeof value === "number" || typeof value === "boolean" ? value : String(value)
}
