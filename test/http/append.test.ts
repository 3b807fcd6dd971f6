import { describe, expect, test } from "vitest"
import { AuditLog } from "../../src/audit/index.ts"
import { AuditClient } from "../../src/client/index.ts"
import { createHandler, everybody } from "../../src/server/index.ts"
import { MemoryStore } from "../../src/store/index.ts"
import type { AppendAnswer, Problem } from "../../src/wire/http.ts"
import { FakeTime } from "../support/fake-time.ts"
import { entriesOf, openWorld } from "./world.ts"

function post(body: string, headers: Record<string, string> = {}): RequestInit {
  return { method: "POST", body, headers: { "content-type": "application/x-ndjson", ...headers } }
}

describe("POST /v1/records", () => {
  test("appends one, or several in a row, durably, and gives an `at` to who has none", async () => {
    await using world = await openWorld()
    const json = { "content-type": "application/json" }
    const one = await fetch(
      `${world.url}/v1/records`,
      post('{"kind": "a", "big": 12345678901234567890}', json),
    )
    expect(one.status).toBe(201)
    expect(await one.json()).toEqual({ index: 0, count: 1, size: 1 })
    const lines = '{"kind":"b","at":"2026-01-01T00:00:00Z"}\n\n{"kind":"c","é":"ü"}\n'
    expect(await (await fetch(`${world.url}/v1/records`, post(lines))).json()).toEqual({
      index: 1,
      count: 2,
      size: 3,
    })
    const entries = await entriesOf(world.log)
    expect(entries[0]?.line).toMatch(/^\{"at": "\d{4}-.*Z", "big": 12345678901234567890, "kind": "a"\}$/)
    expect(entries[1]?.line).toBe('{"at": "2026-01-01T00:00:00Z", "kind": "b"}')
    expect(entries[2]?.record).toMatchObject({ kind: "c", é: "ü" })
  })

  test.each([
    ["no JSON", '{"kind":"a"}\n{"kind":\n', "2:"],
    ["no object", '{"kind":"a"}\n[1]\n', "2:"],
    ["no kind", '{"kind":"a"}\n{"at":"2026-01-01T00:00:00Z"}\n', "2:kind"],
    ["a bad time", '{"kind":"a","at":"soon"}\n', "1:at"],
    ["a change of the log's key", '{"kind":"a"}\n{"kind":"signing_key_set"}\n', "2:kind"],
    ["nothing", "\n\n", ""],
    ["too long a line", `{"kind":"a"}\n{"kind":"b","x":"${"x".repeat(70_000)}"}\n`, "2:"],
  ])("with %s is 400, names line and field, and appends nothing", async (_what, body, field) => {
    await using world = await openWorld()
    const response = await fetch(`${world.url}/v1/records`, post(body))
    expect(response.status).toBe(400)
    expect(((await response.json()) as Problem).errors?.map((error) => error.field)).toEqual([field])
    expect(world.log.size).toBe(0)
  })

  test("of another type, or too much, is refused unread", async () => {
    await using world = await openWorld()
    for (const [type, body, status] of [
      ["text/plain", '{"kind":"a"}', 415],
      ["application/x-www-form-urlencoded", "kind=a", 415],
      ["application/x-ndjson", '{"kind":"a"}\n'.repeat(60_000), 413],
    ] as const) {
      const response = await fetch(`${world.url}/v1/records`, post(body, { "content-type": type }))
      expect(response.status).toBe(status)
    }
    expect(world.log.size).toBe(0)
  })
})

describe("an Idempotency-Key", () => {
  test("appends once, however often it is sent, also at the same time and after a restart", async () => {
    const store = new MemoryStore()
    const log = await AuditLog.open(store)
    const ask = async (of: AuditLog, body: string, key: string): Promise<Response> =>
      await createHandler(of, { store, authorize: everybody })(
        new Request("http://log/v1/records", post(body, { "idempotency-key": key })),
      )
    const body = '{"kind":"a"}\n{"kind":"b"}\n'
    const handler = createHandler(log, { store, authorize: everybody })
    const request = (): Request =>
      new Request("http://log/v1/records", post(body, { "idempotency-key": "k1" }))
    const answers = await Promise.all([handler(request()), handler(request()), handler(request())])
    for (const answer of answers) expect(await answer.json()).toEqual({ index: 0, count: 2, size: 2 })
    expect(answers.map((answer) => answer.headers.get("idempotency-replayed"))).toEqual([
      null,
      "true",
      "true",
    ])
    expect((await ask(log, '{"kind":"other"}', "k1")).status).toBe(422)
    expect(await (await ask(log, body, "k2")).json()).toEqual({ index: 2, count: 2, size: 4 })
    await log.close()
    const again = await AuditLog.open(store)
    expect(await (await ask(again, body, "k1")).json()).toEqual({ index: 0, count: 2, size: 2 })
    expect(again.size).toBe(4)
    await again.close()
  })

  test.each([0, 1, 2, 3])(
    "of a request that a crash cut off after %i lines appends the others once",
    async (done) => {
      const time = new FakeTime()
      const store = new MemoryStore()
      const lines = [1, 2, 3].map((n) => `{"kind":"a","n":${n}}`)
      const first = await AuditLog.open(store)
      await first.append({ at: "2026-01-01T00:00:00Z", kind: "before" })
      // The process dies when it has written `done` of the lines: what it meant to do is in the store, the answer is not.
      const dying = new Proxy(first, {
        get: (target, name) => {
          if (name !== "appendMany") return Reflect.get(target, name, target) as unknown
          return async (records: readonly object[]) => {
            if (done > 0) await target.appendMany(records.slice(0, done))
            throw new Error("killed")
          }
        },
      })
      const request = (): Request =>
        new Request("http://log/v1/records", post(lines.join("\n"), { "idempotency-key": "k" }))
      const options = { store, authorize: everybody, clock: time.clock }
      expect((await createHandler(dying, options)(request())).status).toBe(500)
      await first.close()
      time.set(time.clock() + 60_000)
      const log = await AuditLog.open(store)
      const answer = await createHandler(log, options)(request())
      expect((await answer.json()) as AppendAnswer).toEqual({ index: 1, count: 3, size: 4 })
      expect((await log.readAll()).map((record) => record["n"])).toEqual([undefined, 1, 2, 3])
      expect(new Set((await log.readAll()).slice(1).map((record) => record["at"])).size).toBe(1)
      await log.close()
    },
  )

  test("is somebody's own, and is forgotten in two days", async () => {
    const time = new FakeTime()
    const store = new MemoryStore()
    const log = await AuditLog.open(store)
    let name = "ana"
    const handler = createHandler(log, {
      store,
      clock: time.clock,
      authorize: () => ({ name, scopes: ["append"], limits: null }),
    })
    const ask = async (): Promise<number> => {
      const request = new Request("http://log/v1/records", post('{"kind":"a"}', { "idempotency-key": "k" }))
      return ((await (await handler(request)).json()) as AppendAnswer).index
    }
    expect(await ask()).toBe(0)
    name = "ben"
    expect(await ask()).toBe(1)
    time.set(time.clock() + 86_400_000)
    expect(await ask()).toBe(1)
    time.set(time.clock() + 2 * 86_400_000)
    expect(await ask()).toBe(2)
    expect(await store.list("/service/idempotency")).toHaveLength(1)
    await log.close()
  })
})

test("AuditClient appends through it", async () => {
  const store = new MemoryStore()
  await using world = await openWorld({ store })
  const client = new AuditClient(world.url, { keys: [world.vkey] })
  const records = [{ kind: "deploy_approved", by: "ana" }]
  expect(await client.append(records, { idempotencyKey: "k" })).toEqual({ index: 0, count: 1, size: 1 })
  expect(await client.append(records, { idempotencyKey: "k" })).toEqual({ index: 0, count: 1, size: 1 })
  expect((await client.record(0)).record).toMatchObject({ kind: "deploy_approved" })
})
