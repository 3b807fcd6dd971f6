import type { AuditLog, LogFilter, LogStats } from "../../audit/index.ts"
import { Tally } from "../../audit/stats.ts"
import { parseTime } from "../../core/index.ts"
import { MAX_BUCKETS, type StatsAnswer, type TokenLimits } from "../../wire/http.ts"
import { visibleTo } from "./access.ts"
import { respond, UNCACHED } from "./caching.ts"
import { filterOf } from "./filters.ts"
import { route, type Route } from "./route.ts"
import { statsAnswer, statsQuery } from "./schemas.ts"

/** With `auto`. */
const AUTO_BUCKETS = 120

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** In milliseconds, shortest first. */
const ROUND_INTERVALS: readonly number[] = [
  1, 10, 100, 1_000, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000, 10_800_000,
  21_600_000, 43_200_000, 86_400_000, 604_800_000, 2_592_000_000, 31_536_000_000,
]

export const statsRoute: Route = route({
  id: "getStats",
  method: "GET",
  path: "/v1/stats",
  summary: "Counts by kind, agent and outcome, and over time, of the records that pass all filters",
  needs: "read",
  query: statsQuery,
  answers: {
    200: {
      description: "Of a table the thousand most frequent.",
      content: [{ type: "application/json", schema: statsAnswer }],
    },
  },
  async handle({ log }, { request, access, query, signal }) {
    const { interval = "auto", ...rest } = query
    const filter = filterOf(rest, access.limits)
    const answer = await answerOf(log, { filter, interval, limits: access.limits, signal })
    return respond(request, JSON.stringify(answer), { ...UNCACHED, "content-type": "application/json" })
  },
})

interface Wanted {
  readonly filter: LogFilter
  readonly interval: string
  readonly limits: TokenLimits | null
  readonly signal: AbortSignal
}

/** Twice over the index: how long the buckets must be is known when the first and the last time are. */
async function answerOf(log: AuditLog, wanted: Wanted): Promise<StatsAnswer> {
  const span = spanOf(await count(log, wanted, undefined))
  const interval_ms = intervalFor(wanted.interval, span)
  const stats = await count(log, wanted, interval_ms)
  const { total, by_kind, by_outcome, by_agent, first_at, last_at } = stats
  const buckets = stats.histogram.map(({ from, counts }) => ({
    at: from,
    total: Object.values(counts).reduce((sum, n) => sum + n, 0),
    by_kind: counts,
  }))
  return {
    total,
    by_kind,
    by_outcome,
    by_agent,
    first_at,
    last_at,
    histogram: { interval_ms, buckets },
    size: log.size,
  }
}

async function count(
  log: AuditLog,
  { filter, limits, signal }: Wanted,
  interval: number | undefined,
): Promise<LogStats> {
  const options = interval === undefined ? {} : { interval }
  const visible = visibleTo(limits)
  if (visible === undefined) return await log.stats({ ...filter, ...options, signal })
  // The log counts what a filter lets through, and not all limits are filters.
  const tally = new Tally(options)
  for await (const entry of log.search({ ...filter, signal })) if (visible(entry)) tally.add(entry)
  return tally.result()
}

function spanOf({ first_at, last_at }: LogStats): number {
  return (parseTime(last_at) ?? 0) - (parseTime(first_at) ?? 0)
}

/** Never so short that records which come between the two counts could make too many buckets. */
function intervalFor(asked: string, span: number): number {
  const buckets = asked === "auto" ? AUTO_BUCKETS : MAX_BUCKETS
  const shortest = Math.max(1, Math.ceil(span / buckets))
  if (asked === "auto") return ROUND_INTERVALS.find((interval) => interval >= shortest) ?? shortest
  const [, digits = "", unit = "ms"] = /^(\d+)(ms|s|m|h|d)?$/.exec(asked) ?? []
  const interval = Number(digits) * (UNITS[unit] ?? 1)
  return interval >= shortest ? interval : (ROUND_INTERVALS.find((round) => round >= shortest) ?? shortest)
}
