/** What becomes of an envelope between the log and the one who deals with it. */
import { describe, expect, test } from "vitest"
import { Hub } from "../../src/hub/index.ts"
import { MAX_DELIVERY_TRIES } from "../../src/hub/delivery.ts"
import { Outstanding } from "../../src/hub/outstanding.ts"
import { type Delivery, type HubConnection, INVITE, INVITE_ACK, TEXT } from "../../src/model/index.ts"
import { MemoryStore } from "../../src/store/memory.ts"
import { FakeTime, seeded, testSeed } from "../support/fake-time.ts"
import { conversation, join, openWorld, recordsOf, say, settle, type Agent, type World } from "./world.ts"

/** An agent that says by itself what becomes of each delivery. */
interface Hand {
  readonly connection: HubConnection
  readonly id: string
  readonly got: string[]
  answer(envelopeId: string, status: "ack" | "nack"): Promise<void>
}

async function hand(world: World, name: string, channel?: () => string): Promise<Hand> {
  const got: string[] = []
  let self = ""
  const deliver = async ({ envelope, recipient_id }: Delivery): Promise<void> => {
    const { channel_id, event_type, envelope_id } = envelope
    if (event_type === TEXT) return void got.push(envelope_id)
    if (event_type === INVITE) {
      await connection.postEnvelope({
        channel_id,
        sender_id: recipient_id,
        event_type: INVITE_ACK,
        event_data: {},
      })
    }
    await connection.receipt({ envelope_id, status: "ack", recipient_id, channel_id }).catch(() => {})
  }
  const connection = await world.hub.connect(deliver)
  if (channel === undefined) self = (await connection.registerIdentity({ passport: { name } })).agent_id
  else self = (await connection.attach(name)).agent_id
  return {
    connection,
    id: self,
    got,
    answer: async (envelope_id, status) => {
      const channel_id = (await world.hub.listChannels())[0]?.channel_id ?? ""
      await connection.receipt({ envelope_id, status, recipient_id: self, channel_id, reason: "cannot" })
    },
  }
}

async function scene(world: World): Promise<{ ann: Agent; bob: Hand; channel: string; sent: string[] }> {
  const ann = await join(world.hub, "ann")
  const bob = await hand(world, "bob")
  const channel = await conversation(world.hub, ann, bob as unknown as Agent)
  const sent: string[] = []
  for (let i = 0; i < 3; i++) sent.push(await say(world.hub, channel, ann.id, `text ${i}`))
  await settle()
  return { ann, bob, channel, sent }
}

describe("receipts", () => {
  test("W-5: an acknowledgement never passes an earlier envelope that is not dealt with", async () => {
    const store = new MemoryStore()
    const time = new FakeTime()
    const world = await openWorld({ store, time })
    const { hub } = world
    const { bob, channel, sent } = await scene(world)
    const [first = "", second = "", third = ""] = sent
    expect(bob.got).toEqual(sent)
    const before = hub.inboxCursor(bob.id, channel)
    await bob.answer(third, "ack")
    await bob.answer(second, "ack")
    expect(hub.inboxCursor(bob.id, channel)).toBe(before)
    expect(hub.health().pending_inbox_total).toBe(3)
    await hub.close()

    // Even the process may die: the first one comes again, and what follows it with it.
    await using again = await openWorld({ store, time })
    const back = await hand(again, "bob", () => channel)
    await settle()
    expect(back.got).toEqual(sent)
    await back.answer(second, "ack")
    await back.answer(first, "ack")
    expect(again.hub.inboxCursor(bob.id, channel)).toBe(second)
    await back.answer(third, "ack")
    expect(again.hub.inboxCursor(bob.id, channel)).toBe(third)
    expect(again.hub.health().pending_inbox_total).toBe(0)
  })

  test("what was acknowledged out of order does not come again while the hub lives", async () => {
    await using world = await openWorld()
    const { bob, channel, sent } = await scene(world)
    await bob.answer(sent[1] ?? "", "ack")
    const back = await hand(world, "bob", () => channel)
    await settle()
    expect(back.got).toEqual([sent[0], sent[2]])
  })

  test("W-5: what is refused comes again, later and later, and in the end is a dead letter on record", async () => {
    await using world = await openWorld({ audit: { coverage: "full" } })
    const { hub, time } = world
    const { bob, channel, sent } = await scene(world)
    const [first = "", ...rest] = sent
    for (const id of rest) await bob.answer(id, "ack")
    for (let tries = 1; tries < MAX_DELIVERY_TRIES; tries++) {
      await bob.answer(first, "nack")
      await bob.answer(first, "nack") // said twice, it counts once
      expect(bob.got).toHaveLength(sent.length + tries - 1)
      await time.advance(1_000 * 2 ** (tries - 1) - 1)
      expect(bob.got).toHaveLength(sent.length + tries - 1)
      await time.advance(1)
      expect(bob.got.at(-1)).toBe(first)
      expect(bob.got).toHaveLength(sent.length + tries)
    }
    expect(hub.inboxCursor(bob.id, channel) < first).toBe(true)
    await bob.answer(first, "nack")
    expect(await recordsOf(hub, "dead_letter")).toMatchObject([
      {
        envelope_id: first,
        recipient_id: bob.id,
        channel_id: channel,
        tries: MAX_DELIVERY_TRIES,
        reason: "cannot",
      },
    ])
    expect(hub.inboxCursor(bob.id, channel)).toBe(sent.at(-1))
    await time.advance(600_000)
    expect(bob.got).toHaveLength(sent.length + MAX_DELIVERY_TRIES - 1)
  })

  test("a connection that cannot take it at the moment gets it later, and that is no refusal", async () => {
    await using world = await openWorld({ audit: { coverage: "full" } })
    const { hub, time } = world
    const ann = await join(hub, "ann")
    let busy = true
    const got: string[] = []
    const connection = await hub.connect(async ({ envelope, recipient_id }) => {
      const { channel_id, event_type, envelope_id } = envelope
      if (event_type === INVITE) {
        await connection.postEnvelope({
          channel_id,
          sender_id: recipient_id,
          event_type: INVITE_ACK,
          event_data: {},
        })
      } else if (event_type === TEXT && busy) throw new Error("the queue is full")
      else got.push(envelope_id)
    })
    const { agent_id } = await connection.registerIdentity({ passport: { name: "bob" } })
    const channel = await conversation(hub, ann, { id: agent_id } as Agent)
    const sent = await say(hub, channel, ann.id)
    await time.advance(300_000)
    busy = false
    await time.advance(60_000)
    expect(got.filter((id) => id === sent)).toEqual([sent])
    expect(await recordsOf(hub, "dead_letter")).toEqual([])
    expect((await recordsOf(hub, "dispatch_failed")).length).toBeGreaterThan(3)
  })

  test("W-5: whoever was away when a channel ended is told when it comes back, after what came before", async () => {
    await using world = await openWorld()
    const { hub } = world
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    const channel = await conversation(hub, ann, bob)
    await settle()
    await bob.connection[Symbol.asyncDispose]()
    const sent = await say(hub, channel, ann.id)
    await hub.closeChannel(channel, "done")
    const back: string[] = []
    const connection = await hub.connect(({ envelope }) => void back.push(envelope.event_type))
    await connection.attach("bob")
    await settle()
    expect(back).toEqual([TEXT, "ag2.channel.closed"])
    expect(sent).not.toBe("")
  })

  test("W-17: what has outlived its ttl_seconds is passed over, told, and stays in the log", async () => {
    await using world = await openWorld({ audit: { coverage: "full" } })
    const { hub, time } = world
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    const channel_id = await conversation(hub, ann, bob)
    await settle()
    await bob.connection[Symbol.asyncDispose]()
    const text = { channel_id, sender_id: ann.id, event_type: TEXT }
    const stale = await hub.postEnvelope({ ...text, event_data: { text: "now!" }, ttl_seconds: 10 })
    const fresh = await hub.postEnvelope({ ...text, event_data: { text: "ever" }, ttl_seconds: 11 })
    await time.advance(10_000)
    const back = await hand(world, "bob", () => channel_id)
    await settle()
    expect(back.got).toEqual([fresh])
    expect(await recordsOf(hub, "dispatch_failed")).toMatchObject([
      { envelope_id: stale, recipient_id: bob.id },
    ])
    await back.answer(fresh, "ack")
    expect(hub.inboxCursor(bob.id, channel_id)).toBe(fresh)
    expect((await hub.readWal(channel_id)).map(({ envelope_id }) => envelope_id)).toContain(stale)
    const negative = hub.postEnvelope({ ...text, event_data: {}, ttl_seconds: -1 })
    await expect(negative).rejects.toMatchObject({ code: "invalid_input" })
  })

  test("whatever is answered in whatever order, the cursor is where everything before is settled", () => {
    const seed = testSeed()
    console.log(`cursor property: HANSARD_SEED=${seed}`)
    const random = seeded(seed)
    for (let run = 0; run < 200; run++) {
      const outstanding = new Outstanding()
      const settled = new Set<string>()
      const handed: string[] = []
      let cursor = ""
      for (let step = 0; step < 60; step++) {
        if (random() < 0.5) {
          const id = String(handed.length).padStart(4, "0")
          handed.push(id)
          outstanding.handed("a", "c", id)
        } else if (handed.length > 0) {
          const id = handed[Math.floor(random() * handed.length)] ?? ""
          settled.add(id)
          const moved = outstanding.settle("a", "c", id)
          if (moved > cursor) cursor = moved
        }
        const gap = handed.findIndex((id) => !settled.has(id))
        const expected = (gap === -1 ? handed.at(-1) : handed[gap - 1]) ?? ""
        expect(cursor).toBe(settled.size === 0 ? "" : expected)
      }
    }
  })
})

describe("posting once more", () => {
  async function talk(world: World): Promise<{ hub: Hub; ann: Agent; bob: Agent; channel_id: string }> {
    const { hub } = world
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    return { hub, ann, bob, channel_id: await conversation(hub, ann, bob) }
  }

  test("W-17: the same idempotency_key is the same envelope, across a restart too", async () => {
    const store = new MemoryStore()
    const time = new FakeTime()
    const world = await openWorld({ store, time })
    const { hub, ann, bob, channel_id } = await talk(world)
    const draft = { channel_id, sender_id: ann.id, event_type: TEXT, idempotency_key: "k1" }
    const once = await hub.postEnvelope({ ...draft, event_data: { text: "one" } })
    expect(await hub.postEnvelope({ ...draft, event_data: { text: "run again" } })).toBe(once)
    // Keys are each sender's own.
    expect(await hub.postEnvelope({ ...draft, sender_id: bob.id, event_data: {} })).not.toBe(once)
    const both = await Promise.all(
      [1, 2, 3].map(() => hub.postEnvelope({ ...draft, idempotency_key: "k2", event_data: {} })),
    )
    expect(new Set(both).size).toBe(1)
    await hub.close()
    await using again = await openWorld({ store, time })
    expect(await again.hub.postEnvelope({ ...draft, event_data: { text: "one" } })).toBe(once)
    expect(
      (await again.hub.readWal(channel_id)).filter(({ idempotency_key }) => idempotency_key !== null),
    ).toHaveLength(3)
  })

  test("W-14: the same answer to the same envelope is there once; another answer is another", async () => {
    await using world = await openWorld()
    const { hub, ann, bob, channel_id } = await talk(world)
    const question = await say(hub, channel_id, ann.id, "?")
    const answer = { channel_id, sender_id: bob.id, event_type: TEXT, causation_id: question }
    const once = await hub.postEnvelope({ ...answer, event_data: { text: "yes" } })
    expect(await hub.postEnvelope({ ...answer, event_data: { text: "yes" } })).toBe(once)
    expect(await hub.postEnvelope({ ...answer, event_data: { text: "and no" } })).not.toBe(once)
  })

  test("the answer that ended its channel may be posted again, and nothing else may", async () => {
    await using world = await openWorld()
    const { hub } = world
    const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
    const { channel_id } = await hub.createChannel({
      creator_id: ann.id,
      manifest_type: "consulting",
      participants: [bob.id],
    })
    const question = await say(hub, channel_id, ann.id)
    const answer = {
      channel_id,
      sender_id: bob.id,
      event_type: TEXT,
      causation_id: question,
      event_data: { text: "done" },
    }
    const once = await hub.postEnvelope(answer)
    expect((await hub.getChannel(channel_id)).state).toBe("closed")
    expect(await hub.postEnvelope(answer)).toBe(once)
    const other = hub.postEnvelope({ ...answer, event_data: { text: "more" } })
    await expect(other).rejects.toMatchObject({ code: "protocol_error" })
  })

  test("W-19: an answer is as deep as what it answers, whatever its sender says", async () => {
    await using world = await openWorld()
    const { hub, ann, bob, channel_id } = await talk(world)
    await hub.setRule(bob.id, { limits: { delegation_depth: 2 } })
    const text = { channel_id, event_type: TEXT, event_data: { text: "go on" } }
    const deep = await hub.postEnvelope({ ...text, sender_id: ann.id, depth: 2 })
    const answer = await hub.postEnvelope({ ...text, sender_id: bob.id, causation_id: deep, depth: 0 })
    const wal = await hub.readWal(channel_id)
    expect(wal.find(({ envelope_id }) => envelope_id === answer)?.depth).toBe(2)
    const deeper = await hub.postEnvelope({ ...text, sender_id: ann.id, depth: 3 })
    const refused = hub.postEnvelope({ ...text, sender_id: bob.id, causation_id: deeper, depth: 0 })
    await expect(refused).rejects.toMatchObject({ code: "access_denied" })
  })
})
