import type { IdSource } from "../core/ids.ts"
import type { Logger } from "../core/logger.ts"
import type { Clock, Timers } from "../core/system.ts"
import type { HubConnection } from "../model/hub-api.ts"

/** What the parts of one client share. */
export interface ClientContext {
  readonly hub: HubConnection
  readonly logger: Logger
  readonly clock: Clock
  readonly timers: Timers
  readonly newId: IdSource
  /** Forgets an agent: its deliveries are refused from now on. */
  readonly forget: (agentId: string, reason: Error) => void
}

/** What was thrown, as an error: handlers may throw anything. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown))
}

/** As `AbortSignal.timeout` spells it, so that a caller handles one kind. */
export function timeoutError(message: string): Error {
  return new DOMException(message, "TimeoutError")
}

/** Both, or whichever there is. */
export function eitherSignal(one: AbortSignal, other: AbortSignal | undefined): AbortSignal {
  return other === undefined ? one : AbortSignal.any([one, other])
}
