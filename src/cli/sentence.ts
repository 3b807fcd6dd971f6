import type { AuditRecord } from "../audit/index.ts"
import { parseTime } from "../core/system.ts"
import { visible } from "./colours.ts"
import type { Colour, Colours } from "./colours.ts"
import { shortId } from "./names.ts"

/** Tells a record in one line, for people. `nameOf` gives an agent's name for its id. */
export function sentence(
  index: number,
  record: AuditRecord,
  nameOf: (id: unknown) => string,
  colours: Colours,
): string {
  const kind = String(record["kind"])
  const told = (TELLERS[kind] ?? tellFields)(record, { nameOf, colours })
  const time = timeOfDay(record["at"])
  return [
    colours("grey", String(index).padStart(5)),
    colours("grey", time),
    colours(colourOf(record, kind), visible(kind).padEnd(20)),
    told,
  ].join("  ")
}

interface Telling {
  readonly nameOf: (id: unknown) => string
  readonly colours: Colours
}
type Teller = (record: AuditRecord, telling: Telling) => string

const TELLERS: Readonly<Record<string, Teller>> = {
  agent_registered: (r, t) => `${agent(r["agent_id"], t)} joined`,
  agent_unregistered: (r, t) => `${name(r["name"], t)} left`,
  resume_set: (r, t) =>
    r["source"] === "observed"
      ? `${agent(r["agent_id"], t)} was seen to do ${word(r["capability"])}: ${word(r["outcome"])}`
      : `${agent(r["agent_id"], t)} wrote resume version ${word(r["version"])}`,
  skill_set: (r, t) =>
    `${agent(r["agent_id"], t)} ${r["removed"] === true ? "removed its" : "wrote a"} skill document`,
  rule_set: (r, t) => `${agent(r["agent_id"], t)} has rule version ${word(r["version"])}`,
  channel_created: (r, t) =>
    `${agent(r["creator_id"], t)} invites to ${word(r["manifest_type"])} ${channel(r, t)}: ${agents(r["participants"], t)}`,
  channel_opened: (r, t) => `${channel(r, t)} is open`,
  channel_closed: (r, t) => `${channel(r, t)} closed: ${word(r["reason"])}`,
  channel_expired: (r, t) => `${channel(r, t)} expired: ${word(r["reason"])}`,
  expectation_violated: (r, t) =>
    `${word(r["expectation"])} was not kept in ${channel(r, t)}${blame(r["violators"], t)}; then ${word(r["on_violation"])}`,
  task_started: (r, t) => `${agent(r["owner_id"], t)} started task ${shortId(r["task_id"])}${doing(r)}`,
  task_terminated: (r, t) =>
    `task ${shortId(r["task_id"])} of ${agent(r["owner_id"], t)}${doing(r)}: ${word(r["outcome"])}${because(r["reason"])}`,
  turn_failed: (r, t) =>
    `${agent(r["agent_id"], t)} crashed in ${channel(r, t)}: ${word(r["exc_type"])}: ${word(r["exc_message"])}`,
  envelope_rejected: (r, t) =>
    `${agent(r["sender_id"], t)} was refused in ${channel(r, t)}: ${word(r["code"])}${because(r["reason"])}`,
  dispatch_failed: (r, t) => `${agent(r["recipient_id"], t)} could not be reached${because(r["reason"])}`,
  inbox_pressure: (r, t) =>
    `${agent(r["agent_id"], t)} has ${word(r["pending"])} of at most ${word(r["cap"])} waiting`,
  auth_failed: (r, t) =>
    `${name(r["name"], t)} could not prove itself by ${word(r["scheme"])}${because(r["reason"])}`,
  access_denied: (r, t) => `${agent(r["agent_id"], t)} was denied ${word(r["op"])}${because(r["reason"])}`,
  hub_started: (r) => `hub ${word(r["version"])} started on a log of ${word(r["size"])} records`,
  hub_stopped: (r) => `hub stopped: ${word(r["reason"])}`,
  quarantined: (r) => `${word(r["path"])} is not served${because(r["reason"])}`,
  audit_gap: (r) =>
    `${word(r["lost"])} records were lost between ${word(r["from"])} and ${word(r["to"])}: ${word(r["cause"])}`,
  audit_recovered: (r) => `${word(r["torn_bytes"])} torn bytes were set aside at ${word(r["torn_path"])}`,
}

const RED = new Set(["turn_failed", "audit_gap", "auth_failed", "access_denied", "quarantined"])
const YELLOW = new Set([
  "audit_recovered",
  "channel_expired",
  "dispatch_failed",
  "envelope_rejected",
  "expectation_violated",
  "inbox_pressure",
])

function colourOf(record: AuditRecord, kind: string): Colour {
  if (RED.has(kind)) return "red"
  if (YELLOW.has(kind)) return "yellow"
  if (kind === "task_terminated") return OUTCOMES[String(record["outcome"])] ?? "yellow"
  if (kind.startsWith("channel_")) return "blue"
  if (kind.startsWith("hub_")) return "magenta"
  return kind in TELLERS ? "cyan" : "bold"
}

const OUTCOMES: Readonly<Record<string, Colour>> = { completed: "green", failed: "red" }

/** Any other kind: its fields as they are. */
function tellFields(record: AuditRecord): string {
  return Object.entries(record)
    .filter(([key]) => key !== "at" && key !== "kind")
    .map(([key, value]) =>
      visible(`${key}=${typeof value === "string" ? value : String(JSON.stringify(value))}`),
    )
    .join(" ")
}

function agent(id: unknown, { nameOf, colours }: Telling): string {
  return id === null || id === undefined ? "somebody" : colours("bold", visible(nameOf(id)))
}

function agents(ids: unknown, telling: Telling): string {
  return Array.isArray(ids) ? ids.map((id: unknown) => agent(id, telling)).join(", ") : "nobody"
}

function name(value: unknown, { colours }: Telling): string {
  return colours("bold", typeof value === "string" ? visible(value) : "somebody")
}

function channel(record: AuditRecord, { colours }: Telling): string {
  return colours("blue", `channel ${visible(shortId(record["channel_id"]))}`)
}

function doing(record: AuditRecord): string {
  return typeof record["capability"] === "string" ? ` (${visible(record["capability"])})` : ""
}

function blame(violators: unknown, telling: Telling): string {
  return Array.isArray(violators) && violators.length > 0 ? ` by ${agents(violators, telling)}` : ""
}

function because(reason: unknown): string {
  return typeof reason === "string" && reason !== "" ? `: ${visible(reason)}` : ""
}

function word(value: unknown): string {
  return value === null || value === undefined || value === "" ? "(not said)" : visible(String(value))
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
