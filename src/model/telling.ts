/**
 * A record in words, for people: what happened, with the agents, channels and tasks in it told apart from the text, so
 * that a terminal can colour them and a page can make links of them.
 *
 * Nothing here is escaped: texts are what others wrote, and whoever shows them makes them safe for where they go.
 */

/** What a sentence is made of: text as it is, or something with an identity. */
export type Part =
  | string
  | { readonly type: "agent" | "channel" | "task"; readonly id: string }
  /** A name that stands in the record itself. */
  | { readonly type: "name"; readonly name: string }

/** How a record should look at a glance. */
export type Tone = "bad" | "warn" | "good" | "channel" | "hub" | "plain" | "other"

type Fields = Readonly<Record<string, unknown>>

/** A sentence about the record. Any record has one, whatever its fields hold; of an unknown kind it is its fields. */
export function tellRecord(record: Fields): readonly Part[] {
  const teller = TELLERS.get(String(record["kind"]))
  return (teller?.(record) ?? [tellFields(record)]).filter((part) => part !== "")
}

/** Red is for what failed, yellow for what was not as it should be; the rest is told apart by what it is about. */
export function toneOf(record: Fields): Tone {
  const kind = String(record["kind"])
  if (BAD.has(kind)) return "bad"
  if (WARN.has(kind)) return "warn"
  if (kind === "task_terminated") {
    const { outcome } = record
    return outcome === "completed" ? "good" : outcome === "failed" ? "bad" : "warn"
  }
  if (kind.startsWith("channel_")) return "channel"
  if (kind.startsWith("hub_")) return "hub"
  return TELLERS.has(kind) ? "plain" : "other"
}

const BAD = new Set(["turn_failed", "audit_gap", "auth_failed", "access_denied", "quarantined"])
const WARN = new Set([
  "audit_recovered",
  "channel_expired",
  "dispatch_failed",
  "envelope_rejected",
  "expectation_violated",
  "inbox_pressure",
])

/** The end of an id, which is its random part: enough to tell a few apart. */
export function shortId(id: unknown): string {
  return String(id).slice(-6)
}

const TELLERS: ReadonlyMap<string, (record: Fields) => Part[]> = new Map(
  Object.entries({
    agent_registered: (r: Fields) => tell`${agent(r["agent_id"])} joined`,
    agent_unregistered: (r: Fields) => tell`${name(r["name"])} left`,
    resume_set: (r: Fields) =>
      r["source"] === "observed"
        ? tell`${agent(r["agent_id"])} was seen to do ${word(r["capability"])}: ${word(r["outcome"])}`
        : tell`${agent(r["agent_id"])} wrote resume version ${word(r["version"])}`,
    skill_set: (r: Fields) =>
      tell`${agent(r["agent_id"])} ${r["removed"] === true ? "removed its" : "wrote a"} skill document`,
    rule_set: (r: Fields) => tell`${agent(r["agent_id"])} has rule version ${word(r["version"])}`,
    channel_created: (r: Fields) =>
      tell`${agent(r["creator_id"])} invites to ${word(r["manifest_type"])} ${channel(r)}: ${agents(r["participants"])}`,
    channel_opened: (r: Fields) => tell`${channel(r)} is open`,
    channel_closed: (r: Fields) => tell`${channel(r)} closed: ${word(r["reason"])}`,
    channel_expired: (r: Fields) => tell`${channel(r)} expired: ${word(r["reason"])}`,
    expectation_violated: (r: Fields) =>
      tell`${word(r["expectation"])} was not kept in ${channel(r)}${blame(r["violators"])}; then ${word(r["on_violation"])}`,
    task_started: (r: Fields) => tell`${agent(r["owner_id"])} started ${task(r)}${doing(r)}`,
    task_terminated: (r: Fields) =>
      tell`${task(r)} of ${agent(r["owner_id"])}${doing(r)}: ${word(r["outcome"])}${because(r["reason"])}`,
    turn_failed: (r: Fields) =>
      tell`${agent(r["agent_id"])} crashed in ${channel(r)}: ${word(r["exc_type"])}: ${word(r["exc_message"])}`,
    envelope_rejected: (r: Fields) =>
      tell`${agent(r["sender_id"])} was refused in ${channel(r)}: ${word(r["code"])}${because(r["reason"])}`,
    dispatch_failed: (r: Fields) =>
      tell`${agent(r["recipient_id"])} could not be reached${because(r["reason"])}`,
    inbox_pressure: (r: Fields) =>
      tell`${agent(r["agent_id"])} has ${word(r["pending"])} of at most ${word(r["cap"])} waiting`,
    auth_failed: (r: Fields) =>
      tell`${name(r["name"])} could not prove itself by ${word(r["scheme"])}${because(r["reason"])}`,
    access_denied: (r: Fields) =>
      tell`${agent(r["agent_id"])} was denied ${word(r["op"])}${because(r["reason"])}`,
    hub_started: (r: Fields) =>
      tell`hub ${word(r["version"])} started on a log of ${word(r["size"])} records`,
    hub_stopped: (r: Fields) => tell`hub stopped: ${word(r["reason"])}`,
    quarantined: (r: Fields) => tell`${word(r["path"])} is not served${because(r["reason"])}`,
    audit_gap: (r: Fields) =>
      tell`${word(r["lost"])} records were lost between ${word(r["from"])} and ${word(r["to"])}: ${word(r["cause"])}`,
    audit_recovered: (r: Fields) =>
      tell`${word(r["torn_bytes"])} torn bytes were set aside at ${word(r["torn_path"])}`,
  }),
)

function tell(texts: TemplateStringsArray, ...values: readonly (Part | readonly Part[])[]): Part[] {
  return texts.flatMap((text, i) => [text, ...[values[i] ?? ""].flat()])
}

/** Any other kind: its fields as they are. */
function tellFields(record: Fields): string {
  return Object.entries(record)
    .filter(([key]) => key !== "at" && key !== "kind")
    .map(([key, value]) => `${key}=${typeof value === "string" ? value : String(JSON.stringify(value))}`)
    .join(" ")
}

function agent(id: unknown): Part {
  return id === null || id === undefined
    ? { type: "name", name: "somebody" }
    : { type: "agent", id: String(id) }
}

function agents(ids: unknown): readonly Part[] {
  if (!Array.isArray(ids)) return ["nobody"]
  return ids.flatMap((id: unknown, i) => (i === 0 ? [agent(id)] : [", ", agent(id)]))
}

function name(value: unknown): Part {
  return { type: "name", name: typeof value === "string" ? value : "somebody" }
}

function channel(record: Fields): Part {
  return { type: "channel", id: String(record["channel_id"]) }
}

function task(record: Fields): Part {
  return { type: "task", id: String(record["task_id"]) }
}

function doing(record: Fields): string {
  return typeof record["capability"] === "string" ? ` (${record["capability"]})` : ""
}

function blame(violators: unknown): readonly Part[] {
  return Array.isArray(violators) && violators.length > 0 ? [" by ", ...agents(violators)] : []
}

function because(reason: unknown): string {
  return typeof reason === "string" && reason !== "" ? `: ${reason}` : ""
}

function word(value: unknown): string {
  return value === null || value === undefined || value === "" ? "(not said)" : String(value)
}
