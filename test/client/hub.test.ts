import { setTimeout as sleep } from "node:timers/promises"
import { describe, expect, onTestFinished, test } from "vitest"
import type { AuditRecord } from "../../src/audit/index.ts"
import { HubClient } from "../../src/client/index.ts"
import type { RegisterOptions, TurnHandler } from "../../src/client/index.ts"
import { Hub } from "../../src/hub/index.ts"
import { MemoryStore } from "../../src/store/index.ts"

/** A hub with its full record, and a client on it. */
async function setUp() {
  const store = new MemoryStore()
  const hub = await Hub.open(store, { audit: { coverage: "full", required: true } })
  const client = await HubClient.connect(hub)
  onTestFinished(async () => {
    await client.close()
    await hub.close()
  })
  const records = async (kind: string): Promise<AuditRecord[]> =>
    (await hub.auditLog.readAll()).filter((record) => record["kind"] === kind)
  const register = (name: string, options: RegisterOptions | TurnHandler = {}) =>
    client.register({ name }, typeof options === "function" ? { onTurn: options } : options)
  return { store, hub, client, records, register }
}

/** Until the hub has nothing that waits for an acknowledgement. */
async function idle(hub: Hub): Promise<void> {
  while (hub.health().pending_inbox_total > 0) await sleep(1)
}

describe("a client on a real hub", () => {
  test("two agents on one connection talk, and their record is kept", async () => {
    const { hub, register, records } = await setUp()
    const ana = await register("ana")
    const ben = await register("ben", ({ text, senderName }) => `${senderName} said ${text}`)
    const channel = await ana.open({ target: "ben", intent: "talk", labels: { about: "tests" } })
    expect(channel.metadata).toMatchObject({ state: "active", labels: { about: "tests", intent: "talk" } })
    const sent = await channel.send("hello")
    const answer = await channel.waitFor(({ sender_id }) => sender_id === ben.agentId, { after: sent })
    expect(answer).toMatchObject({ event_data: { text: "ana said hello" }, causation_id: sent })
    await channel.close("enough")
    expect((await channel.info()).state).toBe("closed")
    await idle(hub)
    expect(await records("channel_created")).toMatchObject([{ participants: [ana.agentId, ben.agentId] }])
    expect(await records("channel_closed")).toMatchObject([{ reason: "enough" }])
    expect(await records("turn_failed")).toEqual([])
    expect((await channel.envelopes()).map(({ event_type }) => event_type)).toEqual([
      "ag2.channel.invite",
      "ag2.channel.invite.ack",
      "ag2.channel.opened",
      "ag2.msg.text",
      "ag2.msg.text",
      "ag2.channel.closed",
    ])
  })

  test("a crash becomes turn_failed with the error's own type, and the next turn works", async () => {
    const { register, records, hub } = await setUp()
    const ana = await register("ana")
    const ben = await register("ben", ({ text }) => String((JSON.parse(text) as { x: number }).x))
    const channel = await ana.open({ target: "ben" })
    const bad = await channel.send("not JSON")
    const good = await channel.send('{"x":5}')
    const answer = await channel.waitFor(({ sender_id }) => sender_id === ben.agentId, { after: good })
    expect(answer).toMatchObject({ event_data: { text: "5" }, causation_id: good })
    await idle(hub)
    expect(await records("turn_failed")).toMatchObject([
      { agent_id: ben.agentId, channel_id: channel.channelId, envelope_id: bad, exc_type: "SyntaxError" },
    ])
  })

  test("a delegation inside a turn, on the same connection, does not deadlock; nor does one back", async () => {
    const { register, hub, records } = await setUp()
    const ana = await register("ana", ({ text }) => `ana knows ${text}`)
    await register("ben", async (turn) => `ben heard: ${await turn.delegate("carol", turn.text)}`)
    await register("carol", async (turn) => `carol heard: ${await turn.delegate("ana", turn.text)}`)
    expect(await ana.delegate("ben", "42")).toBe("ben heard: carol heard: ana knows 42")
    await idle(hub)
    // An answer is delivered before the channel that it completes is closed.
    while ((await records("channel_closed")).length < 3) await sleep(1)
    expect((await records("channel_closed")).map(({ reason }) => reason)).toEqual(
      Array.from({ length: 3 }, () => "consulting_complete"),
    )
    expect(await records("turn_failed")).toEqual([])
  })

  test("many delegations at once are each answered", async () => {
    const { register } = await setUp()
    const ana = await register("ana")
    await register("ben", ({ text }) => text.toUpperCase())
    const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => ana.delegate("ben", `q${n}`)))
    expect(answers).toEqual(Array.from({ length: 50 }, (_, n) => `Q${n}`))
  })

  test("a delegation that is not answered closes its channel", async () => {
    const { register, records } = await setUp()
    const ana = await register("ana")
    await register("ben", () => undefined)
    await expect(ana.delegate("ben", "?", { timeoutMs: 20 })).rejects.toMatchObject({ name: "TimeoutError" })
    expect(await records("channel_closed")).toMatchObject([{ reason: "delegation_failed: TimeoutError" }])
  })

  test("tasks leave their outcome and the track record", async () => {
    const { register, records, client } = await setUp()
    const ana = await register("ana")
    const spec = { title: "sum", capability: "arithmetic" }
    expect(await ana.runTask(spec, async (task) => (await task.progress({ half: true }), 4))).toBe(4)
    await expect(
      ana.runTask(spec, () => {
        throw new RangeError("too large")
      }),
    ).rejects.toThrow(RangeError)
    await ana.runTask(spec, (task) => task.cancel("no need"))
    await ana.runTask(
      spec,
      (task) => new Promise<void>((resolve) => task.signal.addEventListener("abort", () => resolve())),
      {
        ttlSeconds: 0.02,
      },
    )
    expect(await records("task_terminated")).toMatchObject([
      { outcome: "completed", reason: "", capability: "arithmetic" },
      { outcome: "failed", reason: "too large" },
      { outcome: "cancelled", reason: "no need" },
      { outcome: "expired", reason: "not done within 0.02 s" },
    ])
    expect((await client.hub.getResume(ana.agentId)).observed).toMatchObject({
      arithmetic: { n: 4, completed: 1, failed: 1, expired: 1 },
    })
  })

  test("a task that the hub refuses runs all the same", async () => {
    const { register, hub } = await setUp()
    const told: unknown[] = []
    hub.registerListener({ onTaskEvent: (_id, kind, payload) => void told.push([kind, payload]) })
    const ana = await register("ana", { rule: { limits: { max_concurrent_tasks: 1 } } })
    await ana.runTask({ title: "outer" }, async () => {
      expect(await ana.runTask({ title: "inner" }, () => 1)).toBe(1)
    })
    expect(told).toContainEqual([
      "mirror_failed",
      expect.objectContaining({ op: "started", owner_id: ana.agentId, exc_type: "AccessDeniedError" }),
    ])
  })

  test("an invitation that is declined closes the channel", async () => {
    const { register, records } = await setUp()
    const ana = await register("ana")
    await register("ben", { onInvite: ({ manifest }) => manifest.type !== "conversation" })
    await expect(ana.open({ target: "ben" })).rejects.toMatchObject({ code: "protocol_error" })
    expect(await records("channel_closed")).toMatchObject([{ reason: "invite_rejected" }])
    await ana.open({ target: "ben", type: "consulting" })
  })

  test("what was not acknowledged comes again to whoever attaches, and is answered once", async () => {
    const { hub, client, register } = await setUp()
    const ana = await register("ana")
    const first = await HubClient.connect(hub)
    let started = 0
    await first.register({ name: "ben" }, { onTurn: () => (started++, new Promise<string>(() => {})) })
    const channel = await ana.open({ target: "ben" })
    const sent = await channel.send("hello")
    while (started === 0) await sleep(1)
    await first.close()
    const ben = await client.attach("ben", { onTurn: () => "here I am" })
    const answer = await channel.waitFor(({ sender_id }) => sender_id === ben.agentId, { after: sent })
    expect(answer.causation_id).toBe(sent)
    await idle(hub)
    const texts = (await channel.envelopes()).filter(({ event_type }) => event_type === "ag2.msg.text")
    expect(texts).toHaveLength(2)
  })

  test("setters and unregister reach the hub", async () => {
    const { register, client, records } = await setUp()
    const ana = await register("ana", { skill: "# Ana", resume: { summary: "first" } })
    expect(await client.hub.getSkill(ana.agentId)).toBe("# Ana")
    expect(await ana.setResume({ summary: "second" })).toMatchObject({ summary: "second" })
    await ana.setSkill(null)
    expect(await ana.setRule({ limits: { delegation_depth: 2 } })).toMatchObject({
      limits: { delegation_depth: 2 },
    })
    await ana.unregister()
    expect(await client.hub.findAgentId("ana")).toBe(null)
    for (const kind of ["agent_registered", "resume_set", "skill_set", "rule_set", "agent_unregistered"]) {
      expect(await records(kind), kind).not.toEqual([])
    }
    await register("ana")
  })
})
