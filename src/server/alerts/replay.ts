import type { AuditLog, LogEntry } from "../../audit/index.ts"
import { parseTime } from "../../core/index.ts"
import { absent, NEW_STATE, observe, type Alert, type RuleState } from "./engine.ts"
import type { AlertRule } from "./rules.ts"

/**
 * What a rule would have said of the log so far; sends nothing. The index finds the records that count, so a rule about
 * few of them costs little. Ends with the log: an absence that goes on is told if it was long enough by its last record.
 */
export async function* replay(
  log: AuditLog,
  rule: AlertRule,
  signal: AbortSignal,
): AsyncGenerator<Alert, void, undefined> {
  let state: RuleState = NEW_STATE
  const isAbout = rule.absenceMs !== undefined
  if (isAbout) {
    // Absence is counted from the first time that is known, whether that record counts or not.
    const [first] = await entriesOf(log, 0, 1)
    if (first === undefined) return
    state = { ...state, lastMatch: timeOf(first) ?? null }
  }
  for await (const entry of log.search({ ...rule.when, signal })) {
    const seen = observe(rule, state, entry)
    state = seen.state
    if (seen.alert !== undefined) yield seen.alert
  }
  if (!isAbout) return
  const [last] = await entriesOf(log, log.size - 1, log.size)
  const now = last === undefined ? undefined : timeOf(last)
  const seen = now === undefined ? undefined : absent(rule, state, now)
  if (seen?.alert !== undefined) yield seen.alert
}

async function entriesOf(log: AuditLog, from: number, to: number): Promise<LogEntry[]> {
  const entries: LogEntry[] = []
  for await (const entry of log.entries({ from, to })) entries.push(entry)
  return entries
}

function timeOf({ record }: LogEntry): number | undefined {
  return parseTime(record["at"])
}
