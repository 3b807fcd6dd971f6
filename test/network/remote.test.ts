import { describe, expect, onTestFinished, test } from "vitest"
import { HubClient, remoteHub } from "../../src/client/index.ts"
import type { RemoteOptions } from "../../src/client/index.ts"
import { NotFoundError } from "../../src/core/errors.ts"
import type { HansardError } from "../../src/core/errors.ts"
import { AccessDeniedError, InboxFullError, textOf } from "../../src/model/index.ts"
import type { Envelope } from "../../src/model/index.ts"
import { Relay } from "./relay.ts"
import { serveHub } from "./world.ts"

const QUICK: RemoteOptions = { backoffMs: 5, maxBackoffMs: 20, heartbeatMs: 0, requestTimeoutMs: 10_000 }

async function connect(url: string, options: RemoteOptions = {}): Promise<HubClient> {
  const client = await HubClient.connect(remoteHub(url, { ...QUICK, ...options }))
  onTestFinished(() => client.close())
  return client
}

const textsOf = (wal: readonly Envelope[]): (string | undefined)[] =>
  wal.map(textOf).filter((text) => text !== undefined)

describe("over a socket", () => {
  test("agents work as in one process: turns, tasks, failures, delegation inside a turn (W-3)", async () => {
    const { server, hub } = await serveHub()
    const client = await connect(server.url)
    await client.register({ name: "calculator" }, { onTurn: ({ text }) => `${eval(text)}` })
    await client.register(
      { name: "researcher" },
      {
        onTurn: async (turn) => {
          if (turn.text === "crash") throw new RangeError("I cannot")
          return await turn.task({ title: "figures", capability: "research" }, async (task) => {
            await task.progress({ half: true })
            return `it is ${await turn.delegate("calculator", turn.text)}`
          })
        },
      },
    )
    const other = await connect(server.hubUrl)
    const editor = await other.register({ name: "editor" })
    expect(await editor.delegate("researcher", "6*7")).toBe("it is 42")
    const channel = await editor.open({ target: "researcher" })
    const sent = await channel.send("crash")
    await expect
      .poll(async () =>
        (await hub.auditLog.query({ kind: "turn_failed" })).records.map(({ record }) => record),
      )
      .toMatchObject([{ envelope_id: sent, exc_type: "RangeError", exc_message: "I cannot" }])
    const { records } = await hub.auditLog.query({ kind: ["task_terminated", "resume_set"] })
    expect(records.map(({ record }) => [record["kind"], record["outcome"]])).toEqual([
      ["task_terminated", "completed"],
      ["resume_set", "completed"],
    ])
    expect((await hub.getResume(await idOf(client, "researcher"))).observed["research"]).toMatchObject({
      n: 1,
    })
  })

  test("a long log is read in parts (W-22)", async () => {
    const { server, hub } = await serveHub()
    const client = await connect(server.url)
    const alice = await client.register({ name: "alice" })
    await client.register({ name: "bob" })
    const channel = await alice.open({ target: "bob" })
    const long = "x".repeat(200_000)
    for (let i = 0; i < 12; i++) await channel.send(`${i} ${long}`)
    for (let i = 0; i < 600; i++) await channel.send({ event_type: "note", event_data: { i } })
    const wal = await hub.readWal(channel.channelId)
    expect(await client.hub.readWal(channel.channelId)).toEqual(wal)
    expect(await client.hub.readWal(channel.channelId, 5, 9)).toEqual(wal.slice(5, 9))
    expect(await client.hub.readWal(channel.channelId, wal.length)).toEqual([])
    expect(await client.hub.readWal(channel.channelId, 7, 7)).toEqual([])
  })

  test("errors keep their class, their message and their hint", async () => {
    const { server } = await serveHub()
    const client = await connect(server.url)
    await expect(client.hub.getAgent("nobody")).rejects.toBeInstanceOf(NotFoundError)
    const alice = await client.register({ name: "alice" })
    await client.register(
      { name: "bob" },
      { rule: { limits: { inbox: { max_pending: 1 } } }, onEnvelope: hang },
    )
    await client.register({ name: "shy" }, { rule: { access: { inbound_from: [] } } })
    await expect(alice.open({ target: "shy" })).rejects.toBeInstanceOf(AccessDeniedError)
    const mallory = await connect(server.url)
    const stolen = mallory.hub.setRule(alice.agentId, {})
    await expect(stolen).rejects.toBeInstanceOf(AccessDeniedError)
    await expect(stolen).rejects.toMatchObject({ hint: expect.stringMatching(/\w/) as string })
    const channel = await alice.open({ target: "bob" })
    await channel.send("one")
    await expect(channel.send("two")).rejects.toBeInstanceOf(InboxFullError)

    async function hang(_: Envelope, next: () => Promise<void>): Promise<void> {
      if (_.event_type === "ag2.channel.invite") await next()
      else await new Promise(() => {})
    }
  })

  test("what no frame can hold is refused before it is sent", async () => {
    const { server } = await serveHub()
    const client = await connect(server.url)
    await expect(client.hub.getAgent("x".repeat(2_000_000))).rejects.toMatchObject({ code: "invalid_input" })
  })

  test("an identity that is attached elsewhere is told here", async () => {
    const { server } = await serveHub()
    const first = await connect(server.url)
    const alice = await first.register({ name: "alice" })
    const second = await connect(server.url)
    await second.attach("alice")
    await expect
      .poll(() => alice.setSkill("# me").catch((error: HansardError) => error.code))
      .toBe("access_denied")
  })
})

describe("a lost connection", () => {
  test("is replaced: calls wait, and identities stay (W-6)", async () => {
    const { server } = await serveHub()
    const relay = await Relay.open(server.hubUrl)
    const client = await connect(relay.url)
    const alice = await client.register({ name: "alice" })
    relay.isDown = true
    relay.cutAll()
    const waiting = alice.setSkill("# waited")
    await new Promise((resolve) => setTimeout(resolve, 50))
    relay.isDown = false
    await waiting
    expect(await client.hub.getSkill(alice.agentId)).toBe("# waited")
  })

  test("loses and repeats nothing when the hub has forgotten the session", async () => {
    const { server, hub } = await serveHub({ endpoint: { sessionGraceMs: 0 } })
    const relay = await Relay.open(server.hubUrl)
    const client = await connect(relay.url)
    const heard: string[] = []
    const alice = await client.register({ name: "alice" })
    await client.register({ name: "bob" }, { onTurn: ({ text }) => void heard.push(text) })
    const channel = await alice.open({ target: "bob" })
    // The answer to the post is lost with the socket.
    relay.fault = (_, direction, text) =>
      direction === "to hub" && text.includes("post_envelope") && text.includes("only once")
        ? { kind: "cut after" }
        : { kind: "pass" }
    const sending = channel.send("only once")
    await expect.poll(() => relay.cuts).toBeGreaterThan(0)
    relay.fault = () => ({ kind: "pass" })
    await sending
    await expect.poll(() => heard).toEqual(["only once"])
    await channel.send("and this")
    await expect.poll(() => heard).toEqual(["only once", "and this"])
    expect(textsOf(await hub.readWal(channel.channelId))).toEqual(["only once", "and this"])
  })

  test("tells whoever asked for what cannot be repeated", async () => {
    const { server } = await serveHub({ endpoint: { sessionGraceMs: 0 } })
    const relay = await Relay.open(server.hubUrl)
    const client = await connect(relay.url)
    relay.fault = (_, direction, text) =>
      direction === "to hub" && text.includes('"register"') ? { kind: "cut after" } : { kind: "pass" }
    await expect(client.register({ name: "alice" })).rejects.toMatchObject({ code: "disconnected" })
  })

  test("a hub that cannot be reached is told at once, or waited for", async () => {
    const { server } = await serveHub()
    const relay = await Relay.open(server.hubUrl)
    relay.isDown = true
    await expect(connect(relay.url)).rejects.toMatchObject({ code: "disconnected" })
    const waiting = connect(relay.url, { waitForHub: true })
    await new Promise((resolve) => setTimeout(resolve, 30))
    relay.isDown = false
    expect(await (await waiting).hub.findAgentId("nobody")).toBeNull()
    const abort = new AbortController()
    relay.isDown = true
    const aborted = connect(relay.url, { waitForHub: true, signal: abort.signal })
    abort.abort(new Error("enough"))
    await expect(aborted).rejects.toThrow("enough")
  })

  test("a hub that says nothing any more is given up", async () => {
    const { server } = await serveHub()
    const relay = await Relay.open(server.hubUrl)
    const client = await connect(relay.url, { heartbeatMs: 20 })
    await client.register({ name: "alice" })
    let isStuck = false
    relay.fault = (_, __, text) => {
      if (isStuck || !text.includes("find_agent_id")) return { kind: "pass" }
      isStuck = true
      return { kind: "delay", ms: 60_000 }
    }
    expect(await client.hub.findAgentId("alice")).not.toBeNull()
    expect(isStuck).toBe(true)
  })

  test("ends with the client: what waits is refused, and the hub forgets the session", async () => {
    const { server } = await serveHub()
    const client = await connect(server.url)
    await client.register({ name: "alice" })
    const asking = client.hub.getAgent("alice")
    await client.close()
    await expect(asking).rejects.toMatchObject({ code: "closed" })
    await expect.poll(() => server.endpoint?.size).toBe(0)
  })
})

async function idOf(client: HubClient, name: string): Promise<string> {
  return (await client.hub.findAgentId(name)) ?? ""
}
