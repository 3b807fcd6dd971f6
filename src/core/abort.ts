/** What every call that waits takes. */
export interface CallOptions {
  /**
   * Stops the waiting, and the call rejects with the signal's reason (by default an `AbortError`). Aborted beforehand,
   * nothing is asked for. Afterwards what was asked for may still happen: an abort takes nothing back.
   */
  readonly signal?: AbortSignal | undefined
}

/** What `start` gives, or the signal's reason as soon as it aborts. Aborted already, it is not started. */
export function unlessAborted<T>(start: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return signal === undefined ? start() : abortable(start, signal)
}

async function abortable<T>(start: () => Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(signal.reason)
  signal.addEventListener("abort", onAbort)
  const work = start()
  // Whoever has aborted does not hear what becomes of it.
  work.catch(() => {})
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener("abort", onAbort)
  }
}
