import { AsyncLocalStorage } from "node:async_hooks"
import { AuditUnavailableError } from "../core/errors.ts"
import type { HansardError } from "../core/errors.ts"
import type { Logger } from "../core/logger.ts"
import { BaseHubListener } from "../model/index.ts"
import type {
  AgentEvents,
  ChannelEvents,
  ChannelMetadata,
  Envelope,
  HubEvents,
  HubListener,
  TaskEvents,
  Violation,
} from "../model/index.ts"
import { deepFreeze } from "./plain-json.ts"

/** Owned by the fan-out: says whether the code that runs now was called by a listener that has not returned yet. */
const listening = new AsyncLocalStorage<{ active: boolean }>()

/** Runs `callback` as if no listener had called it: what it starts outlives the listener. */
export function outsideListeners<T>(callback: () => T): T {
  return listening.exit(callback)
}

type Method = keyof HubListener

/**
 * Tells the audit log and all other listeners what happened.
 *
 * **Order.** An event goes to the audit log at the moment it is told, so that the log's order is the order of the
 * changes; then, once its record is durable or has failed, to the hub's own hooks and to each listener in the order of
 * registration, one at a time. Listeners hear the events of one entity (an agent, a channel, a task) and those of one
 * operation in the order in which they were told; the rest may interleave.
 *
 * **Waiting.** An operation waits until its events were told to everybody. One that a listener asks for waits for the
 * record alone, because the listener itself stands in the way of whatever comes after it: so a listener may call the
 * hub, and nothing deadlocks.
 *
 * **Errors.** They are logged and stop nobody, but for one: `AuditUnavailableError` from the audit log itself reaches
 * the operation, after all others were told.
 */
export class FanOut {
  /** First: the audit log. */
  auditLog: HubListener
  readonly #hooks: HubListener
  readonly #logger: Logger
  /** Owned by `add` and `remove`. Replaced, never changed: a fan-out that runs keeps the list it started with. */
  #listeners: readonly HubListener[] = []
  /** Owned by `tell`: for each entity, the end of the telling of its newest event. */
  readonly #tails = new Map<string, Promise<void>>()
  /** Owned by `tell`: for each entity with a tail, what the audit log says of its events so far. */
  readonly #records = new Map<string, Promise<AuditUnavailableError | undefined>>()

  constructor(auditLog: HubListener, hooks: HubListener, logger: Logger) {
    this.auditLog = auditLog
    this.#hooks = hooks
    this.#logger = logger
  }

  /** The audit log included, the hub's own hooks not. */
  get count(): number {
    return this.#listeners.length + 1
  }

  /** One that is added twice is told twice. */
  add(listener: HubListener): void {
    this.#listeners = [...this.#listeners, listener]
  }

  /** Removes the first occurrence, if there is one. */
  remove(listener: HubListener): void {
    const index = this.#listeners.indexOf(listener)
    if (index !== -1) this.#listeners = this.#listeners.toSpliced(index, 1)
  }

  /** Whether anybody has more for it than the method of `BaseHubListener` that does nothing. */
  hears(method: Method): boolean {
    return (
      hears(this.auditLog, method) ||
      hears(this.#hooks, method) ||
      this.#listeners.some((one) => hears(one, method))
    )
  }

  announcement(): Announcement {
    return new Announcement(this)
  }

  /** For work whose events were told long ago: tells nobody. */
  silence(): Announcement {
    return new Announcement(undefined)
  }

  /** Resolves when everything told so far has reached everybody; at once when a listener asks. */
  async idle(): Promise<void> {
    while (this.#tails.size > 0 && !insideListener()) await Promise.all(this.#tails.values())
  }

  /** Whether all that was told of `entity` so far is on record. Does not reject. */
  recordOf(entity: string): Promise<AuditUnavailableError | undefined> {
    return this.#records.get(entity) ?? Promise.resolve(undefined)
  }

  /** @returns `recorded`: what the audit log said; `told`: everybody has heard it, after `previous`. Neither rejects. */
  tell(
    entity: string,
    previous: Promise<void>,
    method: Method,
    args: readonly unknown[],
  ): { recorded: Promise<AuditUnavailableError | undefined>; told: Promise<void> } {
    const recorded = this.#record(method, args)
    const listeners = this.#listeners
    const before = this.#tails.get(entity)
    const all = Promise.all([this.recordOf(entity), recorded]).then(([earlier, latest]) => earlier ?? latest)
    this.#records.set(entity, all)
    const told = Promise.all([before, previous, recorded]).then(async () => {
      await this.#call(this.#hooks, method, args)
      for (const listener of listeners) {
        if (this.#listeners.includes(listener)) await this.#call(listener, method, args)
      }
    })
    const tail = told.then(() => {
      if (this.#tails.get(entity) === tail) this.#tails.delete(entity)
      if (this.#records.get(entity) === all) this.#records.delete(entity)
    })
    this.#tails.set(entity, tail)
    return { recorded, told }
  }

  async #record(method: Method, args: readonly unknown[]): Promise<AuditUnavailableError | undefined> {
    const { auditLog } = this
    try {
      await invoke(auditLog, method, args)
    } catch (error) {
      if (error instanceof AuditUnavailableError) return error
      this.#failed(auditLog, method, error)
    }
    return undefined
  }

  async #call(listener: HubListener, method: Method, args: readonly unknown[]): Promise<void> {
    const context = { active: true }
    try {
      await listening.run(context, () => invoke(listener, method, args))
    } catch (error) {
      this.#failed(listener, method, error)
    } finally {
      context.active = false
    }
  }

  #failed(listener: HubListener, method: Method, error: unknown): void {
    this.#logger.error({ err: error, listener: listener.constructor.name, method }, "a listener failed")
  }
}

/** The events of one operation. Each method returns at once; `done` waits. */
export class Announcement {
  readonly #fanOut: FanOut | undefined
  readonly #recorded: Promise<AuditUnavailableError | undefined>[] = []
  #last: Promise<void> = Promise.resolve()

  constructor(fanOut: FanOut | undefined) {
    this.#fanOut = fanOut
  }

  /**
   * Resolves when every event so far was told.
   *
   * @throws AuditUnavailableError when the record of one must be durable and is not.
   */
  async done(): Promise<void> {
    if (this.#recorded.length === 0) return
    const recorded = await Promise.all(this.#recorded)
    if (!insideListener()) await this.#last
    const failure = recorded.find((error) => error !== undefined)
    if (failure !== undefined) throw failure
  }

  /**
   * The operation changed nothing, because another one has done it already: it is acknowledged only with the other's
   * record.
   */
  joins(entity: string): void {
    if (this.#fanOut !== undefined) this.#recorded.push(this.#fanOut.recordOf(entity))
  }

  hubEvent<K extends keyof HubEvents>(kind: K, payload: HubEvents[K]): void {
    this.#tell("hub", "onHubEvent", kind, deepFreeze(payload))
  }

  agentEvent<K extends keyof AgentEvents>(agentId: string, kind: K, payload: AgentEvents[K]): void {
    this.#tell(`agent:${agentId}`, "onAgentEvent", agentId, kind, deepFreeze(payload))
  }

  channelEvent<K extends keyof ChannelEvents>(channelId: string, kind: K, payload: ChannelEvents[K]): void {
    this.#tell(`channel:${channelId}`, "onChannelEvent", channelId, kind, deepFreeze(payload))
  }

  taskEvent<K extends keyof TaskEvents>(taskId: string, kind: K, payload: TaskEvents[K]): void {
    this.anyTaskEvent(taskId, kind, payload)
  }

  anyTaskEvent(taskId: string, kind: string, payload: object): void {
    this.#tell(`task:${taskId}`, "onTaskEvent", taskId, kind, deepFreeze(payload))
  }

  posted(envelope: Envelope, metadata: ChannelMetadata): void {
    this.#tell(`channel:${envelope.channel_id}`, "onEnvelopePosted", envelope, metadata)
  }

  rejected(envelope: Envelope, reason: Error): void {
    this.#tell(`channel:${envelope.channel_id}`, "onEnvelopeRejected", envelope, reason)
  }

  dispatchFailed(envelope: Envelope, recipientId: string, reason: Error): void {
    this.#tell(`channel:${envelope.channel_id}`, "onDispatchFailed", envelope, recipientId, reason)
  }

  deadLettered(envelope: Envelope, recipientId: string, tries: number, reason: string): void {
    this.#tell(`channel:${envelope.channel_id}`, "onDeadLettered", envelope, recipientId, tries, reason)
  }

  expectationFired(channelId: string, violation: Violation): void {
    const { name } = violation.expectation
    this.#tell(`channel:${channelId}`, "onExpectationFired", channelId, name, violation)
  }

  turnFailed(channelId: string, agentId: string, envelopeId: string, error: Error): void {
    this.#tell(`channel:${channelId}`, "onTurnFailed", channelId, agentId, envelopeId, error)
  }

  inboxPressure(agentId: string, pending: number, cap: number): void {
    this.#tell(`agent:${agentId}`, "onInboxPressure", agentId, pending, cap)
  }

  authFailed(name: string, scheme: string, reason: HansardError): void {
    this.#tell(`auth:${name}`, "onAuthFailed", name, scheme, reason)
  }

  accessDenied(op: string, agentId: string | null, reason: HansardError): void {
    this.#tell(`agent:${agentId ?? ""}`, "onAccessDenied", op, agentId, reason)
  }

  #tell(entity: string, method: Method, ...args: readonly unknown[]): void {
    if (this.#fanOut === undefined || !this.#fanOut.hears(method)) return
    const { recorded, told } = this.#fanOut.tell(entity, this.#last, method, args)
    this.#recorded.push(recorded)
    this.#last = told
  }
}

/** Whether a listener that has not returned yet is what calls. */
export function insideListener(): boolean {
  return listening.getStore()?.active === true
}

function hears(listener: HubListener, method: Method): boolean {
  const handler: unknown = listener[method]
  return typeof handler === "function" && handler !== BaseHubListener.prototype[method]
}

async function invoke(listener: HubListener, method: Method, args: readonly unknown[]): Promise<void> {
  const handler: unknown = listener[method]
  if (typeof handler === "function") await (Reflect.apply(handler, listener, args) as unknown)
}
