/** Values that can be acted on: filtered in and out, copied, followed. */
import type { JSX } from "preact"
import { encodeLine, parseTime, isoTime } from "../../core/index.ts"
import { quote } from "../../core/line-text.ts"
import { shortId, tellRecord } from "../../model/index.ts"
import type { Part } from "../../model/index.ts"
import { NO_FILTER, withValue } from "../place.ts"
import type { Excludable } from "../place.ts"
import { channelTypes, goFilter, goView, nameOf, place } from "../state.ts"
import { T } from "../texts.ts"
import { recordColour } from "./colour.ts"
import { openMenu } from "./menu.tsx"
import type { MenuItem } from "./menu.tsx"
import { copy } from "./toast.tsx"

type Fields = Readonly<Record<string, unknown>>

/** Which filter a field of a record answers to. */
const FILTER_OF: Readonly<Record<string, Excludable>> = {
  kind: "kind",
  agent_id: "agent",
  owner_id: "agent",
  creator_id: "agent",
  sender_id: "agent",
  recipient_id: "agent",
  actor_id: "agent",
  participants: "agent",
  violators: "agent",
  channel_id: "channel",
  task_id: "task",
  outcome: "outcome",
}

export function filterOf(field: string): Excludable | undefined {
  return Object.hasOwn(FILTER_OF, field) ? FILTER_OF[field] : undefined
}

/** How a value is called where its id would say nothing. */
export function labelOf(field: string, value: string): string {
  const filter = filterOf(field)
  if (filter === "agent") return nameOf(value)
  if (filter === "channel") return channelLabel(value)
  return filter === "task" ? `task ${shortId(value)}` : value
}

/** `consulting 18ac…`, or `channel 18ac…` where the type is not known. */
export function channelLabel(id: string): string {
  return `${channelTypes.value.get(id) ?? "channel"} ${shortId(id)}`
}

const AROUND_MS = 150_000

export type Literal = string | number | boolean | null

export function actionsFor(field: string, literal: Literal): MenuItem[] {
  const value = String(literal)
  const { filter } = place.peek()
  const by = filterOf(field)
  const label = labelOf(field, value)
  const items: MenuItem[] = []
  if (by !== undefined) {
    items.push(
      { text: T.menuIn(label), run: () => goFilter(withValue(filter, by, value, "in")) },
      { text: T.menuOut(label), run: () => goFilter(withValue(filter, by, value, "out")) },
    )
  } else if (field === "at") {
    const time = parseTime(value)
    if (time !== undefined) {
      const range = { from: isoTime(time - AROUND_MS), to: isoTime(time + AROUND_MS) }
      items.push({ text: T.menuAround, run: () => goFilter({ ...filter, ...range }) })
    }
  } else if (typeof literal === "number") {
    // As a text `1` is a part of `12`: it can be looked for, and neither asked for nor left out.
    const part = partOf(field, literal)
    items.push({ text: T.menuSearch, run: () => goFilter(withValue(filter, "q", part, "in")) })
  } else {
    const part = partOf(field, literal)
    items.push(
      { text: T.menuText(field), run: () => goFilter(withValue(filter, "q", part, "in")) },
      { text: T.menuNoText(field), run: () => goFilter(withValue(filter, "q", part, "out")) },
    )
  }
  if (by === "agent") items.push({ text: T.menuFollow("agent"), run: () => goView("agents", value) })
  if (by === "channel") items.push({ text: T.menuFollow("channel"), run: () => goView("channels", value) })
  if (by === "task")
    items.push({ text: T.menuFollow("task"), run: () => goFilter({ ...NO_FILTER, task: value }) })
  items.push({ text: T.menuCopy, run: () => copy(value) })
  return items
}

/** In UTF-16 units. */
const MAX_PART_LENGTH = 500

/** The part of a line that a field with this value is, as it is stored; of a long text its beginning. */
function partOf(field: string, value: Literal): string {
  const whole = encodeLine({ [field]: value }).slice(1, -1)
  return typeof value === "string" && whole.length > MAX_PART_LENGTH
    ? quote(value.slice(0, 80)).slice(1, -1)
    : whole
}

/** Every value of a record that can be acted on, for a menu that the keyboard opens. */
export function recordActions(record: Fields): MenuItem[] {
  const seen = new Set<string>()
  return Object.entries(record).flatMap(([field, value]) =>
    [value].flat().flatMap((each: unknown) => {
      if (typeof each !== "string" || filterOf(field) === undefined) return []
      return actionsFor(field, each).filter(({ text }) => {
        const isNew = text !== T.menuCopy && !seen.has(text)
        seen.add(text)
        return isNew
      })
    }),
  )
}

/** A value as a small button with its menu. */
export function Value({
  field,
  value,
  class: name = "",
  children,
  tabIndex,
}: {
  readonly field: string
  readonly value: Literal
  readonly class?: string
  readonly children?: JSX.Element | string | (JSX.Element | string)[]
  readonly tabIndex?: number
}): JSX.Element {
  const label = labelOf(field, String(value))
  return (
    <button
      type="button"
      class={`value ${name}`}
      title={String(value)}
      aria-haspopup="menu"
      {...(tabIndex === undefined ? {} : { tabIndex })}
      onClick={(event) => {
        event.stopPropagation()
        openMenu(label, actionsFor(field, value), event.currentTarget)
      }}
    >
      {children ?? label}
    </button>
  )
}

/** A record's kind, with a dot in its colour. */
export function Kind({
  record,
  tabIndex,
}: {
  readonly record: Fields
  readonly tabIndex?: number
}): JSX.Element {
  const kind = String(record["kind"])
  return (
    <Value field="kind" value={kind} class="kind" {...(tabIndex === undefined ? {} : { tabIndex })}>
      {[<i class="dot" style={{ background: recordColour(record) }} />, kind]}
    </Value>
  )
}

/** The record in words, its agents, channels and tasks as buttons. */
export function Sentence({
  record,
  tabIndex,
}: {
  readonly record: Fields
  readonly tabIndex?: number
}): JSX.Element {
  const tab = tabIndex === undefined ? {} : { tabIndex }
  const parts = tellRecord(record)
  const show = (part: Part, i: number): JSX.Element | string => {
    if (typeof part === "string") return part
    if (part.type === "name") return <b>{part.name}</b>
    if (part.type === "agent") return <Value field="agent_id" value={part.id} class="agent" {...tab} />
    if (part.type === "task") return <Value field="task_id" value={part.id} class="task" {...tab} />
    // "consulting consulting 18ac" says it once too often.
    const isTyped =
      parts[i - 1] === channelTypes.value.get(part.id) || parts[i - 2] === channelTypes.value.get(part.id)
    return (
      <Value field="channel_id" value={part.id} class="channel" {...tab}>
        {isTyped ? shortId(part.id) : channelLabel(part.id)}
      </Value>
    )
  }
  return <span class="sentence">{parts.map(show)}</span>
}
