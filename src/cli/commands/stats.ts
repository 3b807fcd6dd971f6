import { Command } from "commander"
import { visible } from "../colours.ts"
import { addCommonOptions, addFilterOptions, addTimeSynonyms, filterOf } from "../filters.ts"
import type { FilterOptions } from "../filters.ts"
import { DataFolder } from "../folder.ts"
import { Names } from "../names.ts"
import type { CommonOptions, Shell } from "../shell.ts"

interface StatsOptions extends CommonOptions, FilterOptions {
  readonly from?: string
  readonly to?: string
}

/** For people: the rest is added up. */
const MAX_ROWS = 20

export function statsCommand(shell: Shell, _setStatus: (status: number) => void): Command {
  const command = new Command("stats")
    .description("counts of the records that pass all filters: by kind, outcome and agent")
    .action(async (options: StatsOptions) => stats(shell, options))
  return addTimeSynonyms(addFilterOptions(addCommonOptions(command)))
}

async function stats(shell: Shell, options: StatsOptions): Promise<void> {
  await using folder = await DataFolder.openToRead(options.dir)
  const signal = AbortSignal.any([shell.interrupted, shell.unread])
  const counts = await folder.log.stats({ ...(await filterOf(options, folder.log)), signal })
  if (options.json === true) {
    shell.out.line(JSON.stringify(counts))
    return
  }
  const { total, by_kind, by_outcome, by_agent, first_at, last_at } = counts
  shell.out.line(`${total} ${total === 1 ? "record" : "records"}`)
  if (first_at !== null && last_at !== null)
    shell.out.line(`from ${visible(first_at)} to ${visible(last_at)}`)
  const names = new Names(folder.store)
  const agents = await Promise.all(
    Object.entries(by_agent)
      .slice(0, MAX_ROWS)
      .map(async ([id]) => {
        await names.learn({ agent_id: id })
        return [id, `${names.of(id)}  ${shell.colours("grey", visible(id))}`] as const
      }),
  )
  table(shell, "by kind", by_kind)
  table(shell, "by outcome", by_outcome)
  table(shell, "by agent", by_agent, new Map(agents))
}

function table(
  shell: Shell,
  title: string,
  counts: Readonly<Record<string, number>>,
  labels: ReadonlyMap<string, string> = new Map(),
): void {
  const rows = Object.entries(counts)
  if (rows.length === 0) return
  shell.out.line()
  shell.out.line(shell.colours("bold", title))
  for (const [key, count] of rows.slice(0, MAX_ROWS)) {
    shell.out.line(`${String(count).padStart(8)}  ${labels.get(key) ?? visible(key)}`)
  }
  if (rows.length > MAX_ROWS) shell.out.line(`          and ${rows.length - MAX_ROWS} more`)
}
