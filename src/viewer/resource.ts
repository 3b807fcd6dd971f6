/** What a view has asked for and may not have yet. */
import { useEffect, useState } from "preact/hooks"

export interface Resource<T> {
  /** The last answer: while a new one is on its way, still the old one. */
  readonly data: T | undefined
  readonly error: Error | undefined
  readonly isLoading: boolean
}

/**
 * Loads when `key` changes; what is then still under way is aborted, so that answers never overtake each other.
 * `undefined` loads nothing.
 */
export function useResource<T>(
  key: string | undefined,
  load: (signal: AbortSignal) => Promise<T>,
): Resource<T> {
  const [state, setState] = useState<Resource<T>>({ data: undefined, error: undefined, isLoading: true })
  useEffect(() => {
    if (key === undefined) return
    const stop = new AbortController()
    setState(({ data }) => ({ data, error: undefined, isLoading: true }))
    load(stop.signal).then(
      (data) => {
        if (!stop.signal.aborted) setState({ data, error: undefined, isLoading: false })
      },
      (error: unknown) => {
        if (stop.signal.aborted) return
        const failure = error instanceof Error ? error : new Error(String(error))
        setState(({ data }) => ({ data, error: failure, isLoading: false }))
      },
    )
    return () => stop.abort()
  }, [key])
  return state
}
