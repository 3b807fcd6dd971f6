/** How one proves to be somebody: schemes, challenges, administrators, and what failing costs. */
import { describe, expect, test } from "vitest"
import { AgentKey, HubClient } from "../../src/client/index.ts"
import {
  ApiKeyAuth,
  AuthRegistry,
  BearerAuth,
  hashAdminToken,
  noneAuth,
  type HubOptions,
} from "../../src/hub/index.ts"
import type { HubConnection } from "../../src/model/index.ts"
import { MemoryStore } from "../../src/store/memory.ts"
import { seededBytes } from "../support/fake-time.ts"
import { openWorld, recordsOf, type World } from "./world.ts"

const TOKEN = "0123456789abcdef0123456789abcdef"

async function connect(
  world: World,
  options: Parameters<World["hub"]["connect"]>[1] = {},
): Promise<HubConnection> {
  return await world.hub.connect(() => {}, options)
}

describe("none", () => {
  const table: [HubOptions["allowNone"], ("process" | "loopback" | "network")[]][] = [
    [undefined, ["process", "loopback"]],
    ["never", []],
    ["loopback", ["process", "loopback"]],
    ["anywhere", ["process", "loopback", "network"]],
  ]
  test.each(table)("allowNone %s: proves somebody from %s alone", async (allowNone, good) => {
    await using world = await openWorld(allowNone === undefined ? {} : { allowNone })
    const known = await world.hub.registerIdentity({ passport: { name: "known" } })
    for (const origin of ["process", "loopback", "network"] as const) {
      const connection = await connect(world, { origin })
      const registered = await connection.registerIdentity({ passport: { name: origin } }).then(
        () => true,
        ({ code }: { code: string }) => code,
      )
      expect(registered).toBe(good.includes(origin) ? true : "auth_failed")
      const attached = await connection.attach("known").then(
        ({ agent_id }) => agent_id,
        ({ code }: { code: string }) => code,
      )
      expect(attached).toBe(good.includes(origin) ? known.agent_id : "auth_failed")
    }
  })

  test("S-2: a connection registers no remote agent without proof", async () => {
    await using world = await openWorld({ auth: new AuthRegistry([new ApiKeyAuth({ tokens: {} })]) })
    const connection = await connect(world)
    const passport = { name: "peer", kind: "remote_agent", auth: { scheme: "hub" } } as const
    await expect(connection.registerIdentity({ passport })).rejects.toMatchObject({ code: "auth_failed" })
    // Whoever holds the hub itself may: that is how a peer of another hub is made known.
    expect((await world.hub.registerIdentity({ passport })).kind).toBe("remote_agent")
  })
})

describe("ed25519", () => {
  const key = new AgentKey(seededBytes(1)(32))

  test("ed25519: an answer proves one name, to one hub, once", async () => {
    const store = new MemoryStore()
    await using world = await openWorld({ store, hubId: "here" })
    const connection = await connect(world, { origin: "network" })
    const first = await connection.challenge("ann")
    const passport = await connection.registerIdentity({
      passport: { name: "ann", auth: key.answer("ann", first, "here") },
    })
    expect(passport.auth).toMatchObject({ scheme: "ed25519", key_fingerprint: key.fingerprint })
    expect(JSON.stringify(passport)).not.toContain(first.challenge)
    const refused = { code: "auth_failed" }

    const other = await connect(world, { origin: "network", peer: "other" })
    await expect(other.attach("ann", key.answer("ann", first))).rejects.toMatchObject(refused) // used
    const second = await other.challenge("ann")
    await expect(other.attach("ann", key.answer("bob", second))).rejects.toMatchObject(refused) // another name
    await expect(other.attach("ann", key.answer("ann", second))).rejects.toMatchObject(refused) // used by that

    const third = await connect(world, { origin: "network", peer: "third" })
    const asked = await third.challenge("ann")
    const elsewhere = key.answer("ann", { ...asked, hub_id: "there" })
    await expect(third.attach("ann", elsewhere)).rejects.toMatchObject(refused)
    const stranger = new AgentKey(seededBytes(2)(32))
    const forged = stranger.answer("ann", await third.challenge("ann"))
    await expect(third.attach("ann", forged)).rejects.toMatchObject(refused)
    const late = await third.challenge("ann")
    await world.time.advance(60_000)
    await expect(third.attach("ann", key.answer("ann", late))).rejects.toMatchObject(refused)

    const fourth = await connect(world, { origin: "network", peer: "fourth" })
    const none = { scheme: "none" }
    await expect(fourth.attach("ann", none)).rejects.toMatchObject(refused) // the client does not choose
    expect((await fourth.attach("ann", key.answer("ann", await fourth.challenge("ann")))).agent_id).toBe(
      passport.agent_id,
    )
  })

  test("the key that a passport names has to be the one that signs", async () => {
    await using world = await openWorld()
    const connection = await connect(world)
    const auth = { ...key.answer("ann", await connection.challenge("ann")), key_fingerprint: "sha256:00" }
    await expect(connection.registerIdentity({ passport: { name: "ann", auth } })).rejects.toMatchObject({
      code: "auth_failed",
    })
  })

  test("a client proves itself with its key, and signs for no hub but the one it means", async () => {
    await using world = await openWorld({ hubId: "here", allowNone: "never" })
    await using client = await HubClient.connect(world.hub, { hubId: "here" })
    const ann = await client.register({ name: "ann" }, { key })
    await using again = await HubClient.connect(world.hub)
    expect((await again.attach("ann", { key })).agentId).toBe(ann.agentId)
    await using lost = await HubClient.connect(world.hub, { hubId: "there" })
    await expect(lost.attach("ann", { key })).rejects.toMatchObject({ code: "auth_failed" })
  })
})

describe("tokens of others", () => {
  test("oidc: issuer and subject are kept, and no other token proves the name", async () => {
    const store = new MemoryStore()
    const verify = async (token: string): Promise<{ issuer: string; subject: string }> => {
      const [issuer = "", subject = ""] = token.split("/")
      if (issuer === "bad") throw new Error("the signature is wrong")
      return { issuer, subject }
    }
    await using world = await openWorld({ store, auth: new AuthRegistry([new BearerAuth(verify)]) })
    const connection = await connect(world, { origin: "network" })
    const claim = (token: string) => ({ scheme: "oidc", claim: { token } })
    const { agent_id } = await connection.registerIdentity({
      passport: { name: "ann", auth: claim("https:/ann/secret-part") },
    })
    const stored = new TextDecoder().decode(await store.read(`/agents/${agent_id}/credential.json`))
    expect(JSON.parse(stored)).toEqual({ scheme: "oidc", issuer: "https:", subject: "ann" })
    for (const token of ["https:/bob/x", "other/ann/x", "bad/ann/x", ""]) {
      const other = await connect(world, { origin: "network" })
      await expect(other.attach("ann", claim(token))).rejects.toMatchObject({ code: "auth_failed" })
    }
    const other = await connect(world, { origin: "network" })
    expect((await other.attach("ann", claim("https:/ann/newer"))).agent_id).toBe(agent_id)
  })
})

describe("administrators", () => {
  test("prove themselves by a token that the hub knows as a hash alone", async () => {
    await using world = await openWorld({
      admins: { root: hashAdminToken(TOKEN) },
      audit: { coverage: "full" },
    })
    const connection = await connect(world, { origin: "network" })
    const wrong = connection.proveAdmin("root", `${TOKEN}x`)
    await expect(wrong).rejects.toMatchObject({ code: "auth_failed" })
    await expect(connection.proveAdmin("toor", TOKEN)).rejects.toMatchObject({ code: "auth_failed" })
    await expect(connection.listChannels()).rejects.toMatchObject({ code: "access_denied" })
    await connection.proveAdmin("root", TOKEN)
    expect(await connection.listChannels()).toEqual([])
    expect(await recordsOf(world.hub, "auth_failed")).toMatchObject([
      { name: "root", scheme: "admin" },
      { name: "toor", scheme: "admin" },
    ])
    expect(JSON.stringify(await world.hub.auditLog.readAll())).not.toContain(TOKEN)
  })

  test("options hold hashes, never tokens, and no short ones", async () => {
    expect(() => hashAdminToken("short")).toThrow("24 to")
    await expect(openWorld({ admins: { root: TOKEN } })).rejects.toMatchObject({ code: "invalid_input" })
  })
})

describe("failing", () => {
  test("slows the next attempts of that peer at that name down, and nobody else's", async () => {
    const auth = new AuthRegistry([noneAuth, new ApiKeyAuth({ tokens: { ann: "right" } })])
    await using world = await openWorld({ auth, audit: { coverage: "full" } })
    const key = (token: string) => ({ scheme: "api_key", claim: { token } })
    await world.hub.registerIdentity({ passport: { name: "ann", auth: key("right") } })
    const guesser = await connect(world, { peer: "203.0.113.9" })
    for (let i = 0; i < 4; i++) {
      await expect(guesser.attach("ann", key(`guess ${i}`))).rejects.toMatchObject({ code: "auth_failed" })
    }
    // From another connection too, and with the right token: it is not looked at.
    const again = await connect(world, { peer: "203.0.113.9" })
    await expect(again.attach("ann", key("right"))).rejects.toMatchObject({ code: "rate_limited" })
    const elsewhere = await connect(world, { peer: "203.0.113.10" })
    expect((await elsewhere.attach("ann", key("right"))).name).toBe("ann")
    await world.time.advance(1_000)
    await expect(guesser.attach("ann", key("guess"))).rejects.toMatchObject({ code: "auth_failed" })
    await world.time.advance(1_000)
    await expect(again.attach("ann", key("right"))).rejects.toMatchObject({ code: "rate_limited" })
    await world.time.advance(1_000)
    expect((await again.attach("ann", key("right"))).name).toBe("ann")
    expect(await recordsOf(world.hub, "auth_failed")).toHaveLength(5)
  })
})
