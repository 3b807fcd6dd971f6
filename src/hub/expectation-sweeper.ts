import { isTerminalChannel, type ChannelManifest, type Violation } from "../model/index.ts"
import { isLive, type Channel } from "./channel.ts"
import type { ChannelBook } from "./channel-book.ts"
import type { HubContext } from "./context.ts"
import {
  checkExpectation,
  splitByViolator,
  type ExpectationEvaluator,
  type ViolationHandler,
} from "./expectations/index.ts"
import type { ChannelLifecycle } from "./lifecycle.ts"
import type { Operation } from "./operation.ts"
import { copyObject, deepFreeze } from "./plain-json.ts"
import type { Posting } from "./posting.ts"

export function violationsPath(channelId: string): string {
  return `/channels/${channelId}/violations.json`
}

/**
 * Watches the promises of open channels.
 *
 * Each broken promise is told once per channel, expectation, violator and occasion (of `turn_within`: the turn), also over
 * restarts: what was told is kept beside the channel. One without occasions that is kept again and broken again is not
 * told again, as in AG2.
 *
 * Evaluators see the envelopes that are in memory: all of a channel's log up to 1 MiB, and of what is older than that
 * the newest of each sender, type and audience, which is what the built-in ones look at. A sweep reads nothing.
 */
export class ExpectationSweeper {
  readonly #context: HubContext
  readonly #book: ChannelBook
  readonly #lifecycle: ChannelLifecycle
  readonly #posting: Posting
  readonly #begin: () => Operation
  readonly #evaluators = new Map<string, ExpectationEvaluator>()
  readonly #handlers = new Map<string, ViolationHandler>()
  /** Owned by `tick`: one at a time. */
  #running: Promise<void> | undefined

  constructor(
    context: HubContext,
    parts: { book: ChannelBook; lifecycle: ChannelLifecycle; posting: Posting; begin: () => Operation },
  ) {
    this.#context = context
    this.#book = parts.book
    this.#lifecycle = parts.lifecycle
    this.#posting = parts.posting
    this.#begin = parts.begin
  }

  registerEvaluator(evaluator: ExpectationEvaluator): void {
    this.#evaluators.set(evaluator.name, evaluator)
  }

  registerHandler(handler: ViolationHandler): void {
    this.#handlers.set(handler.name, handler)
  }

  /** @throws ProtocolError for an expectation that nobody would watch. */
  checkManifest(manifest: ChannelManifest): void {
    for (const expectation of manifest.expectations) {
      checkExpectation(expectation, this.#evaluators, this.#handlers)
    }
  }

  /** Looks at every open channel once. What goes wrong with one is logged and does not reach the next. */
  async tick(): Promise<void> {
    while (this.#running !== undefined) await this.#running
    this.#running = this.#tick().finally(() => {
      this.#running = undefined
    })
    await this.#running
  }

  async #tick(): Promise<void> {
    for (const channel of this.#book.open()) {
      try {
        if (isLive(channel)) await this.#check(channel)
      } catch (error) {
        const { channel_id } = channel.metadata
        this.#context.logger.error(
          { err: error, channel_id },
          "a channel's expectations could not be checked",
        )
      }
    }
  }

  async #check(channel: Channel): Promise<void> {
    for (const [index, expectation] of channel.metadata.manifest.expectations.entries()) {
      const { metadata, state } = channel
      if (isTerminalChannel(metadata.state) || state === undefined) return
      const evaluator = this.#evaluators.get(expectation.name)
      const handler = this.#handlers.get(expectation.on_violation)
      if (evaluator === undefined || handler === undefined) {
        // Only in a channel that an earlier process made with others registered.
        this.#context.logger.warn(
          { channel_id: metadata.channel_id, expectation },
          "an expectation is not watched",
        )
        continue
      }
      const nowMs = this.#context.clock()
      let violation: Violation | undefined
      let occasion = ""
      try {
        const context = { metadata, state, wal: channel.wal.recent, nowMs }
        violation = evaluator.evaluate(expectation, context)
        occasion = evaluator.occasion?.(context) ?? ""
      } catch (error) {
        const { channel_id } = metadata
        this.#context.logger.error(
          { err: error, channel_id, expectation: expectation.name },
          "an evaluator failed",
        )
        continue
      }
      if (violation === undefined) continue
      const fresh = splitByViolator(violation).filter((one) => {
        const about = [index, expectation.name, one.violator_ids[0] ?? ""]
        const key = JSON.stringify(occasion === "" ? about : [...about, occasion])
        if (channel.fired.has(key)) return false
        // Occasions pass: one key per promise and violator is enough.
        const earlier = JSON.stringify(about).slice(0, -1)
        for (const old of channel.fired) if (old.startsWith(`${earlier},`)) channel.fired.delete(old)
        channel.fired.add(key)
        return true
      })
      if (fresh.length === 0) continue
      for (const one of fresh) await this.#fire(channel, one, handler)
      if (handler.endsTick === true) return
    }
  }

  /** Told, remembered, and then handled. */
  async #fire(channel: Channel, found: Violation, handler: ViolationHandler): Promise<void> {
    const { channel_id } = channel.metadata
    const violation = deepFreeze({ ...found, detail: copyObject(found.detail, "detail") })
    const operation = this.#begin()
    operation.events.expectationFired(channel_id, violation)
    await this.#quietly(channel_id, "a violation could not be recorded", () => operation.events.done())
    await this.#quietly(channel_id, "a violation could not be remembered", () =>
      this.#context.store.write(violationsPath(channel_id), JSON.stringify([...channel.fired])),
    )
    await this.#quietly(channel_id, "a violation handler failed", () =>
      handler.handle(channel.metadata, violation, {
        post: (eventType, eventData, audience) =>
          this.#posting.announce(channel_id, eventType, eventData, audience, operation),
        close: async (reason) => {
          await this.#lifecycle.end(channel_id, "closed", reason, operation)
        },
      }),
    )
    await this.#quietly(channel_id, "a violation could not be recorded", () => operation.events.done())
  }

  async #quietly(channelId: string, message: string, action: () => Promise<void>): Promise<void> {
    try {
      await action()
    } catch (error) {
      this.#context.logger.error({ err: error, channel_id: channelId }, message)
    }
  }
}
