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
