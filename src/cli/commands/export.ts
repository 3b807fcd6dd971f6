import { closeSync, openSync, writeSync } from "node:fs"
import { Command, Option } from "commander"
import { compileFilter, evidenceOf } from "../../audit/index.ts"
import type { LogEntry, Prover } from "../../audit/index.ts"
import { csvHeader, csvOf } from "../../audit/csv.ts"
import { addCommonOptions, addFilterOptions, addTimeSynonyms, filterOf } from "../filters.ts"
import type { FilterOptions } from "../filters.ts"
import { DataFolder } from "../folder.ts"
import { headCovering } from "../ledger-view.ts"
import { systemError, usageError } from "../report.ts"
import { note } from "../shell.ts"
import type { CommonOptions, Shell } from "../shell.ts"
import { writeTileTree } from "../tile-tree.ts"

/** In records: neighbours share what proves them. */
const WRITTEN_AT_ONCE = 256
/** Characters that gather before they are written to a file. */
const WRITE_AT = 65_536

interface ExportOptions extends CommonOptions, FilterOptions {
  readonly format?: "jsonl" | "csv" | "evidence"
  readonly out?: string
  readonly tiles?: string
  readonly from?: string
  readonly to?: string
}

export function exportCommand(shell: Shell, _setStatus: (status: number) => void): Command {
  const command = new Command("export")
    .description("the records that pass all filters, for other programs; or the log as static files")
    .addOption(
      new Option(
        "--format <format>",
        "the verbatim lines, a table for spreadsheets, or lines with their proofs for `hansard check`",
      ).choices(["jsonl", "csv", "evidence"]),
    )
    .option("--out <file>", "where to write them (default: standard output)")
    .addOption(
      new Option("--tiles <folder>", "a C2SP tlog-tiles tree, which any web server can host").conflicts([
        "format",
        "out",
      ]),
    )
    .addHelpText(
      "after",
      "\nIn CSV, a text that a spreadsheet would take for a formula gets an apostrophe in front; `record` is the whole line." +
        "\n--tiles writes checkpoint, tile/… and tile/entries/…, and brings an earlier export of the log up to date.",
    )
    .action(async (options: ExportOptions) =>
      options.tiles === undefined
        ? exportRecords(shell, options)
        : exportTiles(shell, options.tiles, options),
    )
  return addTimeSynonyms(addFilterOptions(addCommonOptions(command)))
}

async function exportTiles(shell: Shell, target: string, options: ExportOptions): Promise<void> {
  const { kind, agent, channel, task, outcome, since, until, text, from, to } = options
  if (
    [kind, agent, channel, task, outcome, since, until, text, from, to].some((value) => value !== undefined)
  ) {
    throw usageError("--tiles takes no filters", "A tree proves a whole log; export records with --format.")
  }
  const head = await headCovering(shell, options, undefined)
  await using folder = await DataFolder.openToRead(options.dir)
  await writeTileTree(folder, head, target, shell.interrupted)
  shell.out.line(JSON.stringify({ origin: head.origin, size: head.size, folder: target }))
}

async function exportRecords(shell: Shell, options: ExportOptions): Promise<void> {
  await using folder = await DataFolder.openToRead(options.dir)
  const lets = compileFilter(await filterOf(options, folder.log))
  const isCsv = options.format === "csv"
  const prover = options.format === "evidence" ? await proverOf(folder) : undefined
  const rowsOf = async (group: readonly LogEntry[]): Promise<string> => {
    if (prover !== undefined) return await evidenceOf(prover, group)
    return group.map((entry) => (isCsv ? `${csvOf(entry)}\r\n` : `${entry.line}\n`)).join("")
  }
  const sink = options.out === undefined ? toShell(shell) : toFile(options.out)
  const signal = AbortSignal.any([shell.interrupted, shell.unread])
  let count = 0
  let uncovered = 0
  let group: LogEntry[] = []
  const flush = async (): Promise<void> => {
    const text = await rowsOf(group)
    group = []
    await sink.write(text)
  }
  try {
    if (isCsv) await sink.write(`${csvHeader()}\r\n`)
    for await (const entry of folder.log.entries({ signal })) {
      if (!lets(entry)) continue
      if (prover !== undefined && entry.index >= prover.size) {
        uncovered++
        continue
      }
      count++
      if (group.push(entry) >= WRITTEN_AT_ONCE) await flush()
    }
    if (group.length > 0) await flush()
  } catch (error) {
    if (shell.unread.aborted) return
    if (shell.interrupted.aborted)
      throw usageError("interrupted", "The export is not complete: run it again.")
    throw error
  } finally {
    sink.end()
  }
  if (uncovered > 0) note(shell, `${uncovered} records lie beyond the last checkpoint, and are left out`)
  if (options.out === undefined) return
  if (options.json === true) shell.out.line(JSON.stringify({ exported: count, out: options.out }))
  else note(shell, `${count} records are in ${options.out}`)
}

async function proverOf(folder: DataFolder): Promise<Prover> {
  const prover = await folder.log.evidence.prover()
  if (prover !== undefined) return prover
  throw usageError(
    "this log has no checkpoint, and nothing proves a record",
    "Export its lines: --format jsonl.",
  )
}

interface Sink {
  write(text: string): Promise<void> | undefined
  end(): void
}

function toShell({ out }: Shell): Sink {
  return {
    write: (text) => {
      out.write(text)
      return out.isFull ? out.drained() : undefined
    },
    end: () => {},
  }
}

function toFile(path: string): Sink {
  let buffer = ""
  const doing = <T>(act: () => T): T => {
    try {
      return act()
    } catch (error) {
      throw systemError(`write ${path}`, error)
    }
  }
  const file = doing(() => openSync(path, "w", 0o600))
  const flush = (): void => {
    const bytes = Buffer.from(buffer)
    buffer = ""
    for (let done = 0; done < bytes.length;) done += doing(() => writeSync(file, bytes, done))
  }
  return {
    write: (text) => {
      buffer += text
      if (buffer.length >= WRITE_AT) flush()
      return undefined
    },
    end: () => {
      try {
        flush()
      } finally {
        closeSync(file)
      }
    },
  }
}
