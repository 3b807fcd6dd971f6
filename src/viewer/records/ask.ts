/** The questions of the records view. */
import type { RecordsPage, StatsAnswer } from "../../wire/http.ts"
import { askJson } from "../api.ts"
import type { Params } from "../api.ts"
import { noteKinds } from "../parts/colour.ts"
import { filterParams } from "../place.ts"
import type { Filter } from "../place.ts"
import { sawSize } from "../session.ts"
import { learn } from "../state.ts"

export async function askPage(
  filter: Filter,
  order: "asc" | "desc",
  cursor: string | undefined,
  limit: number,
  signal: AbortSignal,
): Promise<RecordsPage> {
  const page = await askJson<RecordsPage>(
    "v1/records",
    [
      ...filterParams(filter),
      ["order", order],
      ["limit", String(limit)],
      ...(cursor === undefined ? [] : [["cursor", cursor] as const]),
    ],
    signal,
  )
  learn(page.records.map(({ record }) => record))
  sawSize(page.size)
  return page
}

export async function askStats(filter: Filter, signal: AbortSignal): Promise<StatsAnswer> {
  const stats = await askJson<StatsAnswer>("v1/stats", filterParams(filter), signal)
  noteKinds(Object.keys(stats.by_kind))
  sawSize(stats.size)
  return stats
}

/** The filter as `/v1/tail` takes it, where `from` is an index. */
export function tailParams(filter: Filter): Params {
  return filterParams(filter).map(
    ([name, value]) => [name === "from" ? "since" : name === "to" ? "until" : name, value] as const,
  )
}
