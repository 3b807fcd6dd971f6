/**
 * Where the reader is, as an address: the view, the whole query, the open record. Pure: a place is printed into the URL
 * and read back from it, so that every state can be sent to somebody else.
 */

export const VIEWS = ["records", "channels", "agents", "network", "integrity"] as const
export type View = (typeof VIEWS)[number]

/** What can be left out, by the name of the filter that asks for it. */
export const EXCLUDABLE = ["kind", "agent", "channel", "task", "outcome", "q"] as const
export type Excludable = (typeof EXCLUDABLE)[number]

export interface Exclusion {
  readonly field: Excludable
  readonly value: string
}

/** One value each, as the service takes them. `kind`: one of them is enough; `not`: none of these. */
export interface Filter {
  readonly kind: readonly string[]
  readonly not: readonly Exclusion[]
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
    not: exclusionsOf(params),
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
  if (record !== undefined) params.set("record", String(record))
  const text = params.toString()
  return text === "" ? "./" : `?${text}`
}

/** What the service is asked. */
export function filterParams(filter: Filter): [string, string][] {
  const params: [string, string][] = filter.kind.map((kind) => ["kind", kind])
  for (const field of SINGLE_FIELDS) {
    const value = filter[field]
    if (value !== undefined) params.push([field, value])
  }
  for (const { field, value } of filter.not) params.push([`not_${field}`, value])
  return params
}

export function isFiltered(filter: Filter): boolean {
  return filterParams(filter).length > 0
}

/** The filter with this field set, or without it. */
export function withField(filter: Filter, field: SingleField, value: string | undefined): Filter {
  const { [field]: _old, ...rest } = filter
  return value === undefined || value === "" ? rest : { ...rest, [field]: value }
}

/** Asked for and left out are each other's opposite. */
export function withValue(
  filter: Filter,
  field: Excludable,
  value: string,
  wanted: "in" | "out" | "any",
): Filter {
  const not = filter.not.filter((each) => each.field !== field || each.value !== value)
  if (wanted === "out") not.push({ field, value })
  if (field === "kind") {
    const kind = filter.kind.filter((other) => other !== value)
    return { ...filter, not, kind: wanted === "in" ? [...kind, value] : kind }
  }
  const asked = wanted === "in" ? value : filter[field] === value ? undefined : filter[field]
  return { ...withField(filter, field, asked), not }
}

/** `not` alone is a kind: so it was once written. */
function exclusionsOf(params: URLSearchParams): Exclusion[] {
  const old = valuesOf(params, "not").map((value) => ({ field: "kind", value }) as const)
  const found = EXCLUDABLE.flatMap((field) => {
    const values = field === "q" ? params.getAll("not_q") : valuesOf(params, `not_${field}`)
    return values
      .filter((value) => value !== "" && value.length <= MAX_VALUE_LENGTH)
      .map((value) => ({ field, value }))
  })
  return [...old, ...found].filter(
    (each, i, all) => all.findIndex(({ field, value }) => field === each.field && value === each.value) === i,
  )
}

function valuesOf(params: URLSearchParams, name: string): string[] {
  const values = params.getAll(name).flatMap((value) => value.split(","))
  return [...new Set(values)].filter((value) => value !== "" && value.length <= MAX_VALUE_LENGTH)
}
