import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { ProtocolError } from "../model/index.ts"

/** What the program is asked, as one line of JSON on its standard input. */
export interface TurnLine {
  /** Comes back in the answer. */
  readonly turn: string
  readonly text: string
  /** The name. */
  readonly sender: string
  readonly channel_id: string
  readonly channel_type: string
  /** How many delegations deep the sender works. */
  readonly depth: number
}

/** When the program is started again after it has ended: whatever its status, after a failure alone, or not at all. */
export type Restart = "always" | "on-failure" | "never"

export interface ProgramOptions {
  /** Run by the shell. */
  readonly command: string
  readonly restart: Restart
  /** How long an answer may take. */
  readonly timeoutMs: number
  readonly note: (text: string) => void
}

/** One line of the program's output, in bytes. A longer one ends the program. */
export const MAX_ANSWER_BYTES = 1_048_576
/** The first wait before the program is started again; doubled each time, until an answer comes. */
const RESTART_MS = 500
const MAX_RESTART_MS = 30_000
/** How long a program may take to end after its input has. */
const END_MS = 5_000

interface Pending {
  readonly line: string
  readonly resolve: (text: string) => void
  readonly reject: (error: Error) => void
}

/**
 * A program that answers turns: JSON lines in, JSON lines out, in any order.
 *
 * - in: {@link TurnLine}
 * - out: `{"turn", "text"}`; without text, or with an empty one, nothing is said; `{"turn", "error"}` fails the turn.
 *
 * What it writes on standard error goes to ours. A turn that was asked of a program that has ended is failed, and the next
 * one starts it again, as far as `restart` allows.
 */
export class Program implements AsyncDisposable {
  /** Resolves when the program has ended and is not started again. */
  readonly ended: Promise<number>
  readonly #options: ProgramOptions
  readonly #ended = Promise.withResolvers<number>()
  readonly #pending = new Map<string, Pending>()
  #child: ChildProcess | undefined
  #restartMs = RESTART_MS
  #restartTimer: NodeJS.Timeout | undefined
  #isStopping = false

  constructor(options: ProgramOptions) {
    this.#options = options
    this.ended = this.#ended.promise
    this.#start()
  }

  /** @returns the answer; empty for none. @throws what the program refuses with; when it ends, or takes too long. */
  async answer(turn: TurnLine, signal: AbortSignal): Promise<string> {
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    this.#pending.set(turn.turn, { line: `${JSON.stringify(turn)}\n`, resolve, reject })
    const { timeoutMs } = this.#options
    const timer = setTimeout(
      () => reject(new DOMException(`no answer within ${timeoutMs / 1000} s`, "TimeoutError")),
      timeoutMs,
    )
    const onAbort = (): void => reject(signal.reason as Error)
    signal.addEventListener("abort", onAbort, { once: true })
    try {
      this.#write(`${JSON.stringify(turn)}\n`)
      return await promise
    } finally {
      clearTimeout(timer)
      signal.removeEventListener("abort", onAbort)
      this.#pending.delete(turn.turn)
    }
  }

  /** Ends its input, and the program with all that it has started if that does not end it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true
    clearTimeout(this.#restartTimer)
    const child = this.#child
    if (child === undefined) return
    child.stdin?.end()
    const timers = [
      setTimeout(() => killGroup(child, "SIGTERM"), END_MS / 2),
      setTimeout(() => killGroup(child, "SIGKILL"), END_MS),
    ]
    await this.#ended.promise
    for (const timer of timers) clearTimeout(timer)
  }

  #start(): void {
    const child = spawn(this.#options.command, {
      shell: true,
      // A group of its own: a signal that is meant for us does not end it in the middle of a turn.
      detached: true,
      stdio: ["pipe", "pipe", "inherit"],
    })
    this.#child = child
    child.stdin.on("error", () => {})
    child.once("error", (error) => this.#options.note(`the program cannot be started: ${error.message}`))
    child.once("close", (status, signal) => this.#over(child, status, signal))
    let rest = Buffer.alloc(0)
    child.stdout.on("data", (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk])
      for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
        this.#line(rest.toString("utf8", 0, end))
        rest = rest.subarray(end + 1)
      }
      if (rest.length > MAX_ANSWER_BYTES) {
        this.#options.note(`the program wrote a line of more than ${MAX_ANSWER_BYTES} bytes, and is ended`)
        killGroup(child, "SIGKILL")
      }
    })
    // What was asked while there was none.
    for (const { line } of this.#pending.values()) this.#write(line)
  }

  #write(line: string): void {
    this.#child?.stdin?.write(line)
  }

  #line(text: string): void {
    if (text.trim() === "") return
    const answer = parseAnswer(text)
    const pending = this.#pending.get(answer?.turn ?? "")
    if (answer === undefined || pending === undefined) {
      this.#options.note(`the program wrote a line that answers no turn: ${text.slice(0, 80)}`)
      return
    }
    this.#restartMs = RESTART_MS
    if (answer.error === undefined) pending.resolve(answer.text)
    else pending.reject(new ProgramRefusal(answer.error))
  }

  #over(child: ChildProcess, status: number | null, signal: NodeJS.Signals | null): void {
    if (this.#child !== child) return
    this.#child = undefined
    const how = status === null ? `by ${signal ?? "a signal"}` : `with status ${status}`
    for (const { reject } of this.#pending.values()) reject(new ProtocolError(`the program ended ${how}`))
    const { restart } = this.#options
    const again = restart === "always" || (restart === "on-failure" && status !== 0)
    if (this.#isStopping || !again) return this.#ended.resolve(status ?? 1)
    this.#options.note(`the program ended ${how}; it is started again in ${this.#restartMs / 1000} s`)
    this.#restartTimer = setTimeout(() => this.#start(), this.#restartMs)
    this.#restartMs = Math.min(MAX_RESTART_MS, this.#restartMs * 2)
  }
}

/** The program says that it cannot answer: the turn has failed, and the program goes on. */
class ProgramRefusal extends Error {
  override readonly name = "ProgramRefusal"
}

function parseAnswer(
  text: string,
): { readonly turn: string; readonly text: string; readonly error: string | undefined } | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== "object" || value === null || !("turn" in value) || typeof value.turn !== "string") {
    return undefined
  }
  const { text: said = "", error } = value as { text?: unknown; error?: unknown }
  if (typeof said !== "string" || (error !== undefined && typeof error !== "string")) return undefined
  return { turn: value.turn, text: said, error }
}

function killGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch {
    // It has ended already.
  }
}
