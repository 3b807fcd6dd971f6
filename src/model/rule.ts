import type { Duration } from "./duration.ts"

/** What an agent may do, and how much. `0` switches a limit off. */
export interface Rule {
  /** Raised by the hub on each change, from 1. */
  readonly version: number
  readonly access: {
    /** Globs over sender names: who may open channels with me and reach me. */
    readonly inbound_from: readonly string[]
    /** Globs over recipient names: whom I may address by name. */
    readonly outbound_to: readonly string[]
    /** Globs over channel types. */
    readonly channel_types: { readonly initiate: readonly string[]; readonly accept: readonly string[] }
  }
  readonly limits: {
    readonly max_concurrent_channels: number
    readonly max_concurrent_tasks: number
    readonly channel_ttl_default: Duration
    readonly task_ttl_default: Duration
    readonly rate: { readonly per_minute: number; readonly burst: number }
    readonly delegation_depth: number
    readonly inbox: {
      readonly max_pending: number
      readonly overflow: "reject" | "drop_oldest" | "drop_newest"
      /** `null`: 80 % of `max_pending`, at least 1; 0 or less: no signal. */
      readonly high_water: number | null
    }
  }
}

/** Any part of a rule; the rest is {@link DEFAULT_RULE}. */
export type RuleRequest = DeepPartial<Rule>

type DeepPartial<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { readonly [K in keyof T]?: DeepPartial<T[K]> }
    : T

export const DEFAULT_RULE: Rule = {
  version: 1,
  access: {
    inbound_from: ["*"],
    outbound_to: ["*"],
    channel_types: { initiate: ["*"], accept: ["*"] },
  },
  limits: {
    max_concurrent_channels: 0,
    max_concurrent_tasks: 0,
    channel_ttl_default: "2h",
    task_ttl_default: "15m",
    rate: { per_minute: 0, burst: 0 },
    delegation_depth: 5,
    inbox: { max_pending: 1000, overflow: "reject", high_water: null },
  },
}

export function makeRule(request: RuleRequest = {}): Rule {
  const { access, limits } = request
  return {
    version: request.version ?? DEFAULT_RULE.version,
    access: {
      ...DEFAULT_RULE.access,
      ...access,
      channel_types: { ...DEFAULT_RULE.access.channel_types, ...access?.channel_types },
    },
    limits: {
      ...DEFAULT_RULE.limits,
      ...limits,
      rate: { ...DEFAULT_RULE.limits.rate, ...limits?.rate },
      inbox: { ...DEFAULT_RULE.limits.inbox, ...limits?.inbox },
    },
  }
}

/** The inbox count from which pressure is signalled; `undefined` when it never is. */
export function highWaterMark(rule: Rule): number | undefined {
  const { max_pending, high_water } = rule.limits.inbox
  if (max_pending <= 0) return undefined
  const mark = high_water ?? Math.max(1, Math.floor(max_pending * 0.8))
  return mark > 0 ? mark : undefined
}
