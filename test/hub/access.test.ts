/** Who may ask what: the table of SPEC.md, walked through in full, in the hub's process and over a socket. */
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import { describe, expect, test } from "vitest"
import { HansardError } from "../../src/core/errors.ts"
import { systemClock, systemRandom } from "../../src/core/system.ts"
import {
  ACCESS,
  formatAccess,
  hashAdminToken,
  STANDINGS,
  type AccessOp,
  type Origin,
  type Standing,
} from "../../src/hub/index.ts"
import { LocalConnection } from "../../src/hub/connection.ts"
import type { HubConnection } from "../../src/model/index.ts"
import { TokenBook, tokenAdmins } from "../../src/server/index.ts"
import { MemoryStore } from "../../src/store/index.ts"
import { ADMIN_TOKEN, CALLS, scene, socketDoor, type Scene } from "./calls.ts"
import { openWorld, type World } from "./world.ts"

const OPS = Object.keys(ACCESS) as AccessOp[]

async function standing(scene: Scene, who: Standing, origin: Origin): Promise<HubConnection> {
  const connection = await scene.door(origin)
  const names = { owner: "owner", participant: "participant", agent: "stranger", anonymous: "", admin: "" }
  if (names[who] !== "") await connection.attach(names[who], undefined, { since_envelope_id: null })
  if (who === "admin") await connection.proveAdmin("root", scene.adminToken)
  return connection
}

/** A service's own tokens, one of them an administrator's; as `hansard serve` has it. */
async function serviceTokens(): Promise<{ readonly tokens: TokenBook; readonly token: string }> {
  const tokens = new TokenBook(new MemoryStore(), { clock: systemClock })
  return { tokens, token: (await tokens.create({ name: "root", scopes: ["admin"] }, systemRandom)).token }
}

const cases = OPS.flatMap((op) =>
  STANDINGS.flatMap((who) =>
    (who === "anonymous" ? (["loopback", "network"] as const) : (["loopback"] as const)).map(
      (origin) => [op, who, origin] as const,
    ),
  ),
)

interface Case {
  readonly op: AccessOp
  readonly who: Standing
  readonly origin: Origin
}

/** Asks, and holds the answer and what listeners were told against the table. */
async function walk(world: World, scene: Scene, { op, who, origin }: Case): Promise<void> {
  const connection = await standing(scene, who, origin)
  const verdict = ACCESS[op][who]
  const allowed = verdict !== "no" && !(verdict === "local" && origin === "network")
  const before = world.seen.of("access_denied").length
  const outcome: unknown = await CALLS[op](connection, scene).catch((error: unknown) => error)
  const denied = outcome instanceof HansardError && outcome.code === "access_denied"
  expect(denied).toBe(!allowed)
  const told = world.seen.of("access_denied").slice(before)
  expect(told.map(([what]) => what)).toEqual(allowed ? [] : [op])
  // The doors judge claims, and these are bad ones.
  if (allowed && ACCESS[op].about !== "nobody") expect(outcome).not.toBeInstanceOf(Error)
  if (allowed && (op === "list_channels" || op === "list_tasks")) {
    expect(outcome).toHaveLength(who === "agent" ? 0 : 1)
  }
}

describe("the authorisation matrix", () => {
  test.each(cases)("S-1, E1: %s by %s from %s is as the table says", async (op, who, origin) => {
    await using world = await openWorld({ admins: { root: hashAdminToken(ADMIN_TOKEN) } })
    await walk(world, await scene(world.hub, (from) => world.hub.connect(() => {}, { origin: from })), {
      op,
      who,
      origin,
    })
  })

  test.each(cases)(
    "is the same over a socket, with the service's tokens: %s by %s from %s",
    async (op, who, origin) => {
      const { tokens, token } = await serviceTokens()
      await using world = await openWorld({ admins: tokenAdmins(tokens) })
      const here = await scene(world.hub, await socketDoor(world.hub))
      await walk(world, { ...here, adminToken: token }, { op, who, origin })
    },
  )
  test("names every operation of a connection, and each once", () => {
    const methods = Object.getOwnPropertyNames(LocalConnection.prototype).filter(
      (name) => name !== "constructor",
    )
    expect(OPS.map((op) => ACCESS[op].method).sort()).toEqual(methods.sort())
  })

  test("is the table of SPEC.md", () => {
    const spec = readFileSync(resolve(import.meta.dirname, "../../SPEC.md"), "utf8")
    const cells = (text: string): string => text.replaceAll(/ +/g, " ").replaceAll(/-+/g, "-")
    expect(cells(spec)).toContain(cells(formatAccess()))
  })

  test("what does not exist is said not to, but to somebody", async () => {
    await using world = await openWorld()
    const { stranger } = await scene(world.hub)
    await expect(stranger.connection.getChannel("none")).rejects.toMatchObject({ code: "not_found" })
    await expect(stranger.connection.checkpointTask("none", {})).rejects.toMatchObject({ code: "not_found" })
    const nobody = await world.hub.connect(() => {})
    await expect(nobody.getChannel("none")).rejects.toMatchObject({ code: "access_denied" })
  })

  test("a turn or a task in a channel is told by who takes part in it", async () => {
    await using world = await openWorld()
    const { stranger, channel, question } = await scene(world.hub)
    const error = new Error("forged")
    const report = stranger.connection.reportTurnFailure(channel, stranger.id, question, error)
    await expect(report).rejects.toMatchObject({ code: "access_denied" })
    const task = { task_id: "t9", owner_id: stranger.id, channel_id: channel, spec: { title: "forged" } }
    await expect(stranger.connection.observeTask(task)).rejects.toMatchObject({ code: "access_denied" })
    expect(world.seen.of("turn_failed")).toEqual([])
  })

  test("of a task that the hub refused to observe, its owner alone tells", async () => {
    await using world = await openWorld()
    const { owner, stranger } = await scene(world.hub)
    const told = { op: "started", owner_id: owner.id }
    await owner.connection.fireTaskEvent("unseen", "mirror_failed", told)
    const forged = stranger.connection.fireTaskEvent("unseen", "mirror_failed", told)
    await expect(forged).rejects.toMatchObject({ code: "access_denied" })
  })

  test("an identity that was attached elsewhere is no longer this connection's, and it is told", async () => {
    await using world = await openWorld()
    const told: unknown[] = []
    const first = await world.hub.connect(() => {}, { detached: (...args) => void told.push(args) })
    const { agent_id } = await first.registerIdentity({ passport: { name: "ann" } })
    const second = await world.hub.connect(() => {})
    await second.attach("ann")
    await expect(first.setSkill(agent_id, "mine")).rejects.toMatchObject({ code: "access_denied" })
    await second.setSkill(agent_id, "mine")
    expect(told).toEqual([[agent_id, "attached elsewhere"]])
  })
})
