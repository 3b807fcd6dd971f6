import { Counter, Gauge, Histogram, Registry } from "prom-client"
import type { AuditLog } from "../../audit/index.ts"
import type { Clock } from "../../core/index.ts"
import type { Alerter } from "../alerts/alerter.ts"
import type { Feed } from "./feed.ts"
import { LogMetrics } from "./log-metrics.ts"
import { route, type Route } from "./route.ts"
import { noQuery } from "./schemas.ts"

/** In seconds. */
const DURATION_BUCKETS = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10]

export const metricsRoute: Route = route({
  id: "getMetrics",
  method: "GET",
  path: "/metrics",
  summary: "Prometheus metrics",
  needs: "read",
  needsAll: true,
  query: noQuery,
  answers: { 200: { description: "They are.", content: [{ type: "text/plain" }] } },
  async handle({ metrics }) {
    const { registry } = metrics
    return new Response(await registry.metrics(), {
      headers: { "content-type": registry.contentType, "cache-control": "no-store" },
    })
  },
})

/** What the service counts. What the log and the feed know already is asked for when somebody looks. */
export class Metrics {
  readonly registry: Registry = new Registry()
  readonly #requests: Counter<"route" | "status">
  readonly #refused: Counter<"status">
  readonly #duration: Histogram<"route">

  constructor(
    log: AuditLog,
    feed: Feed,
    {
      clock,
      stopwatch,
      alerts,
    }: { readonly clock: Clock; readonly stopwatch: Clock; readonly alerts: Alerter | undefined },
  ) {
    const registers = [this.registry]
    new LogMetrics(log, this.registry, { clock, stopwatch })
    const ask = (name: string, help: string, value: () => number): void => {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(value())
        },
      })
    }
    ask("hansard_log_records", "Records in the log.", () => log.size)
    ask("hansard_appended_bytes", "Bytes of records that this process appended.", () => log.bytesWritten)
    ask(
      "hansard_append_failures",
      "Hub events that could not be written at the first attempt.",
      () => log.failures,
    )
    ask("hansard_log_available", "1 while records can be written.", () => (log.available ? 1 : 0))
    ask(
      "hansard_checkpoint_records",
      "Records under the newest checkpoint.",
      () => log.checkpointed?.size ?? 0,
    )
    ask("hansard_checkpoint_age_seconds", "Since the newest checkpoint; -1 without one.", () => {
      const at = log.checkpointed?.at
      return at === undefined ? -1 : Math.max(0, clock() - at) / 1000
    })
    ask(
      "hansard_tail_behind_readers",
      "Readers who are behind the live edge that is kept, and read the store.",
      () => feed.behind,
    )
    ask("hansard_tail_readers", "Readers of the tail.", () => feed.readers)
    ask("hansard_tail_lag_records", "How far the slowest reader is behind the log's end.", () => feed.lag)
    if (alerts !== undefined) alertMetrics(alerts, this.registry)
    this.#requests = new Counter({
      name: "hansard_http_requests_total",
      help: "Requests by route and status.",
      labelNames: ["route", "status"],
      registers,
    })
    this.#refused = new Counter({
      name: "hansard_http_refused_total",
      help: "Requests refused for who asked, or how often: 401, 403, 429.",
      labelNames: ["status"],
      registers,
    })
    this.#duration = new Histogram({
      name: "hansard_http_duration_seconds",
      help: "From a request to the head of its answer.",
      labelNames: ["route"],
      buckets: DURATION_BUCKETS,
      registers,
    })
  }

  answered(route: string, status: number, seconds: number): void {
    this.#requests.inc({ route, status: String(status) })
    this.#duration.observe({ route }, seconds)
    if (status === 401 || status === 403 || status === 429) this.#refused.inc({ status: String(status) })
  }
}

function alertMetrics(alerts: Alerter, registry: Registry): void {
  new Gauge({
    name: "hansard_alerts_waiting",
    help: "Alerts that have fired and wait for their destinations.",
    registers: [registry],
    collect() {
      this.set([...alerts.waiting.values()].reduce((sum, n) => sum + n, 0))
    },
  })
  const told = new Counter({
    name: "hansard_alerts_total",
    help: "Alerts by what became of them: delivered, failed, suppressed.",
    labelNames: ["fate"],
    registers: [registry],
    collect() {
      told.reset()
      for (const [fate, count] of Object.entries(alerts.counts)) told.inc({ fate }, count)
    },
  })
}
