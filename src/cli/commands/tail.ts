import { Command, Option } from "commander"
import type { AuditLog, LogEntry, LogFilter } from "../../audit/index.ts"
import { compileFilter } from "../../audit/index.ts"
import { MAX_LIMIT } from "../../audit/index.ts"
import { addCommonOptions, addFilterOptions, filterOf, wholeNumber } from "../filters.ts"
import type { FilterOptions } from "../filters.ts"
import { DataFolder } from "../folder.ts"
import { MemoryStore } from "../../store/index.ts"
import { addRemoteOptions, entryOf, Remote, type RemoteOptions } from "../remote.ts"
import { printer, styleFor } from "../printer.ts"
import type { CommonOptions, Shell } from "../shell.ts"

const DEFAULT_LAST = 10

interface TailOptions extends CommonOptions, FilterOptions, RemoteOptions {
  readonly from?: number
  readonly last?: number
  readonly follow?: boolean
}

export function tailCommand(shell: Shell, _setStatus: (status: number) => void): Command {
  const command = new Command("tail")
    .description("the newest records, and with --follow every further one as it is written")
    .addOption(new Option("--from <index>", "start at this record").argParser(wholeNumber(0)))
    .addOption(
      new Option("--last <n>", `start with the last N that pass the filters (default: ${DEFAULT_LAST})`)
        .argParser(wholeNumber(0))
        .conflicts("from"),
    )
    .option("-f, --follow", "go on until interrupted; works beside a running writer")
    .addHelpText(
      "after",
      '\nInto a pipe or a file: the verbatim lines. --json: {"index":N,"record":{…}} for each.',
    )
    .action(async (options: TailOptions) => tail(shell, options))
  return addRemoteOptions(addFilterOptions(addCommonOptions(command)))
}

async function tail(shell: Shell, options: TailOptions): Promise<void> {
  if (options.url !== undefined) return await tailRemote(shell, options.url, options)
  await using folder = await DataFolder.openToRead(options.dir)
  const { log, store } = folder
  const signal = AbortSignal.any([shell.interrupted, shell.unread])
  const { from: _from, ...filters } = options
  const filter = await filterOf(filters, log)
  const lets = compileFilter(filter)
  const print = printer(shell, store, styleFor(shell, options.json))
  const show = async (entries: AsyncIterable<LogEntry>): Promise<void> => {
    for await (const entry of entries) {
      if (signal.aborted) return
      if (lets(entry)) await print(entry)
    }
  }

  const count = options.last ?? DEFAULT_LAST
  let next = options.from
  if (next === undefined && Object.keys(filter).length === 0) next = Math.max(0, log.size - count)
  if (next === undefined) {
    const { last, size } = await lastOf(log, filter, count, signal)
    for (const entry of last) await print(entry)
    next = size
  } else if (options.follow !== true) {
    await show(log.entries({ from: next, signal }))
  }
  if (options.follow === true) await show(log.tail({ from: next, signal }))
}

/** The same of a service. What is printed was proved before. */
async function tailRemote(shell: Shell, url: string, options: TailOptions): Promise<void> {
  await using remote = await Remote.open(shell, url, options)
  const { client } = remote
  const signal = AbortSignal.any([shell.interrupted, shell.unread])
  const { from, follow = false, ...filters } = options
  const filter = await remote.filterOf(filters)
  const print = printer(shell, new MemoryStore(), styleFor(shell, options.json))
  let next = from
  if (next === undefined) {
    const { records, size } = await client.records(
      { ...filter, order: "desc", limit: Math.max(1, options.last ?? DEFAULT_LAST) },
      signal,
    )
    const last = options.last === 0 ? [] : records.toReversed()
    for (const record of last) await print(entryOf(record))
    next = size
    if (!follow) return
  }
  const { from: since, to: until, ...rest } = filter
  const times = { ...(since === undefined ? {} : { since }), ...(until === undefined ? {} : { until }) }
  for await (const record of client.tail({ ...rest, ...times, from: next, follow, signal })) {
    await print(entryOf(record))
  }
}

/** The last `count` entries that pass, oldest first, and where the log ended then. */
async function lastOf(
  log: AuditLog,
  filter: LogFilter,
  count: number,
  signal: AbortSignal,
): Promise<{ readonly last: readonly LogEntry[]; readonly size: number }> {
  const found: LogEntry[] = []
  let size: number | undefined
  let cursor: string | undefined
  do {
    const limit = Math.min(Math.max(1, count - found.length), MAX_LIMIT)
    const page = await log.query({
      ...filter,
      order: "desc",
      limit,
      signal,
      ...(cursor === undefined ? {} : { cursor }),
    })
    // Later pages may see a longer log; the first one says where following starts.
    size ??= page.size
    found.push(...page.records.slice(0, count - found.length))
    cursor = page.next_cursor ?? undefined
  } while (cursor !== undefined && found.length < count)
  return { last: found.reverse(), size }
}
