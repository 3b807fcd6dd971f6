/** Signals: everything that waits takes one, in the hub's process and over a socket. */
import { describe, expect, expectTypeOf, onTestFinished, test } from "vitest"
import { Channel, HubClient, HumanClient, remoteHub, TaskHandle, Turn } from "../../src/client/index.ts"
import type { AgentClient, CallOptions, RemoteOptions } from "../../src/client/index.ts"
import { ACCESS, hashAdminToken, Hub, type AccessOp } from "../../src/hub/index.ts"
import type { HubApi, HubConnection, HubLink } from "../../src/model/index.ts"
import { textOf } from "../../src/model/index.ts"
import { MemoryStore } from "../../src/store/index.ts"
import { ADMIN_TOKEN, CALLS, scene, socketDoor, type Door, type Scene } from "../hub/calls.ts"
import { openWorld, type World } from "../hub/world.ts"
import { Relay } from "../network/relay.ts"
import { serveHub } from "../network/world.ts"

const QUICK: RemoteOptions = { backoffMs: 5, maxBackoffMs: 20, heartbeatMs: 0, requestTimeoutMs: 10_000 }
const OPS = Object.keys(ACCESS) as AccessOp[]

// What has no signal does not compile.

type Last<T extends readonly unknown[]> = Required<T> extends readonly [...unknown[], infer L] ? L : object
type Method = (...args: never[]) => Promise<unknown>
/** Of the methods that wait, those whose last parameter has no place for a signal. */
type WithoutSignal<T> = {
  [K in keyof T & string]: T[K] extends Method
    ? "signal" extends keyof NonNullable<Last<Parameters<T[K]>>>
      ? never
      : K
    : never
}[keyof T & string]

test("every method that waits takes a signal, as the compiler knows it", () => {
  expectTypeOf<WithoutSignal<HubApi>>().toEqualTypeOf<never>()
  expectTypeOf<WithoutSignal<HubConnection>>().toEqualTypeOf<never>()
  expectTypeOf<WithoutSignal<Hub>>().toEqualTypeOf<
    "hydrate" | "expireDue" | "checkExpectations" | "unregisterSweeper" | "close"
  >()
  expectTypeOf<WithoutSignal<HubLink>>().toEqualTypeOf<never>()
  expectTypeOf<WithoutSignal<AgentClient>>().toEqualTypeOf<never>()
  expectTypeOf<WithoutSignal<HumanClient>>().toEqualTypeOf<never>()
  expectTypeOf<WithoutSignal<Channel>>().toEqualTypeOf<never>()
  expectTypeOf<WithoutSignal<Turn>>().toEqualTypeOf<never>()
  expectTypeOf<WithoutSignal<TaskHandle>>().toEqualTypeOf<never>()
  // `close` is local.
  expectTypeOf<WithoutSignal<HubClient>>().toEqualTypeOf<"close">()
  // The check can fail.
  expectTypeOf<WithoutSignal<{ wait(id: string): Promise<void> }>>().toEqualTypeOf<"wait">()
  expectTypeOf<WithoutSignal<{ wait(id: string, o?: CallOptions): Promise<void> }>>().toEqualTypeOf<never>()
})

interface Here extends AsyncDisposable {
  readonly world: World
  readonly scene: Scene
  /** Acts as the owner, and administers. */
  readonly connection: HubConnection
}

async function here(way: "in process" | "over a socket"): Promise<Here> {
  const world = await openWorld({ admins: { root: hashAdminToken(ADMIN_TOKEN) } })
  const { hub } = world
  const door: Door =
    way === "in process" ? (origin) => hub.connect(() => {}, { origin }) : await socketDoor(hub)
  const made = await scene(hub, door)
  const connection = await door("loopback")
  await connection.attach("owner", undefined, { since_envelope_id: null })
  await connection.proveAdmin("root", ADMIN_TOKEN)
  return { world, scene: made, connection, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() }
}

describe.each(["in process", "over a socket"] as const)("every operation, %s", (way) => {
  test.each(OPS)("%s: with a signal that has aborted, nothing is asked for", async (op) => {
    await using at = await here(way)
    const reason = new Error("enough")
    const before = at.world.seen.events.length
    const calling = CALLS[op](at.connection, at.scene, { signal: AbortSignal.abort(reason) })
    await expect(calling).rejects.toBe(reason)
    // Had it been asked for, it would have been heard before this.
    await at.connection.getAgent(at.scene.owner.id)
    expect(at.world.seen.events).toHaveLength(before)
  })

  test.each(OPS)("%s: aborted while it waits, it ends at once and the connection goes on", async (op) => {
    await using at = await here(way)
    const abort = new AbortController()
    const calling = CALLS[op](at.connection, at.scene, { signal: abort.signal })
    abort.abort()
    await expect(calling).rejects.toMatchObject({ name: "AbortError" })
    await expect(calling).rejects.toBe(abort.signal.reason)
    expect(await at.connection.getAgent(at.scene.participant.id)).toMatchObject({ name: "participant" })
  })

  test.each(OPS)("%s: a signal that does not abort changes nothing, and is let go", async (op) => {
    await using at = await here(way)
    const { signal } = new AbortController()
    let listeners = 0
    signal.addEventListener = new Proxy(signal.addEventListener, {
      apply: (f, self, args) => (listeners++, Reflect.apply(f, self, args) as void),
    })
    signal.removeEventListener = new Proxy(signal.removeEventListener, {
      apply: (f, self, args) => (listeners--, Reflect.apply(f, self, args) as void),
    })
    const outcome: unknown = await CALLS[op](at.connection, at.scene, { signal }).catch((e: unknown) => e)
    if (op !== "register" && op !== "attach") expect(outcome).not.toBeInstanceOf(Error)
    expect(listeners).toBe(0)
  })
})

interface Both {
  readonly hub: Hub
  readonly client: HubClient
  connect(): Promise<HubClient>
}

async function both(way: "in process" | "over a socket"): Promise<Both> {
  const { hub, server } = await serveHub()
  const connect = async (): Promise<HubClient> => {
    const client = await HubClient.connect(way === "in process" ? hub : remoteHub(server.url, QUICK))
    onTestFinished(() => client.close())
    return client
  }
  return { hub, connect, client: await connect() }
}

const kindsOf = async (hub: Hub): Promise<unknown[]> => (await hub.auditLog.readAll()).map(({ kind }) => kind)

describe.each(["in process", "over a socket"] as const)("agents, %s", (way) => {
  test("an aborted registration leaves nobody behind, and the record says so", async () => {
    const { hub, client } = await both(way)
    const abort = new AbortController()
    const registering = client.register({ name: "ann" }, { signal: abort.signal })
    abort.abort(new Error("enough"))
    await expect(registering).rejects.toThrow("enough")
    await expect.poll(() => kindsOf(hub)).toEqual(["hub_started", "agent_registered", "agent_unregistered"])
    expect((await client.register({ name: "ann" })).name).toBe("ann")
  })

  test("an aborted attachment loses nothing: what came meanwhile comes to whoever attaches next", async () => {
    const { client, connect } = await both(way)
    const bob = await client.register({ name: "bob" })
    const first = await connect()
    const ann = await first.register({ name: "ann" })
    const channel = await bob.open({ target: "ann" })
    await first.close()
    await channel.send("one")

    const second = await connect()
    const abort = new AbortController()
    const attaching = second.attach("ann", { signal: abort.signal })
    abort.abort()
    await expect(attaching).rejects.toMatchObject({ name: "AbortError" })
    await channel.send("two")
    // On the same connection, which may hold it by now.
    const heard: string[] = []
    const again = await second.attach("ann", { onTurn: ({ text }) => void heard.push(text) })
    expect(again.agentId).toBe(ann.agentId)
    await channel.send("three")
    await expect.poll(() => heard).toEqual(["one", "two", "three"])
  })

  test("a delegation that is aborted closes its channel", async () => {
    const { hub, client, connect } = await both(way)
    const asked = Promise.withResolvers<void>()
    await client.register({ name: "thinker" }, { onTurn: () => (asked.resolve(), new Promise(() => {})) })
    const ann = await (await connect()).register({ name: "ann" })
    const abort = new AbortController()
    const delegating = ann.delegate("thinker", "why?", { signal: abort.signal })
    await asked.promise
    abort.abort()
    await expect(delegating).rejects.toBe(abort.signal.reason)
    expect(await hub.listChannels()).toMatchObject([
      { state: "closed", close_reason: "delegation_failed: AbortError" },
    ])
  })

  test("a channel that nobody waits for any more is closed when it opens", async () => {
    const { hub, client, connect } = await both(way)
    const invited = Promise.withResolvers<void>()
    const answer = Promise.withResolvers<boolean>()
    await client.register({ name: "slow" }, { onInvite: () => (invited.resolve(), answer.promise) })
    const ann = await (await connect()).register({ name: "ann" })
    const abort = new AbortController()
    const opening = ann.open({ target: "slow", signal: abort.signal })
    await invited.promise
    abort.abort()
    await expect(opening).rejects.toBe(abort.signal.reason)
    answer.resolve(true)
    await expect
      .poll(() => hub.listChannels())
      .toMatchObject([{ state: "closed", close_reason: "opener_aborted" }])
  })

  test("an answer that was aborted before it was asked for is not posted, and does not count", async () => {
    const { client, connect } = await both(way)
    const seen: unknown[] = []
    await client.register(
      { name: "bob" },
      {
        onTurn: async (turn) => {
          seen.push(await turn.reply("no", { signal: AbortSignal.abort("why not") }).catch((e: unknown) => e))
          seen.push(turn.answered)
          await turn.reply("yes", { signal: turn.signal })
        },
      },
    )
    const ann = await (await connect()).register({ name: "ann" })
    const channel = await ann.open({ target: "bob" })
    const sent = await channel.send("well?")
    const answer = await channel.waitFor(({ causation_id }) => causation_id === sent, { after: sent })
    expect(textOf(answer)).toBe("yes")
    expect(seen).toEqual(["why not", false])
  })
})

describe("over a socket", () => {
  test("what is not on its way yet is taken back", async () => {
    const { server, hub } = await serveHub()
    const relay = await Relay.open(server.hubUrl)
    const client = await HubClient.connect(remoteHub(relay.url, QUICK))
    onTestFinished(() => client.close())
    const ann = await client.register({ name: "ann" })
    relay.isDown = true
    relay.cutAll()
    await expect.poll(() => server.endpoint?.size).toBe(0)
    const abort = new AbortController()
    const setting = ann.setSkill("# never", { signal: abort.signal })
    // The line is known to be down, so it waits.
    await new Promise((resolve) => setTimeout(resolve, 30))
    abort.abort()
    await expect(setting).rejects.toBe(abort.signal.reason)
    relay.isDown = false
    expect(await client.hub.getSkill(ann.agentId)).toBeNull()
    expect(await kindsOf(hub)).not.toContain("skill_set")
  })

  test("connecting is given up, and no connection is left", async () => {
    const { server } = await serveHub()
    const relay = await Relay.open(server.hubUrl)
    relay.isDown = true
    const abort = new AbortController()
    const link = remoteHub(relay.url, { ...QUICK, waitForHub: true })
    const connecting = HubClient.connect(link, { signal: abort.signal })
    abort.abort()
    await expect(connecting).rejects.toBe(abort.signal.reason)
    relay.isDown = false
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(server.endpoint?.size).toBe(0)
    await expect(HubClient.connect(link, { signal: AbortSignal.abort("no") })).rejects.toBe("no")
  })

  test("a link that knows of no signals is closed when it has connected too late", async () => {
    const hub = await Hub.open(new MemoryStore())
    onTestFinished(() => hub.close())
    const ready = Promise.withResolvers<void>()
    const made: HubConnection[] = []
    const deaf: HubLink = {
      connect: async (deliver) => {
        await ready.promise
        const connection = await hub.connect(deliver)
        made.push(connection)
        return connection
      },
    }
    const abort = new AbortController()
    const connecting = HubClient.connect(deaf, { signal: abort.signal })
    abort.abort()
    await expect(connecting).rejects.toBe(abort.signal.reason)
    ready.resolve()
    await expect.poll(() => made.length).toBe(1)
    await expect.poll(() => made[0]?.listAgents().catch((e: { code: string }) => e.code)).toBe("closed")
  })
})
