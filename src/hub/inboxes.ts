import { highWaterMark } from "../model/index.ts"
import type { Rule } from "../model/index.ts"
import { InboxCounter } from "./inbox.ts"
import type { Operation } from "./operation.ts"

/**
 * What each agent has not acknowledged, and room promised to envelopes that are on their way into a log.
 *
 * Room is taken before anybody is asked whether there is some, so that senders in different channels cannot fill an
 * inbox over its limit together.
 */
export class Inboxes {
  readonly counter: InboxCounter = new InboxCounter()
  /** Owned by `reserve`. */
  readonly #reserved = new Map<string, number>()

  /** Takes room. @returns how many were before, and how to give the room back. */
  reserve(agentId: string): { readonly before: number; release(): void } {
    const reserved = this.#reserved.get(agentId) ?? 0
    this.#reserved.set(agentId, reserved + 1)
    let held = true
    const release = (): void => {
      if (!held) return
      held = false
      const left = (this.#reserved.get(agentId) ?? 1) - 1
      if (left === 0) this.#reserved.delete(agentId)
      else this.#reserved.set(agentId, left)
    }
    return { before: this.counter.count(agentId) + reserved, release }
  }

  /** Counts an envelope, and says so when it fills the inbox to the mark. */
  add(agentId: string, channelId: string, envelopeId: string, rule: Rule, operation: Operation): void {
    const before = this.counter.count(agentId)
    this.counter.add(agentId, channelId, envelopeId)
    const pending = this.counter.count(agentId)
    const mark = highWaterMark(rule)
    if (mark !== undefined && before < mark && pending >= mark) {
      operation.events.inboxPressure(agentId, pending, rule.limits.inbox.max_pending)
    }
  }
}
