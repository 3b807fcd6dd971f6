import type { Clock } from "../../core/system.ts"
import { RateLimitedError } from "../../model/index.ts"

/** How many failures in a row cost nothing. */
export const FREE_FAILURES = 3
/** The wait after the next one; it doubles with each, up to {@link MAX_BACKOFF_SECONDS}. */
export const FIRST_BACKOFF_SECONDS = 1
export const MAX_BACKOFF_SECONDS = 60
/** Failures older than this are forgotten. */
const MEMORY_SECONDS = 900
const MAX_TRACKED = 10_000

/**
 * Makes guessing slow: after repeated failures, whoever is at the other end has to wait before it may try again.
 *
 * By (peer, name), so that a stranger who guesses at a name cannot lock out the agent itself, which comes from
 * elsewhere. In memory, and bounded: the oldest are forgotten first.
 */
export class AuthThrottle {
  readonly #clock: Clock
  readonly #failures = new Map<string, { count: number; untilMs: number; atMs: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @throws RateLimitedError while the peer has to wait. What it brings is not looked at then. */
  check(peer: string, name: string): void {
    const now = this.#clock()
    const known = this.#failures.get(key(peer, name))
    if (known === undefined || now >= known.untilMs) return
    const seconds = Math.ceil((known.untilMs - now) / 1000)
    throw new RateLimitedError(`too many failed attempts to be ${JSON.stringify(name)}`, {
      hint: `Try again in ${seconds} s.`,
      retryAfterSeconds: seconds,
    })
  }

  failed(peer: string, name: string): void {
    const now = this.#clock()
    const at = key(peer, name)
    const known = this.#failures.get(at)
    const count = known === undefined || now - known.atMs > MEMORY_SECONDS * 1000 ? 1 : known.count + 1
    const over = count - FREE_FAILURES - 1
    const seconds =
      over < 0 ? 0 : Math.min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** Math.min(over, 16))
    this.#failures.delete(at)
    if (this.#failures.size >= MAX_TRACKED) {
      const [oldest] = this.#failures.keys()
      if (oldest !== undefined) this.#failures.delete(oldest)
    }
    this.#failures.set(at, { count, untilMs: now + seconds * 1000, atMs: now })
  }

  succeeded(peer: string, name: string): void {
    this.#failures.delete(key(peer, name))
  }
}

function key(peer: string, name: string): string {
  return JSON.stringify([peer, name])
}
