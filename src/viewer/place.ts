/**
 * Where the reader is, as an address: the view, the whole query, the open record. Pure: a place is printed into the URL
 * and read back from it, so that every state can be sent to somebody else.
 */

export const VIEWS = ["records", "channels", "agents", "network", "integrity"] as const
export type View = (typeof VIEWS)[number]

/** One value each, as the service takes them. `kind`: one of them is enough; `not`: none of these kinds. */
export interface Filter {
  readonly kind: readonly string[]
  readonly not: readonly string[]
  readonly agent?: string
  readonly channel?: string
  readonly task?: string
  readonly outcome?: string
  /** ISO 8601, inclusive. */
  readonly from?: string
  /** ISO 8601, exclusive. */
  readonly to?: string
  /** A part of the line. */
  readonly q?: string
}

export interface Place {
  readonly view: View
  readonly filter: Filter
  /** The open record: its index never changes, so this is a permalink. */
  readonly record?: number
  /** The channel or the agent that is looked at. */
  readonly id?: string
  /** The event of a story that is looked at: `a12` is audit record 12, `w3` the write-ahead log's position 3. */
  readonly event?: string
}

/** The filter's fields with one value, in the order in which they are shown. */
export const SINGLE_FIELDS = ["agent", "channel", "task", "outcome", "from", "to", "q"] as const
export type SingleField = (typeof SINGLE_FIELDS)[number]

export const NO_FILTER: Filter = { kind: [], not: [] }
export const START: Place = { view: "records", filter: NO_FILTER }

/** Longer ones are somebody's mistake. */
const MAX_VALUE_LENGTH = 2_000

/** Whatever the text holds, there is a place: what is not understood is left out. */
export function parsePlace(search: string): Place {
  const params = new URLSearchParams(search)
  const view = VIEWS.find((name) => name === params.get("view")) ?? "records"
  const filter: { -readonly [K in keyof Filter]: Filter[K] } = {
    kind: valuesOf(params, "kind"),
    not: valuesOf(params, "not"),
  }
  for (const field of SINGLE_FIELDS) {
    const value = params.get(field)
    if (value !== null && value !== "" && value.length <= MAX_VALUE_LENGTH) filter[field] = value
  }
  const record = params.get("record") ?? ""
  const id = params.get("id") ?? ""
  const event = params.get("event") ?? ""
  return {
    view,
    filter,
    ...(/^\d{1,15}$/.test(record) ? { record: Number(record) } : {}),
    ...(id !== "" && id.length <= MAX_VALUE_LENGTH ? { id } : {}),
    ...(/^[aw]\d{1,15}$/.test(event) ? { event } : {}),
  }
}

/** Beginning with `?`; `./` for the start, as an empty address would keep the old query. */
export function formatPlace({ view, filter, record, id, event }: Place): string {
  const params = new URLSearchParams()
  if (view !== "records") params.set("view", view)
  if (id !== undefined) params.set("id", id)
  if (event !== undefined) params.set("event", event)
  for (const [name, value] of filterParams(filter)) params.append(name, value)
  for (const kind of filter.not) params.append("not", kind)
  if (record !== undefined) params.set("record", String(record))
  const text = params.toString()
  return text === "" ? "./" : `?${text}`
}

/** What the service is asked; `not` it does not know: see `kindsFor`. */
export function filterParams(filter: Filter): [string, string][] {
  const params: [string, string][] = filter.kind.map((kind) => ["kind", kind])
  for (const field of SINGLE_FIELDS) {
    const value = filter[field]
    if (value !== undefined) params.push([field, value])
  }
  return params
}

export function isFiltered(filter: Filter): boolean {
  return filterParams(filter).length > 0 || filter.not.length > 0
}

/** The filter with this field set, or without it. */
export function withField(filter: Filter, field: SingleField, value: string | undefined): Filter {
  const { [field]: _old, ...rest } = filter
  return value === undefined || value === "" ? rest : { ...rest, [field]: value }
}

/** Asked for and left out are each other's opposite. */
export function withKind(filter: Filter, kind: string, wanted: "in" | "out" | "any"): Filter {
  const without = (kinds: readonly string[]): string[] => kinds.filter((other) => other !== kind)
  const kinds = without(filter.kind)
  const not = without(filter.not)
  if (wanted === "in") kinds.push(kind)
  if (wanted === "out") not.push(kind)
  return { ...filter, kind: kinds, not }
}

/**
 * The filter as the service understands it: leaving kinds out is asking for all the others. `known` are the kinds that
 * the whole log has; one that appears later is let through as soon as they are counted again.
 */
export function askable(filter: Filter, known: readonly string[]): Filter {
  if (filter.not.length === 0) return filter
  const among = filter.kind.length > 0 ? filter.kind : known
  const kind = among.filter((name) => !filter.not.includes(name))
  // Nothing is left: a kind that no record has, rather than no filter at all.
  return { ...filter, kind: kind.length > 0 ? kind : ["(none)"], not: [] }
}

function valuesOf(params: URLSearchParams, name: string): string[] {
  const values = params.getAll(name).flatMap((value) => value.split(","))
  return [...new Set(values)].filter((value) => value !== "" && value.length <= MAX_VALUE_LENGTH)
}
