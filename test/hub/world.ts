import type { Logger } from "../../src/core/logger.ts"
import type { AuditRecord } from "../../src/audit/index.ts"
import { conversationAdapter, Hub } from "../../src/hub/index.ts"
import type { HubOptions } from "../../src/hub/index.ts"
import {
  BaseHubListener,
  INVITE,
  INVITE_ACK,
  TEXT,
  type ChannelAdapter,
  type Delivery,
  type Expectation,
  type HubConnection,
  type Passport,
  type Registration,
} from "../../src/model/index.ts"
import { MemoryStore } from "../../src/store/memory.ts"
import type { KnowledgeStore } from "../../src/store/contract.ts"
import { FakeTime, seededBytes, settle } from "../support/fake-time.ts"

/** A hub on a fake clock, the store that it uses, and what its listeners and logger heard. */
export interface World extends AsyncDisposable {
  readonly hub: Hub
  readonly time: FakeTime
  readonly store: KnowledgeStore
  readonly log: LoggedLine[]
  readonly seen: Recorder
}

export interface LoggedLine {
  readonly level: string
  readonly fields: Record<string, unknown>
  readonly message: string
}

export async function openWorld(
  options: HubOptions & { readonly store?: KnowledgeStore; readonly time?: FakeTime } = {},
): Promise<World> {
  const { store = new MemoryStore(), time = new FakeTime(), ...rest } = options
  const log: LoggedLine[] = []
  const hub = await Hub.open(store, {
    clock: time.clock,
    timers: time.timers,
    random: seededBytes(7),
    logger: collectingLogger(log),
    ...rest,
  })
  const seen = new Recorder()
  hub.registerListener(seen)
  return { hub, time, store, log, seen, [Symbol.asyncDispose]: () => hub.close() }
}

export function collectingLogger(log: LoggedLine[]): Logger {
  const at =
    (level: string) =>
    (fields: object, message: string): void =>
      void log.push({ level, fields: fields as Record<string, unknown>, message })
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") }
}

/** Everything that a listener heard, in order. */
export class Recorder extends BaseHubListener {
  readonly events: { readonly what: string; readonly args: readonly unknown[] }[] = []

  get kinds(): string[] {
    return this.events.map(({ what }) => what)
  }

  of(what: string): readonly (readonly unknown[])[] {
    return this.events.filter((event) => event.what === what).map(({ args }) => args)
  }

  override onHubEvent(...args: [string, object]): void {
    this.#hear(args[0], args)
  }
  override onAgentEvent(...args: [string, string, object]): void {
    this.#hear(args[1], args)
  }
  override onChannelEvent(...args: [string, string, object]): void {
    this.#hear(args[1], args)
  }
  override onEnvelopePosted(...args: Parameters<BaseHubListener["onEnvelopePosted"]>): void {
    this.#hear(`posted:${args[0].event_type}`, args)
  }
  override onEnvelopeRejected(...args: Parameters<BaseHubListener["onEnvelopeRejected"]>): void {
    this.#hear("rejected", args)
  }
  override onDispatchFailed(...args: Parameters<BaseHubListener["onDispatchFailed"]>): void {
    this.#hear("dispatch_failed", args)
  }
  override onExpectationFired(...args: Parameters<BaseHubListener["onExpectationFired"]>): void {
    this.#hear("expectation_fired", args)
  }
  override onTurnFailed(...args: Parameters<BaseHubListener["onTurnFailed"]>): void {
    this.#hear("turn_failed", args)
  }
  override onTaskEvent(...args: [string, string, object]): void {
    this.#hear(`task:${args[1]}`, args)
  }
  override onInboxPressure(...args: [string, number, number]): void {
    this.#hear("inbox_pressure", args)
  }
  override onAuthFailed(...args: Parameters<BaseHubListener["onAuthFailed"]>): void {
    this.#hear("auth_failed", args)
  }
  override onAccessDenied(...args: Parameters<BaseHubListener["onAccessDenied"]>): void {
    this.#hear("access_denied", args)
  }

  #hear(what: string, args: readonly unknown[]): void {
    this.events.push({ what, args })
  }
}

export type Handler = (delivery: Delivery, agent: Agent) => Promise<void> | void

/** A participant on its own connection: accepts invitations, hands texts to its handler, and acknowledges. */
export interface Agent {
  readonly id: string
  readonly passport: Passport
  readonly connection: HubConnection
  readonly got: Delivery[]
}

export async function join(
  hub: Hub,
  name: string,
  handler: Handler = () => {},
  registration: Partial<Registration> = {},
): Promise<Agent> {
  const got: Delivery[] = []
  const connection = await hub.connect(receiver(got, () => agent, handler))
  const passport = await connection.registerIdentity({
    ...registration,
    passport: { name, ...registration.passport },
  })
  const agent: Agent = { id: passport.agent_id, passport, connection, got }
  return agent
}

export function receiver(
  got: Delivery[],
  self: () => Agent,
  handler: Handler,
): (delivery: Delivery) => Promise<void> {
  return async (delivery) => {
    got.push(delivery)
    const { envelope, recipient_id } = delivery
    const { channel_id, envelope_id, event_type } = envelope
    const { connection } = self()
    if (event_type === INVITE) {
      const answer = {
        channel_id,
        sender_id: recipient_id,
        event_type: INVITE_ACK,
        event_data: { channel_id },
      }
      await connection.postEnvelope(answer).catch(() => {})
    } else if (!event_type.startsWith("ag2.channel.")) {
      try {
        await handler(delivery, self())
      } catch (error) {
        await connection.reportTurnFailure(channel_id, recipient_id, envelope_id, error as Error)
      }
    }
    await connection.receipt({ envelope_id, status: "ack", recipient_id, channel_id }).catch(() => {})
  }
}

export async function registerOnly(
  hub: Hub,
  name: string,
  more: Partial<Registration> = {},
): Promise<string> {
  const passport = await hub.registerIdentity({ ...more, passport: { name, ...more.passport } })
  return passport.agent_id
}

export async function conversation(hub: Hub, creator: Agent, ...others: Agent[]): Promise<string> {
  const participants = others.map(({ id }) => id)
  const request = { creator_id: creator.id, manifest_type: "conversation", participants }
  return (await hub.createChannel(request)).channel_id
}

export async function say(hub: Hub, channelId: string, senderId: string, text = "hello"): Promise<string> {
  return await hub.postEnvelope({
    channel_id: channelId,
    sender_id: senderId,
    event_type: TEXT,
    event_data: { text },
  })
}

/** The rules of a conversation under another name, with other promises or methods. */
export function adapterLike(
  type: string,
  more: Partial<ChannelAdapter> & { expectations?: Expectation[] } = {},
): ChannelAdapter {
  const { expectations = [], ...methods } = more
  const manifest = { ...conversationAdapter.manifest, type, expectations }
  return { ...conversationAdapter, manifest, ...methods }
}

export function expectation(name: string, on_violation: string, seconds: number): Expectation {
  return { name, on_violation, params: { seconds }, applies_to: null }
}

export async function kindsOf(hub: Hub): Promise<unknown[]> {
  return (await hub.auditLog.readAll()).map(({ kind }) => kind)
}

export async function recordsOf(hub: Hub, kind: string): Promise<AuditRecord[]> {
  return (await hub.auditLog.readAll()).filter((record) => record["kind"] === kind)
}

export { settle }
