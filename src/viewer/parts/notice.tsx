import type { JSX } from "preact"
import { ApiError } from "../api.ts"
import { T } from "../texts.ts"

/** What went wrong, in the service's own words, and what to do next. */
export function Failure({
  error,
  retry,
}: {
  readonly error: Error
  readonly retry?: () => void
}): JSX.Element {
  return (
    <div class="notice" role="alert" data-look="bad">
      <b>{T.failed}</b>
      <span>{error.message}</span>
      {error instanceof ApiError && error.hint !== "" ? <span class="muted">{error.hint}</span> : null}
      {retry === undefined ? null : (
        <button type="button" class="button" onClick={retry}>
          {T.retry}
        </button>
      )}
    </div>
  )
}

/** Nothing to show, and why. */
export function Empty({
  children,
  action,
}: {
  readonly children: string
  readonly action?: { readonly text: string; readonly run: () => void }
}): JSX.Element {
  return (
    <div class="notice empty muted" role="status">
      {children}
      {action === undefined ? null : (
        <button type="button" class="button small" onClick={action.run}>
          {action.text}
        </button>
      )}
    </div>
  )
}
