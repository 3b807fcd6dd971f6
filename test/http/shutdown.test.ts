/** A service that stops: whoever reads is told, and whoever does not read holds nothing up for long. */
import { connect } from "node:net"
import { describe, expect, test } from "vitest"
import { AuditLog } from "../../src/audit/index.ts"
import { createHandler, nodeListener, NodeServer } from "../../src/server/index.ts"
import { MemoryStore } from "../../src/store/index.ts"
import { fill, logKey, readEvents } from "./world.ts"

const PATIENT = { timeout: 30_000 }

async function serve() {
  const log = await AuditLog.open(new MemoryStore(), { ledger: { signer: logKey() } })
  await fill(log, 2_000)
  const stopping = new AbortController()
  const handler = createHandler(log, { stopping: stopping.signal, rate: { perSecond: 1e6, burst: 1e6 } })
  const server = await NodeServer.listen({ port: 0, listener: nodeListener(handler) })
  return { log, stopping, server }
}

describe("a shutdown", () => {
  test("every reader of the tail gets what is durable, a last checkpoint, and `end`", async () => {
    const { log, stopping, server } = await serve()
    const readers = Array.from({ length: 40 }, () => readEvents(`${server.url}/v1/tail?from=0`, () => false))
    await expect
      .poll(async () => (await fetch(`${server.url}/metrics`)).text(), PATIENT)
      .toContain("hansard_tail_readers 40")
    await log.append({ kind: "last" })
    await log.checkpoint()
    stopping.abort()
    await server.close()
    for (const events of await Promise.all(readers)) {
      expect(events.filter(({ event }) => event === "record")).toHaveLength(2_001)
      expect(JSON.parse(events.findLast(({ event }) => event === "checkpoint")?.data ?? "{}")).toMatchObject({
        size: 2_001,
      })
      expect(events.at(-1)).toMatchObject({ event: "end", data: '{"reason":"shutdown"}' })
    }
    await log.close()
  })

  test("a request that is under way is answered, and a connection that is kept alive does not hold it up", async () => {
    const { log, stopping, server } = await serve()
    const kept = await fetch(`${server.url}/v1/records?limit=1`)
    await kept.text()
    const answer = fetch(`${server.url}/v1/records?format=ndjson`)
    const body = (await answer).text()
    stopping.abort()
    await server.close(60_000)
    expect((await body).split("\n")).toHaveLength(2_001)
    await log.close()
  })

  test("who does not read is cut off after the grace, and not before", async () => {
    const { log, stopping, server } = await serve()
    await log.appendMany(Array.from({ length: 500 }, () => ({ kind: "long", text: "x".repeat(1_000) })))
    for (let i = 0; i < 20; i++) {
      await log.appendMany(Array.from({ length: 500 }, () => ({ kind: "long", text: "x".repeat(1_000) })))
    }
    const { port } = new URL(server.url)
    const socket = connect(Number(port), "127.0.0.1")
    const cut = new Promise<void>((resolve) => socket.on("close", () => resolve()))
    socket.on("error", () => {})
    socket.pause()
    socket.write("GET /v1/tail?from=0 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    await expect
      .poll(async () => (await fetch(`${server.url}/metrics`)).text(), PATIENT)
      .toContain("hansard_tail_readers 1")
    stopping.abort()
    await server.close(200)
    socket.resume()
    await cut
    await log.close()
  })
})
