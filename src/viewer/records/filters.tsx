/** The query, as chips and a field. */
import type { JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import { systemTimers } from "../../core/index.ts"
import { dateTime } from "../format.ts"
import { useKeys } from "../keys.ts"
import { Icon } from "../parts/icons.tsx"
import { labelOf } from "../parts/values.tsx"
import { isFiltered, NO_FILTER, SINGLE_FIELDS, withField, withValue } from "../place.ts"
import type { Filter } from "../place.ts"
import { goFilter, place } from "../state.ts"
import { T } from "../texts.ts"

/** After the last key: searching at every letter would ask for what nobody wants to know. */
const TYPING_PAUSE_MS = 250

export function Search(): JSX.Element {
  const input = useRef<HTMLInputElement>(null)
  const { filter } = place.value
  const [text, setText] = useState(filter.q ?? "")
  useEffect(() => setText(filter.q ?? ""), [filter.q])
  const apply = (value: string, replace: boolean): void => {
    if (value !== (place.peek().filter.q ?? ""))
      goFilter(withField(place.peek().filter, "q", value), { replace })
  }
  useEffect(() => systemTimers.after(TYPING_PAUSE_MS, () => apply(text, true)), [text])
  useKeys([
    {
      keys: ["/"],
      text: T.keys.search,
      group: T.keys.everywhere,
      run: () => input.current?.select(),
    },
  ])
  return (
    <label class="search">
      <Icon name="search" />
      <input
        ref={input}
        type="search"
        value={text}
        placeholder={T.search}
        aria-label={T.search}
        maxLength={500}
        spellcheck={false}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") apply(text, false)
          if (event.key === "Escape") {
            setText("")
            apply("", false)
            event.currentTarget.blur()
          }
        }}
      />
      <kbd aria-hidden="true">/</kbd>
    </label>
  )
}

export function Chips(): JSX.Element | null {
  const { filter } = place.value
  if (!isFiltered(filter)) return null
  return (
    <ul class="chips" aria-label={T.filters}>
      {filter.kind.map((kind) => (
        <Chip
          key={`+${kind}`}
          name={T.filterNames.kind}
          value={kind}
          without={withValue(filter, "kind", kind, "any")}
        />
      ))}
      {filter.not.map(({ field, value }) => (
        <Chip
          key={`-${field} ${value}`}
          name={T.filterNot(T.filterNames[field])}
          value={labelOf(FIELD_OF[field] ?? "", value)}
          title={value}
          isNot
          without={withValue(filter, field, value, "any")}
        />
      ))}
      {SINGLE_FIELDS.map((field) => {
        const value = filter[field]
        if (value === undefined) return null
        return (
          <Chip
            key={field}
            name={T.filterNames[field]}
            value={
              field === "from" || field === "to" ? dateTime(value) : labelOf(FIELD_OF[field] ?? "", value)
            }
            title={value}
            without={withField(filter, field, undefined)}
          />
        )
      })}
      <li>
        <button type="button" class="text-button" onClick={() => goFilter(NO_FILTER)}>
          {T.clearFilters}
        </button>
      </li>
    </ul>
  )
}

const FIELD_OF: Readonly<Record<string, string>> = {
  agent: "agent_id",
  channel: "channel_id",
  task: "task_id",
}

function Chip({
  name,
  value,
  title,
  isNot = false,
  without,
}: {
  readonly name: string
  readonly value: string
  readonly title?: string
  readonly isNot?: boolean
  readonly without: Filter
}): JSX.Element {
  return (
    <li class="chip" data-not={isNot} title={title ?? value}>
      <span class="chip-name">{name}</span>
      <span class="chip-value">{value}</span>
      <button type="button" aria-label={T.remove(`${name} ${value}`)} onClick={() => goFilter(without)}>
        <Icon name="close" size={12} />
      </button>
    </li>
  )
}
