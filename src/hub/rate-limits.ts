import type { Clock } from "../core/system.ts"
import { RateLimitedError } from "../model/index.ts"
import type { Rule } from "../model/index.ts"

const MINUTE_MS = 60_000

/** A token bucket per sender: `per_minute` flows in, `burst` (or a minute's worth) is what it holds. In memory. */
export class RateLimits {
  readonly #clock: Clock
  readonly #buckets = new Map<string, { tokens: number; at: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @throws RateLimitedError when the sender's rule allows no more now. */
  take(agentId: string, rule: Rule | undefined): void {
    const { per_minute, burst } = rule?.limits.rate ?? { per_minute: 0, burst: 0 }
    if (per_minute <= 0) return
    const capacity = burst > 0 ? burst : per_minute
    const now = this.#clock()
    const bucket = this.#buckets.get(agentId) ?? { tokens: capacity, at: now }
    const flowed = (Math.max(0, now - bucket.at) * per_minute) / MINUTE_MS
    const tokens = Math.min(capacity, bucket.tokens + flowed)
    const allowed = tokens >= 1
    this.#buckets.set(agentId, { tokens: allowed ? tokens - 1 : tokens, at: now })
    if (!allowed) throw new RateLimitedError(`${agentId} sends more than ${per_minute} envelopes a minute`)
  }

  forget(agentId: string): void {
    this.#buckets.delete(agentId)
  }
}
