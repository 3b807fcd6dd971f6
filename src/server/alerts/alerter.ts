import type { AuditLog, LogEntry } from "../../audit/index.ts"
import { isoTime, type Clock, type Logger, type Timers } from "../../core/index.ts"
import type { KnowledgeStore } from "../../store/contract.ts"
import type { AlertDestination } from "../../wire/alerts.ts"
import { AlertStateWriter, readAlertState, type AlertState, type PendingAlert } from "./alert-state.ts"
import { deliver } from "./deliver.ts"
import { DeliveryQueues } from "./delivery-queues.ts"
import type { DestinationPolicy } from "./destinations.ts"
import { absent, NEW_STATE, observe, type Alert, type RuleState } from "./engine.ts"
import { RuleBook, tagOf } from "./rule-book.ts"
import type { AlertRule } from "./rules.ts"

/** How often absence is looked for, in milliseconds. */
const LOOK_MS = 1_000
/** In attempts; then it is on record as failed. */
const MAX_ATTEMPTS = 5
/** Before the second attempt; it doubles. In milliseconds. */
const FIRST_WAIT_MS = 500
/** Before what could not be put on record is tried again. In milliseconds. */
const RETRY_MS = 1_000
/** Records between two saves of the cursor, while nothing fires. */
const SAVE_EVERY = 1_000
/** Alerts that are put on record, or saved, at once. */
const MAX_AT_ONCE = 100
/** In alerts. */
const DEFAULT_MAX_WAITING = 1_000

export interface AlerterOptions {
  readonly log: AuditLog
  /** Keeps the cursor, what is still to be told, and the API's rules. */
  readonly store: KnowledgeStore
  /** Of the file. */
  readonly rules: readonly AlertRule[]
  /** The log's origin, or another name of where the alerts come from. */
  readonly source: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** For rules of the API. Default: HTTPS to public addresses. */
  readonly policy?: DestinationPolicy
  /** Alerts that may wait for one destination; what fires beyond that is on record as failed. Default 1,000. */
  readonly maxWaiting?: number
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
}

/**
 * Watches a log by rules. It reads the log by a tail, and each destination has a queue of its own: whatever a destination
 * does, neither the log is held back nor the alerts of another.
 *
 * **At least once.** What fires is durable, together with the cursor that has passed it, before it is sent; and it is
 * forgotten only once its fate is a record. After a crash it is sent again, with the same id.
 *
 * Each alert becomes a record: `alert_delivered`, `alert_failed` after five attempts or when a thousand wait for its
 * destination already, or `alert_suppressed` in the quiet period; `{rule, index, count}` and for failures `reason`.
 *
 * Not promised: that alerts of different destinations are told in the order in which they fired.
 */
export class Alerter implements AsyncDisposable {
  readonly book: RuleBook
  readonly policy: DestinationPolicy
  readonly env: AlerterOptions["env"]
  readonly #options: AlerterOptions
  readonly #stop = new AbortController()
  readonly #states = new Map<AlertRule, RuleState>()
  /** The first record that no rule has seen; `null` while there are no rules. */
  #next: number | null
  #unsaved = 0
  /** Fired, and not yet durable. */
  #fired: Alert[] = []
  /** How far the rules have come with everything that fired dealt with or pending: what may be saved. */
  #safe: Omit<AlertState, "pending">
  readonly #pending: Set<PendingAlert>
  readonly #queues: DeliveryQueues<PendingAlert>
  readonly #saver: AlertStateWriter
  /** What fired is committed by one at a time. */
  #turn: Promise<void> = Promise.resolve()
  #running: Promise<void> = Promise.resolve()
  /** By fate, of this process. */
  readonly counts: Record<"delivered" | "failed" | "suppressed", number> = {
    delivered: 0,
    failed: 0,
    suppressed: 0,
  }

  private constructor(options: AlerterOptions, book: RuleBook, state: AlertState | undefined) {
    this.#options = options
    this.policy = options.policy ?? { allowedHosts: [] }
    this.env = options.env
    this.book = book
    this.#next = state?.next ?? null
    this.#pending = new Set(state?.pending)
    for (const rule of book.rules) {
      const known = state?.rules[rule.name]
      if (known?.tag !== tagOf(rule.text)) continue
      const { tag: _tag, ...rest } = known
      this.#states.set(rule, rest)
    }
    this.#safe = this.#progress()
    this.#saver = new AlertStateWriter(options.store, () => ({ ...this.#safe, pending: [...this.#pending] }))
    this.#queues = new DeliveryQueues({
      max: options.maxWaiting ?? DEFAULT_MAX_WAITING,
      work: (alert) => this.#deal(alert),
    })
  }

  /** @throws the store's errors. */
  static async start(options: AlerterOptions): Promise<Alerter> {
    // A log that nobody has used yet does not know its size.
    await options.log.entries({ from: 0, to: 0 }).next()
    const book = await RuleBook.open(options)
    const alerter = new Alerter(options, book, await readAlertState(options.store, options.logger))
    if (alerter.#next === null && book.rules.length > 0) await alerter.#begin()
    alerter.#running = alerter.#run().catch((error: unknown) => {
      if (!alerter.#stop.signal.aborted) options.logger.error({ err: error }, "alerts have stopped")
    })
    return alerter
  }

  /** What is under way is broken off, and sent again by the next one that starts. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#running
    await this.#turn
    await this.#queues.idle()
    await this.#saver.save().catch((error: unknown) => this.#couldNotSave(error))
  }

  /** Alerts that wait for their destinations, by rule. */
  get waiting(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>()
    for (const { rule } of this.#pending) counts.set(rule, (counts.get(rule) ?? 0) + 1)
    return counts
  }

  /** When a rule fired last, in milliseconds; `null`: never. */
  firedAt(rule: AlertRule): number | null {
    return this.#states.get(rule)?.firedAt ?? null
  }

  async #run(): Promise<void> {
    for (const alert of this.#pending) {
      const to = this.#destinationOf(alert.rule)
      // They had places before.
      this.#queues.reserve(to)
      this.#queues.add(to, alert)
    }
    this.#look()
    const stopped = whenAborted(this.#stop.signal)
    while (!this.#stop.signal.aborted) {
      const changed = this.book.changed()
      if (this.book.rules.length > 0) await this.#follow()
      else {
        const wereSome = this.#next !== null
        this.#next = null
        if (wereSome) await this.#inTurn(() => this.#commit())
        await Promise.race([changed, stopped])
      }
    }
  }

  /** Where the rules begin is durable before the first of them sees a record. */
  async #begin(): Promise<void> {
    this.#next = this.#options.log.size
    await this.#inTurn(() => this.#commit())
  }

  /** Until there are no rules. */
  async #follow(): Promise<void> {
    const { log } = this.#options
    if (this.#next === null) await this.#begin()
    for await (const entry of log.tail({ from: this.#next ?? log.size, signal: this.#stop.signal })) {
      if (this.book.rules.length === 0) return
      for (const rule of this.book.rules) this.#fire(rule, observe(rule, this.#stateOf(rule), entry))
      this.#next = entry.index + 1
      this.#unsaved++
      const isTime = this.#unsaved >= SAVE_EVERY || this.#fired.length >= MAX_AT_ONCE
      if (isTime || (this.#fired.length > 0 && this.#next >= log.size))
        await this.#inTurn(() => this.#commit())
    }
  }

  /** Absence is noticed when nothing comes: by the clock, once all that has come was heard. */
  #look(): void {
    const { timers, clock, log, logger } = this.#options
    const cancel = timers.after(LOOK_MS, () => {
      this.#stop.signal.removeEventListener("abort", cancel)
      if (this.#next !== null && this.#next >= log.size) {
        for (const rule of this.book.rules) this.#fire(rule, absent(rule, this.#stateOf(rule), clock()))
      }
      const told = this.#fired.length === 0 ? Promise.resolve() : this.#inTurn(() => this.#commit())
      told
        .catch((error: unknown) => logger.error({ err: error }, "an absence could not be told"))
        .finally(() => {
          if (!this.#stop.signal.aborted) this.#look()
        })
    })
    this.#stop.signal.addEventListener("abort", cancel, { once: true })
  }

  #stateOf(rule: AlertRule): RuleState {
    return this.#states.get(rule) ?? NEW_STATE
  }

  #fire(rule: AlertRule, seen: { readonly state: RuleState; readonly alert: Alert | undefined }): void {
    this.#states.set(rule, seen.state)
    if (seen.alert !== undefined) this.#fired.push(seen.alert)
  }

  /** What is only to be on record is put there; what is to be sent is made durable, and then queued. */
  async #commit(): Promise<void> {
    const fired = this.#fired
    this.#fired = []
    // Now: more may fire while these are dealt with.
    const progress = this.#progress()
    this.#unsaved = 0
    const records: object[] = []
    const queued: { readonly to: string; readonly alert: PendingAlert }[] = []
    for (const { rule, at, index, count, isSuppressed } of fired) {
      const alert: PendingAlert = { rule: rule.name, at, index, count }
      const to = keyOf(rule.to)
      if (isSuppressed) records.push(this.#recordOf("suppressed", alert))
      else if (to === undefined) records.push(this.#recordOf("delivered", alert))
      else if (this.#queues.reserve(to)) queued.push({ to, alert })
      else records.push(this.#recordOf("failed", alert, "too many alerts wait for this destination"))
    }
    if (records.length > 0) await this.#untilDone(() => this.#options.log.appendMany(records))
    for (const { alert } of queued) this.#pending.add(alert)
    this.#safe = progress
    await this.#untilDone(() => this.#saver.save())
    for (const { to, alert } of queued) this.#queues.add(to, alert)
  }

  /** One alert to its destination, and its fate on record. When that is not to be, it stays pending. */
  async #deal(alert: PendingAlert): Promise<void> {
    if (this.#stop.signal.aborted) return
    const reason = await this.#send(alert)
    if (reason !== undefined && this.#stop.signal.aborted) return
    const record = this.#recordOf(reason === undefined ? "delivered" : "failed", alert, reason)
    await this.#untilDone(() => this.#options.log.append(record))
    this.#pending.delete(alert)
    // Not awaited: a crash before it is durable only sends it again.
    this.#saver.save().catch((error: unknown) => this.#couldNotSave(error))
  }

  /** @returns why not. */
  async #send(alert: PendingAlert): Promise<string | undefined> {
    const { log, logger } = this.#options
    const { signal } = this.#stop
    let reason = "stopped"
    for (let attempt = 0; attempt < MAX_ATTEMPTS && !signal.aborted; attempt++) {
      if (attempt > 0) await this.#wait(FIRST_WAIT_MS * 2 ** (attempt - 1))
      const rule = this.book.get(alert.rule)
      if (rule === undefined) return "the rule is no longer there"
      try {
        const entry = alert.index === null ? undefined : await entryAt(log, alert.index)
        const whole: Alert = { ...alert, rule, isSuppressed: false }
        await deliver(whole, entry, { ...this.#options, policy: this.policy, signal })
        return undefined
      } catch (error) {
        reason = error instanceof Error ? error.message : String(error)
        logger.warn({ err: error, rule: alert.rule, attempt }, "an alert was not taken")
      }
    }
    return reason
  }

  #recordOf(fate: keyof Alerter["counts"], { rule, index, count }: PendingAlert, reason?: string): object {
    this.counts[fate]++
    const record = { at: isoTime(this.#options.clock()), kind: `alert_${fate}`, rule, index, count }
    return reason === undefined ? record : { ...record, reason }
  }

  #destinationOf(name: string): string {
    const rule = this.book.get(name)
    return (rule && keyOf(rule.to)) ?? ""
  }

  /** @throws what it threw last, when this stops before it is done. */
  async #untilDone(work: () => Promise<unknown>): Promise<void> {
    for (;;) {
      try {
        await work()
        return
      } catch (error) {
        if (this.#stop.signal.aborted) throw error
        this.#options.logger.error({ err: error }, "an alert could not be put on record, and is tried again")
        await this.#wait(RETRY_MS)
      }
    }
  }

  #progress(): Omit<AlertState, "pending"> {
    const followed = this.book.rules.flatMap((rule) => {
      const state = this.#states.get(rule)
      return state === undefined ? [] : [[rule.name, { ...state, tag: tagOf(rule.text) }] as const]
    })
    return { next: this.#next, rules: Object.fromEntries(followed) }
  }

  #couldNotSave(error: unknown): void {
    this.#options.logger.error({ err: error }, "the alerts' state could not be saved")
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(work)
    this.#turn = turn.catch(() => {})
    return turn
  }

  #wait(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.#stop
      const done = (): void => {
        signal.removeEventListener("abort", done)
        cancel()
        resolve()
      }
      const cancel = this.#options.timers.after(milliseconds, done)
      if (signal.aborted) done()
      else signal.addEventListener("abort", done, { once: true })
    })
  }
}

/** Which queue: one a URL, or one a command. `undefined`: the log alone. */
function keyOf(to: AlertDestination): string | undefined {
  if ("webhook" in to) return `webhook ${to.webhook}`
  return "command" in to ? `command ${JSON.stringify(to.command)}` : undefined
}

async function entryAt(log: AuditLog, index: number): Promise<LogEntry | undefined> {
  for await (const entry of log.entries({ from: index, to: index + 1 })) return entry
  return undefined
}

function whenAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }))
}
