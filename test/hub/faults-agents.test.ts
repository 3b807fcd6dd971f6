/** Faults of AG2's hub that this one does not repeat: identities, tasks, listeners and the record. */
import { describe, expect, test } from "vitest"
import { AuditLog } from "../../src/audit/index.ts"
import { AuditUnavailableError, NotFoundError } from "../../src/core/errors.ts"
import {
  ApiKeyAuth,
  AuthRegistry,
  BaseArbiter,
  deny,
  Hub,
  noneAuth,
  type Decision,
  hashAdminToken,
} from "../../src/hub/index.ts"
import {
  AccessDeniedError,
  AuthError,
  INVITE,
  INVITE_ACK,
  ProtocolError,
  type HubConnection,
  type JsonObject,
} from "../../src/model/index.ts"
import { MemoryStore } from "../../src/store/memory.ts"
import { readText } from "../../src/store/text.ts"
import { FakeTime } from "../support/fake-time.ts"
import { FlakyStore } from "../support/flaky-store.ts"
import {
  conversation,
  join,
  kindsOf,
  openWorld,
  Recorder,
  recordsOf,
  registerOnly,
  say,
  settle,
} from "./world.ts"

const key = (token: string) => ({ scheme: "api_key", claim: { token } })

test("C4: of two unregistrations that race, one gets not_found and makes no event", async () => {
  await using world = await openWorld()
  const { hub, seen } = world
  const id = await registerOnly(hub, "ann")
  const results = await Promise.allSettled([hub.unregister(id), hub.unregister(id)])
  expect(results.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"])
  expect(results.find((result) => result.status === "rejected")?.reason).toBeInstanceOf(NotFoundError)
  expect(seen.of("unregistered")).toMatchObject([[id, "unregistered", { name: "ann" }]])
  expect(await recordsOf(hub, "agent_unregistered")).toHaveLength(1)
})

test("C5: registered is told before unregistered, however slow a listener is", async () => {
  await using world = await openWorld()
  const { hub } = world
  const told: string[] = []
  hub.registerListener({
    async onAgentEvent(_id: string, kind: string) {
      if (kind === "registered") await settle(5)
      told.push(kind)
    },
  })
  const registering = registerOnly(hub, "ann")
  let id: string | null = null
  while ((id = await hub.findAgentId("ann")) === null) await settle(1)
  expect(told).toEqual([])
  await Promise.all([registering, hub.setRule(id, {}), hub.unregister(id)])
  expect(told).toEqual(["registered", "rule_set", "unregistered"])
  expect(await kindsOf(hub)).toEqual(["agent_registered", "rule_set", "agent_unregistered"])
})

const ADMIN_TOKEN = "a-token-that-a-machine-has-made"

describe("C9, C10: tasks", () => {
  test("C9: a result that is not JSON changes nothing; the task can still end", async () => {
    await using world = await openWorld()
    const { hub, store } = world
    const owner_id = await registerOnly(hub, "ann")
    await hub.observeTask({ task_id: "t1", owner_id, state: "running", spec: { title: "x" } })
    const before = await readText(store, "/tasks/t1/metadata.json")
    const bad = { state: "completed" as const, result: { f: () => 1 } as unknown as JsonObject }
    await expect(hub.updateTask("t1", bad)).rejects.toMatchObject({ code: "invalid_input" })
    expect(await readText(store, "/tasks/t1/metadata.json")).toBe(before)
    await hub.updateTask("t1", { state: "completed", result: { ok: true }, progress: { step: 2 } })
    expect(await hub.getTask("t1")).toMatchObject({
      state: "completed",
      result: { ok: true },
      progress: { step: 2 },
    })
  })

  test("C9: a store that fails leaves the task as it was", async () => {
    const store = new FlakyStore(new MemoryStore())
    await using world = await openWorld({ store })
    const { hub, seen } = world
    const owner_id = await registerOnly(hub, "ann")
    await hub.observeTask({ task_id: "t1", owner_id, spec: { title: "x" } })
    store.decide = (_operation, path) => (path.startsWith("/tasks/") ? "not persisted" : undefined)
    await expect(hub.updateTask("t1", { state: "failed" })).rejects.toMatchObject({
      code: "store_unavailable",
    })
    expect((await hub.getTask("t1")).state).toBe("created")
    store.decide = () => undefined
    await hub.updateTask("t1", { state: "failed", error: "no luck" })
    expect(seen.of("task:failed")).toMatchObject([["t1", "failed", { outcome: "failed", reason: "no luck" }]])
  })

  test("W-16, C10: a task that has ended stays as it ended", async () => {
    await using world = await openWorld()
    const { hub, seen } = world
    const owner_id = await registerOnly(hub, "ann")
    const task = { task_id: "t1", owner_id, spec: { title: "x", capability: "birds" } }
    await hub.observeTask({ ...task, state: "running" })
    const ended = await hub.updateTask("t1", { state: "completed" })
    expect(await hub.observeTask({ ...task, state: "running", progress: { late: true } })).toEqual(ended)
    expect(await hub.updateTask("t1", { state: "failed" })).toEqual(ended)
    expect(await recordsOf(hub, "task_terminated")).toHaveLength(1)
    expect(seen.kinds.filter((kind) => kind.startsWith("task:"))).toEqual(["task:started", "task:completed"])
  })

  test("W-16: the middle latency counts, and a task counts once: across a restart too", async () => {
    const store = new MemoryStore()
    const first = await openWorld({ store })
    const owner_id = await registerOnly(first.hub, "ann")
    const seen = { task_id: "seen", owner_id, spec: { title: "x", capability: "birds" } }
    await first.hub.observeTask({ ...seen, state: "running" })
    await first.hub.updateTask("seen", { state: "completed" })
    const observe = (hub: Hub, task_id: string | null, latency_ms: number | null): Promise<void> =>
      hub.recordObservation({ owner_id, capability: "birds", outcome: "completed", latency_ms, task_id })
    const birds = async (hub: Hub): Promise<unknown> => (await hub.getResume(owner_id)).observed["birds"]
    for (const hub of [first.hub, first.hub]) {
      await observe(hub, "seen", 30)
      await observe(hub, "unseen", 10)
      await observe(hub, null, 500)
    }
    // Anonymous ones count each time.
    expect(await birds(first.hub)).toMatchObject({ n: 4, completed: 4, p50_latency_ms: 30 })
    await first.hub.close()
    await using again = await openWorld({ store })
    await observe(again.hub, "seen", 30)
    await observe(again.hub, "unseen", 10)
    expect(await birds(again.hub)).toMatchObject({ n: 4, p50_latency_ms: 30 })
    await observe(again.hub, "other", 40)
    await observe(again.hub, "another", null)
    expect(await birds(again.hub)).toMatchObject({ n: 6, completed: 6, p50_latency_ms: 40 })
    // AG2's file has nothing but what AG2's classes read.
    const resume: unknown = JSON.parse((await readText(store, `/agents/${owner_id}/resume.json`)) ?? "")
    expect(Object.keys(resume as object).sort()).toEqual(
      Object.keys(await again.hub.getResume(owner_id)).sort(),
    )
  })

  test("W-16: observations that cannot be read are begun anew, from the median that the resume has", async () => {
    const store = new MemoryStore()
    const first = await openWorld({ store })
    const owner_id = await registerOnly(first.hub, "ann")
    const observation = { owner_id, capability: "birds", outcome: "completed" } as const
    await first.hub.recordObservation({ ...observation, latency_ms: 10 })
    await first.hub.close()
    await store.write(`/agents/${owner_id}/observations.json`, '{"samples":{"birds":["ten"]},"unseen":[]}')
    await using again = await openWorld({ store })
    await again.hub.recordObservation({ ...observation, latency_ms: 50 })
    await again.hub.recordObservation({ ...observation, latency_ms: 60 })
    expect((await again.hub.getResume(owner_id)).observed["birds"]).toMatchObject({
      n: 3,
      p50_latency_ms: 50,
    })
    expect(again.log.some(({ message }) => message.includes("observations could not be read"))).toBe(true)
  })

  test("W-17: an inbox that drops what was accepted cannot be asked for; one that is stored rejects", async () => {
    const store = new MemoryStore()
    const first = await openWorld({ store })
    const asked = (overflow: "drop_oldest" | "drop_newest") => ({
      limits: { inbox: { max_pending: 1, overflow } },
    })
    for (const overflow of ["drop_oldest", "drop_newest"] as const) {
      await expect(registerOnly(first.hub, "ann", { rule: asked(overflow) })).rejects.toMatchObject({
        code: "invalid_input",
        message: expect.stringContaining("overflow") as string,
      })
    }
    const ann = await registerOnly(first.hub, "ann")
    await expect(first.hub.setRule(ann, asked("drop_oldest"))).rejects.toMatchObject({
      code: "invalid_input",
    })
    expect(await kindsOf(first.hub)).toEqual(["agent_registered"])
    await first.hub.close()
    // As AG2's hub leaves it.
    await store.write(`/agents/${ann}/rule.json`, JSON.stringify({ version: 1, ...asked("drop_oldest") }))
    await using again = await openWorld({ store })
    const bob = await join(again.hub, "bob")
    const connection: HubConnection = await again.hub.connect(async ({ envelope }) => {
      if (envelope.event_type !== INVITE) return
      const { channel_id } = envelope
      const answer = { channel_id, sender_id: ann, event_type: INVITE_ACK, event_data: { channel_id } }
      await connection.postEnvelope(answer)
    })
    await connection.attach("ann")
    const request = { creator_id: bob.id, manifest_type: "conversation", participants: [ann] }
    const { channel_id } = await again.hub.createChannel(request)
    await say(again.hub, channel_id, bob.id)
    await expect(say(again.hub, channel_id, bob.id)).rejects.toMatchObject({ code: "inbox_full" })
  })

  test("A18: nobody but the hub says that a task has ended", async () => {
    await using world = await openWorld()
    const { hub, seen } = world
    for (const kind of ["started", "completed", "failed", "expired", "cancelled"]) {
      await expect(hub.fireTaskEvent("t1", kind, { outcome: kind })).rejects.toThrow(ProtocolError)
    }
    await hub.fireTaskEvent("t1", "mirror_failed", { op: "started" })
    expect(seen.of("task:mirror_failed")).toHaveLength(1)
    expect(await kindsOf(hub)).toEqual([])
  })

  test("F7: a task without a deadline gets its owner's; the cap on open tasks holds under concurrency", async () => {
    await using world = await openWorld()
    const { hub, time } = world
    const rule = { limits: { task_ttl_default: "60s", max_concurrent_tasks: 2 } }
    const owner_id = await registerOnly(hub, "ann", { rule })
    const results = await Promise.allSettled(
      ["t1", "t2", "t3"].map((task_id) => hub.observeTask({ task_id, owner_id, spec: { title: "x" } })),
    )
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(2)
    time.set(time.clock() + 60_000)
    await hub.expireDue()
    expect((await hub.listTasks({ state: "expired" })).map(({ task_id }) => task_id)).toHaveLength(2)
    expect(await recordsOf(hub, "task_terminated")).toMatchObject([{ reason: "ttl_expired" }, {}])
  })

  test.each(["../agents/x", "a/b", "", "..", "x".repeat(129)])(
    "a task id is no path: %j",
    async (task_id) => {
      await using world = await openWorld()
      const owner_id = await registerOnly(world.hub, "ann")
      const observed = world.hub.observeTask({ task_id, owner_id, spec: { title: "x" } })
      await expect(observed).rejects.toMatchObject({ code: "invalid_input" })
    },
  )
})

describe("C11: an outcome counts once per task", () => {
  const observation = { capability: "birds", outcome: "completed" as const, task_id: "t1" }

  test("under concurrency", async () => {
    await using world = await openWorld()
    const { hub } = world
    const owner_id = await registerOnly(hub, "ann")
    await Promise.all([1, 2, 3].map(() => hub.recordObservation({ ...observation, owner_id })))
    expect((await hub.getResume(owner_id)).observed["birds"]?.n).toBe(1)
  })

  test("over a restart, for tasks that the hub has seen", async () => {
    const store = new MemoryStore()
    const world = await openWorld({ store })
    const owner_id = await registerOnly(world.hub, "ann")
    await world.hub.observeTask({ task_id: "t1", owner_id, spec: { title: "x", capability: "birds" } })
    await world.hub.recordObservation({ ...observation, owner_id })
    await world.hub.updateTask("t1", { state: "completed" })
    await world.hub.close()
    await using again = await openWorld({ store })
    await again.hub.recordObservation({ ...observation, owner_id })
    expect((await again.hub.getResume(owner_id)).observed["birds"]?.n).toBe(1)
  })
})

test("E9: a tenant cannot write its own track record", async () => {
  await using world = await openWorld()
  const { hub } = world
  const forged = { birds: { n: 99, completed: 99, failed: 0, expired: 0, p50_latency_ms: 1 } }
  const id = await registerOnly(hub, "ann", { resume: { observed: forged } })
  expect((await hub.getResume(id)).observed).toEqual({})
  await hub.recordObservation({ owner_id: id, capability: "birds", outcome: "failed" })
  await hub.setResume(id, { summary: "new", observed: forged, version: 70 })
  expect(await hub.getResume(id)).toMatchObject({
    summary: "new",
    version: 3,
    observed: { birds: { n: 1, failed: 1 } },
  })
})

test("E12: the arbiter is asked about registrations", async () => {
  class Closed extends BaseArbiter {
    override async authorizeRegister(): Promise<Decision> {
      return deny("we are full")
    }
  }
  await using world = await openWorld({ arbiter: new Closed() })
  await expect(registerOnly(world.hub, "ann")).rejects.toThrow(AccessDeniedError)
  expect(world.seen.of("access_denied")).toMatchObject([["register", null, {}]])
  expect(await world.store.list("/agents")).toEqual([])
})

describe("E2, E3: proofs", () => {
  const auth = (): AuthRegistry => new AuthRegistry([noneAuth, new ApiKeyAuth({ allowEnrolment: true })])

  test("E3: a claim is verified and dropped: nothing stored or returned holds it", async () => {
    const store = new MemoryStore()
    await using world = await openWorld({ store, auth: auth() })
    const { hub } = world
    const id = await registerOnly(hub, "ann", { passport: { name: "ann", auth: key("s3cret-token") } })
    const stored = await Promise.all(
      (await store.list(`/agents/${id}`)).map((name) => readText(store, `/agents/${id}/${name}`)),
    )
    const shown = [await hub.getAgent("ann"), await hub.listAgents(), await hub.auditLog.readAll()]
    expect(JSON.stringify([stored, shown])).not.toContain("s3cret")
    expect(JSON.stringify(shown)).not.toContain("hash")
  })

  test("E2: the client does not choose the scheme; failures are told", async () => {
    await using world = await openWorld({ auth: auth() })
    const { hub, seen } = world
    await registerOnly(hub, "ann", { passport: { name: "ann", auth: key("right") } })
    const connection = await hub.connect(() => {})
    await expect(connection.attach("ann", { scheme: "none" })).rejects.toThrow(AuthError)
    await expect(connection.attach("ann")).rejects.toThrow(AuthError)
    await expect(connection.attach("ann", key("wrong"))).rejects.toThrow(AuthError)
    await expect(connection.attach("bob", key("right"))).rejects.toThrow(NotFoundError)
    expect(seen.of("auth_failed").map(([name, scheme]) => [name, scheme])).toEqual([
      ["ann", "api_key"],
      ["ann", "api_key"],
      ["ann", "api_key"],
      ["bob", "api_key"],
    ])
    expect((await connection.attach("ann", key("right"))).name).toBe("ann")
  })
})

describe("connections", () => {
  test("E1: a connection acts for its own identities alone, and the refusal is told", async () => {
    await using world = await openWorld()
    const { hub, seen } = world
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    const channel_id = await conversation(hub, ann, bob)
    const envelope = {
      channel_id,
      sender_id: bob.id,
      event_type: "ag2.msg.text",
      event_data: { text: "I am bob" },
    }
    await expect(ann.connection.postEnvelope(envelope)).rejects.toThrow(AccessDeniedError)
    expect(seen.of("access_denied")).toMatchObject([["post_envelope", ann.id, {}]])
  })

  test("changes name their actor", async () => {
    const store = new MemoryStore()
    const admins = { root: hashAdminToken(ADMIN_TOKEN) }
    await using world = await openWorld({ store, audit: { coverage: "full" }, admins })
    const { hub } = world
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    await ann.connection.setRule(ann.id, {})
    const root = await hub.connect(() => {})
    await root.proveAdmin("root", ADMIN_TOKEN)
    await root.setRule(bob.id, {})
    await hub.setRule(bob.id, {})
    const channel_id = await conversation(hub, ann, bob)
    await bob.connection.closeChannel(channel_id)
    const actors = (await hub.auditLog.readAll()).map(({ kind, actor_id = null }) => [kind, actor_id])
    expect(actors).toEqual([
      ["hub_started", null],
      ["agent_registered", ann.id],
      ["agent_registered", bob.id],
      ["rule_set", ann.id],
      ["rule_set", "admin:root"],
      ["rule_set", null],
      ["channel_created", ann.id],
      ["channel_opened", null],
      ["channel_closed", bob.id],
    ])
  })

  test("an identity moves; what it missed comes first, in order, once", async () => {
    await using world = await openWorld()
    const { hub } = world
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    const channel_id = await conversation(hub, ann, bob)
    await settle()
    await bob.connection[Symbol.asyncDispose]()
    for (let i = 0; i < 600; i++) await say(hub, channel_id, ann.id, `${i}`)
    const texts: unknown[] = []
    const connection = await hub.connect(({ envelope }) => void texts.push(envelope.event_data["text"]))
    await Promise.all([
      connection.attach("bob"),
      ...[600, 601, 602].map((n) => say(hub, channel_id, ann.id, `${n}`)),
    ])
    await settle()
    expect(texts).toEqual(Array.from({ length: 603 }, (_, i) => `${i}`))
    await expect(bob.connection.postEnvelope({ channel_id } as never)).rejects.toMatchObject({
      code: "closed",
    })
  })

  test("D8: who was away when a channel ended learns of it on return", async () => {
    await using world = await openWorld()
    const { hub } = world
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    const channel_id = await conversation(hub, ann, bob)
    await settle()
    await bob.connection[Symbol.asyncDispose]()
    await hub.closeChannel(channel_id, "over")
    const got: unknown[] = []
    await (await hub.connect(({ envelope }) => void got.push(envelope.event_data))).attach("bob")
    await settle()
    expect(got).toEqual([{ channel_id, reason: "over", closed_by: null }])
  })

  test("a delivery that fails is told, and stays unacknowledged", async () => {
    await using world = await openWorld()
    const { hub, seen } = world
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    const channel_id = await conversation(hub, ann, bob)
    await settle()
    const error = new Error("socket gone")
    const connection = await hub.connect(() => Promise.reject(error))
    await connection.attach("bob", undefined, { since_envelope_id: null })
    const envelope_id = await say(hub, channel_id, ann.id)
    await settle()
    expect(seen.of("dispatch_failed")).toMatchObject([[{ envelope_id }, bob.id, error]])
    expect(hub.health().pending_inbox_total).toBe(1)
  })
})

describe("listeners", () => {
  test("B1: the audit log hears first, then the hub's own hooks, then the others", async () => {
    const order: string[] = []
    class MyHub extends Hub {
      override async onAgentEvent(): Promise<void> {
        order.push(`hook after ${(await this.auditLog.readAll()).length} record`)
      }
    }
    await using hub = await MyHub.open(new MemoryStore(), { ttlSweepSeconds: 0, expectationSweepSeconds: 0 })
    hub.registerListener({ onAgentEvent: () => void order.push("listener") })
    await registerOnly(hub, "ann")
    expect(order).toEqual(["hook after 1 record", "listener"])
  })

  test("B3: adding and removing during a fan-out disturbs nobody", async () => {
    await using world = await openWorld()
    const { hub } = world
    const [late, last] = [new Recorder(), new Recorder()]
    const removing = {
      onAgentEvent() {
        hub.unregisterListener(removing)
        hub.registerListener(late)
      },
    }
    hub.registerListener(removing)
    hub.registerListener(last)
    await registerOnly(hub, "ann")
    expect(last.kinds).toEqual(["registered"])
    expect(late.kinds).toEqual([])
    await registerOnly(hub, "bob")
    expect(late.kinds).toEqual(["registered"])
  })

  test("B5: what listeners and callers get is frozen, all the way down", async () => {
    await using world = await openWorld()
    const { hub, seen } = world
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    const channel_id = await conversation(hub, ann, bob)
    const data = { text: "hi", list: [{ a: 1 }] }
    await hub.postEnvelope({ channel_id, sender_id: ann.id, event_type: "ag2.msg.text", event_data: data })
    data.list.push({ a: 2 })
    await hub.setRule(ann.id, { access: { inbound_from: ["x"] } })
    await hub.recordObservation({ owner_id: ann.id, capability: "c", outcome: "failed" })
    await hub.observeTask({ task_id: "t1", owner_id: ann.id, spec: { title: "x" } })
    await hub.closeChannel(channel_id)
    for (const { what, args } of seen.events) {
      for (const value of args) expect(isDeeplyFrozen(value), what).toBe(true)
    }
    expect(
      (await hub.readWal(channel_id)).find(({ event_data }) => event_data["text"] === "hi")?.event_data,
    ).toEqual({
      text: "hi",
      list: [{ a: 1 }],
    })
    for (const value of [await hub.getAgent("ann"), await hub.getRule(ann.id), await hub.getResume(ann.id)]) {
      expect(isDeeplyFrozen(value)).toBe(true)
    }
  })

  test("B6: answers to invitations and closing envelopes are told as posted", async () => {
    await using world = await openWorld()
    const { hub, seen } = world
    const channel_id = await conversation(hub, await join(hub, "ann"), await join(hub, "bob"))
    await hub.closeChannel(channel_id)
    const told = seen.kinds.filter((kind) => kind.startsWith("posted:")).map((kind) => kind.slice(7))
    expect(told).toEqual((await hub.readWal(channel_id)).map(({ event_type }) => event_type))
    expect(told).toEqual([
      "ag2.channel.invite",
      "ag2.channel.invite.ack",
      "ag2.channel.opened",
      "ag2.channel.closed",
    ])
  })

  test("B7: an envelope in the log is never told as rejected, whatever fails afterwards", async () => {
    const store = new FlakyStore(new MemoryStore())
    await using world = await openWorld({ store })
    const { hub, seen, log } = world
    const creator_id = await registerOnly(hub, "ann")
    const bob = await registerOnly(hub, "bob")
    const opening = hub.createChannel({ creator_id, manifest_type: "conversation", participants: [bob] })
    await settle()
    const channel_id = (await hub.listChannels())[0]?.channel_id ?? ""
    store.decide = (operation) => (operation === "write" ? "not persisted" : undefined)
    await hub.postEnvelope({
      channel_id,
      sender_id: bob,
      event_type: "ag2.channel.invite.ack",
      event_data: {},
    })
    expect((await opening).state).toBe("active")
    expect(seen.of("rejected")).toEqual([])
    expect(log.some(({ message }) => message === "a channel's metadata could not be written")).toBe(true)
    store.decide = () => undefined
    await hub.expireDue()
    expect(await readText(store, `/channels/${channel_id}/metadata.json`)).toContain('"state":"active"')
  })

  test("a listener may call the hub about the very thing it hears of", async () => {
    await using world = await openWorld()
    const { hub } = world
    const told: string[] = []
    hub.registerListener({
      async onAgentEvent(agentId: string, kind: string) {
        if (kind === "registered") await hub.setRule(agentId, { limits: { delegation_depth: 9 } })
      },
      async onChannelEvent(channelId: string, kind: string) {
        if (kind === "opened") await hub.closeChannel(channelId, "by a listener")
      },
    })
    hub.registerListener({
      onAgentEvent: (_id: string, kind: string) => void told.push(kind),
      onChannelEvent: (_id: string, kind: string) => void told.push(kind),
    })
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    expect((await hub.getRule(ann.id)).limits.delegation_depth).toBe(9)
    const channel_id = await conversation(hub, ann, bob)
    await settle()
    expect((await hub.getChannel(channel_id)).close_reason).toBe("by a listener")
    expect(told.filter((kind) => kind !== "rule_set")).toEqual([
      "registered",
      "registered",
      "created",
      "opened",
      "closed",
    ])
  })
})

function isDeeplyFrozen(value: unknown): boolean {
  if (typeof value !== "object" || value === null || value instanceof Error) return true
  return Object.isFrozen(value) && Object.values(value).every(isDeeplyFrozen)
}

describe("A2: the record", () => {
  test("required: no acknowledgement without its record; the hub refuses changes until it can write", async () => {
    const inner = new MemoryStore()
    const store = new FlakyStore(inner)
    const time = new FakeTime()
    await using world = await openWorld({ store, time, audit: { required: true, retryMs: 1_000 } })
    const { hub, seen } = world
    const ann = await registerOnly(hub, "ann")
    store.decide = (_operation, path) => (path.startsWith("/audit/") ? "not persisted" : undefined)
    await expect(hub.setRule(ann, {})).rejects.toThrow(AuditUnavailableError)
    // All other listeners were told before.
    expect(seen.of("rule_set")).toHaveLength(1)
    expect(hub.health().audit_available).toBe(false)
    await expect(registerOnly(hub, "bob")).rejects.toThrow(AuditUnavailableError)
    await expect(say(hub, "any", ann)).rejects.toThrow(AuditUnavailableError)
    expect(hub.health().registered_agents).toBe(1)
    expect((await hub.getAgent("ann")).name).toBe("ann")
    store.decide = () => undefined
    await time.advance(10_000)
    expect(hub.health().audit_available).toBe(true)
    await registerOnly(hub, "bob")
    expect(await kindsOf(hub)).toEqual(["agent_registered", "rule_set", "agent_registered"])
  })

  test("required: finding a change made by another call is acknowledged with that call's record, or not at all", async () => {
    const store = new FlakyStore(new MemoryStore())
    await using world = await openWorld({ store, audit: { required: true } })
    const { hub } = world
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    const channel = await conversation(hub, ann, bob)
    await hub.observeTask({ task_id: "t1", owner_id: ann.id, spec: { title: "work" }, state: "running" })
    store.decide = (_operation, path) => (path.startsWith("/audit/") ? "not persisted" : undefined)
    const calls = [
      hub.closeChannel(channel),
      hub.closeChannel(channel),
      hub.updateTask("t1", { state: "completed" }),
      hub.updateTask("t1", { state: "completed" }),
    ]
    for (const call of calls) await expect(call).rejects.toThrow(AuditUnavailableError)
    store.decide = () => undefined
  })

  test("not required: the operation goes on, and the failure is counted", async () => {
    const store = new FlakyStore(new MemoryStore())
    const time = new FakeTime()
    await using world = await openWorld({ store, time })
    const { hub } = world
    store.decide = (_operation, path) => (path.startsWith("/audit/") ? "not persisted" : undefined)
    await registerOnly(hub, "ann")
    expect(hub.health()).toMatchObject({ audit_failures: 1, audit_available: true, registered_agents: 1 })
    store.decide = () => undefined
    await time.advance(10_000)
    await registerOnly(hub, "bob")
    expect(await kindsOf(hub)).toContain("audit_gap")
  })

  test("the caller's own log is not closed with the hub; the hub's own is", async () => {
    const log = new AuditLog(new MemoryStore())
    const first = await Hub.open(new MemoryStore(), { auditLog: log })
    await first.close()
    await log.append({ kind: "still open" })
    await log.close()
    const second = await Hub.open(new MemoryStore())
    const own = second.auditLog
    await second.close()
    await expect(own.append({ kind: "late" })).rejects.toMatchObject({ code: "closed" })
  })

  test("start and stop are told", async () => {
    const store = new MemoryStore()
    const { hub, seen } = await openWorld({ store, audit: { coverage: "full" } })
    await hub.close()
    expect(seen.kinds).toEqual(["stopped"])
    await using log = await AuditLog.open(store, { readOnly: true })
    expect(await log.readAll()).toMatchObject([
      { kind: "hub_started", version: "0.1.0", size: 0, torn_bytes: 0 },
      { kind: "hub_stopped" },
    ])
  })
})
