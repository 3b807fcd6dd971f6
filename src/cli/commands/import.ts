import { createReadStream } from "node:fs"
import { stat } from "node:fs/promises"
import { Command } from "commander"
import type { AppendReceipt } from "../../audit/index.ts"
import { InvalidRecordError } from "../../core/errors.ts"
import { MAX_LINE_BYTES, parseLine } from "../../core/line.ts"
import { addCommonOptions, addWriteOptions } from "../filters.ts"
import { DataFolder } from "../folder.ts"
import type { WriteOptions } from "../folder.ts"
import { READ_BYTES, readLines } from "../lines.ts"
import type { InputLine } from "../lines.ts"
import { OK, report, systemError, usageError, USAGE_OR_ENVIRONMENT } from "../report.ts"
import { note } from "../shell.ts"
import type { Shell } from "../shell.ts"

const MAX_IN_FLIGHT = 4_096
const MAX_TOLD = 20

interface ImportOptions extends WriteOptions {
  readonly keepGoing?: boolean
}

export function importCommand(shell: Shell, setStatus: (status: number) => void): Command {
  const command = new Command("import")
    .description("append another log's records, their bytes kept: AG2's audit.jsonl, or a Hansard one")
    .argument("<file>", "JSON Lines, one record a line")
    .option("--keep-going", "pass over lines that are no records, and import the others")
    .addHelpText(
      "after",
      "\nThe file is read twice: first it is checked, and nothing is written unless every line is a record." +
        "\nA last line without a newline was torn by a crash, or is still being written: it is told and left out." +
        '\nPrints {"imported":N,"first_index":N,"size":N}.',
    )
    .action(async (file: string, options: ImportOptions) => setStatus(await importFile(shell, file, options)))
  return addWriteOptions(addCommonOptions(command))
}

interface Found {
  good: number
  empty: number
  bad: number
  tornBytes: number
}

async function importFile(shell: Shell, file: string, options: ImportOptions): Promise<number> {
  const json = options.json === true
  const size = await sizeOf(file)
  const found: Found = { good: 0, empty: 0, bad: 0, tornBytes: 0 }
  for await (const { line, problem } of linesOf(shell, file, size)) {
    if (!line.isComplete) found.tornBytes = line.bytes
    else if (line.bytes === 0) found.empty++
    else if (problem === undefined) found.good++
    else {
      found.bad++
      const error = new InvalidRecordError(`line ${line.number} ${problem}`, {
        hint: "Nothing was imported. Mend that line, or pass over such lines with --keep-going.",
      })
      if (options.keepGoing !== true) throw error
      if (found.bad <= MAX_TOLD) report(error, shell.err, json)
    }
  }

  await using folder = await DataFolder.openToWrite(shell, options)
  const { log } = folder
  const before = log.size
  let imported = 0
  let firstIndex: number | null = null
  const onReceipt = ({ index }: AppendReceipt): void => {
    imported++
    firstIndex ??= index
  }
  let failure: unknown
  try {
    let inFlight: Promise<void>[] = []
    for await (const { line, problem } of linesOf(shell, file, size)) {
      if (problem !== undefined || !line.isComplete || line.bytes === 0) continue
      const appended = log.appendLine(line.text).then(onReceipt)
      // Awaited below; until then a failure is nobody's unhandled rejection.
      appended.catch(() => {})
      inFlight.push(appended)
      if (inFlight.length === MAX_IN_FLIGHT) inFlight = await halfDone(inFlight)
    }
    await Promise.all(inFlight)
  } catch (error) {
    failure = error
  }

  if (!json) tell(shell, options.dir, before, found)
  shell.out.line(
    JSON.stringify({
      imported,
      first_index: firstIndex,
      size: log.size,
      ...(found.tornBytes > 0 ? { torn_bytes: found.tornBytes } : {}),
      ...(options.keepGoing === true ? { skipped: found.bad } : {}),
    }),
  )
  if (failure !== undefined) return report(failure, shell.err, json)
  return found.bad === 0 ? OK : USAGE_OR_ENVIRONMENT
}

/** Waits for the older half, so that the disk always has something to do. */
async function halfDone(inFlight: readonly Promise<void>[]): Promise<Promise<void>[]> {
  const half = inFlight.length / 2
  await Promise.all(inFlight.slice(0, half))
  return inFlight.slice(half)
}

function tell(shell: Shell, dir: string, before: number, found: Found): void {
  if (before > 0) note(shell, `the log in ${dir} had ${before} records; what was imported follows them`)
  if (found.empty > 0) note(shell, `${found.empty} empty lines were left out`)
  if (found.bad > 0) note(shell, `${found.bad} lines that are no records were passed over`)
  if (found.tornBytes > 0) {
    note(shell, `the last line has no newline: its ${found.tornBytes} bytes were taken for torn and left out`)
  }
}

async function* linesOf(
  shell: Shell,
  file: string,
  size: number,
): AsyncGenerator<{ readonly line: InputLine; readonly problem: string | undefined }, void, undefined> {
  if (size === 0) return
  const stream = createReadStream(file, {
    end: size - 1,
    highWaterMark: READ_BYTES,
    signal: shell.interrupted,
  })
  try {
    for await (const lines of readLines(stream)) {
      for (const line of lines) yield { line, problem: problemOf(line) }
    }
  } catch (error) {
    if (shell.interrupted.aborted)
      throw usageError("interrupted", "What had been written stays; see `hansard tail`.")
    throw systemError(`read ${file}`, error)
  }
}

function problemOf(line: InputLine): string | undefined {
  if (line.problem !== undefined) return line.problem
  if (line.bytes === 0 || !line.isComplete) return undefined
  if (line.bytes > MAX_LINE_BYTES) {
    return `takes ${line.bytes} bytes; a line of the log holds at most ${MAX_LINE_BYTES}`
  }
  try {
    parseLine(line.text)
    return line.text.includes("\0") ? "holds a NUL" : undefined
  } catch {
    return "is not a JSON object"
  }
}

/** Only a file can be read twice. */
async function sizeOf(file: string): Promise<number> {
  try {
    const found = await stat(file)
    if (found.isFile()) return found.size
  } catch (error) {
    throw systemError(`read ${file}`, error)
  }
  throw usageError(
    `${file} is not a regular file`,
    "It is read twice, so save it as a file first; `hansard append` reads pipes.",
  )
}
