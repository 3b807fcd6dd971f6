import type { Clock } from "../../core/index.ts"
import { RateLimitedError } from "../../model/index.ts"

export interface RequestRate {
  /** What a reader may ask for in the long run. */
  readonly perSecond: number
  /** What it may ask for at once. */
  readonly burst: number
}

export const DEFAULT_RATE: RequestRate = { perSecond: 100, burst: 1_000 }

/** In readers. The one that was quiet longest is forgotten first, and begins anew. */
const MAX_REMEMBERED = 10_000

/** A bucket of leave for each reader, which fills again as time passes. */
export class RequestLimiter {
  readonly #rate: RequestRate
  readonly #clock: Clock
  readonly #buckets = new Map<string, { readonly left: number; readonly at: number }>()

  constructor(rate: RequestRate, clock: Clock) {
    this.#rate = rate
    this.#clock = clock
  }

  /** @throws RateLimitedError when the bucket is empty. */
  take(reader: string): void {
    const { perSecond, burst } = this.#rate
    const now = this.#clock()
    const bucket = this.#buckets.get(reader) ?? { left: burst, at: now }
    const left = Math.min(burst, bucket.left + (Math.max(0, now - bucket.at) / 1000) * perSecond)
    this.#buckets.delete(reader)
    this.#buckets.set(reader, { left: Math.max(0, left - 1), at: now })
    const [oldest] = this.#buckets.keys()
    if (this.#buckets.size > MAX_REMEMBERED && oldest !== undefined) this.#buckets.delete(oldest)
    if (left >= 1) return
    const retryAfterSeconds = Math.max(1, Math.ceil((1 - left) / perSecond))
    throw new RateLimitedError("this reader asks too often", {
      hint: `Ask at most ${perSecond} times a second.`,
      retryAfterSeconds,
    })
  }
}
