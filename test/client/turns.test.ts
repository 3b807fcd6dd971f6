import { describe, expect, test } from "vitest"
import { MAX_QUEUED_ENVELOPES } from "../../src/client/index.ts"
import { AuditUnavailableError, NotFoundError } from "../../src/core/errors.ts"
import type { FakeHub } from "./fake-hub.ts"
import { settle } from "./fake-hub.ts"
import { setUp } from "./set-up.ts"

describe("turns", () => {
  test("answer with what the handler returns, naming what they answer, and acknowledge after it", async () => {
    const { fake, id } = await setUp({ onTurn: (turn) => `you said ${turn.text}, ${turn.senderName}` })
    const { envelope_id } = fake.deliver(id, { event_data: { text: "hi" } })
    expect(fake.calls.filter(([method]) => method !== "registerIdentity")).toEqual([])
    await settle()
    expect(fake.posted).toEqual([
      {
        channel_id: "c1",
        sender_id: id,
        event_type: "ag2.msg.text",
        event_data: { text: "you said hi, name of other" },
        depth: 0,
        idempotency_key: "e000001/0",
        causation_id: envelope_id,
      },
    ])
    expect(fake.receipts).toEqual([{ envelope_id, status: "ack", recipient_id: id, channel_id: "c1" }])
    const order = fake.calls.map(([method]) => method)
    expect(order.indexOf("receipt")).toBeGreaterThan(order.indexOf("postEnvelope"))
  })

  test.each([
    ["the channel is not active", (fake: FakeHub) => void (fake.state = "closed")],
    ["it was answered before", (fake: FakeHub) => void (fake.answers.findEnvelopeByCausation = () => ({}))],
    ["the agent may not speak now", (fake: FakeHub) => void (fake.answers.canSend = () => false)],
  ])("are skipped and acknowledged when %s", async (_why, arrange) => {
    let turns = 0
    const { fake, id } = await setUp({ onTurn: () => void turns++ })
    arrange(fake)
    fake.deliver(id)
    await settle()
    expect(turns).toBe(0)
    expect(fake.receipts.map(({ status }) => status)).toEqual(["ack"])
  })

  test.each([
    ["a protocol event", { event_type: "ag2.channel.opened" }],
    ["a task event", { event_type: "ag2.task.cancel_request" }],
    ["a notice of violation", { event_type: "ag2.expectation.violated", event_data: {} }],
    ["an empty text", { event_data: { text: "" } }],
  ])("do not start for %s", async (_what, request) => {
    let turns = 0
    const { fake, id } = await setUp({ onTurn: () => void turns++ })
    fake.deliver(id, request)
    await settle()
    expect(turns).toBe(0)
    expect(fake.receipts).toHaveLength(1)
  })

  test("start for the body of a packet", async () => {
    const { fake, id } = await setUp({ onTurn: ({ text }) => text.toUpperCase() })
    fake.deliver(id, { event_type: "ag2.packet", event_data: { body: "round two" } })
    await settle()
    expect(fake.posted[0]?.event_data).toEqual({ text: "ROUND TWO" })
  })

  test("that throw are reported with the very error, post nothing, are acknowledged, and the next one works", async () => {
    const error = new RangeError("no such page")
    const { fake, id } = await setUp({
      onTurn: ({ text }) => {
        if (text === "crash") throw error
        return "fine"
      },
    })
    const { envelope_id } = fake.deliver(id, { event_data: { text: "crash" } })
    fake.deliver(id)
    await settle()
    expect(fake.of("reportTurnFailure")).toEqual([["c1", id, envelope_id, error]])
    expect(fake.of("reportTurnFailure")[0]?.[3]).toBe(error)
    expect(fake.posted.map(({ event_data }) => event_data)).toEqual([{ text: "fine" }])
    expect(fake.receipts.map(({ status }) => status)).toEqual(["ack", "ack"])
  })

  test("that throw something else than an error report one", async () => {
    const { fake, id } = await setUp({
      onTurn: () => {
        throw "just a text"
      },
    })
    fake.deliver(id)
    await settle()
    expect(fake.of("reportTurnFailure")[0]?.[3]).toEqual(new Error("just a text"))
  })

  test("whose failure cannot be reported are not acknowledged", async () => {
    const { fake, id } = await setUp({
      onTurn: () => {
        throw new Error("boom")
      },
    })
    fake.answers.reportTurnFailure = () => {
      throw new AuditUnavailableError("the disk is full")
    }
    fake.deliver(id)
    await settle()
    expect(fake.receipts).toMatchObject([{ status: "nack", reason: "the disk is full" }])
  })

  test("run one at a time in a channel, and channels beside each other", async () => {
    const running = new Map<string, number>()
    const most = new Map<string, number>()
    let together = 0
    const gates: (() => void)[] = []
    const { fake, id } = await setUp({
      onTurn: async ({ channel }) => {
        const now = (running.get(channel.channelId) ?? 0) + 1
        running.set(channel.channelId, now)
        most.set(channel.channelId, Math.max(now, most.get(channel.channelId) ?? 0))
        together = Math.max(
          together,
          [...running.values()].reduce((a, b) => a + b, 0),
        )
        await new Promise<void>((resolve) => gates.push(resolve))
        running.set(channel.channelId, now - 1)
      },
    })
    fake.answers.getChannel = (channel_id: string) => ({ channel_id, state: "active" })
    for (const channel_id of ["a", "b", "a", "b", "a"]) fake.deliver(id, { channel_id })
    for (let i = 0; i < 5; i++) {
      await settle()
      for (const open of gates.splice(0)) open()
    }
    await settle()
    expect([...most.values()]).toEqual([1, 1])
    expect(together).toBe(2)
    expect(fake.receipts).toHaveLength(5)
  })

  test("see what was said before and may be seen by them, and no protocol", async () => {
    const { fake, id } = await setUp({
      onTurn: async (turn) => {
        const said = await turn.history()
        return said.map(({ event_data }) => String(event_data["text"])).join(" ")
      },
    })
    fake.log({ event_type: "ag2.channel.opened", event_data: {} })
    fake.log({ event_data: { text: "one" } })
    fake.log({ event_data: { text: "secret" }, audience: ["somebody"] })
    fake.log({ event_data: { text: "two" }, audience: [id] })
    fake.log({ event_data: { text: "mine" }, sender_id: id, audience: ["somebody"] })
    fake.deliver(id, { event_data: { text: "now" } })
    fake.log({ event_data: { text: "later" } })
    await settle()
    expect(fake.posted[0]?.event_data).toEqual({ text: "one two mine" })
  })

  test("of an agent that has no handler are acknowledged", async () => {
    const { fake, id } = await setUp()
    fake.deliver(id)
    await settle()
    expect(fake.receipts).toHaveLength(1)
    expect(fake.of("getChannel")).toEqual([])
  })

  test("are told to stop when the client closes, and then neither answer, report nor acknowledge", async () => {
    let stopped: unknown
    const { fake, client, id } = await setUp({
      onTurn: async ({ signal }) => {
        await new Promise((resolve) => signal.addEventListener("abort", resolve))
        stopped = signal.reason
        throw new Error("interrupted")
      },
    })
    fake.deliver(id)
    await settle()
    await client.close()
    await settle()
    expect(stopped).toMatchObject({ code: "closed" })
    expect(fake.receipts).toEqual([])
    expect(fake.of("reportTurnFailure")).toEqual([])
    expect(() => fake.deliver(id)).toThrow("closed")
  })
})

describe("invitations", () => {
  const INVITE = { event_type: "ag2.channel.invite", event_data: { channel_id: "c1" } }

  test("are accepted by default", async () => {
    const { fake, id } = await setUp()
    const { envelope_id } = fake.deliver(id, INVITE)
    await settle()
    expect(fake.posted).toEqual([
      {
        channel_id: "c1",
        sender_id: id,
        event_type: "ag2.channel.invite.ack",
        event_data: { channel_id: "c1" },
        causation_id: envelope_id,
      },
    ])
    expect(fake.receipts.map(({ status }) => status)).toEqual(["ack"])
  })

  test.each([
    ["false", () => false, "declined"],
    [
      "a throw",
      () => {
        throw new Error("too busy")
      },
      "too busy",
    ],
  ])("are rejected by %s", async (_how, onInvite, reason) => {
    const { fake, id } = await setUp({ onInvite })
    fake.deliver(id, INVITE)
    await settle()
    expect(fake.posted).toMatchObject([
      { event_type: "ag2.channel.invite.reject", event_data: { channel_id: "c1", reason } },
    ])
  })

  test("that cannot be answered are acknowledged all the same", async () => {
    const { fake, id } = await setUp()
    fake.answers.postEnvelope = () => {
      throw new NotFoundError("the channel has gone")
    }
    fake.deliver(id, INVITE)
    await settle()
    expect(fake.receipts.map(({ status }) => status)).toEqual(["ack"])
  })
})

describe("an envelope handler", () => {
  test("replaces the default, which it may call", async () => {
    const seen: string[] = []
    const { fake, id } = await setUp({
      onTurn: () => "answered",
      onEnvelope: async (envelope, next) => {
        seen.push(envelope.event_type)
        if (envelope.event_type === "ag2.msg.text") await next()
      },
    })
    fake.deliver(id, { event_type: "ag2.channel.invite" })
    fake.deliver(id)
    await settle()
    expect(seen).toEqual(["ag2.channel.invite", "ag2.msg.text"])
    expect(fake.posted.map(({ event_data }) => event_data)).toEqual([{ text: "answered" }])
  })

  test("that throws refuses the envelope with its reason", async () => {
    const { fake, id } = await setUp({
      onEnvelope: () => {
        throw new Error("not now")
      },
    })
    fake.deliver(id)
    await settle()
    expect(fake.receipts).toMatchObject([{ status: "nack", reason: "not now" }])
  })
})

describe("routing", () => {
  test("refuses a recipient that is not on this connection", async () => {
    const { fake, agent, id } = await setUp()
    expect(() => fake.deliver("nobody")).toThrow(NotFoundError)
    await agent.unregister()
    expect(() => fake.deliver(id)).toThrow(NotFoundError)
  })

  test("holds what is replayed while an agent is being attached, in order", async () => {
    const { fake, client } = await setUp()
    const seen: unknown[] = []
    const attaching = client.attach("archivist", { onTurn: ({ text }) => void seen.push(text) })
    fake.deliver("agent-archivist", { event_data: { text: "one" } })
    fake.deliver("agent-archivist", { event_data: { text: "two" } })
    fake.deliver("a stranger")
    const agent = await attaching
    fake.deliver(agent.agentId, { event_data: { text: "three" } })
    await settle()
    expect(seen).toEqual(["one", "two", "three"])
    expect(fake.receipts.filter(({ status }) => status === "nack")).toMatchObject([
      { recipient_id: "a stranger" },
    ])
  })

  test("keeps a bounded queue, and nothing for channels that nobody reads", async () => {
    let open = (): void => {}
    const gate = new Promise<void>((resolve) => (open = resolve))
    const { fake, id } = await setUp({ onEnvelope: () => gate })
    fake.deliver(id)
    await settle()
    for (let i = 0; i < MAX_QUEUED_ENVELOPES; i++) fake.deliver(id)
    expect(() => fake.deliver(id)).toThrow("waiting")
    open()
    await settle()
    fake.deliver(id)
  })
})
