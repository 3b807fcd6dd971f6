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

/** What every call here takes. */
export interface CallOptions {
  /** Stops the waiting, not what was asked for: that may still happen. */
  readonly signal?: AbortSignal
}

/** The result, or the signal's reason as soon as it aborts. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await work
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(signal.reason)
  work.catch(() => {})
  if (signal.aborted) onAbort()
  signal.addEventListener("abort", onAbort)
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener("abort", onAbort)
  }
}
