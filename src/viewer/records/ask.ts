/** The questions of the records view. */
import type { Signal } from "@preact/signals"
import { signal } from "@preact/signals"
import type { RecordsPage, StatsAnswer } from "../../wire/http.ts"
import { askJson } from "../api.ts"
import type { Params } from "../api.ts"
import { noteKinds } from "../parts/colour.ts"
import { filterParams } from "../place.ts"
import type { Filter } from "../place.ts"
import { sawSize } from "../session.ts"
import { learn } from "../state.ts"

/** Every kind that the whole log was counted to have. */
export const knownKinds: Signal<readonly string[]> = signal([])

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

export async function learnKinds(signal: AbortSignal): Promise<void> {
  const { by_kind } = await askJson<StatsAnswer>("v1/stats", [], signal)
  noteKinds(Object.keys(by_kind))
  knownKinds.value = Object.keys(by_kind)
}

/** The filter as `/v1/tail` takes it, where `from` is an index. */
export function tailParams(filter: Filter): Params {
  return filterParams(filter).map(
    ([name, value]) => [name === "from" ? "since" : name === "to" ? "until" : name, value] as const,
  )
}
