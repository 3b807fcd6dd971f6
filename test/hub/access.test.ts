/** Who may ask what: the table of SPEC.md, walked through in full, in the hub's process and over a socket. */
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import { describe, expect, onTestFinished, test } from "vitest"
import { remoteHub } from "../../src/client/index.ts"
import { HansardError } from "../../src/core/errors.ts"
import { systemClock, systemRandom } from "../../src/core/system.ts"
import {
  ACCESS,
  formatAccess,
  hashAdminToken,
  STANDINGS,
  type AccessOp,
  type Hub,
  type Origin,
  type Standing,
} from "../../src/hub/index.ts"
import { LocalConnection } from "../../src/hub/connection.ts"
import { type HubConnection, TEXT } from "../../src/model/index.ts"
import { NodeServer, TokenBook, tokenAdmins } from "../../src/server/index.ts"
import { MemoryStore } from "../../src/store/index.ts"
import { conversation, join, openWorld, say, type Agent, type World } from "./world.ts"

const TOKEN = "0123456789abcdef0123456789abcdef"
const OPS = Object.keys(ACCESS) as AccessOp[]

/** How connections are made: the hub itself, or a served one. */
type Door = (origin: Origin) => Promise<HubConnection>

/** What the operations are about: the owner's agent, channel and task. */
interface Scene {
  readonly door: Door
  readonly owner: Agent
  readonly participant: Agent
  readonly stranger: Agent
  readonly channel: string
  readonly task: string
  readonly question: string
  readonly adminToken: string
}

async function scene(hub: Hub, door: Door = () => hub.connect(() => {})): Promise<Scene> {
  const owner = await join(hub, "owner")
  const participant = await join(hub, "participant")
  const stranger = await join(hub, "stranger")
  const channel = await conversation(hub, owner, participant)
  const question = await say(hub, channel, participant.id)
  await owner.connection.observeTask({
    task_id: "t1",
    owner_id: owner.id,
    channel_id: channel,
    spec: { title: "t" },
  })
  return { door, owner, participant, stranger, channel, task: "t1", question, adminToken: TOKEN }
}

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

/** The hub behind a real server: a peer from elsewhere is one that its transport says comes from there. */
async function socketDoor(hub: Hub): Promise<Door> {
  const open = new AsyncDisposableStack()
  onTestFinished(() => open.disposeAsync())
  return async (origin) => {
    const from: Pick<Hub, "connect"> = {
      connect: (deliver, options) => hub.connect(deliver, { ...options, origin }),
    }
    const server = open.use(await NodeServer.listen({ port: 0, hub: from }))
    return open.use(await remoteHub(server.hubUrl).connect(() => {}))
  }
}

/** Each operation about the scene's owner, in a form that succeeds when it is allowed. */
const CALLS: Readonly<Record<AccessOp, (c: HubConnection, s: Scene) => Promise<unknown>>> = {
  register: (c) => c.registerIdentity({ passport: { name: "new", auth: { scheme: "api_key" } } }),
  attach: (c) => c.attach("nobody"),
  challenge: (c) => c.challenge("owner"),
  prove_admin: (c, s) => c.proveAdmin("root", s.adminToken),
  get_agent: (c, s) => c.getAgent(s.owner.id),
  get_resume: (c, s) => c.getResume(s.owner.id),
  get_skill: (c, s) => c.getSkill(s.owner.id),
  get_rule: (c, s) => c.getRule(s.owner.id),
  find_agent_id: (c) => c.findAgentId("owner"),
  names_for: (c, s) => c.namesFor([s.owner.id]),
  list_agents: (c) => c.listAgents(),
  set_resume: (c, s) => c.setResume(s.owner.id, {}),
  set_skill: (c, s) => c.setSkill(s.owner.id, null),
  set_rule: (c, s) => c.setRule(s.owner.id, {}),
  unregister: (c, s) => c.unregister(s.owner.id),
  record_observation: (c, s) =>
    c.recordObservation({ owner_id: s.owner.id, capability: "x", outcome: "completed" }),
  create_channel: (c, s) =>
    c.createChannel({
      creator_id: s.owner.id,
      manifest_type: "conversation",
      participants: [s.participant.id],
    }),
  get_channel: (c, s) => c.getChannel(s.channel),
  list_channels: (c) => c.listChannels(),
  close_channel: (c, s) => c.closeChannel(s.channel),
  post_envelope: (c, s) =>
    c.postEnvelope({
      channel_id: s.channel,
      sender_id: s.owner.id,
      event_type: TEXT,
      event_data: { text: "I am the owner" },
    }),
  read_wal: (c, s) => c.readWal(s.channel),
  find_envelope_by_causation: (c, s) => c.findEnvelopeByCausation(s.channel, s.owner.id, s.question),
  can_send: (c, s) => c.canSend(s.channel, s.owner.id),
  adapter_state: (c, s) => c.adapterState(s.channel),
  pending_turns_for: (c, s) => c.pendingTurnsFor(s.owner.id),
  report_turn_failure: (c, s) =>
    c.reportTurnFailure(s.channel, s.owner.id, s.question, new Error("it broke")),
  receipt: (c, s) =>
    c.receipt({ envelope_id: s.question, status: "ack", recipient_id: s.owner.id, channel_id: s.channel }),
  get_task: (c, s) => c.getTask(s.task),
  list_tasks: (c) => c.listTasks(),
  observe_task: (c, s) =>
    c.observeTask({ task_id: "t2", owner_id: s.owner.id, channel_id: s.channel, spec: { title: "t" } }),
  update_task: (c, s) => c.updateTask(s.task, { state: "completed" }),
  fire_task_event: (c, s) => c.fireTaskEvent(s.task, "halfway", {}),
  checkpoint_task: (c, s) => c.checkpointTask(s.task, { step: 1 }),
  read_task_checkpoint: (c, s) => c.readTaskCheckpoint(s.task),
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
    await using world = await openWorld({ admins: { root: hashAdminToken(TOKEN) } })
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
