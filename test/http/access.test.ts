import { describe, expect, onTestFinished, test } from "vitest"
import { agentsOf, AuditLog } from "../../src/audit/index.ts"
import { createHandler, everybody, tokenAccess, TokenBook } from "../../src/server/index.ts"
import { ROUTES } from "../../src/server/http/routes.ts"
import { MemoryStore } from "../../src/store/index.ts"
import {
  SCOPES,
  type ChannelStory,
  type Problem,
  type RecordsPage,
  type Scope,
  type StatsAnswer,
  type TokenLimits,
} from "../../src/wire/http.ts"
import { startAlerter } from "../alerts/world.ts"
import { FakeTime, seededBytes } from "../support/fake-time.ts"
import { entriesOf, fill, logKey, openWorld, readEvents } from "./world.ts"

/** A request for something that exists, for each route; a new route has no entry here and fails the matrix. */
const EXAMPLES: Readonly<Record<string, { readonly path: string; readonly body?: string }>> = {
  listRecords: { path: "/v1/records" },
  appendRecords: {
    path: "/v1/records",
    body: '{"kind":"turn_failed","agent_id":"agent-1","channel_id":"channel-1"}',
  },
  getRecord: { path: "/v1/records/1" },
  getProof: { path: "/v1/records/1/proof" },
  tail: { path: "/v1/tail?from=0" },
  getStats: { path: "/v1/stats" },
  listChannels: { path: "/v1/channels" },
  getChannel: { path: "/v1/channels/channel-1" },
  listAgents: { path: "/v1/agents" },
  getAgent: { path: "/v1/agents/agent-1" },
  getService: { path: "/v1/service" },
  listAlerts: { path: "/v1/alerts" },
  getAlert: { path: "/v1/alerts/of-file" },
  putAlert: { path: "/v1/alerts/r", body: '{"when":{},"to":{"log":true},"absence":"1d"}' },
  deleteAlert: { path: "/v1/alerts/r" },
  replayAlert: { path: "/v1/alerts/of-file/replay" },
  getCheckpoint: { path: "/checkpoint" },
  getTile: { path: "/tile/0/000.p/30" },
  getHealth: { path: "/health" },
  getMetrics: { path: "/metrics" },
}

const LIMITS: readonly (TokenLimits | null)[] = [
  null,
  { agents: ["agent-1"] },
  { agents: ["agent-0", "agent-1"], channels: ["channel-1", "channel-3"] },
  { channels: ["channel-1"] },
  { kinds: ["turn_failed"] },
  { agents: ["nobody"], channels: ["nothing"], kinds: ["none"] },
]
const STATES = ["good", "wrong", "revoked", "expired"] as const
const SCOPE_SETS: readonly Scope[][] = Array.from({ length: 2 ** SCOPES.length }, (_, bits) =>
  SCOPES.filter((_scope, i) => (bits >> i) % 2 === 1),
)

async function setUp() {
  const time = new FakeTime()
  const store = new MemoryStore()
  const log = await AuditLog.open(store, {
    ledger: { signer: logKey(), checkpointIntervalMs: 10 },
    coverage: "full",
  })
  for (let i = 0; i < 2; i++) {
    await log.append({
      at: "2026-11-24T09:00:00Z",
      kind: "agent_registered",
      agent_id: `agent-${i}`,
      name: `a${i}`,
    })
  }
  await fill(log, 28)
  await log.checkpoint()
  const tokens = new TokenBook(new MemoryStore(), { clock: time.clock })
  const random = seededBytes(3)
  const rule = { name: "of-file", when: {}, absence: "9d", to: { log: true } }
  const alerts = await startAlerter(log, store, [rule], time)
  onTestFinished(() => alerts[Symbol.asyncDispose]())
  const authorize = tokenAccess({ tokens, clock: time.clock })
  return {
    time,
    log,
    tokens,
    random,
    authorize,
    handler: createHandler(log, { authorize, alerts, clock: time.clock }),
  }
}

const REMOTE = { remoteAddress: "203.0.113.7" }

function ask(path: string, token?: string, init: RequestInit = {}): Request {
  const headers = new Headers(init.headers)
  if (token !== undefined) headers.set("authorization", `Bearer ${token}`)
  return new Request(`https://log.example${path}`, { ...init, headers })
}

describe("the matrix of tokens, scopes, limits and routes", () => {
  test("is complete: each cell is answered as the rules say, and shows what the limits allow", async () => {
    const { time, log, tokens, random, handler } = await setUp()
    const all = await entriesOf(log)
    let cells = 0
    for (const scopes of SCOPE_SETS) {
      for (const limits of LIMITS) {
        if (scopes.length === 0 || (limits !== null && scopes.includes("admin"))) {
          await expect(tokens.create({ name: "t", scopes, limits }, random)).rejects.toThrow()
          continue
        }
        for (const state of STATES) {
          const expires_at = state === "expired" ? new Date(time.clock() - 1).toISOString() : null
          const { token, stored } = await tokens.create({ name: "t", scopes, limits, expires_at }, random)
          if (state === "revoked") await tokens.revoke(stored.id)
          const sent = state === "wrong" ? `${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}` : token
          for (const route of ROUTES) {
            const example = EXAMPLES[route.id]
            expect(example, `${route.id} has an example`).toBeDefined()
            if (example === undefined) continue
            const { path, body } = example
            const init = body === undefined ? {} : { body, headers: { "content-type": "application/json" } }
            // So that no wrong token makes the next one wait.
            time.set(time.clock() + 1_000_000)
            const response = await handler(ask(path, sent, { method: route.method, ...init }), REMOTE)
            const cell = `${scopes} ${JSON.stringify(limits)} ${state} ${route.id}`
            const wanted = expected({
              state,
              scopes,
              limits,
              needs: route.needs,
              needsAll: route.needsAll === true,
              id: route.id,
            })
            expect([wanted].flat(), cell).toContain(response.status)
            if (response.status === 200 && route.needs === "read") await showsOnly(response, route.id, limits)
            else await response.body?.cancel()
            cells++
          }
        }
      }
    }
    expect(cells).toBe(ROUTES.length * STATES.length * (7 + 3 * (LIMITS.length - 1)))
    expect(all.length).toBe(30)
    await log.close()
  })

  test("a missing scope is answered before anything is looked up", async () => {
    const { log, tokens, random, handler } = await setUp()
    const { token } = await tokens.create({ name: "writer", scopes: ["append"] }, random)
    const bodies = new Set<string>()
    for (const index of [1, 999_999]) {
      for (const path of [`/v1/records/${index}`, `/v1/records/${index}/proof`]) {
        const response = await handler(ask(path, token), REMOTE)
        expect(response.status).toBe(403)
        bodies.add(await response.text())
      }
    }
    expect(bodies.size).toBe(1)
    await log.close()
  })

  test("what a tenant may not see is not told apart from what there is not", async () => {
    const { log, tokens, random, handler } = await setUp()
    const { token } = await tokens.create(
      { name: "t", scopes: ["read"], limits: { agents: ["agent-1"] } },
      random,
    )
    const told = async (path: string, hide: string): Promise<[number, string]> => {
      const response = await handler(ask(path, token), REMOTE)
      return [response.status, (await response.text()).replaceAll(hide, "X")]
    }
    expect(await told("/v1/records/2", "2")).toEqual(await told("/v1/records/999999", "999999"))
    expect(await told("/v1/records/2/proof", "2")).toEqual(await told("/v1/records/999999/proof", "999999"))
    expect(await told("/v1/agents/agent-0", "agent-0")).toEqual(await told("/v1/agents/nobody", "nobody"))
    expect((await handler(ask("/v1/records/3", token), REMOTE)).status).toBe(200)
    expect((await handler(ask("/v1/records/3/proof", token), REMOTE)).status).toBe(200)
    expect((await handler(ask("/tile/entries/000.p/5", token), REMOTE)).status).toBe(403)
    await log.close()
  })
})

interface Cell {
  readonly state: (typeof STATES)[number]
  readonly scopes: readonly Scope[]
  readonly limits: TokenLimits | null
  readonly needs: Scope | null
  readonly needsAll: boolean
  readonly id: string
}

/** The rules, written down a second time. */
function expected({ state, scopes, limits, needs, needsAll, id }: Cell): number | number[] {
  if (needs === null) return 200
  if (state !== "good") return 401
  if (!scopes.includes(needs)) return 403
  if (id === "deleteAlert") return 204
  if (limits === null) return needs === "append" || id === "putAlert" ? 201 : 200
  if (needsAll) return 403
  const { agents = ["agent-1"], channels = ["channel-1"], kinds = ["turn_failed"] } = limits
  const seesOne =
    agents.includes("agent-1") && channels.includes("channel-1") && kinds.includes("turn_failed")
  if (id === "appendRecords") return seesOne ? 201 : 403
  // Record 1 is of agent-1, kind agent_registered, and of no channel.
  if (id === "getRecord" || id === "getProof") {
    return limits.channels === undefined && limits.kinds === undefined && agents.includes("agent-1")
      ? 200
      : 404
  }
  if (id === "getAgent")
    return limits.channels === undefined && limits.kinds === undefined && agents.includes("agent-1")
      ? 200
      : 404
  if (id === "getChannel") return seesOne ? 200 : 404
  return 200
}

async function showsOnly(response: Response, id: string, limits: TokenLimits | null): Promise<void> {
  const allows = (record: Readonly<Record<string, unknown>>): boolean =>
    limits === null ||
    ((limits.kinds === undefined || limits.kinds.includes(String(record["kind"]))) &&
      (limits.channels === undefined || limits.channels.includes(String(record["channel_id"]))) &&
      (limits.agents === undefined || agentsOf(record).some((agent) => limits.agents?.includes(agent))))
  if (id === "listRecords") {
    const { records, size } = (await response.json()) as RecordsPage
    expect(records.every(({ record }) => allows(record))).toBe(true)
    if (limits === null) expect(records.length).toBe(Math.min(100, size))
    // What is limited is limited and not gone.
    else if (limits.kinds?.[0] !== "none") expect(records.length).toBeGreaterThan(0)
  } else if (id === "getStats") {
    const stats = (await response.json()) as StatsAnswer
    const { kinds } = limits ?? {}
    if (kinds !== undefined)
      expect(Object.keys(stats.by_kind).every((kind) => kinds.includes(kind))).toBe(true)
    expect(stats.histogram.buckets.reduce((sum, { total }) => sum + total, 0)).toBe(stats.total)
  } else if (id === "getChannel") {
    const { events } = (await response.json()) as ChannelStory
    expect(events.every((event) => event.source === "audit" && allows(event.record))).toBe(true)
  } else if (id === "tail") {
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
    let text = ""
    while (!text.includes("event: checkpoint")) text += (await reader?.read())?.value ?? ""
    await reader?.cancel()
    for (const [, line] of text.matchAll(/event: record\ndata: (.*)\n/g)) {
      expect(allows(JSON.parse(line ?? "") as Record<string, unknown>), line).toBe(true)
    }
  } else {
    await response.body?.cancel()
  }
}

describe("who needs no token", () => {
  const local = { remoteAddress: "127.0.0.1" }
  const status = async (url: string, info: object, headers: Record<string, string> = {}): Promise<number> => {
    const { log, authorize } = await setUp()
    const response = await createHandler(log, { authorize })(new Request(url, { headers }), info)
    await log.close()
    return response.status
  }

  test.each([
    ["this machine by its own name", "http://localhost:4280/v1/stats", local, 200],
    ["this machine by address", "http://127.0.0.1:4280/v1/stats", local, 200],
    ["this machine over IPv6", "http://[::1]:4280/v1/stats", { remoteAddress: "::1" }, 200],
    ["IPv4 in IPv6", "http://127.0.0.1/v1/stats", { remoteAddress: "::ffff:127.0.0.1" }, 200],
    ["another machine", "http://127.0.0.1/v1/stats", REMOTE, 401],
    ["an unknown one", "http://127.0.0.1/v1/stats", {}, 401],
    ["a page under its own name: DNS rebinding", "http://evil.example/v1/stats", local, 401],
    ["a name that only looks local", "http://127.0.0.1.evil.example/v1/stats", local, 401],
    ["an address that only looks local", "http://localhost/v1/stats", { remoteAddress: "1270.0.0.1" }, 401],
  ])("%s", async (_who, url, info, wanted) => {
    expect(await status(url, info)).toBe(wanted)
  })

  test("a page of another origin on this machine does not count as this machine", async () => {
    expect(await status("http://localhost/v1/stats", local, { "sec-fetch-site": "cross-site" })).toBe(401)
    expect(await status("http://localhost/v1/stats", local, { "sec-fetch-site": "same-origin" })).toBe(200)
  })

  test("a wrong token is refused from here as well", async () => {
    expect(await status("http://localhost/v1/stats", local, { authorization: "Bearer x" })).toBe(401)
    expect(await status("http://localhost/v1/stats", local, { authorization: "Basic eDp5" })).toBe(401)
  })
})

test("guessing is made slow, and what is right is not looked at meanwhile", async () => {
  const { time, log, tokens, random, handler } = await setUp()
  const { token } = await tokens.create({ name: "t", scopes: ["read"] }, random)
  const statuses: number[] = []
  for (let i = 0; i < 6; i++) statuses.push((await handler(ask("/v1/stats", "hansard_x"), REMOTE)).status)
  expect(statuses).toEqual([401, 401, 401, 401, 429, 429])
  const refused = await handler(ask("/v1/stats", token), REMOTE)
  expect(refused.status).toBe(429)
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0)
  expect((await handler(ask("/v1/stats", token), { remoteAddress: "203.0.113.8" })).status).toBe(200)
  time.set(time.clock() + 60_000)
  expect((await handler(ask("/v1/stats", token), REMOTE)).status).toBe(200)
  await log.close()
})

test("a reader who asks too often has to wait", async () => {
  const { log } = await setUp()
  const clock = (): number => 0
  const handler = createHandler(log, { authorize: everybody, clock, rate: { perSecond: 1, burst: 3 } })
  const statuses: number[] = []
  for (let i = 0; i < 5; i++) statuses.push((await handler(ask("/v1/stats"), REMOTE)).status)
  expect(statuses).toEqual([200, 200, 200, 429, 429])
  expect((await handler(ask("/v1/stats"), { remoteAddress: "203.0.113.9" })).status).toBe(200)
  await log.close()
})

test("no token lies anywhere in clear, and what is stored makes none", async () => {
  const store = new MemoryStore()
  const tokens = new TokenBook(store, { clock: () => 0 })
  const { token, stored } = await tokens.create({ name: "t", scopes: ["read"] }, seededBytes(1))
  const secret = token.split("_").at(-1) ?? ""
  for (const name of await store.list("/tokens")) {
    const text = new TextDecoder().decode(await store.read(`/tokens/${name}`))
    expect(text).not.toContain(secret)
  }
  expect(await tokens.check(token)).toMatchObject({ id: stored.id })
  for (const wrong of [
    "",
    stored.sha256,
    `hansard_${stored.id}_${stored.sha256.slice(0, 43)}`,
    `${token}x`,
  ]) {
    expect(await tokens.check(wrong)).toBe(undefined)
  }
})

test("every use of the log is recorded in a second log, refused ones too, and never the token", async () => {
  const accessLog = await AuditLog.open(new MemoryStore())
  const tokens = new TokenBook(new MemoryStore(), { clock: Date.now })
  const { token } = await tokens.create({ name: "auditor", scopes: ["read"] }, seededBytes(1))
  await using world = await openWorld({
    accessLog,
    authorize: tokenAccess({ tokens, clock: Date.now, trustLocal: false }),
  })
  await fill(world.log, 3)
  const headers = { authorization: `Bearer ${token}` }
  await fetch(`${world.url}/v1/records?kind=x`, { headers })
  await fetch(`${world.url}/v1/records/1`)
  await fetch(`${world.url}/health`)
  const records = await accessLog.readAll()
  expect(records).toMatchObject([
    {
      kind: "log_accessed",
      reader: "auditor",
      method: "GET",
      path: "/v1/records",
      query: "?kind=x",
      status: 200,
    },
    { kind: "access_denied", reader: null, path: "/v1/records/1", status: 401 },
  ])
  expect(JSON.stringify(records)).not.toContain(token)
  // Who cannot be put on record is not answered.
  await accessLog.close()
  const unrecorded = await fetch(`${world.url}/v1/records`, { headers })
  expect(unrecorded.status).toBe(503)
  expect(((await unrecorded.json()) as Problem).detail).not.toContain("kind")
})

test("a stream ends when its token is revoked", { timeout: 20_000 }, async () => {
  const tokens = new TokenBook(new MemoryStore(), { clock: Date.now })
  const { token, stored } = await tokens.create({ name: "t", scopes: ["read"] }, seededBytes(1))
  await using world = await openWorld({ authorize: tokenAccess({ tokens, clock: Date.now }) })
  await fill(world.log, 3)
  const reading = readEvents(`${world.url}/v1/tail?from=0`, () => false, {
    headers: { authorization: `Bearer ${token}` },
  })
  await fetch(`${world.url}/health`)
  await tokens.revoke(stored.id)
  expect((await reading).at(-1)).toMatchObject({ event: "end", data: '{"reason":"revoked"}' })
})
