/** The 28 behaviours that AG2's own tests assert, numbered as in section 10 of its description. */
import { describe, expect, test } from "vitest"
import { AuditLog } from "../../src/audit/index.ts"
import { NotFoundError } from "../../src/core/errors.ts"
import { BaseArbiter, deny, Hub } from "../../src/hub/index.ts"
import { AccessDeniedError, ProtocolError, TEXT, VIOLATED } from "../../src/model/index.ts"
import { MemoryStore } from "../../src/store/memory.ts"
import { readText } from "../../src/store/text.ts"
import { utf8 } from "../../src/core/bytes.ts"
import {
  adapterLike,
  conversation,
  expectation,
  join,
  kindsOf,
  openWorld,
  Recorder,
  recordsOf,
  registerOnly,
  say,
  settle,
} from "./world.ts"

describe("1: health", () => {
  test("of a fresh hub, and audit bytes after work", async () => {
    await using world = await openWorld()
    const { hub, seen } = world
    hub.unregisterListener(seen)
    expect(hub.health()).toEqual({
      active_channels: 0,
      registered_agents: 0,
      pending_inbox_total: 0,
      max_pending_inbox_depth: null,
      registered_listeners: 1,
      // AG2 loads four; discussion and workflow come with the NETWORK work.
      adapters_loaded: 4,
      audit_log_bytes: 0,
      telemetry_log_bytes: 0,
      // Ours:
      audit_failures: 0,
      audit_available: true,
      quarantined: 0,
    })
    await conversation(hub, await join(hub, "ann"), await join(hub, "bob"))
    const health = hub.health()
    expect(health.audit_log_bytes).toBeGreaterThan(0)
    expect(health).toMatchObject({ active_channels: 1, registered_agents: 2 })
  })
})

test("2: a listener sees registered, created, opened, closed", async () => {
  await using world = await openWorld()
  const { hub, seen } = world
  const channel = await conversation(hub, await join(hub, "ann"), await join(hub, "bob"))
  await hub.closeChannel(channel)
  const kinds = seen.kinds.filter((kind) => !kind.startsWith("posted:"))
  expect(kinds).toEqual(["registered", "registered", "created", "opened", "closed"])
})

test("3: throwing listeners before, between and after a good one stop nothing", async () => {
  await using world = await openWorld()
  const { hub, log } = world
  const bad = {
    onEnvelopePosted() {
      throw new Error("bad listener")
    },
  }
  const [first, second] = [new Recorder(), new Recorder()]
  for (const listener of [bad, first, bad, second, bad]) hub.registerListener(listener)
  const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
  const channel = await conversation(hub, ann, bob)
  const id = await say(hub, channel, ann.id)
  for (const recorder of [first, second]) {
    expect(recorder.of("posted:ag2.msg.text")).toMatchObject([[{ envelope_id: id }, {}]])
  }
  expect(
    log.filter(({ level, message }) => level === "error" && message === "a listener failed").length,
  ).toBe(12)
})

test("4: a subscriber to the audit log sees the next registration", async () => {
  await using world = await openWorld()
  const { hub } = world
  const kinds: unknown[] = []
  hub.auditLog.subscribe((record) => void kinds.push(record["kind"]))
  await join(hub, "ann")
  expect(kinds).toEqual(["agent_registered"])
})

test("5: a handler that throws is a failed turn with the original exception; the next send works", async () => {
  await using world = await openWorld()
  const { hub, seen } = world
  const error = new RangeError("the model is out")
  const ann = await join(hub, "ann")
  const bob = await join(hub, "bob", () => {
    throw error
  })
  const channel = await conversation(hub, ann, bob)
  const id = await say(hub, channel, ann.id)
  await settle()
  expect(seen.of("turn_failed")).toEqual([[channel, bob.id, id, error]])
  expect(await recordsOf(hub, "turn_failed")).toMatchObject([
    { exc_type: "RangeError", exc_message: "the model is out", envelope_id: id },
  ])
  await say(hub, channel, ann.id, "again")
})

test("6: a replaced audit log is returned and receives later events", async () => {
  await using world = await openWorld()
  const { hub } = world
  await using other = new AuditLog(new MemoryStore())
  hub.replaceAuditLog(other)
  expect(hub.auditLog).toBe(other)
  await join(hub, "ann")
  expect(await kindsOf(hub)).toEqual(["agent_registered"])
  expect(hub.health().audit_log_bytes).toBe(other.bytesWritten)
})

describe("7: arbiter", () => {
  test("a custom denial surfaces as AccessDeniedError with its text", async () => {
    await using world = await openWorld()
    const { hub, seen } = world
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    const channel = await conversation(hub, ann, bob)
    class Strict extends BaseArbiter {
      override async authorizeSend() {
        return deny("not on Sundays")
      }
    }
    hub.registerArbiter(new Strict())
    const sent = say(hub, channel, ann.id)
    await expect(sent).rejects.toThrow(AccessDeniedError)
    await expect(sent).rejects.toThrow("not on Sundays")
    expect(seen.of("access_denied")).toMatchObject([["post_envelope", ann.id, { code: "access_denied" }]])
  })

  test("the base arbiter lets a blocked recipient through", async () => {
    await using world = await openWorld()
    const { hub } = world
    const ann = await join(hub, "ann", undefined, { rule: { access: { outbound_to: ["nobody"] } } })
    const bob = await join(hub, "bob")
    const opened = conversation(hub, ann, bob)
    await expect(opened).rejects.toThrow(AccessDeniedError)
    hub.registerArbiter(new BaseArbiter())
    await conversation(hub, ann, bob)
  })
})

test("8: an unknown audience id next to a real one: AG2 accepts and drops it; here it is refused (E5), unless the arbiter resolves it", async () => {
  await using world = await openWorld()
  const { hub } = world
  const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
  const channel = await conversation(hub, ann, bob)
  const envelope = {
    channel_id: channel,
    sender_id: ann.id,
    audience: [bob.id, "stranger"],
    event_type: TEXT,
    event_data: { text: "hi" },
  }
  await expect(hub.postEnvelope(envelope)).rejects.toThrow(ProtocolError)
  class Resolving extends BaseArbiter {
    override async resolveUnknownAudience(): Promise<readonly string[]> {
      return []
    }
  }
  hub.registerArbiter(new Resolving())
  const id = await hub.postEnvelope(envelope)
  expect((await hub.readWal(channel)).at(-1)).toMatchObject({ envelope_id: id, audience: [bob.id] })
})

test("9: the log lines of registrations and rejections", async () => {
  await using world = await openWorld()
  const { hub, log } = world
  await join(hub, "ann")
  await expect(say(hub, "nowhere", "nobody")).rejects.toThrow(NotFoundError)
  expect(log).toContainEqual(expect.objectContaining({ level: "info", message: "agent registered" }))
  expect(log).toContainEqual(expect.objectContaining({ level: "warn", message: "post_envelope rejected" }))
})

test("10: delegation depth: 3 over a cap of 2 is refused, 2 is not, and no cap takes 999", async () => {
  await using world = await openWorld()
  const { hub } = world
  const capped = await join(hub, "ann", undefined, { rule: { limits: { delegation_depth: 2 } } })
  const free = await join(hub, "bob", undefined, { rule: { limits: { delegation_depth: 0 } } })
  const channel = await conversation(hub, capped, free)
  const post = (sender_id: string, depth: number) =>
    hub.postEnvelope({ channel_id: channel, sender_id, event_type: TEXT, event_data: { text: "" }, depth })
  await expect(post(capped.id, 3)).rejects.toThrow(AccessDeniedError)
  await post(capped.id, 2)
  await post(free.id, 999)
})

test("11: two channels that violate on one tick are both closed and both audited", async () => {
  const adapters = [adapterLike("quiet", { expectations: [expectation("max_silence", "auto_close", 60)] })]
  await using world = await openWorld({ adapters })
  const { hub, time } = world
  const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
  const request = { creator_id: ann.id, manifest_type: "quiet", participants: [bob.id] }
  const channels = [await hub.createChannel(request), await hub.createChannel(request)]
  time.set(time.clock() + 60_000)
  await hub.checkExpectations()
  for (const { channel_id } of channels) {
    const reason = "expectation_violated:max_silence"
    expect(await hub.getChannel(channel_id)).toMatchObject({ state: "closed", close_reason: reason })
    expect(await recordsOf(hub, "channel_closed")).toContainEqual(
      expect.objectContaining({ channel_id, reason }),
    )
  }
  expect(await recordsOf(hub, "expectation_violated")).toHaveLength(2)
})

describe("12: ends in the audit log", () => {
  test("the reason of a close", async () => {
    await using world = await openWorld()
    const { hub } = world
    const channel = await conversation(hub, await join(hub, "ann"), await join(hub, "bob"))
    await hub.closeChannel(channel, "explicit")
    expect(await recordsOf(hub, "channel_closed")).toMatchObject([
      { channel_id: channel, reason: "explicit" },
    ])
  })

  test("TTL gives one channel_expired with ttl_expired", async () => {
    await using world = await openWorld()
    const { hub, time } = world
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    const { channel_id } = await hub.createChannel({
      creator_id: ann.id,
      manifest_type: "conversation",
      participants: [bob.id],
      ttl: "90s",
    })
    time.set(time.clock() + 89_999)
    await hub.expireDue()
    expect(await hub.getChannel(channel_id)).toMatchObject({ state: "active" })
    time.set(time.clock() + 1)
    await hub.expireDue()
    await hub.expireDue()
    expect(await recordsOf(hub, "channel_expired")).toMatchObject([{ channel_id, reason: "ttl_expired" }])
    expect(await recordsOf(hub, "channel_closed")).toEqual([])
  })
})

test("13: a running capability task under a closing channel: one task_terminated, expired", async () => {
  await using world = await openWorld()
  const { hub } = world
  const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
  const channel_id = await conversation(hub, ann, bob)
  await hub.observeTask({
    task_id: "t1",
    owner_id: bob.id,
    channel_id,
    state: "running",
    spec: { title: "look it up", capability: "research" },
  })
  await hub.closeChannel(channel_id)
  expect(await recordsOf(hub, "task_terminated")).toMatchObject([
    { task_id: "t1", outcome: "expired", capability: "research", reason: "channel_closed", channel_id },
  ])
})

test("14: resumes: source tenant, and source observed with capability and outcome", async () => {
  await using world = await openWorld()
  const { hub } = world
  const id = await registerOnly(hub, "ann")
  await hub.setResume(id, { summary: "knows birds" })
  await hub.recordObservation({ owner_id: id, capability: "birds", outcome: "completed" })
  expect(await recordsOf(hub, "resume_set")).toMatchObject([
    { source: "tenant", version: 2 },
    { source: "observed", version: 3, capability: "birds", outcome: "completed" },
  ])
})

test("15: observations count; what is not terminal changes nothing; unclaimed capabilities are found", async () => {
  await using world = await openWorld()
  const { hub } = world
  const id = await registerOnly(hub, "ann")
  for (const [i, outcome] of (["completed", "failed", "expired"] as const).entries()) {
    await hub.recordObservation({ owner_id: id, capability: "birds", outcome, latency_ms: 10 * (i + 1) })
  }
  await hub.recordObservation({ owner_id: id, capability: "birds", outcome: "running" as "completed" })
  expect((await hub.getResume(id)).observed).toEqual({
    birds: { n: 3, completed: 1, failed: 1, expired: 1, p50_latency_ms: 20 },
  })
  expect((await hub.listAgents({ capability: "birds" })).map(({ name }) => name)).toEqual(["ann"])
  expect(hub.agentsWithCapability("birds")).toEqual([id])
})

test("16: the capability file holds sorted ids; without it nothing is lost", async () => {
  const store = new MemoryStore()
  const world = await openWorld({ store })
  const { hub } = world
  const path = "/registry/by_capability.json"
  const ids: string[] = []
  for (const name of ["ann", "bob", "cat"]) {
    ids.push(await registerOnly(hub, name, { resume: { claimed_capabilities: ["birds", name] } }))
  }
  const expected = { ann: [ids[0]], birds: ids.toSorted(), bob: [ids[1]], cat: [ids[2]] }
  expect(await readText(store, path)).toBe(JSON.stringify(expected))
  await hub.close()
  await store.delete(path)
  await using again = await openWorld({ store })
  expect(again.hub.agentsWithCapability("birds")).toEqual(ids.toSorted())
  expect(await readText(store, path)).toBe(JSON.stringify(expected))
})

describe("17: violations", () => {
  test("three ticks, one record; audit leaves the channel and its log alone", async () => {
    const adapters = [adapterLike("quiet", { expectations: [expectation("max_silence", "audit", 60)] })]
    await using world = await openWorld({ adapters })
    const { hub, time } = world
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    const { channel_id } = await hub.createChannel({
      creator_id: ann.id,
      manifest_type: "quiet",
      participants: [bob.id],
    })
    const before = await hub.readWal(channel_id)
    time.set(time.clock() + 60_000)
    for (let i = 0; i < 3; i++) await hub.checkExpectations()
    expect(await recordsOf(hub, "expectation_violated")).toHaveLength(1)
    expect((await hub.getChannel(channel_id)).state).toBe("active")
    expect(await hub.readWal(channel_id)).toEqual(before)
  })

  test("notify_channel adds exactly one envelope", async () => {
    const adapters = [
      adapterLike("quiet", { expectations: [expectation("max_silence", "notify_channel", 60)] }),
    ]
    await using world = await openWorld({ adapters })
    const { hub, time } = world
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    const { channel_id } = await hub.createChannel({
      creator_id: ann.id,
      manifest_type: "quiet",
      participants: [bob.id],
    })
    time.set(time.clock() + 60_000)
    for (let i = 0; i < 3; i++) await hub.checkExpectations()
    const notices = (await hub.readWal(channel_id)).filter(({ event_type }) => event_type === VIOLATED)
    expect(notices).toHaveLength(1)
  })

  test("auto_close of an invitation fails the creator's pending call", async () => {
    await using world = await openWorld({ inviteAckTimeoutSeconds: 3600 })
    const { hub, time } = world
    const creator_id = await registerOnly(hub, "ann")
    const silent = await registerOnly(hub, "bob")
    const opening = hub.createChannel({ creator_id, manifest_type: "consulting", participants: [silent] })
    const failed = expect(opening).rejects.toThrow("expectation_violated:acks_within")
    await settle()
    time.set(time.clock() + 30_000)
    await hub.checkExpectations()
    await failed
    const [channel] = await hub.listChannels()
    expect(channel?.close_reason).toContain("expectation_violated:acks_within")
  })
})

test.each([
  [30, 29_999, 0],
  [30, 30_000, 1],
  [0, 0, 1],
])("18: a threshold of %d s after %d ms: %d violations", async (seconds, elapsed, count) => {
  const adapters = [adapterLike("quiet", { expectations: [expectation("max_silence", "audit", seconds)] })]
  await using world = await openWorld({ adapters })
  const { hub, time, seen } = world
  const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
  await hub.createChannel({ creator_id: ann.id, manifest_type: "quiet", participants: [bob.id] })
  time.set(time.clock() + elapsed)
  await hub.checkExpectations()
  expect(seen.of("expectation_fired")).toHaveLength(count)
})

describe("19: handlers", () => {
  test("a throwing one is called once; two expectations of one name both fire", async () => {
    const expectations = [expectation("max_silence", "throwing", 60), expectation("max_silence", "audit", 60)]
    await using world = await openWorld({ adapters: [adapterLike("quiet", { expectations })] })
    const { hub, time, seen } = world
    let calls = 0
    hub.registerViolationHandler({
      name: "throwing",
      async handle() {
        calls++
        throw new Error("handler")
      },
    })
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    await hub.createChannel({ creator_id: ann.id, manifest_type: "quiet", participants: [bob.id] })
    time.set(time.clock() + 60_000)
    for (let i = 0; i < 3; i++) await hub.checkExpectations()
    expect(calls).toBe(1)
    expect(seen.of("expectation_fired")).toHaveLength(2)
  })

  test.each(["evaluator", "handler"])(
    "an unknown %s: AG2 is silent for ever; here the channel is refused (F1)",
    async (part) => {
      const unknown =
        part === "evaluator" ? expectation("no_such", "audit", 1) : expectation("max_silence", "no_such", 1)
      await using world = await openWorld({ adapters: [adapterLike("odd", { expectations: [unknown] })] })
      const { hub, seen } = world
      const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
      const opening = hub.createChannel({ creator_id: ann.id, manifest_type: "odd", participants: [bob.id] })
      await expect(opening).rejects.toThrow(/no_such/)
      await expect(opening).rejects.toThrow(ProtocolError)
      expect(seen.of("created")).toEqual([])
    },
  )
})

test("20: the real sweeper writes a violation without manual ticks", async () => {
  const store = new MemoryStore()
  // The system's clock and timers, for once.
  const adapters = [adapterLike("quiet", { expectations: [expectation("max_silence", "audit", 0)] })]
  await using hub = await Hub.open(store, { adapters, expectationSweepSeconds: 0.05 })
  const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
  const fired = new Promise<void>((resolve) => hub.registerListener({ onExpectationFired: () => resolve() }))
  await hub.createChannel({ creator_id: ann.id, manifest_type: "quiet", participants: [bob.id] })
  await fired
  expect(await recordsOf(hub, "expectation_violated")).toHaveLength(1)
})

test("21: the audit log reads back what was appended; a torn last line costs the others nothing", async () => {
  const store = new MemoryStore()
  const records = [
    { at: "2026-01-01T00:00:00Z", kind: "custom", n: 1 },
    { at: "2026-01-01T00:00:01Z", kind: "custom", text: "é" },
  ]
  {
    await using log = new AuditLog(store)
    for (const record of records) await log.append(record)
    expect(await log.readAll()).toEqual(records)
  }
  await store.append("/audit/audit.jsonl", utf8('{"at": "2026-01-01T00:00:02Z", "ki'))
  // AG2's read_all raises here; ours sets the tail aside and says so.
  await using log = await AuditLog.open(store)
  await log.append({ kind: "later" })
  expect(await log.readAll()).toMatchObject([...records, { kind: "audit_recovered" }, { kind: "later" }])
})

describe("22: reopening", () => {
  test("without the adapter: listed, not active, and sends are refused", async () => {
    const store = new MemoryStore()
    const adapters = [adapterLike("mine")]
    const world = await openWorld({ store, adapters })
    const [ann, bob] = [await join(world.hub, "ann"), await join(world.hub, "bob")]
    const { channel_id } = await world.hub.createChannel({
      creator_id: ann.id,
      manifest_type: "mine",
      participants: [bob.id],
    })
    await world.hub.close()
    await using again = await openWorld({ store })
    const { hub } = again
    expect((await hub.listChannels()).map((channel) => channel.channel_id)).toEqual([channel_id])
    expect(hub.health().active_channels).toBe(0)
    await expect(say(hub, channel_id, ann.id)).rejects.toThrow(ProtocolError)
  })

  test("a missing rule is the default one, a missing skill null, and hydrating twice changes nothing", async () => {
    const store = new MemoryStore()
    const world = await openWorld({ store })
    const id = await registerOnly(world.hub, "ann", { rule: { limits: { delegation_depth: 1 } } })
    await registerOnly(world.hub, "bob")
    await world.hub.close()
    await store.delete(`/agents/${id}/rule.json`)
    await using again = await openWorld({ store })
    const { hub } = again
    expect((await hub.getRule(id)).limits.delegation_depth).toBe(5)
    expect(await hub.getSkill(id)).toBeNull()
    const agents = await hub.listAgents()
    expect(agents.map(({ name }) => name)).toEqual(["ann", "bob"])
    await hub.hydrate()
    expect(await hub.listAgents()).toEqual(agents)
  })
})

test("23: three concurrent registrations of one name: one wins", async () => {
  await using world = await openWorld()
  const { hub, store } = world
  const results = await Promise.allSettled([1, 2, 3].map(() => registerOnly(hub, "ann")))
  const refused = results.flatMap((result) => (result.status === "rejected" ? [result.reason as Error] : []))
  expect(refused).toHaveLength(2)
  for (const error of refused) {
    expect(error).toBeInstanceOf(ProtocolError)
    expect(error.message).toContain("already registered")
  }
  expect(hub.health().registered_agents).toBe(1)
  expect(await store.list("/agents")).toHaveLength(1)
})

test("24: five concurrent sends on one channel: five ids, five lines", async () => {
  await using world = await openWorld()
  const { hub, store } = world
  const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
  const channel = await conversation(hub, ann, bob)
  const before = (await hub.readWal(channel)).length
  const ids = await Promise.all(
    [1, 2, 3, 4, 5].map((n) => say(hub, channel, n % 2 ? ann.id : bob.id, `${n}`)),
  )
  expect(new Set(ids).size).toBe(5)
  const lines = (await readText(store, `/channels/${channel}/wal.jsonl`))?.trimEnd().split("\n") ?? []
  expect(lines).toHaveLength(before + 5)
})

test("25: the log survives a participant's unregistration, and sends go on", async () => {
  await using world = await openWorld()
  const { hub, store } = world
  const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
  const channel = await conversation(hub, ann, bob)
  await say(hub, channel, bob.id)
  const path = `/channels/${channel}/wal.jsonl`
  const before = (await readText(store, path)) ?? ""
  await hub.unregister(bob.id)
  expect(await readText(store, path)).toBe(before)
  await say(hub, channel, ann.id)
  expect((await readText(store, path))?.startsWith(before)).toBe(true)
})

test("26: the cursor follows acknowledgements, never moves back, and ignores nacks and incomplete receipts", async () => {
  await using world = await openWorld()
  const { hub } = world
  const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
  const channel_id = await conversation(hub, ann, bob)
  // The clock stands still all the time.
  const ids = [await say(hub, channel_id, ann.id, "1"), await say(hub, channel_id, ann.id, "2")]
  await settle()
  expect(hub.inboxCursor(bob.id, channel_id)).toBe((await hub.readWal(channel_id)).at(-1)?.envelope_id)
  expect(hub.inboxCursor(bob.id, channel_id)).toBe(ids[1])
  const receipt = { envelope_id: ids[0] ?? "", status: "ack" as const, recipient_id: bob.id, channel_id }
  await bob.connection.receipt(receipt)
  expect(hub.inboxCursor(bob.id, channel_id)).toBe(ids[1])
  const third = await hub.postEnvelope({
    channel_id,
    sender_id: ann.id,
    audience: [ann.id],
    event_type: TEXT,
    event_data: { text: "to myself" },
  })
  const later = { ...receipt, envelope_id: third }
  await bob.connection.receipt({ ...later, status: "nack" })
  await bob.connection.receipt({ ...later, recipient_id: "" })
  await bob.connection.receipt({ ...later, channel_id: "" })
  expect(hub.inboxCursor(bob.id, channel_id)).toBe(ids[1])
  const wal = (await hub.readWal(channel_id)).map(({ envelope_id }) => envelope_id)
  expect(wal).toEqual(wal.toSorted())
  expect(new Set(wal).size).toBe(wal.length)
})

test("27: an answer is found by its cause", async () => {
  await using world = await openWorld()
  const { hub } = world
  const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
  const channel_id = await conversation(hub, ann, bob)
  const question = await say(hub, channel_id, ann.id, "?")
  const answer = await hub.postEnvelope({
    channel_id,
    sender_id: bob.id,
    event_type: TEXT,
    event_data: { text: "!" },
    causation_id: question,
  })
  expect(await hub.findEnvelopeByCausation(channel_id, bob.id, question)).toMatchObject({
    envelope_id: answer,
  })
  expect(await hub.findEnvelopeByCausation(channel_id, ann.id, question)).toBeNull()
  expect(await hub.findEnvelopeByCausation(channel_id, bob.id, answer)).toBeNull()
})

test("28: closing twice is fine", async () => {
  const { hub } = await openWorld()
  await Promise.all([hub.close(), hub.close()])
  await hub.close()
  await expect(registerOnly(hub, "late")).rejects.toMatchObject({ code: "closed" })
})
