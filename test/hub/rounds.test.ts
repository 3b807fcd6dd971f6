/** Channels of more than two: discussion and workflow on a real hub, and what becomes of those who are silent. */
import { describe, expect, test } from "vitest"
import {
  discussionAdapter,
  makeWorkflowAdapter,
  type DiscussionState,
  type Hub,
  type WorkflowState,
} from "../../src/hub/index.ts"
import {
  CONTEXT_SET,
  HIDDEN,
  makeEnvelope,
  PACKET,
  PASS,
  roundRobinGraph,
  sequenceGraph,
  TEXT,
  VIOLATED,
  type ChannelMetadata,
  type Envelope,
  type JsonObject,
  type WorkflowGraph,
} from "../../src/model/index.ts"
import { MemoryStore } from "../../src/store/memory.ts"
import { FakeTime, seeded, testSeed } from "../support/fake-time.ts"
import { join, openWorld, recordsOf, say, type Agent, type World } from "./world.ts"

const NAMES = ["ann", "bob", "cat"]

async function open(
  world: World,
  type: string,
  knobs?: (ids: readonly string[]) => JsonObject,
  names: readonly string[] = NAMES,
): Promise<{ channel: string; ids: string[]; agents: Agent[] }> {
  const agents: Agent[] = []
  for (const name of names) agents.push(await join(world.hub, name))
  const ids = agents.map(({ id }) => id)
  const { channel_id } = await world.hub.createChannel({
    creator_id: ids[0] ?? "",
    manifest_type: type,
    participants: ids,
    ...(knobs === undefined ? {} : { knobs: knobs(ids) }),
  })
  return { channel: channel_id, ids, agents }
}

async function post(
  hub: Hub,
  channel_id: string,
  sender_id: string | undefined,
  event_type: string,
  event_data: JsonObject = {},
): Promise<string> {
  return await hub.postEnvelope({ channel_id, sender_id: sender_id ?? "", event_type, event_data })
}

async function typesOf(hub: Hub, channel: string): Promise<string[]> {
  return (await hub.readWal(channel))
    .map(({ event_type }) => event_type)
    .filter((type) => !type.startsWith("ag2.channel.invite"))
}

async function discussion(hub: Hub, channel: string): Promise<DiscussionState> {
  return (await hub.adapterState(channel)) as DiscussionState
}

describe("discussion", () => {
  test("each in turn, the creator first; others are refused", async () => {
    await using world = await openWorld()
    const { hub } = world
    const { channel, ids } = await open(world, "discussion")
    const [ann = "", bob = "", cat = ""] = ids
    await expect(say(hub, channel, bob)).rejects.toMatchObject({ code: "protocol_error" })
    for (const id of [ann, bob, cat, ann, bob]) {
      expect((await discussion(hub, channel)).expected_next_speaker).toBe(id)
      await say(hub, channel, id)
    }
    await expect(say(hub, channel, bob)).rejects.toMatchObject({ code: "protocol_error" })
    expect(await hub.pendingTurnsFor(cat)).toMatchObject([{ channel_id: channel }])
    expect(await hub.pendingTurnsFor(ann)).toEqual([])
  })

  test("a turn may be passed; when everybody has, it is over", async () => {
    await using world = await openWorld()
    const { hub } = world
    const { channel, ids } = await open(world, "discussion")
    await say(hub, channel, ids[0] ?? "")
    await expect(post(hub, channel, ids[2], PASS)).rejects.toMatchObject({ code: "protocol_error" })
    await post(hub, channel, ids[1], PASS)
    await say(hub, channel, ids[2] ?? "")
    for (const id of ids) await post(hub, channel, id, PASS)
    expect(await hub.getChannel(channel)).toMatchObject({ state: "closed", close_reason: "everybody_passed" })
  })

  test("W-7: who is silent is warned, each turn anew, and then the rotation goes on without it", async () => {
    await using world = await openWorld()
    const { hub, time } = world
    const { channel, ids } = await open(world, "discussion")
    const [ann = "", bob = "", cat = ""] = ids
    await say(hub, channel, ann)
    await time.advance(120_000)
    await hub.checkExpectations()
    await hub.checkExpectations()
    expect(await typesOf(hub, channel)).toEqual(["ag2.channel.opened", TEXT, VIOLATED])
    await say(hub, channel, bob)
    await say(hub, channel, cat)
    await say(hub, channel, ann)
    // Once more bob's turn: the time begins with it, and he is warned again.
    await time.advance(119_000)
    await hub.checkExpectations()
    expect(await recordsOf(hub, "expectation_violated")).toHaveLength(1)
    await time.advance(11_000)
    await hub.checkExpectations()
    expect(await recordsOf(hub, "expectation_violated")).toMatchObject([
      { violators: [bob], on_violation: "warn" },
      { violators: [bob], on_violation: "warn" },
    ])
    await time.advance(480_000)
    await hub.checkExpectations()
    expect(await discussion(hub, channel)).toMatchObject({ hidden: [bob], expected_next_speaker: cat })
    await expect(say(hub, channel, bob)).rejects.toThrow("speaks no more")
    await say(hub, channel, cat)
    await say(hub, channel, ann)
    expect((await discussion(hub, channel)).expected_next_speaker).toBe(cat)
    expect((await hub.readWal(channel)).filter(({ event_type }) => event_type === HIDDEN)).toMatchObject([
      { event_data: { agent_id: bob, reason: "expectation_violated:turn_within" } },
    ])
    // Hidden for good: with one left there is nobody to talk to.
    await time.advance(610_000)
    await hub.checkExpectations()
    expect(await hub.getChannel(channel)).toMatchObject({ state: "closed", close_reason: "too_few_speakers" })
  })

  test("who has spoken while the hub was making up its mind is not hidden when its turn comes again", () => {
    const said = (sender_id: string, event_type: string, event_data: JsonObject): Envelope =>
      makeEnvelope({ channel_id: "c", sender_id, event_type, event_data, envelope_id: "e" })
    const one = { role: "participant", joined_at: "" } as const
    const participants = ["a", "b"].map((agent_id, order) => ({ ...one, agent_id, order }))
    const start = discussionAdapter.initialState({
      participants,
      creator_id: "a",
    } as unknown as ChannelMetadata)
    const spoken = discussionAdapter.fold(
      said("b", TEXT, {}),
      discussionAdapter.fold(said("a", TEXT, {}), start),
    )
    const stale = said("a", HIDDEN, { agent_id: "a", turn: 0 })
    expect(discussionAdapter.fold(stale, spoken)).toEqual(spoken)
    expect(discussionAdapter.fold(stale, start).hidden).toEqual(["a"])
  })

  test("the hub alone hides and warns", async () => {
    await using world = await openWorld()
    const { channel, ids } = await open(world, "discussion")
    for (const type of [HIDDEN, VIOLATED]) {
      const forged = post(world.hub, channel, ids[0], type, { agent_id: ids[1] ?? "", turn: 0 })
      await expect(forged).rejects.toThrow("only the hub")
    }
  })

  test.each([
    [{ ordering: "loudest" }, NAMES, "ordering"],
    [{}, ["ann"], "at least 2"],
  ])("%j with %j is refused", async (knobs, names, why) => {
    await using world = await openWorld()
    await expect(open(world, "discussion", () => knobs, names)).rejects.toThrow(why)
    expect(await world.hub.listChannels()).toEqual([])
  })
})

const always = { name: "always", args: {} }
const agent = (agent_id: string | undefined) => ({ name: "agent", args: { agent_id: agent_id ?? "" } })

function graph(value: WorkflowGraph, context_vars?: JsonObject): JsonObject {
  const json = JSON.parse(JSON.stringify({ graph: value, context_vars })) as JsonObject
  return json
}

async function workflow(hub: Hub, channel: string): Promise<WorkflowState> {
  return (await hub.adapterState(channel)) as WorkflowState
}

describe("workflow", () => {
  test("a sequence: each once, then it is complete", async () => {
    await using world = await openWorld()
    const { hub } = world
    const { channel, ids } = await open(world, "workflow", (all) => graph(sequenceGraph(all)))
    await expect(say(hub, channel, ids[1] ?? "")).rejects.toMatchObject({ code: "protocol_error" })
    for (const id of ids) await say(hub, channel, id)
    expect(await hub.getChannel(channel)).toMatchObject({
      state: "closed",
      close_reason: "sequence_complete",
    })
  })

  test("round robin until max_turns", async () => {
    await using world = await openWorld()
    const { hub } = world
    const { channel, ids } = await open(world, "workflow", (all) =>
      graph(roundRobinGraph(all, { maxTurns: 4 })),
    )
    for (const id of [...ids, ...ids.slice(0, 1)]) await say(hub, channel, id)
    expect(await hub.getChannel(channel)).toMatchObject({ state: "closed", close_reason: "max_turns" })
  })

  test("a packet hands off, changes variables, and finishes", async () => {
    await using world = await openWorld()
    const { hub } = world
    const { channel, ids } = await open(world, "workflow", (all) =>
      graph(
        {
          initial_speaker: all[0] ?? "",
          transitions: [
            { when: always, then: { name: "stay", args: {} }, priority: 9 },
            { when: { name: "tool_called", args: { tool_name: "ask" } }, then: agent(all[1]) },
            { when: { name: "context_equals", args: { key: "done", value: [1] } }, then: agent(all[2]) },
          ],
        },
        { done: false, old: 1 },
      ),
    )
    const [ann, bob, cat] = ids
    const next = async (): Promise<unknown> => (await workflow(hub, channel)).expected_next_speaker
    await post(hub, channel, ann, PACKET, { routing: { kind: "text" }, body: "hm" })
    expect(await next()).toBe(ann)
    await post(hub, channel, ann, PACKET, {
      routing: { kind: "handoff", tool: "ask", reason: "" },
      body: "?",
    })
    expect(await next()).toBe(bob)
    await post(hub, channel, bob, PACKET, {
      routing: { kind: "handoff", tool: "x", reason: "", target: ann ?? "" },
    })
    expect(await next()).toBe(ann)
    await post(hub, channel, ann, PACKET, {
      context_updates: { set: { done: [1] }, delete: ["old"] },
      body: "!",
    })
    expect(await next()).toBe(cat)
    expect((await workflow(hub, channel)).context_vars).toEqual({ done: [1] })
    // W-12: the key of AG2's helper is heard as well; anybody in the channel may set, at any time.
    await post(hub, channel, bob, CONTEXT_SET, { set: { by: "bob" } })
    await post(hub, channel, cat, PACKET, { context: { done: 2 }, body: "" })
    expect(await workflow(hub, channel)).toMatchObject({
      context_vars: { done: 2, by: "bob" },
      expected_next_speaker: cat,
    })
    await post(hub, channel, cat, PACKET, {
      routing: { kind: "finish", tool: "end", reason: "", summary: "s" },
    })
    expect(await hub.getChannel(channel)).toMatchObject({ state: "closed", close_reason: "finished" })
  })

  test.each([
    ["no graph", () => ({}), "the knob graph"],
    ["a text", () => ({ graph: "x" }), "the knob graph"],
    [
      "an unknown kind",
      (ids: string[]) => ({
        graph: { initial_speaker: ids[0], transitions: [{ when: { name: "moon" }, then: always }] },
      }),
      '"moon"',
    ],
    [
      "a strange first speaker",
      () => ({ graph: { initial_speaker: "zoe", transitions: [] } }),
      "initial_speaker",
    ],
    [
      "W-13: a strange target",
      (ids: string[]) => ({
        graph: { initial_speaker: ids[0], transitions: [], default_target: agent("zoe") },
      }),
      '"zoe"',
    ],
    [
      "a strange from_speaker",
      (ids: string[]) => ({
        graph: {
          initial_speaker: ids[0],
          transitions: [{ when: { name: "from_speaker", args: { agent_id: "zoe" } }, then: agent(ids[0]) }],
        },
      }),
      '"zoe"',
    ],
    [
      "W-19b: variables that are a list",
      (ids: string[]) => ({ graph: { initial_speaker: ids[0], transitions: [] }, context_vars: [1] }),
      "context_vars",
    ],
    [
      "no turns",
      (ids: string[]) => ({ graph: { initial_speaker: ids[0], transitions: [], max_turns: 0 } }),
      "max_turns",
    ],
  ] as [string, (ids: string[]) => unknown, string][])(
    "%s is refused, and leaves no channel",
    async (_what, knobs, why) => {
      await using world = await openWorld()
      await expect(open(world, "workflow", (ids) => knobs([...ids]) as JsonObject)).rejects.toThrow(why)
      expect(await world.hub.listChannels()).toEqual([])
      expect(world.hub.health().active_channels).toBe(0)
    },
  )

  test.each([
    ["S-4: routing that is text", PACKET, { routing: "finish" }],
    ["routing of an unknown kind", PACKET, { routing: { kind: "leap" } }],
    [
      "W-13: a hand-off to a stranger",
      PACKET,
      { routing: { kind: "handoff", target: "zoe", tool: "", reason: "" } },
    ],
    ["S-4: a set that is no object", CONTEXT_SET, { set: [1] }],
    ["a delete that is no list", CONTEXT_SET, { delete: "x" }],
    ["context that is text", PACKET, { context_updates: "x" }],
  ] as [string, string, JsonObject][])(
    "%s is refused, is in no log, and the hub opens again",
    async (_what, type, data) => {
      const store = new MemoryStore()
      const time = new FakeTime()
      const world = await openWorld({ store, time })
      const { channel, ids } = await open(world, "workflow", (all) => graph(roundRobinGraph(all)))
      const before = await world.hub.readWal(channel)
      await expect(post(world.hub, channel, ids[0], type, data)).rejects.toMatchObject({
        code: "protocol_error",
      })
      expect(await world.hub.readWal(channel)).toEqual(before)
      await world.hub.close()
      await using again = await openWorld({ store, time })
      expect(again.hub.health().quarantined).toBe(0)
      await say(again.hub, channel, ids[0] ?? "")
    },
  )

  test("W-7: turn_within closes a workflow whose speaker is silent", async () => {
    await using world = await openWorld()
    const { channel } = await open(world, "workflow", (all) => graph(roundRobinGraph(all)))
    await world.time.advance(600_000)
    await world.hub.checkExpectations()
    expect(await world.hub.getChannel(channel)).toMatchObject({
      state: "closed",
      close_reason: "expectation_violated:turn_within",
    })
  })

  test("knows further conditions and targets when it is given them", async () => {
    const adapter = makeWorkflowAdapter({
      conditions: { long: { holds: (_args, { event_data }) => String(event_data["text"]).length > 3 } },
      targets: {
        last: { next: (_args, _envelope, { participant_order: all }) => ({ speaker: all.at(-1) ?? "" }) },
      },
    })
    await using world = await openWorld({ adapters: [adapter] })
    const { hub } = world
    const { channel, ids } = await open(world, "workflow", (all) =>
      graph({
        initial_speaker: all[0] ?? "",
        transitions: [{ when: { name: "long", args: {} }, then: { name: "last", args: {} } }],
        default_target: { name: "stay", args: {} },
      }),
    )
    await say(hub, channel, ids[0] ?? "", "hi")
    await say(hub, channel, ids[0] ?? "", "hello")
    expect((await workflow(hub, channel)).expected_next_speaker).toBe(ids[2])
  })

  test("whatever is sent, the log folds to the state that the hub holds, before and after a restart", async () => {
    const seed = testSeed()
    console.log(`workflow property: HANSARD_SEED=${seed}`)
    const random = seeded(seed)
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
    for (let run = 0; run < 20; run++) {
      const store = new MemoryStore()
      const time = new FakeTime()
      const world = await openWorld({ store, time })
      const { channel, ids } = await open(world, "workflow", (all) =>
        graph({
          initial_speaker: pick(all),
          transitions: [
            { when: { name: "from_speaker", args: { agent_id: pick(all) } }, then: agent(pick(all)) },
            {
              when: { name: "context_equals", args: { key: "a", value: 1 } },
              then: { name: "revert_to_initiator", args: {} },
              priority: -1,
            },
            { when: { name: "tool_called", args: { tool_name: "t" } }, then: { name: "stay", args: {} } },
          ],
          default_target: { name: "round_robin", args: {} },
        }),
      )
      const data = (): JsonObject => ({
        ...pick([
          {},
          {
            routing: pick<JsonObject>([
              { kind: "text" },
              { kind: "handoff", tool: "t" },
              { kind: "handoff", target: pick([...ids, "zoe"]) },
              { kind: "x" },
            ]),
          },
        ]),
        ...pick([
          {},
          { context_updates: pick<JsonObject>([{ set: { a: 1 } }, { delete: ["a"] }, { set: 3 }]) },
        ]),
        text: "x",
      })
      for (let i = 0; i < 40; i++) {
        await post(world.hub, channel, pick(ids), pick([TEXT, PACKET, CONTEXT_SET, "custom"]), data()).catch(
          () => {},
        )
      }
      const state = await world.hub.adapterState(channel)
      expect(ids).toContain((state as WorkflowState).expected_next_speaker)
      await world.hub.close()
      await using again = await openWorld({ store, time })
      expect(await again.hub.adapterState(channel)).toEqual(state)
    }
  })
})
