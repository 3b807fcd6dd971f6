import type { Logger } from "../core/logger.ts"
import type { Timers } from "../core/system.ts"
import type { AuditRecord, LogEntry, Subscriber } from "./types.ts"

export interface SubscribersOptions {
  readonly timers: Timers
  readonly timeoutMs: number
  readonly logger: Logger
  /** Every durable entry from `index` on, for as long as the log is open: how a slow subscriber goes on. */
  readonly tail: (index: number) => AsyncIterable<LogEntry>
}

/**
 * Live subscribers: each gets every record that is appended after it subscribed, once, in order, after it is stored.
 *
 * They are called one after another in the order of registration, and an append waits for all of them; that is what
 * AG2 does, and it lets a subscriber act before the caller goes on. But a subscriber that takes longer than
 * `timeoutMs` is from then on served by a tail of its own: it still gets every record in order, at its own pace, from
 * the store, and nobody waits for it again. An exception in one is logged and stops neither the others nor the log.
 *
 * Records are frozen and shared: parsed once from the stored line, not the object the caller appended.
 */
export class Subscribers {
  readonly #options: SubscribersOptions
  /** Copied on change, so that a round under way keeps its list. */
  #list: readonly Subscription[] = []
  /** The round under way; the next batch's round waits for it. */
  #rounds: Promise<void> = Promise.resolve()

  constructor(options: SubscribersOptions) {
    this.#options = options
  }

  get count(): number {
    return this.#list.length
  }

  /** The same function twice is called twice, as in AG2. */
  add(callback: Subscriber): () => void {
    const subscription = new Subscription(callback)
    this.#list = [...this.#list, subscription]
    return () => this.#remove(subscription)
  }

  /** Removes the first registration of `callback`; nothing happens when there is none. */
  remove(callback: Subscriber): void {
    const found = this.#list.find((subscription) => subscription.callback === callback)
    if (found !== undefined) this.#remove(found)
  }

  /** Tells everybody; `undefined` when there is nobody to wait for. */
  tell(entries: () => readonly LogEntry[]): Promise<void> | undefined {
    const live = this.#list.filter((subscription) => !subscription.slow)
    if (live.length === 0) return undefined
    const list = entries()
    this.#rounds = this.#rounds.then(() => this.#round(live, list))
    return this.#rounds
  }

  #remove(subscription: Subscription): void {
    subscription.gone = true
    this.#list = this.#list.filter((other) => other !== subscription)
  }

  async #round(live: readonly Subscription[], entries: readonly LogEntry[]): Promise<void> {
    for (const entry of entries) {
      let record: AuditRecord | undefined
      for (const subscription of live) {
        if (subscription.gone || subscription.slow) continue
        record ??= deepFreeze(entry.record)
        await this.#call(subscription, entry.index, record)
      }
    }
  }

  async #call(subscription: Subscription, index: number, record: AuditRecord): Promise<void> {
    let done: Promise<void> | void
    try {
      done = subscription.callback(record)
    } catch (error) {
      this.#failed(record, error)
      return
    }
    if (!(done instanceof Promise)) return
    const finished = done.then(
      () => true,
      (error: unknown) => {
        this.#failed(record, error)
        return true
      },
    )
    const inTime = await this.#within(finished)
    if (inTime) return
    subscription.slow = true
    this.#options.logger.warn(
      { kind: record["kind"], timeoutMs: this.#options.timeoutMs },
      "an audit subscriber is slow; the log no longer waits for it",
    )
    void this.#serve(subscription, finished, index + 1)
  }

  async #within(finished: Promise<boolean>): Promise<boolean> {
    let cancel: () => void = () => {}
    const late = new Promise<false>((resolve) => {
      cancel = this.#options.timers.after(this.#options.timeoutMs, () => resolve(false))
    })
    try {
      return await Promise.race([finished, late])
    } finally {
      cancel()
    }
  }

  async #serve(subscription: Subscription, busy: Promise<unknown>, from: number): Promise<void> {
    try {
      await busy
      for await (const entry of this.#options.tail(from)) {
        if (subscription.gone) return
        try {
          await subscription.callback(deepFreeze(entry.record))
        } catch (error) {
          this.#failed(entry.record, error)
        }
      }
    } catch (error) {
      this.#options.logger.error({ err: error }, "an audit subscriber can no longer be served")
    }
  }

  #failed(record: AuditRecord, error: unknown): void {
    this.#options.logger.error({ err: error, kind: record["kind"] }, "an audit subscriber threw")
  }
}

class Subscription {
  readonly callback: Subscriber
  /** Served by a tail of its own. */
  slow = false
  gone = false

  constructor(callback: Subscriber) {
    this.callback = callback
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value
  Object.freeze(value)
  for (const inner of Object.values(value)) deepFreeze(inner)
  return value
}
