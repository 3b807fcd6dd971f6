import { InvalidInputError } from "../core/errors.ts"
import { parseTime } from "../core/system.ts"
import type { AuditRecord, LogEntry, LogFilter } from "./types.ts"

/** The fields of a record that name agents. */
const AGENT_FIELDS = ["agent_id", "owner_id", "creator_id", "sender_id", "recipient_id", "actor_id"] as const
const AGENT_LIST_FIELDS = ["participants", "violators"] as const

/**
 * A filter as a predicate. All conditions must hold; an empty filter lets everything through. A record without a
 * readable `at` lies in no time range.
 *
 * @throws InvalidInputError for a time that does not parse.
 */
export function compileFilter(filter: LogFilter): (entry: LogEntry) => boolean {
  const kinds = filter.kind === undefined ? undefined : new Set([filter.kind].flat())
  const from = timeBound(filter.from, "from")
  const to = timeBound(filter.to, "to")
  const { agent, channel, task, outcome, text } = filter
  return (entry) => {
    if (text !== undefined && !entry.line.includes(text)) return false
    const { record } = entry
    if (kinds !== undefined && !kinds.has(String(record["kind"]))) return false
    if (channel !== undefined && record["channel_id"] !== channel) return false
    if (task !== undefined && record["task_id"] !== task) return false
    if (outcome !== undefined && record["outcome"] !== outcome) return false
    if (agent !== undefined && !agentsOf(record).includes(agent)) return false
    if (from === undefined && to === undefined) return true
    const at = parseTime(record["at"])
    return at !== undefined && (from === undefined || at >= from) && (to === undefined || at < to)
  }
}

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

function timeBound(bound: string | number | undefined, name: string): number | undefined {
  if (bound === undefined || typeof bound === "number") return bound
  const milliseconds = parseTime(bound)
  if (milliseconds === undefined) {
    throw new InvalidInputError(`${name} is not an ISO 8601 time: ${JSON.stringify(bound)}`)
  }
  return milliseconds
}
