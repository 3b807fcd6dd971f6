/** What a hub makes of what is stored: after a restart, after a crash, and when something is broken. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join as joinPath } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import { utf8 } from "../../src/core/bytes.ts"
import { INVITE_ACK, ProtocolError, TEXT } from "../../src/model/index.ts"
import type { KnowledgeStore } from "../../src/store/contract.ts"
import { FileStore } from "../../src/store/file.ts"
import { MemoryStore } from "../../src/store/memory.ts"
import { readText } from "../../src/store/text.ts"
import { FakeTime } from "../support/fake-time.ts"
import { FlakyStore } from "../support/flaky-store.ts"
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
  type World,
} from "./world.ts"

const folders: string[] = []
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

/** A place whose store can be closed and opened again. */
interface Place {
  open(): Promise<KnowledgeStore>
}

async function memoryPlace(): Promise<Place> {
  let store = new MemoryStore()
  return { open: async () => (store = MemoryStore.from(store)) }
}

async function filePlace(): Promise<Place> {
  const folder = await mkdtemp(joinPath(tmpdir(), "hansard-hub-"))
  folders.push(folder)
  return { open: () => FileStore.open(folder) }
}

describe.each([
  ["MemoryStore", memoryPlace],
  ["FileStore", filePlace],
])("on a %s", (_name, makePlace) => {
  test("everything is there again: identities, channels, tasks, cursors, inboxes, told violations", async () => {
    const place = await makePlace()
    const time = new FakeTime()
    const adapters = [adapterLike("quiet", { expectations: [expectation("max_silence", "audit", 60)] })]
    const store = await place.open()
    const world = await openWorld({ store, time, adapters })
    const { hub } = world
    const ann = await join(hub, "ann", undefined, {
      rule: { limits: { delegation_depth: 3 } },
      resume: { claimed_capabilities: ["birds"] },
      skill_md: "# Birds",
    })
    const bob = await join(hub, "bob")
    const gone = await registerOnly(hub, "gone")
    await hub.unregister(gone)
    const request = { creator_id: ann.id, manifest_type: "quiet", participants: [bob.id], knobs: { a: [1] } }
    const { channel_id } = await hub.createChannel(request)
    await say(hub, channel_id, ann.id, "read")
    await settle()
    await bob.connection[Symbol.asyncDispose]()
    const unread = [await say(hub, channel_id, ann.id, "unread ä"), await say(hub, channel_id, ann.id, "too")]
    await hub.observeTask({ task_id: "t1", owner_id: bob.id, spec: { title: "x" }, channel_id })
    await hub.checkpointTask("t1", { step: 3 })
    time.set(time.clock() + 60_000)
    await hub.checkExpectations()
    const before = {
      agents: await hub.listAgents(),
      channels: await hub.listChannels(),
      tasks: await hub.listTasks(),
      wal: await hub.readWal(channel_id),
      state: await hub.adapterState(channel_id),
      cursor: hub.inboxCursor(bob.id, channel_id),
      resume: await hub.getResume(ann.id),
      rule: await hub.getRule(ann.id),
      health: { ...hub.health(), audit_log_bytes: 0 },
    }
    expect(before.health).toMatchObject({ pending_inbox_total: 2, registered_agents: 2, active_channels: 1 })
    await hub.close()
    await store[Symbol.asyncDispose]()

    const opened = await place.open()
    await using again = await openWorld({ store: opened, time, adapters })
    const after = again.hub
    expect({
      agents: await after.listAgents(),
      channels: await after.listChannels(),
      tasks: await after.listTasks(),
      wal: await after.readWal(channel_id),
      state: await after.adapterState(channel_id),
      cursor: after.inboxCursor(bob.id, channel_id),
      resume: await after.getResume(ann.id),
      rule: await after.getRule(ann.id),
      health: { ...after.health(), audit_log_bytes: 0 },
    }).toEqual(before)
    expect(await after.getSkill(ann.id)).toBe("# Birds")
    expect(await after.readTaskCheckpoint("t1")).toEqual({ step: 3 })
    // D6: told once, also over a restart.
    await after.checkExpectations()
    expect(await recordsOf(after, "expectation_violated")).toHaveLength(1)
    const got: string[] = []
    await (await after.connect(({ envelope }) => void got.push(envelope.envelope_id))).attach("bob")
    await settle()
    expect(got).toEqual(unread)
    await say(after, channel_id, ann.id, "and on")
    await after.close()
    await opened[Symbol.asyncDispose]()
  })

  test("D1: a torn tail of a log is set aside, and the channel goes on", async () => {
    const place = await makePlace()
    const store = await place.open()
    const world = await openWorld({ store })
    const [ann, bob] = [await join(world.hub, "ann"), await join(world.hub, "bob")]
    const channel_id = await conversation(world.hub, ann, bob)
    await say(world.hub, channel_id, ann.id)
    const wal = await world.hub.readWal(channel_id)
    await world.hub.close()
    const torn = utf8('{"audience": null, "text": "ä').slice(0, -1)
    const size = await store.append(`/channels/${channel_id}/wal.jsonl`, torn)
    await store[Symbol.asyncDispose]()

    const opened = await place.open()
    await using again = await openWorld({ store: opened })
    expect(await again.hub.readWal(channel_id)).toEqual(wal)
    expect(await opened.read(`/channels/${channel_id}/torn-${size}`)).toEqual(torn)
    const id = await say(again.hub, channel_id, ann.id, "after")
    expect((await again.hub.readWal(channel_id)).at(-1)?.envelope_id).toBe(id)
    await again.hub.close()
    await opened[Symbol.asyncDispose]()
  })
})

/** A hub with ann, bob and a conversation between them; then closed. */
async function stored(): Promise<{
  store: MemoryStore
  time: FakeTime
  ann: string
  bob: string
  channel: string
}> {
  const store = new MemoryStore()
  const world = await openWorld({ store })
  const [ann, bob] = [await join(world.hub, "ann"), await join(world.hub, "bob")]
  const channel = await conversation(world.hub, ann, bob)
  await say(world.hub, channel, ann.id)
  await settle()
  await world.hub.close()
  return { store, time: world.time, ann: ann.id, bob: bob.id, channel }
}

async function edit(store: KnowledgeStore, path: string, change: (text: string) => string): Promise<void> {
  await store.write(path, change((await readText(store, path)) ?? ""))
}

describe("D1, D2: one bad thing is quarantined, the rest is served", () => {
  test.each<[string, (text: string) => string]>([
    ["a bad line in the middle", (text) => text.replace("\n", "\nnot json\n")],
    ["a line that is no envelope", (text) => `{"a": 1}\n${text}`],
    ["a wrong type", (text) => text.replace('"depth": 0', '"depth": "deep"')],
  ])("a channel whose log has %s", async (_what, change) => {
    const { store, time, ann, bob, channel } = await stored()
    const path = `/channels/${channel}/wal.jsonl`
    await edit(store, path, change)
    const before = await readText(store, path)
    await using world = await openWorld({ store, time, audit: { coverage: "full" } })
    const { hub, log } = world
    expect(hub.health()).toMatchObject({ quarantined: 1, registered_agents: 2, active_channels: 0 })
    expect(await readText(store, path)).toBe(before)
    await expect(hub.getChannel(channel)).rejects.toMatchObject({ code: "not_found" })
    expect(log.some(({ level, message }) => level === "error" && message.startsWith("quarantined"))).toBe(
      true,
    )
    expect(await recordsOf(hub, "quarantined")).toMatchObject([{ path: `/channels/${channel}` }])
    const opening = hub.createChannel({ creator_id: ann, manifest_type: "conversation", participants: [bob] })
    const refused = expect(opening).rejects.toThrow(ProtocolError)
    await settle()
    await hub.closeChannel((await hub.listChannels())[0]?.channel_id ?? "")
    await refused
  })

  test.each(["half a file", '{"name": 5, "agent_id": "x"}', ""])(
    "an identity whose passport is %j",
    async (text) => {
      const { store, ann } = await stored()
      await store.write(`/agents/${ann}/passport.json`, text)
      await using world = await openWorld({ store })
      expect(world.hub.health()).toMatchObject({ quarantined: 1, registered_agents: 1, active_channels: 1 })
      expect(await readText(store, `/agents/${ann}/passport.json`)).toBe(text)
    },
  )

  test.each(["metadata.json", "passport.json"])("bad %s of everything still opens", async (name) => {
    const { store } = await stored()
    for (const folder of ["agents", "channels"]) {
      for (const id of await store.list(`/${folder}`)) {
        if (await store.exists(`/${folder}/${id}${name}`)) await store.write(`/${folder}/${id}${name}`, "[]")
      }
    }
    await using world = await openWorld({ store })
    expect(world.hub.health().quarantined).toBeGreaterThan(0)
  })

  test("cursors that cannot be read mean delivery once more, not quarantine", async () => {
    const { store, bob } = await stored()
    await store.write(`/agents/${bob}/inbox.cursors.json`, "{")
    await using world = await openWorld({ store })
    expect(world.hub.health()).toMatchObject({ quarantined: 0, pending_inbox_total: 1 })
  })
})

test("D3: fields of a newer version are tolerated, and kept when the file is written again", async () => {
  const { store, ann, channel } = await stored()
  const add = (text: string): string => text.replace("{", '{"from_the_future": {"a": 1}, ')
  for (const file of ["passport", "rule", "resume"]) await edit(store, `/agents/${ann}/${file}.json`, add)
  await edit(store, `/channels/${channel}/metadata.json`, add)
  await edit(store, `/channels/${channel}/wal.jsonl`, add)
  await using world = await openWorld({ store })
  const { hub } = world
  expect(hub.health()).toMatchObject({ quarantined: 0, registered_agents: 2, active_channels: 1 })
  await hub.setRule(ann, {})
  await hub.setResume(ann, { summary: "x" })
  await hub.closeChannel(channel)
  for (const path of [
    `/agents/${ann}/rule.json`,
    `/agents/${ann}/resume.json`,
    `/agents/${ann}/passport.json`,
    `/channels/${channel}/metadata.json`,
    `/channels/${channel}/wal.jsonl`,
  ]) {
    expect(await readText(store, path)).toContain("from_the_future")
  }
})

describe("C13: a crash in the middle of a registration", () => {
  test.each(["resume.json", "rule.json", "SKILL.md", "passport.json"])(
    "before %s leaves nobody",
    async (file) => {
      const inner = new MemoryStore()
      const store = new FlakyStore(inner)
      const world = await openWorld({ store })
      let dead = false
      store.decide = (_operation, path) => {
        // From then on nothing is written: not even the tidying up.
        if (path.endsWith(file)) dead = true
        return dead ? "not persisted" : undefined
      }
      await expect(registerOnly(world.hub, "ann", { skill_md: "x" })).rejects.toMatchObject({
        code: "store_unavailable",
      })
      expect(await world.hub.findAgentId("ann")).toBeNull()
      await using again = await openWorld({ store: MemoryStore.from(inner) })
      expect(again.hub.health()).toMatchObject({ registered_agents: 0, quarantined: 0 })
      await registerOnly(again.hub, "ann")
    },
  )
})

describe("C14: a crash between a channel's log and its metadata", () => {
  /** Runs `change` in a hub that cannot write metadata, and opens what it leaves. */
  async function crash(
    change: (world: World, channel: string) => Promise<unknown>,
  ): Promise<[World, string]> {
    const inner = new MemoryStore()
    const store = new FlakyStore(inner)
    const world = await openWorld({ store })
    const [ann, bob] = [await registerOnly(world.hub, "ann"), await registerOnly(world.hub, "bob")]
    const opening = world.hub.createChannel({
      creator_id: ann,
      manifest_type: "consulting",
      participants: [bob],
    })
    opening.catch(() => {})
    await settle()
    const channel = (await world.hub.listChannels())[0]?.channel_id ?? ""
    await change(
      {
        ...world,
        get store() {
          store.decide = (_operation, path) => (path.endsWith("metadata.json") ? "not persisted" : undefined)
          return store
        },
      },
      channel,
    )
    return [await openWorld({ store: MemoryStore.from(inner), time: world.time }), channel]
  }

  const accept = async ({ hub }: World, channel_id: string): Promise<void> => {
    const sender_id = (await hub.findAgentId("bob")) ?? ""
    await hub.postEnvelope({ channel_id, sender_id, event_type: INVITE_ACK, event_data: {} })
  }

  test("the end is in the log: the channel has ended, and the record says so once", async () => {
    const [world, channel] = await crash(async (before, id) => {
      await accept(before, id)
      void before.store
      await before.hub.closeChannel(id, "crashed")
    })
    await using again = world
    expect(await again.hub.getChannel(channel)).toMatchObject({ state: "closed", close_reason: "crashed" })
    expect(await recordsOf(again.hub, "channel_closed")).toHaveLength(1)
    expect(again.hub.health().active_channels).toBe(0)
    expect(await readText(again.store, `/channels/${channel}/metadata.json`)).toContain('"state":"closed"')
    await expect(say(again.hub, channel, (await again.hub.findAgentId("ann")) ?? "")).rejects.toThrow(
      ProtocolError,
    )
  })

  test("the opening is in the log: the channel is open", async () => {
    const [world, channel] = await crash(async (before, id) => {
      void before.store
      await accept(before, id)
    })
    await using again = world
    expect(await again.hub.getChannel(channel)).toMatchObject({ state: "active", pending_acks: [] })
    const opened = (await again.hub.readWal(channel)).filter(
      ({ event_type }) => event_type === "ag2.channel.opened",
    )
    expect(opened).toHaveLength(1)
    await say(again.hub, channel, (await again.hub.findAgentId("ann")) ?? "")
  })

  test("the last text is in the log, the end that follows from it is not", async () => {
    const [world, channel] = await crash(async (before, id) => {
      await accept(before, id)
      const [ann, bob] = [await before.hub.findAgentId("ann"), await before.hub.findAgentId("bob")]
      await say(before.hub, id, ann ?? "")
      const store = before.store as FlakyStore
      // The text goes through; what the hub adds to it does not.
      let appends = 0
      store.decide = (operation, path) =>
        path.startsWith("/channels/") && (operation !== "append" || ++appends > 1)
          ? "not persisted"
          : undefined
      // B7: it is in the log, so it was sent.
      await say(before.hub, id, bob ?? "")
      expect(before.seen.of("rejected")).toEqual([])
      expect((await before.hub.getChannel(id)).state).toBe("active")
    })
    await using again = world
    expect(await again.hub.getChannel(channel)).toMatchObject({
      state: "closed",
      close_reason: "consulting_complete",
    })
  })
})

test("D5: an invitation that nobody waits for any more times out at the first sweep", async () => {
  const store = new MemoryStore()
  const world = await openWorld({ store })
  const [ann, bob] = [await registerOnly(world.hub, "ann"), await registerOnly(world.hub, "bob")]
  const opening = world.hub.createChannel({
    creator_id: ann,
    manifest_type: "conversation",
    participants: [bob],
  })
  const abandoned = expect(opening).rejects.toMatchObject({ code: "closed" })
  await settle()
  await world.hub.close()
  await abandoned
  await using again = await openWorld({ store, time: world.time })
  const { hub, time } = again
  expect((await hub.listChannels())[0]?.state).toBe("pending")
  await hub.expireDue()
  expect((await hub.listChannels())[0]?.state).toBe("pending")
  time.set(time.clock() + 30_000)
  await hub.expireDue()
  expect((await hub.listChannels())[0]).toMatchObject({ state: "closed", close_reason: "invite_timeout" })
})

test("D7: ids go on above what is stored, even when the clock was set back", async () => {
  const { store, time, ann, channel } = await stored()
  // Nothing but the log to go by.
  for (const id of await store.list("/agents")) await store.delete(`/agents/${id}inbox.cursors.json`)
  time.set(time.clock() - 86_400_000)
  await using world = await openWorld({ store, time })
  const id = await say(world.hub, channel, ann)
  const ids = (await world.hub.readWal(channel)).map(({ envelope_id }) => envelope_id)
  expect(ids.at(-1)).toBe(id)
  expect(ids).toEqual(ids.toSorted())
})

test("D7: the same with nothing but an ended channel to go by", async () => {
  const { store, time, channel } = await stored()
  const world = await openWorld({ store, time })
  await world.hub.closeChannel(channel)
  await world.hub.close()
  const last =
    (await readText(store, `/channels/${channel}/wal.jsonl`))?.match(/"envelope_id": "(\w+)"/g)?.at(-1) ?? ""
  for (const id of await store.list("/agents")) await store.delete(`/agents/${id}inbox.cursors.json`)
  time.set(time.clock() - 86_400_000)
  await using again = await openWorld({ store, time })
  const { hub } = again
  const names = ["ann", "bob"].map((name) => hub.findAgentId(name))
  const [ann, bob] = await Promise.all(names)
  void hub
    .createChannel({ creator_id: ann ?? "", manifest_type: "conversation", participants: [bob ?? ""] })
    .catch(() => {})
  await settle()
  const newest = (await hub.listChannels()).at(-1)?.channel_id ?? ""
  const [invite] = await hub.readWal(newest)
  expect(`"envelope_id": "${invite?.envelope_id ?? ""}"` > last).toBe(true)
})

test("an end that follows from an envelope and cannot be written comes at the next sweep", async () => {
  const store = new FlakyStore(new MemoryStore())
  await using world = await openWorld({ store })
  const { hub, seen } = world
  const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
  const request = { creator_id: ann.id, manifest_type: "consulting", participants: [bob.id] }
  const { channel_id } = await hub.createChannel(request)
  await say(hub, channel_id, ann.id)
  await settle()
  let appends = 0
  store.decide = (operation, path) =>
    operation === "append" && path.endsWith("wal.jsonl") && ++appends > 1 ? "not persisted" : undefined
  await say(hub, channel_id, bob.id)
  expect((await hub.getChannel(channel_id)).state).toBe("active")
  await hub.expireDue()
  expect((await hub.getChannel(channel_id)).state).toBe("active")
  store.decide = () => undefined
  await hub.expireDue()
  expect(await hub.getChannel(channel_id)).toMatchObject({
    state: "closed",
    close_reason: "consulting_complete",
  })
  expect(seen.of("closed")).toHaveLength(1)
})

test("a failed append changes nothing, even if the store kept it: the next one goes where it should", async () => {
  const inner = new MemoryStore()
  const store = new FlakyStore(inner)
  await using world = await openWorld({ store })
  const { hub } = world
  const [ann, bob] = [await join(hub, "ann"), await join(hub, "bob")]
  const channel = await conversation(hub, ann, bob)
  const before = await hub.readWal(channel)
  for (const failure of ["not persisted", "persisted"] as const) {
    store.decide = (operation, path) =>
      operation === "append" && path.endsWith("wal.jsonl") ? failure : undefined
    await expect(say(hub, channel, ann.id)).rejects.toMatchObject({ code: "store_unavailable" })
    store.decide = () => undefined
  }
  const id = await say(hub, channel, ann.id, "kept")
  expect((await hub.readWal(channel)).map(({ envelope_id }) => envelope_id)).toEqual([
    ...before.map(({ envelope_id }) => envelope_id),
    id,
  ])
  await hub.close()
  await using again = await openWorld({ store: MemoryStore.from(inner) })
  expect((await again.hub.readWal(channel)).at(-1)).toMatchObject({
    event_type: TEXT,
    event_data: { text: "kept" },
  })
})

test("a receipt whose cursor could not be written can be given again", async () => {
  const inner = new MemoryStore()
  const store = new FlakyStore(inner)
  await using world = await openWorld({ store })
  const { hub } = world
  const [ann, bob] = [await join(hub, "ann"), await registerOnly(hub, "bob")]
  const got: string[] = []
  const connection = await hub.connect(({ envelope }) => void got.push(envelope.envelope_id))
  await connection.attach("bob")
  const opening = hub.createChannel({
    creator_id: ann.id,
    manifest_type: "conversation",
    participants: [bob],
  })
  await settle()
  const channel_id = (await hub.listChannels())[0]?.channel_id ?? ""
  await connection.postEnvelope({ channel_id, sender_id: bob, event_type: INVITE_ACK, event_data: {} })
  await opening
  const envelope_id = await say(hub, channel_id, ann.id)
  const receipt = { envelope_id, status: "ack" as const, recipient_id: bob, channel_id }
  await settle()
  for (const before of got.slice(0, -1)) await connection.receipt({ ...receipt, envelope_id: before })
  store.decide = (_operation, path) => (path.endsWith("cursors.json") ? "not persisted" : undefined)
  await expect(connection.receipt(receipt)).rejects.toMatchObject({ code: "store_unavailable" })
  store.decide = () => undefined
  await connection.receipt(receipt)
  expect(await readText(inner, `/agents/${bob}/inbox.cursors.json`)).toContain(envelope_id)
})
