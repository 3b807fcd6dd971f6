import type { AlertRuleText, AlertAnswer, AlertsAnswer, ReplayAnswer } from "../../wire/alerts.ts"
import { MAX_REPLAYED } from "../../wire/alerts.ts"
import { isoTime, NotFoundError } from "../../core/index.ts"
import type { Alerter } from "../alerts/alerter.ts"
import { refusalOf } from "../alerts/destinations.ts"
import { replay } from "../alerts/replay.ts"
import { tagOf, type RuleChange } from "../alerts/rule-book.ts"
import { ruleOf, ruleText, type AlertRule } from "../alerts/rules.ts"
import { bodyTypeOf, bodyWithin, utf8Of } from "./body.ts"
import { respond, UNCACHED } from "./caching.ts"
import { RequestRefused, wrongFields } from "./problems.ts"
import { parseFields, route, type Route, type Service } from "./route.ts"
import { alertAnswer, alertsAnswer, noQuery, replayAnswer, ruleParam } from "./schemas.ts"

/** Of a rule, in bytes. */
const MAX_RULE_BYTES = 64 * 1024
const JSON_TYPE = { "content-type": "application/json" }
const RULE_BODY = [{ type: "application/json", schema: ruleText }]
const CONDITIONS = { "If-Match": "The rule's `ETag`: refused with 412 when it has changed meanwhile." }

export const alertsRoute: Route = route({
  id: "listAlerts",
  method: "GET",
  path: "/v1/alerts",
  summary: "Rules that watch the log: those of the file first",
  needs: "admin",
  query: noQuery,
  answers: { 200: { description: "All.", content: [{ type: "application/json", schema: alertsAnswer }] } },
  async handle(service, { request }) {
    const alerts = alertsOf(service)
    const { waiting } = alerts
    const answer: AlertsAnswer = {
      rules: alerts.book.rules.map((rule) => {
        const firedAt = alerts.firedAt(rule)
        return {
          ...answerOf(rule),
          etag: tagOf(rule.text),
          fired_at: firedAt === null ? null : isoTime(firedAt),
          pending: waiting.get(rule.name) ?? 0,
        }
      }),
    }
    return respond(request, JSON.stringify(answer), { ...UNCACHED, ...JSON_TYPE })
  },
})

export const alertRoute: Route = route({
  id: "getAlert",
  method: "GET",
  path: "/v1/alerts/:name",
  summary: "A rule that watches the log",
  needs: "admin",
  query: noQuery,
  params: ruleParam,
  answers: { 200: { description: "It is.", content: [{ type: "application/json", schema: alertAnswer }] } },
  async handle(service, { request, params: { name } }) {
    const rule = mustBe(alertsOf(service), name)
    const headers = { ...UNCACHED, ...JSON_TYPE }
    return respond(request, JSON.stringify(answerOf(rule)), headers, tagOf(rule.text))
  },
})

export const putAlertRoute: Route = route({
  id: "putAlert",
  method: "PUT",
  path: "/v1/alerts/:name",
  summary: "Create a rule, or replace it; it begins where the rules have read to",
  needs: "admin",
  query: noQuery,
  params: ruleParam,
  body: RULE_BODY,
  headers: { ...CONDITIONS, "If-None-Match": "`*`: refused with 412 when there is one already." },
  answers: {
    200: { description: "Replaced.", content: [{ type: "application/json", schema: alertAnswer }] },
    201: { description: "Created.", content: [{ type: "application/json", schema: alertAnswer }] },
  },
  async handle(service, { request, access, params: { name } }) {
    const alerts = alertsOf(service)
    mustBeOurs(alerts, name)
    const text = textOf(request, await bodyWithin(request, MAX_RULE_BYTES))
    const refusal = refusalOf(text.to, alerts.env, alerts.policy)
    if (refusal !== undefined) throw wrongFields([{ in: "body", ...refusal }])
    const { isNew } = await alerts.book.put(name, text, changeOf(request, access.name))
    return new Response(JSON.stringify({ name, source: "api", rule: text } satisfies AlertAnswer), {
      status: isNew ? 201 : 200,
      headers: { ...UNCACHED, ...JSON_TYPE, etag: tagOf(text) },
    })
  },
})

export const deleteAlertRoute: Route = route({
  id: "deleteAlert",
  method: "DELETE",
  path: "/v1/alerts/:name",
  summary: "Delete a rule; alerts of it that were not delivered are on record as failed",
  needs: "admin",
  query: noQuery,
  params: ruleParam,
  headers: CONDITIONS,
  answers: { 204: { description: "It is gone.", content: [] } },
  async handle(service, { request, access, params: { name } }) {
    const alerts = alertsOf(service)
    mustBeOurs(alerts, name)
    await alerts.book.delete(name, changeOf(request, access.name))
    return new Response(null, { status: 204 })
  },
})

export const replayAlertRoute: Route = route({
  id: "replayAlert",
  method: "POST",
  path: "/v1/alerts/:name/replay",
  summary: "What the rule in the body, or else the one of that name, would have said of the log so far",
  needs: "admin",
  query: noQuery,
  params: ruleParam,
  body: RULE_BODY,
  isBodyOptional: true,
  answers: {
    200: { description: "Nothing is sent.", content: [{ type: "application/json", schema: replayAnswer }] },
  },
  async handle(service, { request, params: { name }, signal }) {
    const alerts = alertsOf(service)
    const body = await bodyWithin(request, MAX_RULE_BYTES)
    const rule = body.length === 0 ? mustBe(alerts, name) : ruleOf(name, textOf(request, body), "api")
    const shown: ReplayAnswer["alerts"][number][] = []
    let fired = 0
    let suppressed = 0
    for await (const { at, index, count, isSuppressed } of replay(service.log, rule, signal)) {
      fired++
      if (isSuppressed) suppressed++
      if (shown.push({ at: isoTime(at), index, count, suppressed: isSuppressed }) > MAX_REPLAYED)
        shown.shift()
    }
    const answer: ReplayAnswer = { alerts: shown, fired, suppressed, size: service.log.size }
    return new Response(JSON.stringify(answer), { headers: { ...UNCACHED, ...JSON_TYPE } })
  },
})

function answerOf({ name, source, text: rule }: AlertRule): AlertAnswer {
  return { name, source, rule }
}

function alertsOf({ alerts }: Service): Alerter {
  if (alerts !== undefined) return alerts
  throw new NotFoundError("nothing watches this log", {
    hint: "Give the handler an Alerter; `hansard serve` does.",
  })
}

function mustBe({ book }: Alerter, name: string): AlertRule {
  const rule = book.get(name)
  if (rule === undefined) throw new NotFoundError(`there is no rule ${name}`)
  return rule
}

/** @throws RequestRefused for a rule of the file, which this API does not change. */
function mustBeOurs({ book }: Alerter, name: string): void {
  if (book.get(name)?.source !== "file") return
  throw new RequestRefused(
    409,
    "rule_of_file",
    `${name} is a rule of the file that the service was started with`,
    {
      hint: "Change the file and start the service again, or choose another name.",
    },
  )
}

function textOf(request: Request, body: Uint8Array): AlertRuleText {
  bodyTypeOf(request, ["application/json"])
  const text = utf8Of(body)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw wrongFields([{ in: "body", field: "", message: "it is not JSON" }])
  }
  return parseFields(ruleText, value, "body")
}

function changeOf(request: Request, by: string | null): RuleChange {
  const match = request.headers.get("if-match")
  const noneMatch = request.headers.get("if-none-match")
  return {
    by,
    check(tag) {
      const isWrong = match !== null && (tag === undefined || !names(match, tag))
      const isThere = noneMatch !== null && tag !== undefined && names(noneMatch, tag)
      if (!isWrong && !isThere) return
      const what = tag === undefined ? "there is no such rule" : `the rule is ${tag} now`
      throw new RequestRefused(412, "precondition_failed", what, {
        hint: "Read it again, and decide anew.",
        headers: tag === undefined ? {} : { etag: tag },
      })
    },
  }
}

/** A tag that was made weak is the same one: compression on the way does that, and the rule is what is compared. */
function names(list: string, tag: string): boolean {
  return list.trim() === "*" || list.split(",").some((each) => each.trim().replace(/^W\//, "") === tag)
}
