import { AuditLog } from "../audit/index.ts"
import { unlessAborted, type CallOptions } from "../core/abort.ts"
import { AuditUnavailableError, ClosedError } from "../core/errors.ts"
import { IncreasingIds } from "../core/ids.ts"
import { silentLogger } from "../core/logger.ts"
import { isoClock, systemClock, systemRandom, systemTimers } from "../core/system.ts"
import { BaseHubListener, type ChannelAdapter, type HubListener } from "../model/index.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import { DEFAULT_ADAPTERS } from "./adapters/index.ts"
import { dueEnd } from "./channel.ts"
import { RuleArbiter, type Arbiter } from "./arbiter.ts"
import { AuthRegistry, Ed25519Auth, noneAuth } from "./auth/index.ts"
import type { HubContext, OperationOptions } from "./context.ts"
import {
  DEFAULT_EVALUATORS,
  DEFAULT_HANDLERS,
  type ExpectationEvaluator,
  type ViolationHandler,
} from "./expectations/index.ts"
import { FanOut, insideListener } from "./fan-out.ts"
import { Hydration } from "./hydrate.ts"
import { KeyedLocks } from "./locks.ts"
import type { Operation } from "./operation.ts"
import type { HubHealth, HubOptions } from "./options.ts"
import { makeParts, type HubParts } from "./parts.ts"
import { Sweepers, type Sweep } from "./sweepers.ts"
import { VERSION } from "./version.ts"

const DEFAULT_HUB_ID = "hansard"
const TTL_SWEEP_SECONDS = 30
const EXPECTATION_SWEEP_SECONDS = 10
const INVITE_ACK_TIMEOUT_SECONDS = 30

/** A hub's life, its extension points and its health: everything but what participants ask of it. */
export abstract class HubBase extends BaseHubListener implements AsyncDisposable {
  protected readonly parts: HubParts
  protected readonly context: HubContext
  /** As in {@link HubOptions.hubId}. */
  readonly hubId: string
  readonly #ackTimeoutMs: number
  readonly #fanOut: FanOut
  readonly #sweepers: Sweepers
  #auditLog: AuditLog
  /** The log that the hub made, and closes. */
  #ownAuditLog: AuditLog | undefined
  #arbiter: Arbiter
  /** Paths, owned by `hydrate`. */
  readonly #quarantined = new Set<string>()
  #closing: Promise<void> | undefined
  /** Owned by `operate`: what `close` waits for. */
  readonly #running = new Set<Promise<unknown>>()

  /** Does no I/O: {@link Hub.open} is how a hub is made. */
  constructor(store: KnowledgeStore, options: HubOptions = {}) {
    super()
    const {
      clock = systemClock,
      timers = systemTimers,
      random = systemRandom,
      logger = silentLogger,
    } = options
    this.hubId = options.hubId ?? DEFAULT_HUB_ID
    this.#ownAuditLog =
      options.auditLog === undefined
        ? new AuditLog(store, { ...options.audit, clock, timers, logger })
        : undefined
    this.#auditLog = options.auditLog ?? (this.#ownAuditLog as AuditLog)
    this.#fanOut = new FanOut(this.#auditLog, this, logger)
    this.#ackTimeoutMs = (options.inviteAckTimeoutSeconds ?? INVITE_ACK_TIMEOUT_SECONDS) * 1000
    this.#sweepers = new Sweepers(timers, logger)
    const ids = new IncreasingIds(clock, random)
    this.context = {
      store,
      clock,
      timers,
      logger,
      newId: options.newId ?? (() => ids.next()),
      newIdsAbove: (id) => ids.atLeast(id),
      envelopeIds: new IncreasingIds(clock, random),
      locks: new KeyedLocks(),
      fanOut: this.#fanOut,
      arbiter: () => this.#arbiter,
      now: isoClock(clock),
    }
    this.parts = makeParts(this.context, {
      auth:
        options.auth ?? new AuthRegistry([noneAuth, new Ed25519Auth({ hubId: this.hubId, clock, random })]),
      ...(options.admins === undefined ? {} : { admins: options.admins }),
      ...(options.allowNone === undefined ? {} : { allowNone: options.allowNone }),
      ackTimeoutMs: this.#ackTimeoutMs,
      begin: () => this.begin(),
    })
    const { registry, book, tasks, expectations } = this.parts
    this.#arbiter =
      options.arbiter ??
      new RuleArbiter({
        ruleOf: (id) => registry.find(id)?.rule,
        nameOf: (id) => registry.nameOf(id),
        openChannelCount: (id) => book.openCount(id),
        openTaskCount: (id) => tasks.openCount(id),
      })
    if (options.registerDefaults !== false) {
      DEFAULT_ADAPTERS.forEach((adapter) => book.registerAdapter(adapter))
      DEFAULT_EVALUATORS.forEach((evaluator) => expectations.registerEvaluator(evaluator))
      DEFAULT_HANDLERS.forEach((handler) => expectations.registerHandler(handler))
    }
    options.adapters?.forEach((adapter) => book.registerAdapter(adapter))
    this.#sweepEvery("ttl", options.ttlSweepSeconds ?? TTL_SWEEP_SECONDS, () => this.expireDue())
    this.#sweepEvery("expectations", options.expectationSweepSeconds ?? EXPECTATION_SWEEP_SECONDS, () =>
      this.checkExpectations(),
    )
  }

  /** Opens the log, takes in what is stored and starts the sweepers. */
  protected async start(): Promise<void> {
    try {
      // Recovery comes before the first record, so that what the log says of it comes first.
      for await (const _ of this.#auditLog.entries({ to: 0 })) break
      await this.hydrate()
      const operation = this.begin()
      operation.events.hubEvent("started", { version: VERSION, at: this.context.now() })
      await operation.events.done()
    } catch (error) {
      await this.#ownAuditLog?.close().catch(() => {})
      throw error
    }
    this.#sweepers.start()
  }

  /**
   * Takes in what is stored and not in memory yet; nothing in memory is dropped. {@link Hub.open} has done it once.
   *
   * Repairs are told; what was stored as it should be is not.
   */
  async hydrate(): Promise<void> {
    const operation = this.begin()
    await new Hydration(this.context, this.parts, operation, this.#endsOnRecord()).run(this.#quarantined)
    await operation.events.done()
  }

  /** Reads the audit log when it is first asked, which only happens after a crash in the middle of an end. */
  #endsOnRecord(): () => Promise<ReadonlySet<string>> {
    let ends: Promise<ReadonlySet<string>> | undefined
    const read = async (): Promise<ReadonlySet<string>> => {
      const ids = new Set<string>()
      try {
        for await (const { record } of this.#auditLog.entries()) {
          if (record["kind"] === "channel_closed" || record["kind"] === "channel_expired") {
            ids.add(String(record["channel_id"]))
          }
        }
      } catch (error) {
        // Rather twice than never.
        this.context.logger.error({ err: error }, "the audit log could not be read to its end")
      }
      return ids
    }
    return () => (ends ??= read())
  }

  get auditLog(): AuditLog {
    return this.#auditLog
  }

  /**
   * From the next event on, `log` is the first listener. The old one is not closed, unless the hub made it: then when
   * the hub closes. Its subscribers stay with it.
   */
  replaceAuditLog(log: AuditLog): void {
    this.#auditLog = log
    this.#fanOut.auditLog = log
  }

  get arbiter(): Arbiter {
    return this.#arbiter
  }

  registerArbiter(arbiter: Arbiter): void {
    this.#arbiter = arbiter
  }

  /** Replaces the adapter of the same type and version for the channels that are made from now on. */
  registerAdapter(adapter: ChannelAdapter): void {
    this.parts.book.registerAdapter(adapter)
  }

  /** It hears what happens from now on, after those that are there. One that is registered twice hears twice. */
  registerListener(listener: HubListener): void {
    this.#fanOut.add(listener)
  }

  /** Nothing happens for an unknown one. */
  unregisterListener(listener: HubListener): void {
    this.#fanOut.remove(listener)
  }

  registerExpectationEvaluator(evaluator: ExpectationEvaluator): void {
    this.parts.expectations.registerEvaluator(evaluator)
  }

  registerViolationHandler(handler: ViolationHandler): void {
    this.parts.expectations.registerHandler(handler)
  }

  /** @throws InvalidInputError for a name that is taken, or an interval that is not positive. */
  registerSweeper(name: string, seconds: number, sweep: Sweep): void {
    this.#sweepers.register(name, seconds, sweep)
  }

  /** Waits for a sweep that runs. Nothing happens for an unknown name. */
  async unregisterSweeper(name: string): Promise<void> {
    await this.#sweepers.unregister(name)
  }

  /**
   * Ends channels and tasks that are due, and channels whose creator waits no more; what has expired goes into track
   * records. What fails is logged.
   */
  async expireDue(): Promise<void> {
    const { book, lifecycle, tasks, registry } = this.parts
    const nowMs = this.context.clock()
    const attempt = async (
      what: object,
      action: (operation: Operation) => Promise<unknown>,
    ): Promise<void> => {
      const operation = this.begin()
      try {
        await action(operation)
        await operation.events.done()
      } catch (error) {
        this.context.logger.error({ err: error, ...what }, "what is due could not be ended")
      }
    }
    if (!this.#auditLog.available) return
    for (const channel of book.open()) {
      const end = dueEnd(channel, nowMs, this.#ackTimeoutMs)
      if (end === undefined) continue
      const { channel_id } = channel.metadata
      await attempt({ channel_id }, (operation) => lifecycle.end(channel_id, end.end, end.reason, operation))
    }
    for (const task_id of tasks.due(nowMs)) {
      await attempt({ task_id }, (operation) => tasks.expire(task_id, "ttl_expired", operation))
    }
    for (const task_id of tasks.left()) {
      await attempt({ task_id }, (operation) => tasks.expire(task_id, "channel_closed", operation))
    }
    for (const observation of tasks.uncounted()) {
      await attempt({ task_id: observation.task_id }, (operation) =>
        registry.recordObservation(observation, (taskId) => tasks.countOnce(taskId), operation),
      )
    }
    await book.saveUnsaved()
  }

  /** Checks the expectations of every open channel once. */
  async checkExpectations(): Promise<void> {
    if (this.#auditLog.available) await this.parts.expectations.tick()
  }

  health(): HubHealth {
    const { book, registry, inboxes } = this.parts
    return {
      active_channels: book.activeCount,
      registered_agents: registry.size,
      pending_inbox_total: inboxes.counter.total,
      max_pending_inbox_depth: inboxes.counter.maxDepth,
      registered_listeners: this.#fanOut.count,
      adapters_loaded: book.adapterCount,
      audit_log_bytes: this.#auditLog.bytesWritten,
      telemetry_log_bytes: 0,
      audit_failures: this.#auditLog.failures,
      audit_available: this.#auditLog.available,
      quarantined: this.#quarantined.size,
    }
  }

  /**
   * Takes no more changes, waits for those that run, tells the listeners and closes its own audit log; the store is the
   * caller's. Channels that wait for their invitees stay pending. Idempotent.
   *
   * @throws AuditUnavailableError when records that must be durable could not be written to the end.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** An operation of the hub's own, or of whoever is named. */
  protected begin(options: OperationOptions = {}): Operation {
    return { actor: options.actor, events: this.#fanOut.announcement() }
  }

  /**
   * Runs one change from outside: refused when the hub is closed or may not change, and done once it was told.
   *
   * @throws ClosedError, AuditUnavailableError, or what `change` throws.
   */
  protected operate<T>(
    change: (operation: Operation) => Promise<T> | T,
    options?: OperationOptions,
  ): Promise<T> {
    return unlessAborted(() => {
      const running = this.#operate(change, options)
      this.#running.add(running)
      const ended = (): void => void this.#running.delete(running)
      running.then(ended, ended)
      return running
    }, options?.signal)
  }

  /** Runs what changes nothing. */
  protected look<T>(read: () => Promise<T> | T, options: CallOptions | undefined): Promise<T> {
    return unlessAborted(async () => await read(), options?.signal)
  }

  async #operate<T>(
    change: (operation: Operation) => Promise<T> | T,
    options?: OperationOptions,
  ): Promise<T> {
    if (this.#closing !== undefined) throw new ClosedError("the hub")
    if (!this.#auditLog.available) {
      throw new AuditUnavailableError("the audit log cannot be written, and the hub must record every change")
    }
    const operation = this.begin(options)
    let result: T
    try {
      result = await change(operation)
    } catch (error) {
      // The refusal is what the caller must hear, whatever becomes of its record.
      await operation.events.done().catch(() => {})
      throw error
    }
    await operation.events.done()
    return result
  }

  async #close(): Promise<void> {
    await this.#sweepers.stop()
    this.parts.creation.abandon(new ClosedError("the hub"))
    // An operation of a listener that closes the hub waits for the listener.
    while (this.#running.size > 0 && !insideListener()) await Promise.allSettled(this.#running)
    this.parts.desk.closeAll()
    const operation = this.begin()
    operation.events.hubEvent("stopped", { reason: "closed", at: this.context.now() })
    await operation.events.done().catch((error: unknown) => {
      this.context.logger.error({ err: error }, "the end of the hub could not be recorded")
    })
    await this.#fanOut.idle()
    await this.#ownAuditLog?.close()
  }

  #sweepEvery(name: string, seconds: number, sweep: Sweep): void {
    if (seconds > 0) this.#sweepers.register(name, seconds, sweep)
  }
}
