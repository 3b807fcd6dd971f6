import type { Readable } from "node:stream"
import type { Colours } from "./colours.ts"
import type { Output } from "./output.ts"

/** What a command has of the outside world. */
export interface Shell {
  readonly out: Output
  /** Notes and errors; never data. */
  readonly err: Output
  readonly input: Readable
  /** Whether a person reads `out`: then records are told in sentences. */
  readonly isTerminal: boolean
  readonly colours: Colours
  /** Aborts on the first SIGINT or SIGTERM; a second one ends the process at once. */
  readonly interrupted: AbortSignal
  /** Aborts when nobody reads `out` any more. */
  readonly unread: AbortSignal
}

/** What every command takes. */
export interface CommonOptions {
  readonly dir: string
  readonly json?: boolean
}

/** A note that is neither data nor an error. */
export function note(shell: Shell, text: string): void {
  shell.err.line(`hansard: ${text}`)
}
