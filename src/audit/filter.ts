import { InvalidInputError } from "../core/errors.ts"
import { quote } from "../core/line-text.ts"
import { parseTime } from "../core/system.ts"
import { timeOf } from "./time.ts"
import type { AuditRecord, Exclusions, LogEntry, LogFilter } from "./types.ts"

/** The fields of a record that name agents. */
export const AGENT_FIELDS = [
  "agent_id",
  "owner_id",
  "creator_id",
  "sender_id",
  "recipient_id",
  "actor_id",
] as const
const AGENT_LIST_FIELDS = ["participants", "violators"] as const

/** In UTF-16 units: no line is longer. */
const MAX_TEXT_LENGTH = 65_535

/**
 * A filter as a predicate. All conditions must hold; an empty filter lets everything through. A record without a
 * readable `at` lies in no time range.
 *
 * @throws InvalidInputError for a time that does not parse, and for a text that is longer than any line.
 */
export function compileFilter(filter: LogFilter): (entry: LogEntry) => boolean {
  const kinds = filter.kind === undefined ? undefined : new Set<unknown>([filter.kind].flat())
  const from = timeBound(filter.from, "from")
  const to = timeBound(filter.to, "to")
  const { agent, channel, task, outcome } = filter
  const texts = textForms(filter.text)
  const where = Object.entries(filter.where ?? {})
  const isExcluded = compileExclusions(filter.not)
  return (entry) => {
    if (texts.length > 0 && !texts.some((text) => entry.line.includes(text))) return false
    const { record } = entry
    if (kinds !== undefined && !kinds.has(record["kind"])) return false
    if (channel !== undefined && record["channel_id"] !== channel) return false
    if (task !== undefined && record["task_id"] !== task) return false
    if (outcome !== undefined && record["outcome"] !== outcome) return false
    if (agent !== undefined && !agentsOf(record).includes(agent)) return false
    if (!where.every(([field, value]) => Object.hasOwn(record, field) && record[field] === value))
      return false
    if (isExcluded?.(entry) === true) return false
    if (from === undefined && to === undefined) return true
    const at = timeOf(record)
    return at !== undefined && (from === undefined || at >= from) && (to === undefined || at < to)
  }
}

/** @returns `undefined` when nothing is left out. */
function compileExclusions(not: Exclusions | undefined): ((entry: LogEntry) => boolean) | undefined {
  const fields = EXCLUDABLE.flatMap(([name, field]) => {
    const values = not?.[name]
    return values === undefined ? [] : [[field, new Set<unknown>([values].flat())] as const]
  })
  const agents = not?.agent === undefined ? undefined : new Set([not.agent].flat())
  const texts = not?.text === undefined ? [] : [not.text].flat().flatMap(textForms)
  if (fields.length === 0 && agents === undefined && texts.length === 0) return undefined
  return ({ line, record }) =>
    texts.some((text) => line.includes(text)) ||
    fields.some(([field, values]) => values.has(record[field])) ||
    (agents !== undefined && agentsOf(record).some((agent) => agents.has(agent)))
}

/** What may be left out, by the one field of a record that it is in; agents are in many. */
const EXCLUDABLE = [
  ["kind", "kind"],
  ["channel", "channel_id"],
  ["task", "task_id"],
  ["outcome", "outcome"],
] as const

/** The ids of every agent that a record names, without repeats. */
export function agentsOf(record: AuditRecord): string[] {
  const agents: string[] = []
  for (const field of AGENT_FIELDS) {
    const agent = record[field]
    if (typeof agent === "string" && !agents.includes(agent)) agents.push(agent)
  }
  for (const field of AGENT_LIST_FIELDS) {
    const list = record[field]
    if (!Array.isArray(list)) continue
    for (const agent of list as unknown[]) {
      if (typeof agent === "string" && !agents.includes(agent)) agents.push(agent)
    }
  }
  return agents
}

/** How a text may stand in a line: as it is, and as we write it inside a string. None: everything matches. */
export function textForms(text: string | undefined): readonly string[] {
  if (text === undefined || text === "") return []
  if (text.length > MAX_TEXT_LENGTH) {
    throw new InvalidInputError(
      `a text to look for has at most ${MAX_TEXT_LENGTH} characters, not ${text.length}`,
    )
  }
  return [...new Set([text, quote(text).slice(1, -1)])]
}

export function timeBound(bound: string | number | undefined, name: string): number | undefined {
  if (bound === undefined || typeof bound === "number") return bound
  const milliseconds = parseTime(bound)
  if (milliseconds === undefined) {
    throw new InvalidInputError(`${name} is not an ISO 8601 time: ${JSON.stringify(bound)}`)
  }
  return milliseconds
}
