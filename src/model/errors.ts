import { HansardError } from "../core/errors.ts"
import type { ErrorDetails } from "../core/errors.ts"

/** A rule, a limit or the arbiter says no. */
export class AccessDeniedError extends HansardError {
  override readonly code = "access_denied"

  constructor(message: string, details?: ErrorDetails) {
    super(message, "Ask whoever keeps the rule that the message names to allow it.", details)
  }
}

/** The claim does not prove the identity, or the scheme is unknown. */
export class AuthError extends HansardError {
  override readonly code = "auth_failed"

  constructor(message: string, details?: ErrorDetails) {
    super(message, "Check the scheme and the credential of the passport's auth block.", details)
  }
}

/** The state of the channel, or its adapter, does not allow this now. */
export class ProtocolError extends HansardError {
  override readonly code = "protocol_error"

  constructor(message: string, details?: ErrorDetails) {
    super(message, "Read the channel's metadata: its state and manifest say what may come next.", details)
  }
}

/** A recipient has as many unacknowledged envelopes as its rule allows. Nothing was sent to anybody. */
export class InboxFullError extends HansardError {
  override readonly code = "inbox_full"

  constructor(message: string, details?: ErrorDetails) {
    super(message, "Wait for the recipient to acknowledge, or raise limits.inbox.max_pending.", details)
  }
}

/** More than is allowed in a time: of envelopes by the rule, of failed logins, of requests. */
export class RateLimitedError extends HansardError {
  override readonly code = "rate_limited"
  /** When it is worth another try, if that is known. */
  readonly retryAfterSeconds: number | undefined

  constructor(message: string, details?: ErrorDetails & { readonly retryAfterSeconds?: number }) {
    super(message, "Send more slowly, or raise limits.rate.", details)
    this.retryAfterSeconds = details?.retryAfterSeconds
  }
}
