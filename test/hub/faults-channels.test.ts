/** Faults of AG2's hub that this one does not repeat: channels and envelopes. Ids are those of its description. */
import { describe, expect, test } from "vitest"
import { BaseArbiter, deny, hashAdminToken, type Decision } from "../../src/hub/index.ts"
import {
  INVITE_ACK,
  INVITE_REJECT,
  InboxFullError,
  isTerminalChannel,
  ProtocolError,
  TEXT,
  textOf,
  type ChannelAdapter,
  type Envelope,
  type JsonObject,
} from "../../src/model/index.ts"
import { MemoryStore } from "../../src/store/memory.ts"
import { FlakyStore } from "../support/flaky-store.ts"
import { ADMIN_TOKEN } from "./calls.ts"
import {
  adapterLike,
  conversation,
  expectation,
  join,
  openWorld,
  recordsOf,
  registerOnly,
  say,
  settle,
  type Agent,
  type World,
} from "./world.ts"

/** An arbiter whose answer to a send waits until the test says so. */
class Hesitant extends BaseArbiter {
  asked = 0
  #answer: () => void = () => {}
  readonly #waiting = new Promise<void>((resolve) => {
    this.#answer = resolve
  })

  answer(): void {
    this.#answer()
  }

  override async authorizeSend(): Promise<Decision> {
    this.asked++
    await this.#waiting
    return { allowed: true }
  }
}

test("C1: a send that waits while the channel closes is refused, not appended after the close", async () => {
  await using world = await openWorld()
  const { hub, seen } = world
  const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
  const channel = await conversation(hub, ann, bob)
  const arbiter = new Hesitant()
  hub.registerArbiter(arbiter)
  const sends = [TEXT, "ag2.task.cancel_request"].map((event_type) =>
    hub.postEnvelope({ channel_id: channel, sender_id: ann.id, event_type, event_data: {} }),
  )
  const refused = Promise.all(sends.map((sent) => expect(sent).rejects.toThrow(ProtocolError)))
  await settle()
  expect(arbiter.asked).toBe(2)
  await hub.closeChannel(channel)
  arbiter.answer()
  await refused
  expect((await hub.readWal(channel)).at(-1)?.event_type).toBe("ag2.channel.closed")
  expect(seen.of("rejected")).toHaveLength(2)
})

test("C2: sends that wait for the lock while the channel ends still wait for one another", async () => {
  let inside = 0
  let most = 0
  const adapter = adapterLike("counted", {
    validateSend() {
      most = Math.max(most, ++inside)
    },
    fold(_envelope, state) {
      inside = 0
      return state
    },
  })
  await using world = await openWorld({ adapters: [adapter] })
  const { hub } = world
  const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
  const request = { creator_id: ann.id, manifest_type: "counted", participants: [bob.id] }
  const { channel_id } = await hub.createChannel(request)
  const sends = [say(hub, channel_id, ann.id), say(hub, channel_id, bob.id)]
  const closing = hub.closeChannel(channel_id)
  sends.push(say(hub, channel_id, ann.id), say(hub, channel_id, bob.id))
  await Promise.allSettled([...sends, closing])
  const wal = await hub.readWal(channel_id)
  expect(wal.findIndex(({ event_type }) => event_type === "ag2.channel.closed")).toBe(wal.length - 1)
  expect(most).toBe(1)
})

test("C3: concurrent closes and an expiry: one end, the first reason", async () => {
  await using world = await openWorld()
  const { hub, time, seen } = world
  const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
  const { channel_id } = await hub.createChannel({
    creator_id: ann.id,
    manifest_type: "conversation",
    participants: [bob.id],
    ttl: 60,
  })
  await hub.observeTask({ task_id: "t1", owner_id: bob.id, channel_id, spec: { title: "open" } })
  time.set(time.clock() + 60_000)
  const ends = await Promise.all([
    hub.closeChannel(channel_id, "first"),
    hub.closeChannel(channel_id, "second"),
    hub.expireDue(),
    hub.closeChannel(channel_id, "third"),
  ])
  expect(ends[3]).toMatchObject({ state: "closed", close_reason: "first" })
  const terminal = (await hub.readWal(channel_id)).filter(({ event_type }) =>
    ["ag2.channel.closed", "ag2.channel.expired"].includes(event_type),
  )
  expect(terminal).toMatchObject([{ event_data: { reason: "first", channel_id } }])
  expect([...seen.of("closed"), ...seen.of("expired")]).toHaveLength(1)
  expect(await recordsOf(hub, "channel_closed")).toMatchObject([{ reason: "first" }])
  expect(await recordsOf(hub, "task_terminated")).toHaveLength(1)
})

describe("C6: a fold that fails never reaches the log", () => {
  test.each<[string, (data: JsonObject) => void]>([
    [
      "throws",
      () => {
        throw new Error("fold")
      },
    ],
    ["changes its arguments", (data) => void ((data as Record<string, unknown>)["text"] = "changed")],
  ])("one that %s", async (_how, misbehave) => {
    const adapter = adapterLike("fragile", {
      fold(envelope, state) {
        if (envelope.event_type === TEXT) misbehave(envelope.event_data)
        return state
      },
    })
    const store = new MemoryStore()
    const world = await openWorld({ store, adapters: [adapter] })
    const { hub, seen } = world
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    const request = { creator_id: ann.id, manifest_type: "fragile", participants: [bob.id] }
    const { channel_id } = await hub.createChannel(request)
    const before = await hub.readWal(channel_id)
    await expect(say(hub, channel_id, ann.id)).rejects.toThrow(ProtocolError)
    expect(await hub.readWal(channel_id)).toEqual(before)
    expect(seen.of("rejected")).toHaveLength(1)
    await hub.close()
    await using again = await openWorld({ store, adapters: [adapter] })
    expect(again.hub.health()).toMatchObject({ active_channels: 1, quarantined: 0 })
  })
})

describe("C8: a channel that cannot be made leaves no ghost", () => {
  test("the metadata cannot be written", async () => {
    const store = new FlakyStore(new MemoryStore())
    await using world = await openWorld({ store })
    const { hub, seen } = world
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    store.decide = (_operation, path) => (path.startsWith("/channels/") ? "not persisted" : undefined)
    await expect(conversation(hub, ann, bob)).rejects.toMatchObject({ code: "store_unavailable" })
    expect(await hub.listChannels()).toEqual([])
    expect(hub.health().active_channels).toBe(0)
    expect(seen.of("created")).toEqual([])
  })

  test("the initial state fails", async () => {
    const adapter = adapterLike("stateless", {
      initialState() {
        throw new Error("none")
      },
    })
    await using world = await openWorld({ adapters: [adapter] })
    const { hub, store } = world
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    const request = { creator_id: ann.id, manifest_type: "stateless", participants: [bob.id] }
    await expect(hub.createChannel(request)).rejects.toThrow(ProtocolError)
    expect(await hub.listChannels()).toEqual([])
    expect(await store.list("/channels")).toEqual([])
  })
})

test.each<[string, unknown]>([
  ["a Date", { when: new Date(0) }],
  ["NaN", { n: NaN }],
  ["a function", { f: () => 1 }],
  ["a BigInt", { n: 1n }],
  ["a cycle", cyclic()],
  ["too deep", nested(80)],
  ["too large", { text: "x".repeat(2_000_000) }],
  ["not an object", "text"],
])(
  "C9, B8: event_data with %s is refused before anything changes, and told once",
  async (_what, event_data) => {
    await using world = await openWorld()
    const { hub, seen } = world
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    const channel_id = await conversation(hub, ann, bob)
    const before = await hub.readWal(channel_id)
    const posting = hub.postEnvelope({
      channel_id,
      sender_id: ann.id,
      event_type: TEXT,
      event_data: event_data as JsonObject,
    })
    await expect(posting).rejects.toMatchObject({ code: expect.stringMatching(/^invalid_input$/) as unknown })
    expect(await hub.readWal(channel_id)).toEqual(before)
    expect(seen.of("rejected")).toMatchObject([[{ channel_id, sender_id: ann.id, event_type: TEXT }, {}]])
  },
)

function cyclic(): object {
  const cycle: Record<string, unknown> = {}
  cycle["self"] = cycle
  return cycle
}

function nested(depth: number): object {
  return depth === 0 ? {} : { deeper: nested(depth - 1) }
}

test("C12: senders in different channels cannot fill an inbox over its limit together", async () => {
  await using world = await openWorld()
  const { hub } = world
  const full = await registerAccepting(world, "full", 3)
  const senders = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => join(hub, `sender${n}`)))
  const channels = await Promise.all(senders.map((sender) => conversation(hub, sender, full)))
  const results = await Promise.allSettled(
    channels.map((channel, i) => say(hub, channel, senders[i]?.id ?? "")),
  )
  expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(3)
  for (const result of results) {
    if (result.status === "rejected") expect(result.reason).toBeInstanceOf(InboxFullError)
  }
  expect(hub.health()).toMatchObject({ pending_inbox_total: 3, max_pending_inbox_depth: 3 })
})

/** Accepts invitations and acknowledges nothing. */
async function registerAccepting(
  world: Awaited<ReturnType<typeof openWorld>>,
  name: string,
  max_pending: number,
) {
  const { hub } = world
  const got: Envelope[] = []
  const connection = await hub.connect(async ({ envelope, recipient_id }) => {
    got.push(envelope)
    if (envelope.event_type !== "ag2.channel.invite") return
    const { channel_id } = envelope
    await connection.postEnvelope({
      channel_id,
      sender_id: recipient_id,
      event_type: INVITE_ACK,
      event_data: {},
    })
  })
  const rule = { limits: { inbox: { max_pending } } }
  const passport = await connection.registerIdentity({ passport: { name }, rule })
  return { id: passport.agent_id, passport, connection, got: got as never[] }
}

test("W-9, F4: acknowledging empties an inbox, without the agent having to speak; pressure is told on the step", async () => {
  await using world = await openWorld()
  const { hub, seen } = world
  const ann = await join(hub, "ann")
  const reader = await registerAccepting(world, "reader", 5)
  const channel_id = await conversation(hub, ann, reader)
  const ids: string[] = []
  for (let i = 0; i < 5; i++) ids.push(await say(hub, channel_id, ann.id))
  expect(seen.of("inbox_pressure")).toEqual([[reader.id, 4, 5]])
  await expect(say(hub, channel_id, ann.id)).rejects.toThrow(InboxFullError)
  const receipt = { status: "ack" as const, recipient_id: reader.id, channel_id }
  await settle()
  const before = (reader.got as unknown as Envelope[]).map(({ envelope_id }) => envelope_id)
  for (const envelope_id of before.slice(0, -2)) await reader.connection.receipt({ ...receipt, envelope_id })
  expect(hub.health().pending_inbox_total).toBe(2)
  await say(hub, channel_id, ann.id)
  await say(hub, channel_id, ann.id)
  expect(seen.of("inbox_pressure")).toHaveLength(2)
  // Somebody else's receipt, and one for what does not exist.
  await expect(ann.connection.receipt({ ...receipt, envelope_id: ids[4] ?? "" })).rejects.toMatchObject({
    code: "access_denied",
  })
  await expect(reader.connection.receipt({ ...receipt, envelope_id: "f".repeat(32) })).rejects.toThrow(
    ProtocolError,
  )
})

describe("E5, E6, E7: who may post what", () => {
  test.each(["ag2.channel.closed", "ag2.channel.opened", "ag2.channel.invite", "ag2.channel.anything"])(
    "E7: nobody but the hub posts %s",
    async (event_type) => {
      await using world = await openWorld()
      const { hub } = world
      const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
      const channel_id = await conversation(hub, ann, bob)
      const posted = hub.postEnvelope({ channel_id, sender_id: ann.id, event_type, event_data: {} })
      await expect(posted).rejects.toThrow(ProtocolError)
    },
  )

  test("S-3, E5: a stranger posts nothing, and is addressed by nothing", async () => {
    await using world = await openWorld()
    const { hub } = world
    const [ann, bob, eve] = [await join(hub, "ann"), await join(hub, "bob"), await join(hub, "eve")]
    const channel_id = await conversation(hub, ann, bob)
    const envelope = { channel_id, sender_id: eve.id, event_type: "custom.event", event_data: {} }
    await expect(hub.postEnvelope(envelope)).rejects.toThrow(ProtocolError)
    const toEve = { ...envelope, sender_id: ann.id, audience: [eve.id] }
    await expect(hub.postEnvelope(toEve)).rejects.toThrow(ProtocolError)
  })

  test("E6: nobody answers an invitation that is not theirs, or twice", async () => {
    await using world = await openWorld()
    const { hub, seen } = world
    const creator_id = await registerOnly(hub, "ann")
    const [bob, cat, eve] = await Promise.all(["bob", "cat", "eve"].map((name) => registerOnly(hub, name)))
    if (bob === undefined || cat === undefined || eve === undefined) throw new Error("unreachable")
    hub.registerAdapter(adapterLike("group", { validateCreate() {}, validateSend() {} }))
    const opening = hub.createChannel({ creator_id, manifest_type: "group", participants: [bob, cat] })
    await settle()
    const channel_id = (await hub.listChannels())[0]?.channel_id ?? ""
    const answer = (sender_id: string, event_type: string) =>
      hub.postEnvelope({ channel_id, sender_id, event_type, event_data: {} })
    await expect(answer(eve, INVITE_REJECT)).rejects.toThrow(ProtocolError)
    await expect(answer(creator_id, INVITE_REJECT)).rejects.toThrow(ProtocolError)
    await answer(bob, INVITE_ACK)
    await expect(answer(bob, INVITE_REJECT)).rejects.toThrow(ProtocolError)
    await answer(cat, INVITE_ACK)
    expect((await opening).state).toBe("active")
    await expect(answer(cat, INVITE_ACK)).rejects.toThrow(ProtocolError)
    expect(seen.kinds.filter((kind) => kind.startsWith("posted:ag2.channel.invite."))).toHaveLength(2)
  })
})

test("E10: what the arbiter blocks at dispatch is not delivered on reconnection either", async () => {
  await using world = await openWorld()
  const { hub, seen } = world
  const ann = await join(hub, "ann")
  const bob = await join(hub, "bob")
  const channel = await conversation(hub, ann, bob)
  await hub.setRule(bob.id, { access: { inbound_from: ["nobody"] } })
  const blocked = await say(hub, channel, ann.id)
  expect(seen.of("access_denied")).toMatchObject([["dispatch", ann.id, {}]])
  expect(hub.health().pending_inbox_total).toBe(0)
  const again: string[] = []
  const connection = await hub.connect(({ envelope }) => void again.push(envelope.envelope_id))
  await connection.attach("bob")
  await settle()
  expect(again).not.toContain(blocked)
  expect(bob.got.map(({ envelope }) => envelope.envelope_id)).not.toContain(blocked)
})

test("A19: a violation with two violators is two, each naming one", async () => {
  const adapter = adapterLike("group", {
    expectations: [expectation("acks_within", "notify_channel", 5)],
    validateCreate() {},
  })
  await using world = await openWorld({ adapters: [adapter] })
  const { hub, time } = world
  const creator_id = await registerOnly(hub, "ann")
  const invitees = await Promise.all([registerOnly(hub, "bob"), registerOnly(hub, "cat")])
  const opening = hub.createChannel({ creator_id, manifest_type: "group", participants: invitees })
  const failed = expect(opening).rejects.toThrow(ProtocolError)
  await settle()
  time.set(time.clock() + 5_000)
  await hub.checkExpectations()
  const records = await recordsOf(hub, "expectation_violated")
  expect(records.map(({ violators }) => violators)).toEqual(invitees.map((id) => [id]))
  const [channel] = await hub.listChannels()
  await hub.closeChannel(channel?.channel_id ?? "")
  await failed
})

test("F13: the creator hears of a violation too", async () => {
  const adapters = [
    adapterLike("quiet", { expectations: [expectation("max_silence", "notify_channel", 60)] }),
  ]
  await using world = await openWorld({ adapters })
  const { hub, time } = world
  const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
  await hub.createChannel({ creator_id: ann.id, manifest_type: "quiet", participants: [bob.id] })
  time.set(time.clock() + 60_000)
  await hub.checkExpectations()
  await settle()
  for (const { got } of [ann, bob]) {
    expect(got.map(({ envelope }) => envelope.event_type)).toContain("ag2.expectation.violated")
  }
})

test("D9: an evaluator that throws is logged and does not stop later channels", async () => {
  const adapters = [
    adapterLike("broken", { expectations: [expectation("throws", "audit", 1)] }),
    adapterLike("quiet", { expectations: [expectation("max_silence", "audit", 60)] }),
  ]
  await using world = await openWorld({ adapters })
  const { hub, time, log } = world
  hub.registerExpectationEvaluator({
    name: "throws",
    evaluate() {
      throw new Error("evaluator")
    },
  })
  const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
  for (const manifest_type of ["broken", "quiet"]) {
    await hub.createChannel({ creator_id: ann.id, manifest_type, participants: [bob.id] })
  }
  time.set(time.clock() + 60_000)
  await hub.checkExpectations()
  expect(await recordsOf(hub, "expectation_violated")).toMatchObject([{ expectation: "max_silence" }])
  expect(log).toContainEqual(expect.objectContaining({ level: "error", message: "an evaluator failed" }))
})

test("D9: a custom sweeper that throws is logged and runs again", async () => {
  await using world = await openWorld()
  const { hub, time, log } = world
  let runs = 0
  hub.registerSweeper("mine", 1, () => {
    runs++
    throw new Error("sweeper")
  })
  expect(() => hub.registerSweeper("mine", 1, () => {})).toThrow(/registered already/)
  expect(() => hub.registerSweeper("other", 0, () => {})).toThrow(/above 0/)
  await time.advance(3_000)
  expect(runs).toBe(3)
  expect(log.filter(({ message }) => message === "a sweeper failed")).toHaveLength(3)
  await hub.unregisterSweeper("mine")
  await hub.unregisterSweeper("mine")
  await time.advance(3_000)
  expect(runs).toBe(3)
})

test("F8: times are compared as times, whatever their offset", async () => {
  const store = new MemoryStore()
  const world = await openWorld({ store })
  const [ann, bob] = [await join(world.hub, "ann"), await join(world.hub, "bob")]
  const channel_id = await conversation(world.hub, ann, bob)
  await world.hub.close()
  const path = `/channels/${channel_id}/metadata.json`
  const metadata = JSON.parse(new TextDecoder().decode(await store.read(path))) as object
  // 10:30Z, written as AG2 could: as a text it is greater than every time of this day in UTC.
  await store.write(path, JSON.stringify({ ...metadata, expires_at: "2026-05-05T23:30:00.000000+13:00" }))
  await using again = await openWorld({ store, time: world.time })
  again.time.set(again.time.clock() + 29 * 60_000)
  await again.hub.expireDue()
  expect((await again.hub.getChannel(channel_id)).state).toBe("active")
  again.time.set(again.time.clock() + 60_000)
  await again.hub.expireDue()
  expect((await again.hub.getChannel(channel_id)).state).toBe("expired")
})

test("F10: closing an unknown channel is not_found", async () => {
  await using world = await openWorld()
  await expect(world.hub.closeChannel("nowhere")).rejects.toMatchObject({ code: "not_found" })
})

describe("F7: settings that AG2 keeps and ignores", () => {
  test("required_acks: enough of the invitees open the channel, and one may refuse", async () => {
    const adapter = adapterLike("group", { validateCreate() {}, validateSend() {} })
    await using world = await openWorld({ adapters: [adapter] })
    const { hub } = world
    const creator_id = await registerOnly(hub, "ann")
    const ids = await Promise.all(["bob", "cat", "dan"].map((name) => registerOnly(hub, name)))
    const opening = hub.createChannel({
      creator_id,
      manifest_type: "group",
      participants: ids,
      required_acks: 2,
    })
    await settle()
    const channel_id = (await hub.listChannels())[0]?.channel_id ?? ""
    const answer = (sender_id: string | undefined, event_type: string) =>
      hub.postEnvelope({ channel_id, sender_id: sender_id ?? "", event_type, event_data: {} })
    await answer(ids[0], INVITE_REJECT)
    await answer(ids[1], INVITE_ACK)
    expect((await hub.getChannel(channel_id)).state).toBe("pending")
    await answer(ids[2], INVITE_ACK)
    expect(await opening).toMatchObject({ state: "active", rejected_by: [ids[0]] })
  })

  test("rate: a burst, then so many a minute", async () => {
    await using world = await openWorld()
    const { hub, time } = world
    const ann = await join(hub, "ann", undefined, {
      rule: { limits: { rate: { per_minute: 60, burst: 2 } } },
    })
    const bob = await join(hub, "bob")
    const channel = await conversation(hub, ann, bob)
    await say(hub, channel, ann.id)
    await say(hub, channel, ann.id)
    await expect(say(hub, channel, ann.id)).rejects.toMatchObject({ code: "rate_limited" })
    time.set(time.clock() + 1_000)
    await say(hub, channel, ann.id)
    await expect(say(hub, channel, ann.id)).rejects.toMatchObject({ code: "rate_limited" })
  })

  test("channel_types: who may open what, and who joins what", async () => {
    await using world = await openWorld()
    const { hub } = world
    const rule = { access: { channel_types: { initiate: ["consulting"], accept: ["conversation"] } } }
    const ann = await join(hub, "ann", undefined, { rule })
    const bob = await join(hub, "bob")
    await expect(conversation(hub, ann, bob)).rejects.toMatchObject({ code: "access_denied" })
    await conversation(hub, bob, ann)
    const asking = { creator_id: bob.id, manifest_type: "consulting", participants: [ann.id] }
    await expect(hub.createChannel(asking)).rejects.toMatchObject({ code: "access_denied" })
  })
})

describe("invitations", () => {
  test("an invitee that refuses fails the creator's call", async () => {
    await using world = await openWorld()
    const { hub, seen } = world
    const creator_id = await registerOnly(hub, "ann")
    const bob = await registerOnly(hub, "bob")
    const opening = hub.createChannel({ creator_id, manifest_type: "conversation", participants: [bob] })
    const failed = expect(opening).rejects.toThrow(/invite_rejected/)
    await settle()
    const channel_id = (await hub.listChannels())[0]?.channel_id ?? ""
    await hub.postEnvelope({ channel_id, sender_id: bob, event_type: INVITE_REJECT, event_data: {} })
    await failed
    expect(seen.kinds.slice(-4)).toEqual([
      "posted:ag2.channel.invite",
      "posted:ag2.channel.invite.reject",
      "posted:ag2.channel.closed",
      "closed",
    ])
  })

  test("nobody answers: invite_timeout", async () => {
    await using world = await openWorld()
    const { hub, time } = world
    const creator_id = await registerOnly(hub, "ann")
    const bob = await registerOnly(hub, "bob")
    const opening = hub.createChannel({ creator_id, manifest_type: "conversation", participants: [bob] })
    const failed = expect(opening).rejects.toThrow(/invite_timeout/)
    await settle()
    await time.advance(29_999)
    expect((await hub.listChannels())[0]?.state).toBe("pending")
    await time.advance(1)
    await failed
    expect((await hub.listChannels())[0]?.close_reason).toBe("invite_timeout")
  })

  test("an invitation that the arbiter refuses: invite_failed", async () => {
    class NoInvitations extends BaseArbiter {
      override async authorizeSend(): Promise<Decision> {
        return deny("no")
      }
    }
    await using world = await openWorld({ arbiter: new NoInvitations() })
    const { hub, seen } = world
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    await expect(conversation(hub, ann, bob)).rejects.toMatchObject({ code: "access_denied" })
    const [channel] = await hub.listChannels()
    expect(channel?.close_reason).toBe("invite_failed")
    expect(channel && isTerminalChannel(channel.state)).toBe(true)
    expect(seen.of("rejected")).toHaveLength(1)
  })

  test("F11: creator and invitee on one connection", async () => {
    await using world = await openWorld()
    const { hub } = world
    const connection = await hub.connect(async ({ envelope, recipient_id }) => {
      const { channel_id, event_type } = envelope
      if (event_type === "ag2.channel.invite") {
        await connection.postEnvelope({
          channel_id,
          sender_id: recipient_id,
          event_type: INVITE_ACK,
          event_data: {},
        })
      }
      // A turn of ann's that opens a channel to bob, who is on the same connection, and waits for it.
      if (event_type === TEXT && recipient_id === ann.agent_id && !nested) {
        nested = connection.createChannel({
          creator_id: ann.agent_id,
          manifest_type: "conversation",
          participants: [bob.agent_id],
        })
        await nested
      }
    })
    let nested: Promise<unknown> | undefined
    const ann = await connection.registerIdentity({ passport: { name: "ann" } })
    const bob = await connection.registerIdentity({ passport: { name: "bob" } })
    const { channel_id } = await connection.createChannel({
      creator_id: ann.agent_id,
      manifest_type: "conversation",
      participants: [bob.agent_id],
    })
    await say(hub, channel_id, bob.agent_id)
    await settle()
    expect(await nested).toMatchObject({ state: "active" })
  })
})

test("W-8: an adapter that leaves a channel between open and ended is refused the envelope", async () => {
  const closing = { nextState: "closing" as "closed", closeReason: "x" }
  const odd = adapterLike("odd", {
    onAccepted: (_metadata, { event_type }) => (event_type === "ag2.msg.text" ? closing : {}),
  })
  await using world = await openWorld({ adapters: [odd] })
  const { hub } = world
  const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
  const request = { creator_id: ann.id, manifest_type: "odd", participants: [bob.id] }
  const { channel_id } = await hub.createChannel(request)
  const before = await hub.readWal(channel_id)
  await expect(say(hub, channel_id, ann.id)).rejects.toMatchObject({ code: "protocol_error" })
  expect(await hub.readWal(channel_id)).toEqual(before)
  expect((await hub.closeChannel(channel_id)).state).toBe("closed")
})

describe("an adapter that fails at everything", () => {
  /** Works until `broken.now`. */
  function breakable(): { readonly adapter: ChannelAdapter; readonly broken: { now: boolean } } {
    const broken = { now: false }
    const check = (): void => {
      if (broken.now) throw new TypeError("nothing works any more")
    }
    const adapter = adapterLike("breakable", {
      initialState: () => (check(), {}),
      fold: (_envelope, state) => (check(), state),
      validateSend: check,
      onAccepted: () => (check(), {}),
      expectedNext: () => (check(), undefined),
      expectations: [expectation("max_silence", "auto_close", 600)],
    })
    return { adapter, broken }
  }

  const ways: [string, (world: World, channelId: string, creator: Agent) => Promise<unknown>, object][] = [
    [
      "its creator",
      ({ hub }, id) => hub.closeChannel(id, "enough"),
      { state: "closed", close_reason: "enough" },
    ],
    [
      "an administrator",
      async ({ hub }, id) => {
        const admin = await hub.connect(() => {})
        await admin.proveAdmin("root", ADMIN_TOKEN)
        await admin.closeChannel(id, "by root")
      },
      { state: "closed", close_reason: "by root" },
    ],
    [
      "its time to live",
      async ({ hub, time }) => {
        await time.advance(3_600_000)
        await hub.expireDue()
      },
      { state: "expired", close_reason: "ttl_expired" },
    ],
  ]

  test.each(ways)("does not keep its channel from being ended by %s", async (_by, end, how) => {
    const { adapter, broken } = breakable()
    const world = await openWorld({
      adapters: [adapter],
      admins: { root: hashAdminToken(ADMIN_TOKEN) },
      expectationSweepSeconds: 0,
      ttlSweepSeconds: 0,
    })
    await using _world = world
    const { hub, seen } = world
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    const request = { creator_id: ann.id, manifest_type: "breakable", participants: [bob.id], ttl: "30m" }
    const { channel_id } = await hub.createChannel(request)
    broken.now = true
    await expect(say(hub, channel_id, ann.id)).rejects.toMatchObject({ code: "protocol_error" })
    await end(world, channel_id, ann)
    expect(await hub.getChannel(channel_id)).toMatchObject(how)
    const wal = await hub.readWal(channel_id)
    expect(wal.at(-1)?.event_type).toMatch(/^ag2\.channel\.(closed|expired)$/)
    expect([...seen.of("closed"), ...seen.of("expired")]).toHaveLength(1)
  })

  test("is reported when the hub opens again; its channel is read, takes nothing, and is ended", async () => {
    const { adapter, broken } = breakable()
    const store = new MemoryStore()
    const first = await openWorld({ store, adapters: [adapter] })
    const [ann, bob] = [await join(first.hub, "ann"), await join(first.hub, "bob")]
    const request = { creator_id: ann.id, manifest_type: "breakable", participants: [bob.id] }
    const { channel_id } = await first.hub.createChannel(request)
    await say(first.hub, channel_id, ann.id)
    await first.hub.close()
    broken.now = true
    await using world = await openWorld({ store, adapters: [adapter] })
    const { hub, log } = world
    expect(hub.health()).toMatchObject({ quarantined: 1, active_channels: 0 })
    expect(log.filter(({ message }) => message.startsWith("quarantined"))).toHaveLength(1)
    expect((await hub.readWal(channel_id)).map(textOf)).toContain("hello")
    await expect(say(hub, channel_id, ann.id)).rejects.toMatchObject({ code: "protocol_error" })
    expect((await hub.closeChannel(channel_id)).state).toBe("closed")
  })
})
