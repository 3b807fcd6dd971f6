import { describe, expect, test } from "vitest"
import { checkProofFile, logPolicy, parseProofFile } from "../../src/core/index.ts"
import { utf8 } from "../../src/core/bytes.ts"
import { urlLogSource } from "../../src/audit/index.ts"
import { verifyLog } from "../../src/core/verify.ts"
import type { Problem, RecordAnswer, RecordsPage, StatsAnswer, TailCheckpoint } from "../../src/wire/http.ts"
import { entriesOf, fill, openWorld, readEvents } from "./world.ts"

async function json<T>(url: string, init?: RequestInit): Promise<T> {
  const response = await fetch(url, init)
  expect(response.status, url).toBe(200)
  return (await response.json()) as T
}

describe("records", () => {
  test("pages hold every record once, as its line, in either order", async () => {
    await using world = await openWorld()
    await fill(world.log, 250)
    const lines = (await entriesOf(world.log)).map(({ line }) => line)
    for (const order of ["asc", "desc"]) {
      const seen: string[] = []
      let cursor: string | null = null
      do {
        const next: string = cursor === null ? "" : `&cursor=${cursor}`
        const text = await (await fetch(`${world.url}/v1/records?limit=70&order=${order}${next}`)).text()
        const page = JSON.parse(text) as RecordsPage
        for (const { index } of page.records) {
          // Byte for byte, not as somebody serialised it again.
          expect(text).toContain(`{"index":${index},"record":${lines[index]}}`)
          seen.push(lines[index] ?? "")
        }
        expect(page.size).toBe(250)
        cursor = page.next_cursor
      } while (cursor !== null)
      expect(seen).toEqual(order === "asc" ? lines : lines.toReversed())
    }
  })

  test("all filters hold at once", async () => {
    await using world = await openWorld()
    await fill(world.log, 60)
    const query =
      "kind=turn_failed,task_terminated&agent=agent-1&from=2026-11-24T10:00:10Z&to=2026-11-24T10:00:40Z&q=channel-2"
    const { records } = await json<RecordsPage>(`${world.url}/v1/records?${query}`)
    const all = await entriesOf(world.log)
    const wanted = all.filter(
      ({ record, index }) =>
        record["kind"] !== "agent_registered" &&
        record["agent_id"] === "agent-1" &&
        index >= 10 &&
        index < 40 &&
        record["channel_id"] === "channel-2",
    )
    expect(wanted.length).toBeGreaterThan(0)
    expect(records.map(({ index }) => index)).toEqual(wanted.map(({ index }) => index))
  })

  test("NDJSON is the verbatim lines; CSV is safe to open", async () => {
    await using world = await openWorld()
    await fill(world.log, 20)
    await world.log.append({ at: "2026-11-24T11:00:00Z", kind: "x", agent_id: "=HYPERLINK(1)" })
    const accept = { headers: { accept: "application/x-ndjson" } }
    const ndjson = await (await fetch(`${world.url}/v1/records?order=desc`, accept)).text()
    const lines = (await entriesOf(world.log)).map(({ line }) => line)
    expect(ndjson).toBe(
      lines
        .toReversed()
        .map((line) => `${line}\n`)
        .join(""),
    )
    const csv = await (await fetch(`${world.url}/v1/records?format=csv&kind=x`)).text()
    expect(csv.split("\r\n")[0]).toBe("index,at,kind,agent_id,channel_id,task_id,outcome,record")
    expect(csv.split("\r\n")[1]).toMatch(/^20,2026-11-24T11:00:00Z,x,"'=HYPERLINK\(1\)",/)
  })

  test("one record has its exact line, and a proof that anybody can check", async () => {
    await using world = await openWorld()
    await fill(world.log, 300)
    const response = await fetch(`${world.url}/v1/records/137`)
    const { line, record, index } = (await response.json()) as RecordAnswer
    expect(JSON.parse(line)).toEqual(record)
    expect(index).toBe(137)
    expect(response.headers.get("cache-control")).toContain("immutable")
    const proof = parseProofFile(await (await fetch(`${world.url}/v1/records/137/proof`)).text())
    expect(proof.index).toBe(137)
    const policy = logPolicy([world.vkey])
    expect(checkProofFile(proof, utf8(line), policy).size).toBe(300)
    expect(() => checkProofFile(proof, utf8(line.replace("137", "138")), policy)).toThrow()
  })

  test("what the reader has is not sent again", async () => {
    await using world = await openWorld()
    await fill(world.log, 3)
    for (const path of ["/v1/records", "/v1/records/1", "/v1/stats"]) {
      const etag = (await fetch(world.url + path)).headers.get("etag") ?? ""
      const again = await fetch(world.url + path, { headers: { "if-none-match": `"other", ${etag}` } })
      expect(again.status, path).toBe(304)
    }
    await fill(world.log, 1)
    const etag = (await fetch(`${world.url}/v1/records`)).headers.get("etag") ?? ""
    await fill(world.log, 1)
    const again = await fetch(`${world.url}/v1/records`, { headers: { "if-none-match": etag } })
    expect(again.status).toBe(200)
  })
})

test("stats count what passes, and buckets add up to it", async () => {
  await using world = await openWorld()
  await fill(world.log, 90)
  const stats = await json<StatsAnswer>(`${world.url}/v1/stats?agent=agent-0&interval=30s`)
  expect(stats.total).toBe(45)
  expect(stats.by_kind).toEqual({ agent_registered: 15, turn_failed: 15, task_terminated: 15 })
  expect(stats.histogram.interval_ms).toBe(30_000)
  expect(stats.histogram.buckets.map(({ at, total }) => [at, total])).toEqual([
    ["2026-11-24T10:00:00.000Z", 15],
    ["2026-11-24T10:00:30.000Z", 15],
    ["2026-11-24T10:01:00.000Z", 15],
  ])
  const auto = await json<StatsAnswer>(`${world.url}/v1/stats`)
  expect(auto.histogram.interval_ms).toBe(1_000)
  const long = await json<StatsAnswer>(`${world.url}/v1/stats?interval=1ms`)
  expect(long.histogram.interval_ms).toBe(100)
})

test("the tree is served as C2SP has it: a verifier that knows only the address verifies the log", async () => {
  await using world = await openWorld()
  await fill(world.log, 700)
  await world.log.checkpoint()
  const verdict = await verifyLog(urlLogSource(world.url), {
    keys: [world.vkey],
    areKeysVouched: true,
    tiles: true,
    now: Date.now(),
  })
  expect(verdict.size).toBe(700)
  expect(verdict.claims.integrity.status).toBe("proved")
  expect(verdict.findings).toEqual([])
  expect((await fetch(`${world.url}/tile/0/000`)).headers.get("cache-control")).toContain("immutable")
  for (const path of [
    "tile/0/9",
    "tile/0/999",
    "tile/entries/x001/000",
    "tile/64/000",
    "tile/../checkpoint/x",
  ]) {
    expect((await fetch(`${world.url}/${path}`)).status, path).toBe(404)
  }
})

describe("the tail", () => {
  test("tells every record once, from the past over the live edge, and checkpoints that continue each other", async () => {
    await using world = await openWorld()
    await fill(world.log, 100)
    await world.log.checkpoint()
    const last = (events: readonly { event: string; data: string }[]): boolean =>
      events.some(
        ({ event, data }) => event === "checkpoint" && (JSON.parse(data) as TailCheckpoint).size === 200,
      )
    const reading = readEvents(`${world.url}/v1/tail?from=40`, last)
    for (let i = 0; i < 100; i++) await fill(world.log, 1)
    const events = await reading
    const records = events.filter(({ event }) => event === "record")
    const lines = (await entriesOf(world.log)).slice(40).map(({ line }) => line)
    expect(records.map(({ id }) => Number(id))).toEqual(lines.map((_, i) => 40 + i))
    expect(records.map(({ data }) => data)).toEqual(lines)
    const checkpoints = events
      .filter(({ event }) => event === "checkpoint")
      .map(({ data }) => JSON.parse(data) as TailCheckpoint)
    expect(checkpoints[0]?.from).toBe(null)
    for (const [i, { from }] of checkpoints.entries()) if (i > 0) expect(from).toBe(checkpoints[i - 1]?.size)
  })

  test("resumes after Last-Event-ID, with the same filters", async () => {
    await using world = await openWorld()
    await fill(world.log, 30)
    const events = await readEvents(
      `${world.url}/v1/tail?kind=turn_failed`,
      (seen) => seen.filter(({ event }) => event === "record").length >= 6,
      { headers: { "last-event-id": "12" } },
    )
    const ids = events.filter(({ event }) => event === "record").map(({ id }) => Number(id))
    expect(ids).toEqual([13, 16, 19, 22, 25, 28])
  })

  test("ends with a word when the service stops", async () => {
    const world = await openWorld()
    await fill(world.log, 3)
    const reading = readEvents(`${world.url}/v1/tail?from=0`, () => false)
    await fetch(`${world.url}/health`)
    await world.stop()
    const events = await reading
    expect(events.at(-1)).toMatchObject({ event: "end", data: '{"reason":"shutdown"}' })
  })

  test("a line with a carriage return arrives as it is", async () => {
    await using world = await openWorld()
    const line = '{"kind": "foreign"}\r'
    await world.log.appendLine(line)
    const [event] = await readEvents(`${world.url}/v1/tail?from=0`, (seen) => seen.length > 0)
    expect(event?.event).toBe("record_base64")
    expect(Buffer.from(event?.data ?? "", "base64").toString()).toBe(line)
  })
})

describe("a bad request", () => {
  test.each([
    ["/v1/records?limit=0", "limit"],
    ["/v1/records?limit=1e2", "limit"],
    ["/v1/records?limit=1001", "limit"],
    ["/v1/records?order=up", "order"],
    ["/v1/records?form=2026-01-01", "form"],
    ["/v1/records?from=yesterday", "from"],
    ["/v1/records?agent=a&agent=b", "agent"],
    ["/v1/records/-1", "index"],
    ["/v1/records/9007199254740993", "index"],
    ["/v1/stats?interval=0", "interval"],
    ["/v1/tail?from=x", "from"],
  ])("%s is 400 and names the field", async (path, field) => {
    await using world = await openWorld()
    await fill(world.log, 2)
    const response = await fetch(world.url + path)
    expect(response.status).toBe(400)
    expect(response.headers.get("content-type")).toBe("application/problem+json")
    const problem = (await response.json()) as Problem
    expect(problem).toMatchObject({
      status: 400,
      code: "invalid_input",
      type: "urn:hansard:problem:invalid_input",
    })
    expect(problem.errors?.map((error) => error.field)).toEqual([field])
  })

  test("another path, method, cursor or index has its own answer", async () => {
    await using world = await openWorld()
    await fill(world.log, 2)
    for (const [method, path, status] of [
      ["GET", "/v1/nothing", 404],
      ["GET", "/v1/records/2", 404],
      ["DELETE", "/v1/records/1", 405],
      ["PUT", "/checkpoint", 405],
      ["GET", "/v1/records?cursor=x", 400],
      ["GET", `/v1/records?q=${"x".repeat(9_000)}`, 414],
    ] as const) {
      const response = await fetch(world.url + path, { method })
      expect(response.status, `${method} ${path}`).toBe(status)
      expect(((await response.json()) as Problem).status).toBe(status)
      expect(response.headers.get("content-security-policy")).toContain("default-src 'none'")
    }
  })
})
