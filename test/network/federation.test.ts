/** Agents of one hub as participants of another: in one process, and over WebSocket. */
import { expect, onTestFinished, test } from "vitest"
import { Federation, HubClient, remoteHub, type FederatedHub } from "../../src/client/index.ts"
import { Hub } from "../../src/hub/index.ts"
import { hubAddress, parseHubAddress, TEXT } from "../../src/model/index.ts"
import type { Envelope, HubLink } from "../../src/model/index.ts"
import { MemoryStore } from "../../src/store/index.ts"
import { serveHub } from "./world.ts"

async function client(link: HubLink): Promise<HubClient> {
  const made = await HubClient.connect(link)
  onTestFinished(() => made.close())
  return made
}

async function side(hubId: string, overSocket: boolean): Promise<FederatedHub & { readonly hub: Hub }> {
  if (overSocket) {
    const { hub, server } = await serveHub({ hub: { hubId } })
    return { hub, hubId, client: await client(remoteHub(server.hubUrl)) }
  }
  const hub = await Hub.open(new MemoryStore(), { hubId, audit: { coverage: "full" } })
  onTestFinished(() => hub.close())
  return { hub, hubId, client: await client(hub) }
}

test.each([
  ["in one process", false],
  ["over WebSocket", true],
])("an agent of another hub is asked and answers, %s", async (_how, overSocket) => {
  const [near, far] = [await side("near", overSocket), await side("far", overSocket)]
  const heard: unknown[] = []
  const bob = await (
    await client(far.hub)
  ).register(
    { name: "bob" },
    {
      onTurn: ({ text, envelope, senderName }) => {
        heard.push([senderName, envelope.event_data["from"], envelope.depth])
        return `bob: ${text}`
      },
    },
  )
  const federation = await Federation.open({ near, far })
  const standIn = await federation.bring("bob")
  expect(standIn.name).toBe(hubAddress("far", bob.agentId))
  expect(parseHubAddress(standIn.name)).toEqual({ hubId: "far", agentId: bob.agentId })
  const ann = await (await client(near.hub)).register({ name: "ann" })

  // One question, one answer: both channels end.
  expect(await ann.delegate(standIn.name, "how are you?", { timeoutMs: 10_000 })).toBe("bob: how are you?")
  expect(heard).toEqual([["hub://near", hubAddress("near", ann.agentId), 2]])
  const states = async (hub: Hub): Promise<string[]> => (await hub.listChannels()).map(({ state }) => state)
  await expect.poll(() => states(far.hub)).toEqual(["closed"])

  // A talk: answers name what they answer, nothing is there twice, and its end is the other's end.
  const channel = await ann.open({ target: standIn.name })
  const sent = await channel.send("one")
  const answer = await channel.waitFor(({ causation_id }) => causation_id === sent, { after: sent })
  expect(answer.event_data["text"]).toBe("bob: one")
  await channel.close("enough")
  await expect.poll(() => states(far.hub)).toEqual(["closed", "closed"])
  const texts = async (hub: Hub): Promise<unknown[]> => {
    const last = (await hub.listChannels()).at(-1)
    const wal = await hub.readWal(last?.channel_id ?? "")
    return wal.filter(({ event_type }) => event_type === TEXT).map(({ event_data }) => event_data["text"])
  }
  expect(await texts(near.hub)).toEqual(["one", "bob: one"])
  expect(await texts(far.hub)).toEqual(["one", "bob: one"])
})

test("who is not there, and who does not want to, is refused on the near hub", async () => {
  const [near, far] = [await side("near", false), await side("far", false)]
  const federation = await Federation.open({ near, far })
  await expect(federation.bring("nobody")).rejects.toMatchObject({ code: "not_found" })
  await (await client(far.hub)).register({ name: "bob" }, { onInvite: () => false })
  const standIn = await federation.bring("bob")
  const ann = await (await client(near.hub)).register({ name: "ann" })
  await expect(ann.open({ target: standIn.name })).rejects.toThrow("invite_rejected")
  expect((await near.hub.listChannels()).map(({ state }) => state)).toEqual(["closed"])
})

test("a federation that was restarted goes on in the channels that were open", async () => {
  const [near, far] = [await side("near", false), await side("far", false)]
  const bob = await (
    await client(far.hub)
  ).register({ name: "bob" }, { onTurn: ({ text }) => `bob: ${text}` })
  const first = await Federation.open({ near, far })
  const standIn = await first.bring("bob")
  const ann = await (await client(near.hub)).register({ name: "ann" })
  const channel = await ann.open({ target: standIn.name })
  await near.client.close()
  await far.client.close()
  // Said while nobody carries it.
  const sent = await channel.send("are you there?")
  const [elsewhere] = await far.hub.listChannels()
  await (await bob.channel(elsewhere?.channel_id ?? "")).send("I was just saying")
  const again = await Federation.open({
    near: { ...near, client: await client(near.hub) },
    far: { ...far, client: await client(far.hub) },
  })
  await again.bring("bob")
  for (const text of ["bob: are you there?", "I was just saying"]) {
    const says = ({ event_data }: Envelope): boolean => event_data["text"] === text
    await channel.waitFor(says, { after: sent, timeoutMs: 20_000 })
  }
  expect(await far.hub.listChannels()).toHaveLength(1)
})

/** A hub whose receipts are lost from now on, as when a process dies between an answer and its receipt. */
function withoutReceipts(hub: Hub): HubLink {
  return {
    connect: async (deliver, options) => {
      const connection = await hub.connect(deliver, options)
      return new Proxy(connection, {
        get: (target, name) => {
          const value: unknown = Reflect.get(target, name, target)
          if (name === "receipt") return async () => {}
          return typeof value === "function" ? (value.bind(target) as unknown) : value
        },
      })
    },
  }
}

test("what was carried and not acknowledged is carried again, and is there once", async () => {
  const [near, far] = [await side("near", false), await side("far", false)]
  const bob = await (await client(far.hub)).register({ name: "bob" })
  const ann = await (await client(near.hub)).register({ name: "ann" })
  const dying = {
    near: { ...near, client: await client(withoutReceipts(near.hub)) },
    far: { ...far, client: await client(withoutReceipts(far.hub)) },
  }
  const standIn = await (await Federation.open(dying)).bring("bob")
  const channel = await ann.open({ target: standIn.name })
  const elsewhere = await bob.channel((await far.hub.listChannels())[0]?.channel_id ?? "")
  const textsIn = async (hub: Hub): Promise<unknown[]> => {
    const [only] = await hub.listChannels()
    const wal = await hub.readWal(only?.channel_id ?? "")
    return wal.filter(({ event_type }) => event_type === TEXT).map(({ event_data }) => event_data["text"])
  }
  // Out, and back; neither with a cause that would tell a repetition by itself.
  await channel.send("out")
  await expect.poll(() => textsIn(far.hub)).toEqual(["out"])
  await elsewhere.send("back")
  await expect.poll(() => textsIn(near.hub)).toEqual(["out", "back"])
  await dying.near.client.close()
  await dying.far.client.close()

  const again = await Federation.open({ near, far })
  await again.bring("bob")
  // Those that come again come before these.
  await channel.send("out again")
  await expect.poll(() => textsIn(far.hub)).toContain("out again")
  await elsewhere.send("back again")
  await expect.poll(() => textsIn(near.hub)).toContain("back again")
  expect(await textsIn(far.hub)).toEqual(["out", "back", "out again", "back again"])
  expect(await textsIn(near.hub)).toEqual(["out", "back", "out again", "back again"])
})

test("two federations, one each way: agents of either hub invite those of the other", async () => {
  const [near, far] = [await side("near", false), await side("far", false)]
  const ann = await (
    await client(near.hub)
  ).register({ name: "ann" }, { onTurn: ({ text }) => `ann: ${text}` })
  const bob = await (
    await client(far.hub)
  ).register({ name: "bob" }, { onTurn: ({ text }) => `bob: ${text}` })
  // Over the same two connections.
  const outward = await Federation.open({ near, far })
  const inward = await Federation.open({ near: far, far: near })
  const [bobHere, annThere] = [await outward.bring("bob"), await inward.bring("ann")]
  expect(annThere.name).toBe(hubAddress("near", ann.agentId))

  const asker = await (await client(far.hub)).register({ name: "eve" })
  expect(await asker.delegate(annThere.name, "who?", { timeoutMs: 10_000 })).toBe("ann: who?")
  const other = await (await client(near.hub)).register({ name: "zoe" })
  expect(await other.delegate(bobHere.name, "who?", { timeoutMs: 10_000 })).toBe("bob: who?")
  await bob.unregister()
})

test("hubs that point at each other end at the limit of delegations", async () => {
  const [near, far] = [await side("near", false), await side("far", false)]
  const there = await client(far.hub)
  await there.register({ name: "bob" }, { onTurn: (turn) => turn.delegate(loop, turn.text) })
  const outward = await Federation.open({ near, far })
  const inward = await Federation.open({ near: far, far: near })
  const bobHere = await outward.bring("bob")
  // Bob as the near hub knows him, on the far hub: whoever asks him there asks Bob.
  const loop = (await inward.bring(bobHere.name)).name
  const ann = await (await client(near.hub)).register({ name: "ann" })
  const abort = new AbortController()
  const asking = ann.delegate(bobHere.name, "round and round", { signal: abort.signal })
  asking.catch(() => {})
  const failed = (): Promise<number> =>
    far.hub.auditLog.query({ kind: "turn_failed" }).then(({ records }) => records.length)
  await expect.poll(failed, { timeout: 10_000 }).toBe(1)
  abort.abort()
  await expect(asking).rejects.toBe(abort.signal.reason)
  const depths = async (hub: Hub): Promise<number[]> => {
    const channels = await hub.listChannels()
    const wals = await Promise.all(channels.map(({ channel_id }) => hub.readWal(channel_id)))
    return wals.flat().map(({ depth }) => depth)
  }
  const all = [...(await depths(near.hub)), ...(await depths(far.hub))]
  expect(Math.max(...all)).toBeLessThanOrEqual(6)
  expect(Math.max(...all)).toBeGreaterThanOrEqual(4)
})

test("addresses", () => {
  expect(parseHubAddress(hubAddress("a/b", "c d"))).toEqual({ hubId: "a/b", agentId: "c d" })
  for (const bad of [
    "",
    "hub://",
    "hub://a",
    "hub://a/",
    "hub:///b",
    "hub://a/b/c",
    "http://a/b",
    "hub://a/%",
  ]) {
    expect(parseHubAddress(bad), bad).toBeUndefined()
  }
})
