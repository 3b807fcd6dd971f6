import type { TaskOutcome } from "./task.ts"

export interface ResumeExample {
  readonly title: string
  readonly outcome: string
  readonly task_id: string | null
  readonly channel_id: string | null
  readonly when: string | null
  readonly note: string
}

/** A track record, counted by the hub alone. A cancelled task raises `n` and nothing else: how many were is the difference. */
export interface ObservedStat {
  readonly n: number
  readonly completed: number
  readonly failed: number
  readonly expired: number
  /** The median of the newest latencies that were told, of at most 101; AG2's hub keeps the last one here. */
  readonly p50_latency_ms: number | null
}

/** What an agent says it can do, and what the hub has seen it do. */
export interface Resume {
  readonly claimed_capabilities: readonly string[]
  readonly domains: readonly string[]
  /** What `listAgents({ query })` searches. */
  readonly summary: string
  readonly examples: readonly ResumeExample[]
  /** By capability. Kept by the hub: what a tenant sends here is ignored. */
  readonly observed: Readonly<Record<string, ObservedStat>>
  /** Raised by the hub on each change, from 1. */
  readonly version: number
  /** ISO 8601; empty until the first change. */
  readonly last_updated: string
}

export type ResumeRequest = Partial<Omit<Resume, "version" | "last_updated" | "observed">> & {
  readonly version?: number
  readonly last_updated?: string
  readonly observed?: Readonly<Record<string, ObservedStat>>
}

export const EMPTY_RESUME: Resume = {
  claimed_capabilities: [],
  domains: [],
  summary: "",
  examples: [],
  observed: {},
  version: 1,
  last_updated: "",
}

const NO_RECORD: ObservedStat = { n: 0, completed: 0, failed: 0, expired: 0, p50_latency_ms: null }

/** One more observation. @param p50LatencyMs the median with it; `null` keeps the one before. */
export function addObservation(
  stat: ObservedStat | undefined,
  outcome: TaskOutcome,
  p50LatencyMs: number | null,
): ObservedStat {
  const before = stat ?? NO_RECORD
  return {
    n: before.n + 1,
    completed: before.completed + (outcome === "completed" ? 1 : 0),
    failed: before.failed + (outcome === "failed" ? 1 : 0),
    expired: before.expired + (outcome === "expired" ? 1 : 0),
    p50_latency_ms: p50LatencyMs ?? before.p50_latency_ms,
  }
}

/** Claimed and observed, without repeats. */
export function capabilitiesOf(resume: Resume): string[] {
  return [...new Set([...resume.claimed_capabilities, ...Object.keys(resume.observed)])]
}
