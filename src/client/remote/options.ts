import type { Logger } from "../../core/logger.ts"
import type { Clock, RandomBytes, Timers } from "../../core/system.ts"
import type { AuthClaim } from "../../model/passport.ts"
import type { AuthChallenge } from "../../model/challenge.ts"

export interface RemoteOptions {
  /**
   * Makes the claim of an identity that signs a challenge, whenever it has to prove itself again: after the hub was
   * restarted, or the connection was away for too long. Without it such an identity is detached then. Claims that are
   * not signed are remembered, in memory alone.
   */
  readonly prove?: (name: string, challenge: AuthChallenge) => Promise<AuthClaim> | AuthClaim
  /** Whether to go on trying when the hub cannot be reached at first. Default false: `connect` rejects. */
  readonly waitForHub?: boolean
  /** How long an answer may take, reconnections included. Default 60,000; `createChannel` waits for others up to 30,000. */
  readonly requestTimeoutMs?: number
  /** How long the opening of a connection may take. Default 10,000. */
  readonly connectTimeoutMs?: number
  /** A connection on which nothing comes in for twice as long is given up. Default 15,000; 0: never. */
  readonly heartbeatMs?: number
  /** The first wait before connecting again; doubled each time, and shortened at random by up to a half. Default 200. */
  readonly backoffMs?: number
  /** Default 15,000. */
  readonly maxBackoffMs?: number
  /** Closes the connection. */
  readonly signal?: AbortSignal
  readonly clock?: Clock
  readonly timers?: Timers
  readonly random?: RandomBytes
  /** Hears of lost and regained connections. Default: silent. */
  readonly logger?: Logger
}

/** Asked and not answered, over all reconnections. More are refused. */
export const MAX_WAITING_REQUESTS = 10_000

/** Delivered envelopes that are remembered, so that none is handled twice. */
export const MAX_REMEMBERED_DELIVERIES = 50_000
