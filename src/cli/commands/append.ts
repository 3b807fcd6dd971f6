import { createReadStream } from "node:fs"
import { open } from "node:fs/promises"
import { addAbortSignal } from "node:stream"
import type { Readable } from "node:stream"
import { Command } from "commander"
import type { AppendReceipt, AuditLog } from "../../audit/index.ts"
import { HansardError, InvalidInputError, InvalidRecordError } from "../../core/errors.ts"
import { encodeLine, parseRecord } from "../../core/line.ts"
import { isoTime, parseTime } from "../../core/system.ts"
import { addCommonOptions, addWriteOptions } from "../filters.ts"
import { DataFolder } from "../folder.ts"
import type { WriteOptions } from "../folder.ts"
import { READ_BYTES, readLines } from "../lines.ts"
import type { InputLine } from "../lines.ts"
import { OK, report, systemError, USAGE_OR_ENVIRONMENT } from "../report.ts"
import { note } from "../shell.ts"
import type { Shell } from "../shell.ts"

/** Records that are on their way to the disk at one time: enough for large groups, and a bound on memory. */
const MAX_IN_FLIGHT = 4_096
/** The same in UTF-16 units of their lines: far from what the log refuses. */
const MAX_LENGTH_IN_FLIGHT = 8 * 1024 * 1024

/** With `--keep-going`: how many bad lines are told one by one. All are counted. */
const MAX_TOLD = 20

interface AppendOptions extends WriteOptions {
  readonly ack?: boolean
  readonly keepGoing?: boolean
}

export function appendCommand(shell: Shell, setStatus: (status: number) => void): Command {
  const command = new Command("append")
    .description("append records from JSON Lines, durably")
    .argument("[file]", "JSON Lines; - for standard input", "-")
    .option("--ack", 'print {"index":N} for each record once it is durable, in order')
    .option("--keep-going", "pass over lines that are no records, and append the others")
    .addHelpText(
      "after",
      "\nEach line is one JSON object with a `kind`; `at` is added when it is missing. Empty lines are passed over." +
        "\nAt the first line that is no record it stops: what came before is appended, nothing after it is." +
        '\nThe last line out is {"appended":N,"first_index":N,"size":N}.',
    )
    .action(async (file: string, options: AppendOptions) => setStatus(await append(shell, file, options)))
  return addWriteOptions(addCommonOptions(command))
}

async function append(shell: Shell, file: string, options: AppendOptions): Promise<number> {
  // The input first: when it cannot be read, no folder is made.
  const input = file === "-" ? shell.input : await openFile(file)
  await using folder = await DataFolder.openToWrite(shell, options)
  const { log } = folder
  const appender = new Appender(log, (receipt) => {
    if (options.ack === true) shell.out.line(`{"index":${receipt.index}}`)
  })
  let skipped = 0
  let failure: unknown
  try {
    for await (const lines of readLines(addAbortSignal(shell.interrupted, input))) {
      for (const line of lines) {
        let record: string | undefined
        try {
          record = recordLine(line)
        } catch (error) {
          if (options.keepGoing !== true) throw error
          skipped++
          if (skipped <= MAX_TOLD) report(error, shell.err, options.json === true)
        }
        if (record === undefined) continue
        if (appender.isFull) await appender.room()
        if (appender.failure !== undefined) throw appender.failure
        appender.append(record)
      }
      await shell.out.drained()
    }
  } catch (error) {
    failure = shell.interrupted.aborted
      ? new InvalidInputError("interrupted before the end of the input", {
          hint: "What is counted as appended is durable; append the rest of the input again.",
        })
      : error
  }
  await appender.settled()
  failure ??= appender.failure
  const { appended, firstIndex } = appender
  shell.out.line(
    JSON.stringify({
      appended,
      first_index: firstIndex,
      size: log.size,
      ...(options.keepGoing === true ? { skipped } : {}),
    }),
  )
  if (failure !== undefined) {
    return report(inputError(file, failure), shell.err, options.json === true)
  }
  if (skipped === 0) return OK
  if (options.json !== true)
    note(shell, `${skipped} ${skipped === 1 ? "line was" : "lines were"} passed over`)
  return USAGE_OR_ENVIRONMENT
}

/** Keeps a bounded number of records on their way. Receipts come in the order of the records. */
class Appender {
  appended = 0
  firstIndex: number | null = null
  /** The first one; what was on its way after it may have failed as well. */
  failure: unknown
  readonly #log: AuditLog
  readonly #onReceipt: (receipt: AppendReceipt) => void
  #inFlight = 0
  #lengthInFlight = 0
  #waiting: (() => void) | undefined
  #last: Promise<void> = Promise.resolve()

  constructor(log: AuditLog, onReceipt: (receipt: AppendReceipt) => void) {
    this.#log = log
    this.#onReceipt = onReceipt
  }

  get isFull(): boolean {
    return this.#inFlight >= MAX_IN_FLIGHT || this.#lengthInFlight >= MAX_LENGTH_IN_FLIGHT
  }

  append(line: string): void {
    this.#inFlight++
    this.#lengthInFlight += line.length
    this.#last = this.#log.appendLine(line).then(
      (receipt) => {
        this.appended++
        this.firstIndex ??= receipt.index
        this.#onReceipt(receipt)
        this.#done(line.length)
      },
      (error: unknown) => {
        this.failure ??= error
        this.#done(line.length)
      },
    )
  }

  /** Resolves when another record may follow. */
  async room(): Promise<void> {
    if (this.isFull) await new Promise<void>((resolve) => (this.#waiting = resolve))
  }

  async settled(): Promise<void> {
    await this.#last
  }

  #done(length: number): void {
    this.#inFlight--
    this.#lengthInFlight -= length
    this.#waiting?.()
    this.#waiting = undefined
  }
}

/**
 * The line to append; `undefined` for an empty one.
 *
 * Encoded here and not by the log, so that a bad record is known before the next one is on its way.
 */
function recordLine(line: InputLine): string | undefined {
  if (line.problem !== undefined) throw lineError(line, line.problem)
  const text = line.number === 1 ? line.text.replace(/^\ufeff/, "") : line.text
  if (text.trim() === "") return undefined
  let record: Readonly<Record<string, unknown>>
  try {
    record = parseRecord(text)
  } catch (error) {
    throw lineError(line, isJson(text) ? "is not a JSON object" : "is not JSON", error)
  }
  const { at, kind } = record
  if (typeof kind !== "string" || kind === "") {
    throw lineError(line, "has no `kind`: a text that says what sort of record it is")
  }
  if (at !== undefined && parseTime(at) === undefined) {
    throw lineError(line, "has an `at` that is not an ISO 8601 time; leave it out to have it set")
  }
  try {
    return encodeLine(at === undefined ? { at: isoTime(Date.now()), ...record } : record)
  } catch (error) {
    throw lineError(line, error instanceof Error ? error.message : String(error), error)
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function lineError(line: InputLine, problem: string, cause?: unknown): Error {
  const message = `line ${line.number} ${problem}`
  const hint = "Mend that line, or pass over such lines with --keep-going."
  return cause instanceof HansardError && cause.code === "record_too_large"
    ? new LineTooLargeError(message, { cause, hint })
    : new InvalidRecordError(message, { cause, hint })
}

/** `RecordTooLargeError`'s code, with the line number in its message. */
class LineTooLargeError extends HansardError {
  override readonly code = "record_too_large"

  constructor(message: string, details: { readonly cause: unknown; readonly hint: string }) {
    super(message, details.hint, details)
  }
}

async function openFile(path: string): Promise<Readable> {
  try {
    const handle = await open(path)
    if ((await handle.stat()).isDirectory()) {
      await handle.close()
      throw Object.assign(new Error(), { code: "EISDIR" })
    }
    return createReadStream(path, { fd: handle, highWaterMark: READ_BYTES })
  } catch (error) {
    throw inputError(path, error)
  }
}

function inputError(path: string, error: unknown): unknown {
  return systemError(`read ${path === "-" ? "standard input" : path}`, error)
}
