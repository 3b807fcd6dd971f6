import { expect, test } from "vitest"
import { MAX_REQUESTS_IN_FLIGHT } from "../../wire/index.ts"
import { Requests } from "./requests.ts"

function make(): { requests: Requests; sent: string[]; idOf: (text: string) => string } {
  let n = 0
  return {
    requests: new Requests({ newId: () => `r${n++}`, after: () => () => {}, timeoutMs: 1 }),
    sent: [],
    idOf: (text) => (JSON.parse(text) as { request_id: string }).request_id,
  }
}

test("no more are under way than a session remembers, over any number of lost sockets", async () => {
  const { requests, sent, idOf } = make()
  const asked = Array.from({ length: 3 * MAX_REQUESTS_IN_FLIGHT }, (_, i) =>
    requests
      .ask(i % 2 === 0 ? "get_agent" : "create_channel", {})
      .catch((error: { code: string }) => error.code),
  )
  for (const isKnown of [true, true, false, false]) {
    sent.length = 0
    requests.offline()
    requests.online((text) => sent.push(text), isKnown)
    expect(sent.length).toBeLessThanOrEqual(MAX_REQUESTS_IN_FLIGHT)
  }
  const answered = new Set<string>()
  for (let i = 0; i < sent.length; i++) {
    const id = idOf(sent[i] ?? "")
    answered.add(id)
    requests.answered({
      kind: "response",
      request_id: id,
      ok: true,
      result: id,
      error_code: "",
      error_message: "",
    })
    expect(sent.length - answered.size).toBeLessThanOrEqual(MAX_REQUESTS_IN_FLIGHT)
  }
  const results = await Promise.all(asked)
  expect(results.filter((result) => result === "disconnected").length).toBeGreaterThan(0)
  // Nothing that is done twice with harm was sent again to a hub that had forgotten the session.
  expect(
    sent.filter((text) => text.includes("create_channel")).every((text) => answered.has(idOf(text))),
  ).toBe(true)
})

test("a new session is asked again only what does no harm twice", async () => {
  const { requests, sent } = make()
  requests.online((text) => sent.push(text), true)
  const read = requests.ask("get_agent", { name_or_id: "x" })
  const made = requests.ask("register", {})
  requests.offline()
  const waiting = requests.ask("register", {})
  sent.length = 0
  requests.online((text) => sent.push(text), false)
  await expect(made).rejects.toMatchObject({ code: "disconnected" })
  expect(sent.map((text) => (JSON.parse(text) as { request_id: string }).request_id)).toEqual(["r0", "r2"])
  requests.answered({
    kind: "response",
    request_id: "r0",
    ok: true,
    result: 1,
    error_code: "",
    error_message: "",
  })
  requests.answered({
    kind: "response",
    request_id: "r2",
    ok: true,
    result: 2,
    error_code: "",
    error_message: "",
  })
  expect([await read, await waiting]).toEqual([1, 2])
})
