import type { AuditLog, LogEntry } from "../../audit/index.ts"
import { isoTime, type Clock, type Logger, type Timers } from "../../core/index.ts"
import type { KnowledgeStore } from "../../store/contract.ts"
import { deliver, type DeliveryOptions } from "./deliver.ts"
import { absent, NEW_STATE, observe, type Alert, type RuleState } from "./engine.ts"
import type { AlertRule } from "./rules.ts"

const STATE_PATH = "/service/alerts.json"
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

interface Stored {
  /** The first record that no rule has seen. */
  readonly next: number
  readonly rules: Readonly<Record<string, RuleState>>
}

export interface AlerterOptions extends Omit<DeliveryOptions, "signal"> {
  readonly log: AuditLog
  /** Keeps the cursor. */
  readonly store: KnowledgeStore
  readonly rules: readonly AlertRule[]
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
}

/**
 * Watches a log by rules. It reads the log by a tail, so whatever a destination does, the log is not held back.
 *
 * **At least once.** An alert is delivered, its fate is a record, and only then the cursor moves on, durably. After a crash
 * in between it is delivered again, with the same id. A rule that is new begins where the log ends.
 *
 * Each alert becomes a record: `alert_delivered`, `alert_failed` after five attempts, or `alert_suppressed` in the quiet
 * period; `{rule, index, count}` and for failures `reason`.
 */
export class Alerter implements AsyncDisposable {
  readonly #options: AlerterOptions
  readonly #stop = new AbortController()
  readonly #running: Promise<void>
  readonly #states = new Map<string, RuleState>()
  #next = 0
  #unsaved = 0
  /** Records and times are dealt with one at a time. */
  #turn: Promise<void> = Promise.resolve()

  private constructor(options: AlerterOptions) {
    this.#options = options
    this.#running = this.#run().catch((error: unknown) => {
      if (!this.#stop.signal.aborted) options.logger.error({ err: error }, "alerts have stopped")
    })
  }

  static async start(options: AlerterOptions): Promise<Alerter> {
    await options.log.entries({ from: 0, to: 0 }).next()
    return new Alerter(options)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { log, store, rules } = this.#options
    const bytes = await store.read(STATE_PATH)
    const stored = bytes === undefined ? undefined : (JSON.parse(new TextDecoder().decode(bytes)) as Stored)
    this.#next = stored?.next ?? log.size
    for (const { name } of rules) this.#states.set(name, stored?.rules[name] ?? NEW_STATE)
    this.#look()
    for await (const entry of log.tail({ from: this.#next, signal: this.#stop.signal })) {
      await this.#hearUntilDone(entry)
    }
  }

  /** What could not be put on record is told again: the rules are where they were before. */
  async #hearUntilDone(entry: LogEntry): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const before = new Map(this.#states)
      try {
        return await this.#inTurn(() => this.#hear(entry))
      } catch (error) {
        for (const [name, state] of before) this.#states.set(name, state)
        if (this.#stop.signal.aborted) return
        this.#options.logger.error({ err: error }, "an alert could not be dealt with, and is tried again")
        await this.#wait(RETRY_MS)
      }
    }
  }

  async #hear(entry: LogEntry): Promise<void> {
    let hasFired = false
    for (const rule of this.#options.rules) {
      const { state, alert } = observe(rule, this.#states.get(rule.name) ?? NEW_STATE, entry)
      this.#states.set(rule.name, state)
      if (alert === undefined) continue
      hasFired = true
      await this.#tell(alert, entry)
    }
    this.#next = entry.index + 1
    if (hasFired || ++this.#unsaved >= SAVE_EVERY) await this.#save()
  }

  /** Absence is noticed when nothing comes: by the clock, once all that has come was heard. */
  #look(): void {
    const { timers, clock, rules, log } = this.#options
    const cancel = timers.after(LOOK_MS, () => {
      this.#stop.signal.removeEventListener("abort", cancel)
      void this.#inTurn(async () => {
        if (this.#next < log.size) return
        for (const rule of rules) {
          const { state, alert } = absent(rule, this.#states.get(rule.name) ?? NEW_STATE, clock())
          if (alert !== undefined) await this.#tell(alert, undefined)
          this.#states.set(rule.name, state)
          if (alert !== undefined) await this.#save()
        }
      })
        .catch((error: unknown) => {
          this.#options.logger.error({ err: error }, "an absence could not be told")
        })
        .finally(() => {
          if (!this.#stop.signal.aborted) this.#look()
        })
    })
    this.#stop.signal.addEventListener("abort", cancel, { once: true })
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(work)
    this.#turn = turn.catch(() => {})
    return turn
  }

  async #tell(alert: Alert, entry: LogEntry | undefined): Promise<void> {
    const { rule, index, count } = alert
    if (alert.isSuppressed) return await this.#record("alert_suppressed", { rule: rule.name, index, count })
    const reason = await this.#deliver(alert, entry)
    if (this.#stop.signal.aborted && reason !== undefined) throw new Error("stopped before it was delivered")
    if (reason === undefined) await this.#record("alert_delivered", { rule: rule.name, index, count })
    else await this.#record("alert_failed", { rule: rule.name, index, count, reason })
  }

  /** @returns why not. */
  async #deliver(alert: Alert, entry: LogEntry | undefined): Promise<string | undefined> {
    let reason: string | undefined
    for (let attempt = 0; attempt < MAX_ATTEMPTS && !this.#stop.signal.aborted; attempt++) {
      if (attempt > 0) await this.#wait(FIRST_WAIT_MS * 2 ** (attempt - 1))
      try {
        await deliver(alert, entry, { ...this.#options, signal: this.#stop.signal })
        return undefined
      } catch (error) {
        reason = error instanceof Error ? error.message : String(error)
        this.#options.logger.warn({ err: error, rule: alert.rule.name, attempt }, "an alert was not taken")
      }
    }
    return reason ?? "stopped"
  }

  async #record(kind: string, fields: object): Promise<void> {
    await this.#options.log.append({ at: isoTime(this.#options.clock()), kind, ...fields })
  }

  async #save(): Promise<void> {
    this.#unsaved = 0
    const stored: Stored = { next: this.#next, rules: Object.fromEntries(this.#states) }
    await this.#options.store.write(STATE_PATH, JSON.stringify(stored))
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
