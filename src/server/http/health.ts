import type { HealthAnswer, ServiceAnswer } from "../../wire/http.ts"
import { VERSION } from "../../hub/index.ts"
import { respond, UNCACHED } from "./caching.ts"
import { parseCheckpoint } from "../../core/index.ts"
import { parseNote } from "../../core/note.ts"
import { route, type Route, type Service } from "./route.ts"
import { healthAnswer, noQuery, serviceAnswer } from "./schemas.ts"

const JSON_TYPE = { "content-type": "application/json" }

export const healthRoute: Route = route({
  id: "getHealth",
  method: "GET",
  path: "/health",
  summary: "Whether records can be written; for probes",
  needs: null,
  query: noQuery,
  answers: {
    200: { description: "They can.", content: [{ type: "application/json", schema: healthAnswer }] },
    503: { description: "They cannot.", content: [{ type: "application/json", schema: healthAnswer }] },
  },
  async handle(service) {
    const health = healthOf(service)
    const status = health.status === "ok" ? 200 : 503
    return new Response(JSON.stringify(health), {
      status,
      headers: { ...JSON_TYPE, "cache-control": "no-store" },
    })
  },
})

export const serviceRoute: Route = route({
  id: "getService",
  method: "GET",
  path: "/v1/service",
  summary: "What is served here, and what you may do",
  needs: "read",
  query: noQuery,
  answers: { 200: { description: "It is.", content: [{ type: "application/json", schema: serviceAnswer }] } },
  async handle({ log, hub, vkey }, { request, access: { name, scopes, limits } }) {
    const answer: ServiceAnswer = {
      version: VERSION,
      origin: originOf(log.checkpointed?.text),
      vkey,
      size: log.size,
      has_hub: hub !== undefined,
      you: { name, scopes, limits },
    }
    return respond(request, JSON.stringify(answer), { ...UNCACHED, ...JSON_TYPE })
  },
})

/** Memory alone: a probe costs nothing and never waits for a disk. */
function healthOf({ log, hub, clock }: Service): HealthAnswer {
  const checkpoint = log.checkpointed
  return {
    ...hub?.health(),
    status: log.available ? "ok" : "unavailable",
    audit_log_size: log.size,
    checkpoint_size: checkpoint?.size ?? null,
    checkpoint_age_ms: checkpoint === undefined ? null : Math.max(0, clock() - checkpoint.at),
  }
}

function originOf(checkpoint: string | undefined): string | null {
  return checkpoint === undefined ? null : parseCheckpoint(parseNote(checkpoint).text).origin
}
