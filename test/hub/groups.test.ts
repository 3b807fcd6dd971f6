/** Group commit in a channel: posts that wait together share a write, and are checked as if each had come alone. */
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import type { Hub } from "../../src/hub/index.ts"
import { MAX_GROUP_ENVELOPES } from "../../src/hub/post-group.ts"
import {
  ProtocolError,
  TEXT,
  type ChannelAdapter,
  type Envelope,
  type EnvelopeRequest,
} from "../../src/model/index.ts"
import { MemoryStore } from "../../src/store/memory.ts"
import { FlakyStore, type Failure } from "../support/flaky-store.ts"
import { seedProperties } from "../support/property.ts"
import { adapterLike, join, openWorld, settle, type World } from "./world.ts"

seedProperties({ numRuns: 60 })

/** Takes no two texts of one sender in a row, and ends with the seventh: what it allows depends on what came before. */
const turns: ChannelAdapter = adapterLike("turns", {
  initialState: () => ({ count: 0, last: "" }),
  fold: (envelope, state) => {
    const { count } = state as { count: number }
    return envelope.event_type === TEXT ? { count: count + 1, last: envelope.sender_id } : state
  },
  validateSend: (_metadata, envelope, state) => {
    const { last } = state as { last: string }
    if (envelope.event_type === TEXT && envelope.sender_id === last) throw new ProtocolError("not your turn")
    if (envelope.event_data["text"] === "bad") throw new TypeError("a bug of the adapter")
  },
  onAccepted: (_metadata, _envelope, state) =>
    (state as { count: number }).count >= 7 ? { nextState: "closed", closeReason: "seven" } : {},
})

interface Post {
  readonly sender: 0 | 1
  readonly type: string
  readonly text: string
  readonly key: string | null
}

const posts: fc.Arbitrary<Post[]> = fc.array(
  fc.record({
    sender: fc.constantFrom(0 as const, 1 as const),
    type: fc.constantFrom(TEXT, TEXT, TEXT, "app.note"),
    text: fc.constantFrom("one", "two", "bad", "x".repeat(300_000)),
    key: fc.constantFrom(null, null, null, "k1", "k2"),
  }),
  { maxLength: 24 },
)

async function open(type: string, store = new FlakyStore(new MemoryStore())) {
  const world = await openWorld({ store, adapters: [turns] })
  const [ann, bob] = [await join(world.hub, "ann"), await join(world.hub, "bob")]
  const request = { creator_id: ann.id, manifest_type: type, participants: [bob.id] }
  const { channel_id } = await world.hub.createChannel(request)
  await settle()
  const ids: [string, string] = [ann.id, bob.id]
  return { world, store, channel_id, ids, start: (await world.hub.readWal(channel_id)).length }
}

function requestOf({ sender, type, text, key }: Post, channel_id: string, ids: [string, string]) {
  const base = { channel_id, sender_id: ids[sender], event_type: type, event_data: { text } }
  return { ...base, idempotency_key: key } satisfies EnvelopeRequest
}

/** What is the same wherever the envelope was posted. */
function essence(hub: Hub, { sender_id, event_type, event_data, idempotency_key }: Envelope): unknown {
  const { text, reason } = event_data
  return [hub.nameFor(sender_id), event_type, text ?? reason ?? null, idempotency_key]
}

async function stored(world: World, channel_id: string): Promise<string> {
  const bytes = await world.store.read(`/channels/${channel_id}/wal.jsonl`)
  return new TextDecoder().decode(bytes)
}

test("I150: posts that come together leave the log that they leave one by one, in its order", async () => {
  let saved = 0
  await fc.assert(
    fc.asyncProperty(posts, fc.array(fc.nat(3), { minLength: 24, maxLength: 24 }), async (all, pauses) => {
      const together = await open("turns")
      await using _a = together.world
      const { hub } = together.world
      const before = together.store.appends
      const answers = await Promise.allSettled(
        all.map(async (post, i) => {
          for (let n = pauses[i] ?? 0; n > 0; n--) await settle()
          return await hub.postEnvelope(requestOf(post, together.channel_id, together.ids))
        }),
      )
      const log = (await hub.readWal(together.channel_id)).slice(together.start)
      const texts = log.filter(({ event_type }) => !event_type.startsWith("ag2.channel."))
      saved += texts.length - (together.store.appends - before)
      // Who was acknowledged is in the log, once; and nobody else.
      const acknowledged = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []))
      expect([...new Set(acknowledged)].sort()).toEqual(texts.map(({ envelope_id }) => envelope_id))

      const alone = await open("turns")
      await using _b = alone.world
      for (const { sender_id, event_type, event_data, idempotency_key } of texts) {
        const sender = together.ids.indexOf(sender_id) as 0 | 1
        const post = { sender, type: event_type, text: String(event_data["text"]), key: idempotency_key }
        await alone.world.hub.postEnvelope(requestOf(post, alone.channel_id, alone.ids))
      }
      const again = (await alone.world.hub.readWal(alone.channel_id)).slice(alone.start)
      expect(again.map((envelope) => essence(alone.world.hub, envelope))).toEqual(
        log.map((envelope) => essence(hub, envelope)),
      )
      // The file says the same, and so does what the adapter has folded.
      const lines = (await stored(together.world, together.channel_id)).trimEnd().split("\n")
      expect(lines.map((line) => (JSON.parse(line) as Envelope).envelope_id).slice(together.start)).toEqual(
        log.map(({ envelope_id }) => envelope_id),
      )
      const ids = log.map(({ envelope_id }) => envelope_id)
      expect(ids).toEqual(ids.toSorted())
      const count = texts.filter(({ event_type }) => event_type === TEXT).length
      expect(await hub.adapterState(together.channel_id)).toMatchObject({ count })
    }),
  )
  // Otherwise nothing was ever together.
  expect(saved).toBeGreaterThan(0)
})

describe("I151: a write that fails undoes its group, and nothing else", () => {
  test.each<Failure>(["not persisted", "persisted"])("%s", async (failure) => {
    const { world, store, channel_id, ids } = await open("conversation")
    await using _ = world
    const { hub, seen } = world
    const say = (text: string): Promise<string> =>
      hub.postEnvelope({ channel_id, sender_id: ids[0], event_type: TEXT, event_data: { text } })
    const first = await say("before")
    const state = await hub.adapterState(channel_id)
    const file = await stored(world, channel_id)
    const pending = hub.pendingInbox(ids[1])
    let failures = 1
    store.decide = (operation, path) =>
      operation === "append" && path.endsWith("wal.jsonl") && failures-- > 0 ? failure : undefined
    const appends = store.appends
    const [lost, kept] = await Promise.all([
      Promise.allSettled(["a", "b", "c"].map(say)),
      // Once the first group is on its way.
      settle(2).then(() => Promise.allSettled(["d", "e"].map(say))),
    ])
    const isLost = lost.map(({ status }) => status)
    expect(isLost).toEqual(["rejected", "rejected", "rejected"])
    expect(lost[0]).toMatchObject({ reason: { code: "store_unavailable" } })
    if (kept.every(({ status }) => status === "rejected")) throw new Error("the next group failed as well")
    const log = await hub.readWal(channel_id)
    expect(log.slice(log.findIndex(({ envelope_id }) => envelope_id === first) + 1)).toHaveLength(2)
    expect((await stored(world, channel_id)).startsWith(file)).toBe(true)
    expect((await stored(world, channel_id)).slice(file.length).trimEnd().split("\n")).toHaveLength(2)
    expect(state).toMatchObject({ turn_count: 1 })
    expect(await hub.adapterState(channel_id)).toMatchObject({ turn_count: 3 })
    expect(hub.pendingInbox(ids[1])).toBeLessThanOrEqual(pending + 2)
    expect(seen.of("rejected")).toHaveLength(3)
    expect(store.appends - appends).toBeGreaterThanOrEqual(2)
  })
})

describe("I152: a post that comes again is the first, in one group as elsewhere", () => {
  const again = async (failing: boolean) => {
    const { world, store, channel_id, ids, start } = await open("conversation")
    await using _ = world
    if (failing) store.decide = (operation) => (operation === "append" ? "not persisted" : undefined)
    const say = (text: string, key: string): Promise<string> =>
      world.hub.postEnvelope({
        channel_id,
        sender_id: ids[0],
        event_type: TEXT,
        event_data: { text },
        idempotency_key: key,
      })
    const appends = store.appends
    const answers = await Promise.allSettled([
      say("a", "1"),
      say("a", "1"),
      say("b", "2"),
      say("something else", "1"),
    ])
    const log = (await world.hub.readWal(channel_id)).slice(start)
    return { answers, log, appends: store.appends - appends }
  }

  test("they have one id and one line", async () => {
    const { answers, log, appends } = await again(false)
    const ids = answers.map((answer) => (answer.status === "fulfilled" ? answer.value : answer.reason))
    expect(ids).toEqual([ids[0], ids[0], log[1]?.envelope_id, ids[0]])
    expect(log.map(({ event_data }) => event_data["text"])).toEqual(["a", "b"])
    expect(appends).toBe(1)
  })

  test("when the write fails, all of them hear of it", async () => {
    const { answers, log } = await again(true)
    expect(answers.map(({ status }) => status)).toEqual(Array(4).fill("rejected"))
    expect(log).toEqual([])
  })
})

test("I153: who is refused leaves the group to the others, and what comes after the end is refused", async () => {
  const { world, channel_id, ids, start } = await open("turns")
  await using _ = world
  const say = (sender: 0 | 1, text: string): Promise<string> =>
    world.hub.postEnvelope({ channel_id, sender_id: ids[sender], event_type: TEXT, event_data: { text } })
  const answers = await Promise.allSettled([
    say(0, "1"),
    say(0, "not his turn"),
    say(1, "bad"),
    say(1, "2"),
    ...["3", "4", "5", "6", "7", "8", "9"].map((text, i) => say(i % 2 === 0 ? 0 : 1, text)),
  ])
  const log = (await world.hub.readWal(channel_id)).slice(start)
  expect(log.map(({ event_type, event_data }) => event_data["text"] ?? event_type)).toEqual([
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "ag2.channel.closed",
  ])
  expect(answers.map(({ status }) => status)).toEqual(
    ["yes", "no", "no", "yes", "yes", "yes", "yes", "yes", "yes", "no", "no"].map((answer) =>
      answer === "yes" ? "fulfilled" : "rejected",
    ),
  )
  // Told in the order of the log, the end last.
  const told = world.seen.kinds.filter((kind) => kind.startsWith("posted:") || kind === "closed")
  expect(told.slice(-9)).toEqual([
    ...Array<string>(7).fill(`posted:${TEXT}`),
    "posted:ag2.channel.closed",
    "closed",
  ])
})

test("I153: a group fills no inbox over its limit", async () => {
  const { world, ids } = await open("conversation")
  await using _ = world
  const { hub } = world
  const eve = await join(hub, "eve", () => {}, { rule: { limits: { inbox: { max_pending: 3 } } } })
  const request = { creator_id: ids[0], manifest_type: "conversation", participants: [eve.id] }
  const { channel_id } = await hub.createChannel(request)
  await settle()
  const answers = await Promise.allSettled(
    Array.from({ length: 6 }, (_, i) =>
      hub.postEnvelope({ channel_id, sender_id: ids[0], event_type: TEXT, event_data: { text: String(i) } }),
    ),
  )
  expect(answers.map(({ status }) => status === "fulfilled")).toEqual([true, true, true, false, false, false])
  expect(answers[5]).toMatchObject({ reason: { code: "inbox_full" } })
})

test("I153: a group has a limit: who wants to close waits for one, however many posts have come", async () => {
  let close = (): void => {}
  const closing = new Promise<void>((resolve) => (close = resolve))
  const adapter = adapterLike("watched", {
    initialState: () => ({}),
    fold: (_envelope, state) => state,
    // The first of them is being checked: the others wait.
    validateSend: (_metadata, { event_type }) => {
      if (event_type === TEXT) close()
    },
  })
  const world = await openWorld({ store: new FlakyStore(new MemoryStore()), adapters: [adapter] })
  await using _ = world
  const { hub } = world
  const ann = await join(hub, "ann")
  const eve = await join(hub, "eve", () => {}, { rule: { limits: { inbox: { max_pending: 0 } } } })
  const request = { creator_id: ann.id, manifest_type: "watched", participants: [eve.id] }
  const { channel_id } = await hub.createChannel(request)
  await settle()
  const post = { channel_id, sender_id: ann.id, event_type: TEXT, event_data: { text: "and" } }
  const posting = Promise.allSettled(
    Array.from({ length: 3 * MAX_GROUP_ENVELOPES }, () => hub.postEnvelope(post)),
  )
  await closing
  await hub.closeChannel(channel_id)
  const taken = (await posting).filter(({ status }) => status === "fulfilled").length
  expect(taken).toBe(MAX_GROUP_ENVELOPES)
})

test("I153: a stream of posts holds up nobody who wants to close the channel", async () => {
  const { world, channel_id, ids } = await open("conversation")
  await using _ = world
  let closed = false
  const talk = async (): Promise<number> => {
    for (let n = 0; n < 5_000; n++) {
      if (closed) return n
      const post = { channel_id, sender_id: ids[0], event_type: TEXT, event_data: { text: "and" } }
      await world.hub.postEnvelope(post).catch(() => {})
    }
    return Infinity
  }
  const talking = Promise.all([talk(), talk(), talk()])
  await world.hub.closeChannel(channel_id)
  closed = true
  expect(Math.max(...(await talking))).toBeLessThan(5_000)
})
