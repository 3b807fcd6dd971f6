import {
  ClosedError,
  HansardError,
  InvalidInputError,
  NotFoundError,
  StoreFullError,
  StoreUnavailableError,
  AuditUnavailableError,
} from "../core/errors.ts"
import type { ErrorDetails } from "../core/errors.ts"
import {
  AccessDeniedError,
  AuthError,
  InboxFullError,
  ProtocolError,
  RateLimitedError,
} from "../model/errors.ts"

/** An error as it crosses the wire. */
export interface WireError {
  readonly code: string
  readonly message: string
  readonly hint: string
}

/** The codes that AG2's clients turn into classes of their own; every other is their `NetworkError`. */
const AG2_CODES: readonly string[] = ["not_found", "access_denied", "protocol_error", "auth_failed"]

/** What a peer without negotiation is told: AG2's codes, the rest as `error`. */
export function ag2Code(code: string): string {
  if (code === "invalid_input") return "protocol_error"
  return AG2_CODES.includes(code) ? code : "error"
}

/** A bug of ours crosses as `error`, and says nothing of itself: its message may hold what is not the peer's. */
export function toWireError(error: unknown): WireError {
  if (error instanceof HansardError) return { code: error.code, message: error.message, hint: error.hint }
  return {
    code: "error",
    message: "the hub failed to do this",
    hint: "The hub's own log says why; whether the change was made is not known.",
  }
}

/** The same class on this side, for `instanceof`; the base class cannot be thrown, so an unknown code is a ProtocolError. */
export function fromWireError({ code, message, hint }: WireError): HansardError {
  const details: ErrorDetails = hint === "" ? {} : { hint }
  switch (code) {
    case "access_denied":
      return new AccessDeniedError(message, details)
    case "audit_unavailable":
      return new AuditUnavailableError(message, details)
    case "auth_failed":
      return new AuthError(message, details)
    case "closed":
      return new ClosedError(message.replace(/ is closed$/, ""), details)
    case "inbox_full":
      return new InboxFullError(message, details)
    case "invalid_input":
      return new InvalidInputError(message, details)
    case "not_found":
      return new NotFoundError(message, details)
    case "rate_limited":
      return new RateLimitedError(message, details)
    case "store_full":
      return new StoreFullError(message, details)
    case "store_unavailable":
      return new StoreUnavailableError(message, details)
    case "error":
      return new HubFailedError(message, details)
    default:
      return new ProtocolError(message, details)
  }
}

/** The hub met a bug of its own while it did this. */
export class HubFailedError extends HansardError {
  override readonly code = "hub_failed"

  constructor(message: string, details?: ErrorDetails) {
    super(message, "The hub's own log says why; whether the change was made is not known.", details)
  }
}

/** The connection is lost, and with it the answer. */
export class DisconnectedError extends HansardError {
  override readonly code = "disconnected"

  constructor(message: string, details?: ErrorDetails) {
    super(
      message,
      "Whether the change was made is not known: ask the hub before you ask for it again.",
      details,
    )
  }
}
