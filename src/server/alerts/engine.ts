import type { LogEntry } from "../../audit/index.ts"
import { parseTime } from "../../core/index.ts"
import { matcherOf, type AlertRule } from "./rules.ts"

/** Of a rule's state, in times: what a threshold may be. */
export interface RuleState {
  /** Of matching records in the window, in milliseconds, oldest first. */
  readonly times: readonly number[]
  /** When it fired last, or should have; `null`: never. */
  readonly firedAt: number | null
  /** Of the last match: what absence is counted from. */
  readonly lastMatch: number | null
  /** Absence has been told, and no match has come since. */
  readonly isAbsent: boolean
}

export const NEW_STATE: RuleState = { times: [], firedAt: null, lastMatch: null, isAbsent: false }

/** What a rule says at a record, or at a time. */
export interface Alert {
  readonly rule: AlertRule
  /** In milliseconds: the record's own time, or when absence was noticed. */
  readonly at: number
  /** The record that made it fire; `null` for absence. */
  readonly index: number | null
  readonly count: number
  /** It fell into the quiet period: on record, and not sent. */
  readonly isSuppressed: boolean
}

/**
 * A rule over the records in their order. Pure: the same records give the same alerts, live, after a restart, and when
 * history is replayed.
 *
 * Time is the records' own, so that a replay of last month fires as last month would have.
 */
export function observe(
  rule: AlertRule,
  state: RuleState,
  entry: LogEntry,
): { readonly state: RuleState; readonly alert: Alert | undefined } {
  const at = parseTime(entry.record["at"]) ?? state.lastMatch ?? 0
  if (rule.absenceMs !== undefined) {
    const gone = absent(rule, state, at)
    const next = matcherOf(rule)(entry) ? { ...gone.state, lastMatch: at, isAbsent: false } : gone.state
    return { state: next, alert: gone.alert }
  }
  if (!matcherOf(rule)(entry)) return { state, alert: undefined }
  const since = rule.withinMs === undefined ? -Infinity : at - rule.withinMs
  const times = [...state.times.filter((time) => time > since), at]
  const next: RuleState = { ...state, times, lastMatch: at }
  if (times.length < rule.threshold) return { state: next, alert: undefined }
  return fire(rule, { ...next, times: [] }, { at, index: entry.index, count: times.length })
}

/** Whether a rule about absence fires when nothing has matched until `now`. */
export function absent(
  rule: AlertRule,
  state: RuleState,
  now: number,
): { readonly state: RuleState; readonly alert: Alert | undefined } {
  const { absenceMs } = rule
  if (absenceMs === undefined) return { state, alert: undefined }
  // It is counted from the first time that is known.
  if (state.lastMatch === null) return { state: { ...state, lastMatch: now }, alert: undefined }
  if (state.isAbsent || now - state.lastMatch < absenceMs) return { state, alert: undefined }
  return fire(rule, { ...state, isAbsent: true }, { at: state.lastMatch + absenceMs, index: null, count: 0 })
}

function fire(
  rule: AlertRule,
  state: RuleState,
  what: Pick<Alert, "at" | "index" | "count">,
): { readonly state: RuleState; readonly alert: Alert } {
  const isSuppressed = state.firedAt !== null && what.at - state.firedAt < rule.quietMs
  const firedAt = isSuppressed ? state.firedAt : what.at
  return { state: { ...state, firedAt }, alert: { rule, ...what, isSuppressed } }
}
