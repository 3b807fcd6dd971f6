import { Command, Option } from "commander"
import { MAX_LIMIT } from "../../audit/index.ts"
import { addCommonOptions, addFilterOptions, addTimeSynonyms, filterOf, wholeNumber } from "../filters.ts"
import type { FilterOptions } from "../filters.ts"
import { DataFolder } from "../folder.ts"
import { MemoryStore } from "../../store/index.ts"
import { addRemoteOptions, entryOf, Remote, type RemoteOptions } from "../remote.ts"
import { jsonOf, printer, styleFor } from "../printer.ts"
import { note } from "../shell.ts"
import type { CommonOptions, Shell } from "../shell.ts"

interface QueryCommandOptions extends CommonOptions, FilterOptions, RemoteOptions {
  readonly from?: string
  readonly to?: string
  readonly limit: number
  readonly order: "asc" | "desc"
  readonly cursor?: string
}

export function queryCommand(shell: Shell, _setStatus: (status: number) => void): Command {
  const command = new Command("query")
    .description("the records that pass all filters, a page at a time")
    .option("--limit <n>", `records a page, at most ${MAX_LIMIT}`, wholeNumber(1), 100)
    .addOption(
      new Option("--order <order>", "oldest or newest first").choices(["asc", "desc"]).default("asc"),
    )
    .option("--cursor <cursor>", "go on where the page before ended")
    .addHelpText(
      "after",
      '\nInto a pipe or a file: the verbatim lines. --json: {"records":[{"index","record"}],"next_cursor","size"}.',
    )
    .action(async (options: QueryCommandOptions) => query(shell, options))
  return addRemoteOptions(addTimeSynonyms(addFilterOptions(addCommonOptions(command))))
}

async function query(shell: Shell, options: QueryCommandOptions): Promise<void> {
  if (options.url !== undefined) return await queryRemote(shell, options.url, options)
  await using folder = await DataFolder.openToRead(options.dir)
  const { limit, order, cursor } = options
  const page = await folder.log.query({
    ...(await filterOf(options, folder.log)),
    limit,
    order,
    ...(cursor === undefined ? {} : { cursor }),
    signal: AbortSignal.any([shell.interrupted, shell.unread]),
  })
  if (options.json === true) {
    const records = page.records.map(jsonOf).join(",")
    const { next_cursor, size } = page
    shell.out.line(`{"records":[${records}],"next_cursor":${JSON.stringify(next_cursor)},"size":${size}}`)
    return
  }
  const print = printer(shell, folder.store, styleFor(shell, false))
  for (const entry of page.records) await print(entry)
  if (page.next_cursor !== null) note(shell, `there is more: --cursor ${page.next_cursor}`)
}

/** The same of a service. What is printed was proved before; that it is all of it is as the service says. */
async function queryRemote(shell: Shell, url: string, options: QueryCommandOptions): Promise<void> {
  await using remote = await Remote.open(shell, url, options)
  const { limit, order, cursor } = options
  const filter = await remote.filterOf(options)
  const page = await remote.client.records(
    { ...filter, limit, order, ...(cursor === undefined ? {} : { cursor }) },
    AbortSignal.any([shell.interrupted, shell.unread]),
  )
  const { records, next_cursor, size } = page
  if (options.json === true) {
    const items = records.map((record) => jsonOf(entryOf(record))).join(",")
    shell.out.line(`{"records":[${items}],"next_cursor":${JSON.stringify(next_cursor)},"size":${size}}`)
    return
  }
  const print = printer(shell, new MemoryStore(), styleFor(shell, false))
  for (const record of records) await print(entryOf(record))
  if (next_cursor !== null) note(shell, `there is more: --cursor ${next_cursor}`)
}
