/** Rules over HTTP: read, written, tried, and kept. */
import { describe, expect, test } from "vitest"
import { AuditLog } from "../../src/audit/index.ts"
import type { Access } from "../../src/server/index.ts"
import { MemoryStore } from "../../src/store/index.ts"
import type { AlertItem, ReplayAnswer } from "../../src/wire/alerts.ts"
import type { Problem } from "../../src/wire/http.ts"
import { FlakyStore } from "../support/flaky-store.ts"
import { openWorld, type World } from "../http/world.ts"
import { alertsIn, at, openHook, startAlerter } from "./world.ts"

const PATIENT = { timeout: 30_000 }
const RULE = { when: { kind: "x" }, threshold: 2, within: "1m", to: { log: true } }
const ADMIN: Access = { name: "ana", scopes: ["admin"], limits: null }

async function ask(
  world: World,
  method: string,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number; readonly etag: string | null; readonly body: unknown }> {
  const response = await fetch(`${world.url}${path}`, {
    method,
    ...(body === undefined
      ? { headers }
      : { body: JSON.stringify(body), headers: { "content-type": "application/json", ...headers } }),
  })
  const text = await response.text()
  return {
    status: response.status,
    // Compression makes it a weak one.
    etag: response.headers.get("etag")?.replace(/^W\//, "") ?? null,
    body: text === "" ? undefined : (JSON.parse(text) as unknown),
  }
}

async function serve(file: readonly object[] = []) {
  const store = new FlakyStore(new MemoryStore())
  const log = await AuditLog.open(store)
  const alerts = await startAlerter(log, store, file, { policy: { allowedHosts: ["127.0.0.1"] } })
  const world = await openWorld({ store, log, alerts, authorize: () => ADMIN })
  return { store, log, alerts, world }
}

async function close({ log, alerts, world }: Awaited<ReturnType<typeof serve>>): Promise<void> {
  await world.stop()
  await alerts[Symbol.asyncDispose]()
  await log.close()
}

describe("rules over the API", { timeout: 60_000 }, () => {
  test("are created, read, replaced, followed and deleted; each change is a record that names who", async () => {
    const served = await serve([{ name: "of-file", when: {}, threshold: 9, within: "1s", to: { log: true } }])
    const { world, log } = served
    const created = await ask(world, "PUT", "/v1/alerts/r", RULE)
    expect(created).toMatchObject({ status: 201, body: { name: "r", source: "api", rule: RULE } })
    expect(await ask(world, "GET", "/v1/alerts/r")).toMatchObject({ status: 200, etag: created.etag })
    for (const second of [0, 1]) await log.append(at(second))
    await expect.poll(() => alertsIn(log), PATIENT).toMatchObject([{ rule: "r", count: 2 }])
    const { rules } = (await ask(world, "GET", "/v1/alerts")).body as { rules: AlertItem[] }
    expect(rules).toMatchObject([
      { name: "of-file", source: "file", fired_at: null, pending: 0 },
      { name: "r", source: "api", etag: created.etag, fired_at: "2026-01-01T00:00:01.000Z", pending: 0 },
    ])
    const next = { ...RULE, threshold: 3 }
    const replaced = await ask(world, "PUT", "/v1/alerts/r", next, { "if-match": created.etag ?? "" })
    expect(replaced).toMatchObject({ status: 200, body: { rule: next } })
    expect(
      await ask(world, "DELETE", "/v1/alerts/r", undefined, { "if-match": created.etag ?? "" }),
    ).toMatchObject({
      status: 412,
      etag: replaced.etag,
      body: { code: "precondition_failed" },
    })
    expect((await ask(world, "DELETE", "/v1/alerts/r")).status).toBe(204)
    expect((await ask(world, "GET", "/v1/alerts/r")).status).toBe(404)
    expect((await ask(world, "DELETE", "/v1/alerts/r")).status).toBe(404)
    const changes = []
    for await (const { record } of log.entries())
      if (/^alert_rule/.test(String(record["kind"]))) changes.push(record)
    expect(changes).toMatchObject([
      { kind: "alert_rule_set", rule: "r", by: "ana", sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
      { kind: "alert_rule_set", rule: "r", by: "ana" },
      { kind: "alert_rule_deleted", rule: "r", by: "ana" },
    ])
    await close(served)
  })

  test("outlive the process, and stand behind the file's", async () => {
    const served = await serve()
    await ask(served.world, "PUT", "/v1/alerts/r", RULE)
    await ask(served.world, "PUT", "/v1/alerts/s", RULE)
    await close(served)
    const log = await AuditLog.open(served.store)
    const file = [{ name: "s", when: {}, absence: "1d", to: { log: true } }]
    await using alerts = await startAlerter(log, served.store, file)
    expect(alerts.book.rules.map(({ name, source }) => `${name} ${source}`)).toEqual(["s file", "r api"])
    await using world = await openWorld({ log, alerts })
    for (const [method, body] of [
      ["PUT", RULE],
      ["DELETE", undefined],
    ] as const) {
      const { status, body: problem } = await ask(world, method, "/v1/alerts/s", body)
      expect([status, (problem as Problem).code]).toEqual([409, "rule_of_file"])
    }
  })

  test("are created only, or changed only, where that is asked", async () => {
    const served = await serve()
    const { world } = served
    const put = (headers: Readonly<Record<string, string>>) =>
      ask(world, "PUT", "/v1/alerts/r", RULE, headers)
    expect((await put({ "if-match": "*" })).status).toBe(412)
    expect((await put({ "if-match": '"abc"' })).status).toBe(412)
    const { etag } = await put({ "if-none-match": "*" })
    expect((await put({ "if-none-match": "*" })).status).toBe(412)
    expect((await put({ "if-match": `"abc", ${etag}` })).status).toBe(200)
    // Of several at a time with the same tag one wins.
    const bodies = [3, 4, 5, 6].map((threshold) => ({ ...RULE, threshold }))
    const answers = await Promise.all(
      bodies.map((body) => ask(world, "PUT", "/v1/alerts/r", body, { "if-match": etag ?? "" })),
    )
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 412, 412, 412])
    await close(served)
  })

  test.each<[string, unknown, string]>([
    ["an unknown field", { ...RULE, when: { knd: "x" } }, "when.knd"],
    ["a threshold without a window", { ...RULE, within: undefined }, "within"],
    ["an absence with a threshold", { ...RULE, absence: "1m" }, "absence"],
    ["no duration", { ...RULE, within: "soon" }, "within"],
    ["a duration of nothing", { ...RULE, quiet: 0 }, "quiet"],
    ["no destination", { ...RULE, to: {} }, "to"],
    ["a command", { ...RULE, to: { command: ["id"] } }, "to.command"],
    ["a private address", { ...RULE, to: { webhook: "https://10.0.0.1/" } }, "to.webhook"],
    ["no object", [], ""],
  ])("%s is refused, the field is named, and nothing is written", async (_what, body, field) => {
    const served = await serve()
    const { status, body: problem } = await ask(served.world, "PUT", "/v1/alerts/r", body)
    expect(status).toBe(400)
    expect((problem as Problem).errors).toMatchObject([{ in: "body", field }])
    expect(served.alerts.book.rules).toEqual([])
    expect(served.log.size).toBe(0)
    await close(served)
  })

  test.each(["..", ".a", "-a", "a b", "é", "x".repeat(65)])("%j is no name", async (name) => {
    const served = await serve()
    const { status } = await ask(served.world, "PUT", `/v1/alerts/${encodeURIComponent(name)}`, RULE)
    expect([400, 404, 405]).toContain(status)
    expect(await served.store.list("/service")).toEqual([])
    await close(served)
  })

  test("that cannot be put on record are not followed, and not kept", async () => {
    const served = await serve()
    const { store, world } = served
    store.decide = (operation) => (operation === "append" ? "not persisted" : undefined)
    expect((await ask(world, "PUT", "/v1/alerts/r", RULE)).status).toBe(503)
    expect(served.alerts.book.rules).toEqual([])
    expect(await store.list("/service/alert-rules")).toEqual([])
    store.decide = () => undefined
    expect((await ask(world, "PUT", "/v1/alerts/r", RULE)).status).toBe(201)
    await close(served)
  })

  test("send to a host that the operator has named", async () => {
    await using hook = await openHook()
    const served = await serve()
    const body = { when: { kind: "x" }, to: { webhook: hook.url } }
    expect((await ask(served.world, "PUT", "/v1/alerts/r", body)).status).toBe(201)
    // It begins where the log ends when it is followed.
    await expect.poll(() => served.store.exists("/service/alerts.json"), PATIENT).toBe(true)
    await served.log.append(at(0))
    await expect.poll(() => hook.seen.length, PATIENT).toBe(1)
    await close(served)
  })

  test("are tried on what there is: one that is there, and one that is not yet", async () => {
    const served = await serve()
    const { world, log } = served
    for (const second of [0, 1, 30, 31, 500]) await log.append(at(second))
    await log.append(at(900, "other"))
    const quiet = await ask(world, "POST", "/v1/alerts/r/replay", { ...RULE, quiet: "1m" })
    expect(quiet.body).toEqual({
      alerts: [
        { at: "2026-01-01T00:00:01.000Z", index: 1, count: 2, suppressed: false },
        { at: "2026-01-01T00:00:31.000Z", index: 3, count: 2, suppressed: true },
      ],
      fired: 2,
      suppressed: 1,
      size: 6,
    } satisfies ReplayAnswer)
    expect((await ask(world, "POST", "/v1/alerts/r/replay")).status).toBe(404)
    await ask(world, "PUT", "/v1/alerts/r", { when: { kind: "x" }, absence: "5m", to: { log: true } })
    const absence = (await ask(world, "POST", "/v1/alerts/r/replay")).body as ReplayAnswer
    expect(absence.alerts.map((alert) => alert.at)).toEqual([
      "2026-01-01T00:05:31.000Z",
      "2026-01-01T00:13:20.000Z",
    ])
    await close(served)
  })
})
