import type { AuditRecord } from "../audit/index.ts"
import { parseTime } from "../core/system.ts"
import { shortId, tellRecord, toneOf } from "../model/index.ts"
import type { Part, Tone } from "../model/index.ts"
import { visible } from "./colours.ts"
import type { Colour, Colours } from "./colours.ts"

/** Tells a record in one line, for people. `nameOf` gives an agent's name for its id. */
export function sentence(
  index: number,
  record: AuditRecord,
  nameOf: (id: unknown) => string,
  colours: Colours,
): string {
  const paint = (part: Part): string => {
    if (typeof part === "string") return visible(part)
    if (part.type === "name") return colours("bold", visible(part.name))
    if (part.type === "agent") return colours("bold", visible(nameOf(part.id)))
    if (part.type === "task") return visible(`task ${shortId(part.id)}`)
    return colours("blue", visible(`channel ${shortId(part.id)}`))
  }
  return [
    colours("grey", String(index).padStart(5)),
    colours("grey", timeOfDay(record["at"])),
    colours(COLOURS[toneOf(record)], visible(String(record["kind"])).padEnd(20)),
    tellRecord(record).map(paint).join(""),
  ].join("  ")
}

const COLOURS: Readonly<Record<Tone, Colour>> = {
  bad: "red",
  warn: "yellow",
  good: "green",
  channel: "blue",
  hub: "magenta",
  plain: "cyan",
  other: "bold",
}

/** Local time of the reader; the record itself is in UTC. */
function timeOfDay(at: unknown): string {
  const time = parseTime(at)
  if (time === undefined) return "--:--:--.---"
  const date = new Date(time)
  const two = (value: number): string => String(value).padStart(2, "0")
  const millis = String(date.getMilliseconds()).padStart(3, "0")
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${millis}`
}
