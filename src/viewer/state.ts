/** What every view shares: the place, the theme, the names, what is served. */
import { computed, signal } from "@preact/signals"
import type { ReadonlySignal, Signal } from "@preact/signals"
import { shortId } from "../model/index.ts"
import type { ServiceAnswer } from "../wire/http.ts"
import { formatPlace, NO_FILTER, parsePlace } from "./place.ts"
import type { Filter, Place, View } from "./place.ts"
import { store, stored } from "./storage.ts"

export const place: Signal<Place> = signal(parsePlace(location.search))
export const view: ReadonlySignal<View> = computed(() => place.value.view)
export const service: Signal<ServiceAnswer | undefined> = signal(undefined)
/** Of agents, by id: from the service's list, and from registrations that went by. */
export const names: Signal<ReadonlyMap<string, string>> = signal(new Map())
/** Of channels, by id: their type, as far as records that went by told it. */
export const channelTypes: Signal<ReadonlyMap<string, string>> = signal(new Map())

addEventListener("popstate", () => {
  place.value = parsePlace(location.search)
})

/** Goes there. `replace` where Back should not stop: moving a selection, typing. */
export function go(next: Place, { replace = false }: { replace?: boolean } = {}): void {
  const address = formatPlace(next)
  if (address === formatPlace(place.peek())) return
  if (replace) history.replaceState(null, "", address)
  else history.pushState(null, "", address)
  place.value = next
}

export function goFilter(filter: Filter, options: { replace?: boolean } = {}): void {
  const { record: _closed, ...rest } = place.peek()
  go({ ...rest, view: "records", filter }, options)
}

export function goView(name: View, id?: string, event?: string): void {
  const { filter } = place.peek()
  go({
    view: name,
    filter: { ...NO_FILTER, ...timeOf(filter), ...(name === "records" ? filter : {}) },
    ...(id === undefined ? {} : { id }),
    ...(event === undefined ? {} : { event }),
  })
}

export function openRecord(index: number | undefined, options: { replace?: boolean } = {}): void {
  const { record: _old, ...rest } = place.peek()
  go(index === undefined ? rest : { ...rest, record: index }, options)
}

function timeOf({ from, to }: Filter): Partial<Filter> {
  return { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }
}

export function nameOf(id: string): string {
  return names.value.get(id) ?? shortId(id)
}

/** How many are remembered: a log may name more agents than a page can hold. */
const MAX_NAMES = 20_000

/** Takes names and channel types out of records that go by. */
export function learn(records: readonly Readonly<Record<string, unknown>>[]): void {
  learnNames(
    records.flatMap(({ kind, agent_id, name }) =>
      kind === "agent_registered" && typeof agent_id === "string" && typeof name === "string"
        ? [[agent_id, name] as const]
        : [],
    ),
  )
  learnTypes(
    records.flatMap(({ kind, channel_id, manifest_type }) =>
      kind === "channel_created" && typeof channel_id === "string" && typeof manifest_type === "string"
        ? [[channel_id, manifest_type] as const]
        : [],
    ),
  )
}

export function learnTypes(entries: readonly (readonly [string, string])[]): void {
  channelTypes.value = added(channelTypes.peek(), entries)
}

export function learnNames(entries: readonly (readonly [string, string])[]): void {
  names.value = added(names.peek(), entries)
}

/** The same map when nothing is new: then nothing is drawn again. */
function added(
  map: ReadonlyMap<string, string>,
  entries: readonly (readonly [string, string])[],
): ReadonlyMap<string, string> {
  const fresh = entries.filter(([id, text]) => map.get(id) !== text)
  if (fresh.length === 0 || map.size + fresh.length > MAX_NAMES) return map
  return new Map([...map, ...fresh])
}

export type Theme = "light" | "dark" | "system"
const THEMES: readonly Theme[] = ["system", "light", "dark"]

export const theme: Signal<Theme> = signal(
  THEMES.find((name) => name === stored("hansard.theme")) ?? "system",
)

export function nextTheme(): void {
  const next = THEMES[(THEMES.indexOf(theme.peek()) + 1) % THEMES.length] ?? "system"
  theme.value = next
  store("hansard.theme", next === "system" ? undefined : next)
  if (next === "system") delete document.documentElement.dataset["theme"]
  else document.documentElement.dataset["theme"] = next
}
