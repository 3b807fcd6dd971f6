/** Every operation of a connection in a form that succeeds, and the ways to make one: for what is said of all of them. */
import { onTestFinished } from "vitest"
import { remoteHub } from "../../src/client/index.ts"
import { type AccessOp, type Hub, type Origin } from "../../src/hub/index.ts"
import { type CallOptions, type HubConnection, TEXT } from "../../src/model/index.ts"
import { NodeServer } from "../../src/server/index.ts"
import { conversation, join, say, type Agent } from "./world.ts"

/** An administrator's, in hubs whose options name one. */
export const ADMIN_TOKEN = "0123456789abcdef0123456789abcdef"

/** How connections are made: the hub itself, or a served one. */
export type Door = (origin: Origin) => Promise<HubConnection>

/** What the operations are about: the owner's agent, channel and task. */
export interface Scene {
  readonly door: Door
  readonly owner: Agent
  readonly participant: Agent
  readonly stranger: Agent
  readonly channel: string
  readonly task: string
  readonly question: string
  readonly adminToken: string
}

export async function scene(hub: Hub, door: Door = () => hub.connect(() => {})): Promise<Scene> {
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
  return { door, owner, participant, stranger, channel, task: "t1", question, adminToken: ADMIN_TOKEN }
}

/** The hub behind a real server: a peer from elsewhere is one that its transport says comes from there. */
export async function socketDoor(hub: Hub): Promise<Door> {
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
export const CALLS: Readonly<
  Record<AccessOp, (c: HubConnection, s: Scene, options?: CallOptions) => Promise<unknown>>
> = {
  register: (c, _, o) => c.registerIdentity({ passport: { name: "new", auth: { scheme: "api_key" } } }, o),
  attach: (c, _, o) => c.attach("nobody", undefined, o),
  challenge: (c, _, o) => c.challenge("owner", o),
  prove_admin: (c, s, o) => c.proveAdmin("root", s.adminToken, o),
  get_agent: (c, s, o) => c.getAgent(s.owner.id, o),
  get_resume: (c, s, o) => c.getResume(s.owner.id, o),
  get_skill: (c, s, o) => c.getSkill(s.owner.id, o),
  get_rule: (c, s, o) => c.getRule(s.owner.id, o),
  find_agent_id: (c, _, o) => c.findAgentId("owner", o),
  names_for: (c, s, o) => c.namesFor([s.owner.id], o),
  list_agents: (c, _, o) => c.listAgents({}, o),
  set_resume: (c, s, o) => c.setResume(s.owner.id, {}, o),
  set_skill: (c, s, o) => c.setSkill(s.owner.id, null, o),
  set_rule: (c, s, o) => c.setRule(s.owner.id, {}, o),
  unregister: (c, s, o) => c.unregister(s.owner.id, o),
  record_observation: (c, s, o) =>
    c.recordObservation({ owner_id: s.owner.id, capability: "x", outcome: "completed" }, o),
  create_channel: (c, s, o) =>
    c.createChannel(
      {
        creator_id: s.owner.id,
        manifest_type: "conversation",
        participants: [s.participant.id],
      },
      o,
    ),
  get_channel: (c, s, o) => c.getChannel(s.channel, o),
  list_channels: (c, _, o) => c.listChannels({}, o),
  close_channel: (c, s, o) => c.closeChannel(s.channel, "", o),
  post_envelope: (c, s, o) =>
    c.postEnvelope(
      {
        channel_id: s.channel,
        sender_id: s.owner.id,
        event_type: TEXT,
        event_data: { text: "I am the owner" },
      },
      o,
    ),
  read_wal: (c, s, o) => c.readWal(s.channel, 0, undefined, o),
  find_envelope_by_causation: (c, s, o) => c.findEnvelopeByCausation(s.channel, s.owner.id, s.question, o),
  can_send: (c, s, o) => c.canSend(s.channel, s.owner.id, TEXT, o),
  adapter_state: (c, s, o) => c.adapterState(s.channel, o),
  pending_turns_for: (c, s, o) => c.pendingTurnsFor(s.owner.id, o),
  report_turn_failure: (c, s, o) =>
    c.reportTurnFailure(s.channel, s.owner.id, s.question, new Error("it broke"), o),
  receipt: (c, s, o) =>
    c.receipt({ envelope_id: s.question, status: "ack", recipient_id: s.owner.id, channel_id: s.channel }, o),
  get_task: (c, s, o) => c.getTask(s.task, o),
  list_tasks: (c, _, o) => c.listTasks({}, o),
  observe_task: (c, s, o) =>
    c.observeTask({ task_id: "t2", owner_id: s.owner.id, channel_id: s.channel, spec: { title: "t" } }, o),
  update_task: (c, s, o) => c.updateTask(s.task, { state: "completed" }, o),
  fire_task_event: (c, s, o) => c.fireTaskEvent(s.task, "halfway", {}, o),
  checkpoint_task: (c, s, o) => c.checkpointTask(s.task, { step: 1 }, o),
  read_task_checkpoint: (c, s, o) => c.readTaskCheckpoint(s.task, o),
}
