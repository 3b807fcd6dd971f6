import type { AuditLog, LogEntry } from "../../audit/index.ts"
import { Tally } from "../../audit/stats.ts"
import { NotFoundError } from "../../core/index.ts"
import type { Hub } from "../../hub/index.ts"
import { effectiveKind, type Passport } from "../../model/index.ts"
import type { AgentItem, AgentsPage, TokenLimits } from "../../wire/http.ts"
import { visibleTo } from "./access.ts"
import { respond, UNCACHED } from "./caching.ts"
import { pageAfter } from "./paging.ts"
import { route, type Route } from "./route.ts"
import { agentAnswer, agentsPage, agentsQuery, idParam, noQuery } from "./schemas.ts"

const DEFAULT_LIMIT = 100
/** Of an agent's history. */
const MAX_HISTORY = 100
const JSON_HEADERS = { ...UNCACHED, "content-type": "application/json" }

/** What happens to an identity. */
const IDENTITY_KINDS = ["agent_registered", "agent_unregistered", "resume_set", "skill_set", "rule_set"]

export const agentsRoute: Route = route({
  id: "listAgents",
  method: "GET",
  path: "/v1/agents",
  summary: "Agents in the order of their registration; without a hub, those that the log names",
  needs: "read",
  query: agentsQuery,
  answers: { 200: { description: "A page.", content: [{ type: "application/json", schema: agentsPage }] } },
  async handle({ log, hub }, { request, access: { limits }, query, signal }) {
    const { capability, query: part } = query
    const all =
      hub === undefined
        ? [...(await agentsOfLog(log, signal)).values()]
        : (
            await hub.listAgents({
              limit: Number.MAX_SAFE_INTEGER,
              ...(capability === undefined ? {} : { capability }),
              ...(part === undefined ? {} : { query: part }),
            })
          ).map(itemOf)
    const { items, next_cursor } = pageAfter(
      all.filter(({ agent_id }) => seesAgent(limits, agent_id)),
      ({ agent_id }) => agent_id,
      { cursor: query.cursor, limit: query.limit ?? DEFAULT_LIMIT },
    )
    const page: AgentsPage = { agents: items, next_cursor }
    return respond(request, JSON.stringify(page), JSON_HEADERS)
  },
})

export const agentRoute: Route = route({
  id: "getAgent",
  method: "GET",
  path: "/v1/agents/:id",
  summary: "An agent, by id or name: passport, resume, rule, skill, history and track record; never a claim",
  needs: "read",
  query: noQuery,
  params: idParam,
  answers: { 200: { description: "It is.", content: [{ type: "application/json", schema: agentAnswer }] } },
  async handle({ log, hub }, { request, access: { limits }, params, signal }) {
    const passport = await passportOf(hub, params.id)
    const item = passport === null ? await itemInLog(log, params.id, signal) : itemOf(passport)
    if (item === undefined || !seesAgent(limits, item.agent_id)) {
      throw new NotFoundError(`there is no agent ${params.id}`)
    }
    const { agent_id } = item
    const history = await historyOf(log, agent_id, limits, signal)
    const known = passport === null ? undefined : hub
    const head = JSON.stringify({
      ...item,
      passport,
      resume: (await known?.getResume(agent_id)) ?? null,
      rule: (await known?.getRule(agent_id)) ?? null,
      skill_md: (await known?.getSkill(agent_id)) ?? null,
      pending_inbox: known?.pendingInbox(agent_id) ?? null,
      outcomes: await outcomesOf(log, agent_id, limits, signal),
    })
    const items = history.map(({ index, line }) => `{"index":${index},"record":${line}}`).join(",")
    return respond(request, `${head.slice(0, -1)},"history":[${items}]}`, JSON_HEADERS)
  },
})

async function passportOf(hub: Hub | undefined, nameOrId: string): Promise<Passport | null> {
  try {
    return (await hub?.getAgent(nameOrId)) ?? null
  } catch (error) {
    if (error instanceof NotFoundError) return null
    throw error
  }
}

function itemOf(passport: Passport): AgentItem {
  return {
    agent_id: passport.agent_id,
    name: passport.name,
    kind: effectiveKind(passport),
    is_registered: true,
    registered_at: passport.created_at,
  }
}

/** Everybody who was ever registered, by id. */
async function agentsOfLog(log: AuditLog, signal: AbortSignal): Promise<Map<string, AgentItem>> {
  const agents = new Map<string, AgentItem>()
  for await (const { record } of log.search({ kind: ["agent_registered", "agent_unregistered"], signal })) {
    const item = itemOfRecord(record)
    const before = agents.get(item.agent_id)
    agents.set(item.agent_id, { ...item, registered_at: item.registered_at ?? before?.registered_at ?? null })
  }
  return agents
}

/** The newest record of that id or name says who it is. */
async function itemInLog(
  log: AuditLog,
  nameOrId: string,
  signal: AbortSignal,
): Promise<AgentItem | undefined> {
  const kind = ["agent_registered", "agent_unregistered"]
  const byId = { kind, agent: nameOrId, order: "desc", limit: 1, signal } as const
  const byName = { kind, where: { name: nameOrId }, order: "desc", limit: 1, signal } as const
  const [found] = (await log.query(byId)).records.concat((await log.query(byName)).records)
  if (found === undefined) return undefined
  const item = itemOfRecord(found.record)
  if (item.registered_at !== null) return item
  const { agent_id: agent } = item
  const { records } = await log.query({ kind: "agent_registered", agent, order: "desc", limit: 1, signal })
  return { ...item, registered_at: textOf(records[0]?.record["at"]) }
}

function itemOfRecord(record: LogEntry["record"]): AgentItem {
  const isRegistered = record["kind"] === "agent_registered"
  return {
    agent_id: textOf(record["agent_id"]) ?? "",
    name: textOf(record["name"]) ?? "",
    kind: null,
    is_registered: isRegistered,
    registered_at: isRegistered ? textOf(record["at"]) : null,
  }
}

async function historyOf(
  log: AuditLog,
  agent: string,
  limits: TokenLimits | null,
  signal: AbortSignal,
): Promise<LogEntry[]> {
  const visible = visibleTo(limits)
  const history: LogEntry[] = []
  for await (const entry of log.search({ kind: IDENTITY_KINDS, agent, order: "desc", signal })) {
    if (visible !== undefined && !visible(entry)) continue
    history.push(entry)
    if (history.length === MAX_HISTORY) break
  }
  return history
}

async function outcomesOf(
  log: AuditLog,
  agent: string,
  limits: TokenLimits | null,
  signal: AbortSignal,
): Promise<Readonly<Record<string, number>>> {
  const filter = { kind: "task_terminated", where: { owner_id: agent }, signal }
  const visible = visibleTo(limits)
  if (visible === undefined) return (await log.stats(filter)).by_outcome
  const tally = new Tally({})
  for await (const entry of log.search(filter)) if (visible(entry)) tally.add(entry)
  return tally.result().by_outcome
}

/** A reader who is limited to some agents sees these, and of the others only what the records say. */
function seesAgent(limits: TokenLimits | null, agentId: string): boolean {
  if (limits === null) return true
  if (limits.channels !== undefined) return false
  const { agents, kinds } = limits
  return (
    (kinds === undefined || kinds.includes("agent_registered")) &&
    (agents === undefined || agents.includes(agentId))
  )
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null
}
