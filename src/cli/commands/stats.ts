import { Command, InvalidArgumentError, Option } from "commander"
import type { HistogramBucket, LogStats, StatsGroup } from "../../audit/index.ts"
import { parseDuration } from "../../model/duration.ts"
import { visible } from "../colours.ts"
import { addCommonOptions, addFilterOptions, addTimeSynonyms, filterOf } from "../filters.ts"
import type { FilterOptions } from "../filters.ts"
import { DataFolder } from "../folder.ts"
import { Names } from "../names.ts"
import { addRemoteOptions, Remote, type RemoteOptions } from "../remote.ts"
import { usageError } from "../report.ts"
import { MemoryStore } from "../../store/index.ts"
import type { CommonOptions, Shell } from "../shell.ts"

interface StatsOptions extends CommonOptions, FilterOptions, RemoteOptions {
  readonly from?: string
  readonly to?: string
  readonly by?: StatsGroup
  readonly interval?: number
}

/** For people: the rest is added up. */
const MAX_ROWS = 20

export function statsCommand(shell: Shell, _setStatus: (status: number) => void): Command {
  const command = new Command("stats")
    .description("counts of the records that pass all filters: by kind, outcome and agent")
    .addOption(
      new Option("--by <field>", "count by this as well, and in the histogram").choices([
        "kind",
        "agent",
        "channel",
        "task",
        "outcome",
      ]),
    )
    .option(
      "--interval <duration>",
      "a histogram over time with buckets this wide: 1s, 5m, 1h, 1d",
      parseInterval,
    )
    .action(async (options: StatsOptions) => stats(shell, options))
  return addRemoteOptions(addTimeSynonyms(addFilterOptions(addCommonOptions(command))))
}

async function stats(shell: Shell, options: StatsOptions): Promise<void> {
  if (options.url !== undefined) return await statsRemote(shell, options.url, options)
  await using folder = await DataFolder.openToRead(options.dir)
  const signal = AbortSignal.any([shell.interrupted, shell.unread])
  const counts = await folder.log.stats({
    ...(await filterOf(options, folder.log)),
    ...(options.by === undefined ? {} : { by: options.by }),
    ...(options.interval === undefined ? {} : { interval: options.interval }),
    signal,
  })
  if (options.json === true) {
    shell.out.line(JSON.stringify(counts))
    return
  }
  await tell(shell, counts, new Names(folder.store))
  if (counts.by === "channel" || counts.by === "task") table(shell, `by ${counts.by}`, counts.counts)
  histogram(shell, counts.histogram)
}

/** Of a service, and as it says: that it counted right is not proved by anything. */
async function statsRemote(shell: Shell, url: string, options: StatsOptions): Promise<void> {
  if (options.by !== undefined)
    throw usageError("--by is not for --url", "It counts by kind, outcome and agent.")
  await using remote = await Remote.open(shell, url, options)
  const interval = options.interval === undefined ? {} : { interval: `${options.interval}ms` }
  const counts = await remote.client.stats(
    { ...(await remote.filterOf(options)), ...interval },
    shell.interrupted,
  )
  if (options.json === true) {
    shell.out.line(JSON.stringify(counts))
    return
  }
  await tell(shell, counts, new Names(new MemoryStore()))
  const buckets = counts.histogram.buckets.map(({ at, by_kind }) => ({ from: at, counts: by_kind }))
  if (options.interval !== undefined) histogram(shell, buckets)
}

type Counts = Pick<LogStats, "total" | "by_kind" | "by_outcome" | "by_agent" | "first_at" | "last_at">

async function tell(shell: Shell, counts: Counts, names: Names): Promise<void> {
  const { total, by_kind, by_outcome, by_agent, first_at, last_at } = counts
  shell.out.line(`${total} ${total === 1 ? "record" : "records"}`)
  if (first_at !== null && last_at !== null)
    shell.out.line(`from ${visible(first_at)} to ${visible(last_at)}`)
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

/** In characters, of the longest bar. */
const BAR_WIDTH = 40

/** One bar a bucket: how many were counted in it. The buckets' groups are for programs: `--json`. */
function histogram(shell: Shell, buckets: readonly HistogramBucket[]): void {
  if (buckets.length === 0) return
  const counts = buckets.map((bucket) => Object.values(bucket.counts).reduce((a, b) => a + b, 0))
  const most = counts.reduce((a, b) => Math.max(a, b), 1)
  shell.out.line()
  shell.out.line(shell.colours("bold", "over time"))
  for (const [i, { from }] of buckets.entries()) {
    const count = counts[i] ?? 0
    const bar = "#".repeat(Math.ceil((count / most) * BAR_WIDTH))
    shell.out.line(`${String(count).padStart(8)}  ${from}  ${bar}`)
  }
}

function parseInterval(text: string): number {
  let milliseconds: number
  try {
    milliseconds = parseDuration(text) * 1000
  } catch {
    milliseconds = 0
  }
  if (milliseconds < 1) throw new InvalidArgumentError("It must be a duration such as 30s, 15m, 2h or 1d.")
  return milliseconds
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
