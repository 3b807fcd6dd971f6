import { onTestFinished, describe, expect, test } from "vitest"
import { HubClient } from "../../src/client/index.ts"
import { Hub } from "../../src/hub/index.ts"
import type { Access } from "../../src/server/index.ts"
import { MemoryStore } from "../../src/store/index.ts"
import type { AgentAnswer, AgentsPage, ChannelsPage, ChannelStory } from "../../src/wire/http.ts"
import { logKey, openWorld } from "./world.ts"

/** Two agents have talked, and a third has come and gone. With and without the hub the service is asked about them. */
async function setUp(access?: Partial<Access>) {
  const store = new MemoryStore()
  const hub = await Hub.open(store, { audit: { coverage: "full", ledger: { signer: logKey() } } })
  const client = await HubClient.connect(hub)
  const ana = await client.register({ name: "ana" }, { resume: { summary: "asks" } })
  await client.register(
    { name: "ben" },
    { onTurn: ({ text }) => `not ${text}`, resume: { summary: "answers" } },
  )
  const eve = await client.register({ name: "eve" })
  const channel = await ana.open({ target: "ben" })
  const sent = await channel.send("yes?")
  await channel.waitFor((envelope) => envelope.causation_id === sent, { after: sent })
  await channel.close("enough")
  const other = await ana.open({ target: "ben" })
  await hub.unregister(eve.agentId)
  const authorize = (): Access => ({ name: "t", scopes: ["read"], limits: null, ...access })
  const world = await openWorld({ log: hub.auditLog, hub, ...(access === undefined ? {} : { authorize }) })
  const bare = await openWorld({ log: hub.auditLog })
  onTestFinished(async () => {
    await world.stop()
    await bare.stop()
    await client.close()
    await hub.close()
  })
  const get = async <T>(path: string, of = world): Promise<T> => {
    const response = await fetch(of.url + path)
    expect(response.status, path).toBe(200)
    return (await response.json()) as T
  }
  return { world, bare, get, ana, eve, channel, other }
}

describe("channels", () => {
  test("a story is the log's records and the write-ahead log, each in its own order, merged by time", async () => {
    const { get, channel, world } = await setUp()
    const path = `/v1/channels/${channel.channelId}`
    const story = await get<ChannelStory>(path)
    const wal = story.events.filter(({ source }) => source === "wal")
    const audit = story.events.filter(({ source }) => source === "audit")
    expect(wal.map((event) => event.source === "wal" && event.position)).toEqual([0, 1, 2, 3, 4, 5])
    expect(audit.map((event) => event.source === "audit" && event.record["kind"])).toEqual([
      "channel_created",
      "channel_opened",
      "channel_closed",
    ])
    const times = story.events.map(({ at }) => Date.parse(at ?? ""))
    expect(times).toEqual(times.toSorted((a, b) => a - b))
    expect(story.metadata?.state).toBe("closed")
    expect(Object.values(story.names).toSorted()).toEqual(["ana", "ben"])

    const paged: ChannelStory["events"][number][] = []
    let cursor: string | null = ""
    while (cursor !== null) {
      const page: ChannelStory = await get(`${path}?limit=2${cursor === "" ? "" : `&cursor=${cursor}`}`)
      paged.push(...page.events)
      cursor = page.next_cursor
    }
    expect(paged).toEqual(story.events)
    expect((await fetch(`${world.url}/v1/channels/nothing`)).status).toBe(404)
  })

  test("are listed newest first, with a hub and without one", async () => {
    const { get, channel, other, bare, ana } = await setUp()
    const ids = [other.channelId, channel.channelId]
    for (const of of [undefined, bare]) {
      const { channels } = await get<ChannelsPage>(`/v1/channels?agent=${ana.agentId}`, of)
      expect(channels.map(({ channel_id }) => channel_id)).toEqual(ids)
      expect(channels.map(({ state }) => state)).toEqual(["active", "closed"])
      expect(channels[1]).toMatchObject({ close_reason: "enough", creator_id: ana.agentId })
      const first = await get<ChannelsPage>("/v1/channels?limit=1", of)
      const second = await get<ChannelsPage>(`/v1/channels?limit=1&cursor=${first.next_cursor}`, of)
      expect([...first.channels, ...second.channels].map(({ channel_id }) => channel_id)).toEqual(ids)
      expect(second.next_cursor).toBe(null)
    }
    const { metadata, events } = await get<ChannelStory>(`/v1/channels/${channel.channelId}`, bare)
    expect(metadata).toBe(null)
    expect(events).toHaveLength(3)
  })

  test("who is limited to an agent, a channel or kinds sees no more of them than that", async () => {
    const { channel, other } = await setUp()
    const only = await setUp({ limits: { agents: ["nobody"] } })
    expect((await only.get<ChannelsPage>("/v1/channels")).channels).toEqual([])
    expect((await fetch(`${only.world.url}/v1/channels/${only.channel.channelId}`)).status).toBe(404)
    const kinds = await setUp({ limits: { kinds: ["channel_created", "channel_closed"] } })
    const story = await kinds.get<ChannelStory>(`/v1/channels/${kinds.channel.channelId}`)
    expect(story.events.map((event) => (event.source === "audit" ? event.record["kind"] : "wal"))).toEqual([
      "channel_created",
      "channel_closed",
    ])
    expect(channel.channelId).not.toBe(other.channelId)
  })
})

describe("agents", () => {
  test("are told with their history, and never with a claim", async () => {
    const { get, bare, eve, world } = await setUp()
    const { agents } = await get<AgentsPage>("/v1/agents")
    expect(agents.map(({ name }) => name)).toEqual(["ana", "ben"])
    expect((await get<AgentsPage>("/v1/agents?query=answers")).agents.map(({ name }) => name)).toEqual([
      "ben",
    ])
    const ben = await get<AgentAnswer>("/v1/agents/ben")
    expect(ben).toMatchObject({ is_registered: true, kind: "agent", pending_inbox: 0, rule: { version: 1 } })
    expect(ben.resume?.summary).toBe("answers")
    expect(ben.passport?.auth).toEqual({
      scheme: "none",
      issuer: null,
      audience: null,
      key_fingerprint: null,
    })
    expect(ben.history.at(-1)?.record["kind"]).toBe("agent_registered")
    for (const of of [world, bare]) {
      const gone = await get<AgentAnswer>(`/v1/agents/${eve.agentId}`, of)
      expect(gone).toMatchObject({ name: "eve", is_registered: false, passport: null })
      expect(gone.history.map(({ record }) => record["kind"])).toContain("agent_unregistered")
      expect(gone.registered_at).not.toBe(null)
    }
    const all = await get<AgentsPage>("/v1/agents", bare)
    expect(all.agents.map(({ name, is_registered }) => [name, is_registered])).toEqual([
      ["ana", true],
      ["ben", true],
      ["eve", false],
    ])
    expect((await fetch(`${world.url}/v1/agents/nobody`)).status).toBe(404)
  })
})
