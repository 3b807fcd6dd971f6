/**
 * Stable across releases: switch on this. Messages may be reworded and class names minified.
 *
 * The spelling is that of the wire and of the records (`envelope_rejected.code`), so that no table
 * translates between them.
 */
export type ErrorCode =
  | "access_denied"
  | "audit_unavailable"
  | "auth_failed"
  | "bad_proof"
  | "bad_signature"
  | "closed"
  | "disconnected"
  | "hub_failed"
  | "inbox_full"
  | "invalid_input"
  | "invalid_record"
  | "log_locked"
  | "not_found"
  | "protocol_error"
  | "rate_limited"
  | "record_too_large"
  | "store_full"
  | "store_unavailable"
  | "tampered"

export interface ErrorDetails {
  readonly cause?: unknown
  /** Replaces the class's own hint. */
  readonly hint?: string
}

/**
 * Every error that this package throws on purpose. Three kinds of wrong, three behaviours:
 *
 * - the caller's mistake, a refusal, or a failing disk: a subclass of this one; nothing is half-written;
 * - bytes that are not what was recorded: {@link TamperedError}; stop and look, never retry;
 * - our own bug: a plain `Error` from {@link invariant}; let the process die.
 */
export abstract class HansardError extends Error {
  abstract readonly code: ErrorCode
  /** What to do next, in one sentence. */
  readonly hint: string

  constructor(message: string, hint: string, details?: ErrorDetails) {
    super(message, details?.cause === undefined ? undefined : { cause: details.cause })
    this.name = new.target.name
    this.hint = details?.hint ?? hint
  }
}

/** An argument outside its documented range, or text that does not parse. */
export class InvalidInputError extends HansardError {
  override readonly code = "invalid_input"

  constructor(message: string, details?: ErrorDetails) {
    super(message, "Mend the argument that the message names and call again.", details)
  }
}

/** A record that no line can hold: not a plain object, or one that contains itself. Nothing was written. */
export class InvalidRecordError extends HansardError {
  override readonly code = "invalid_record"

  constructor(message: string, details?: ErrorDetails) {
    super(message, "A record is a plain object without cycles; everything else in it is coerced.", details)
  }
}

/** A record whose line would be longer than the entry limit of tlog-tiles. Nothing was written. */
export class RecordTooLargeError extends HansardError {
  override readonly code = "record_too_large"
  /** Of the line, without its newline. */
  readonly bytes: number
  readonly maxBytes: number

  constructor(bytes: number, maxBytes: number, details?: ErrorDetails) {
    super(
      `the record's line would take ${bytes} bytes; a line holds at most ${maxBytes}`,
      "Store the large part elsewhere and record its digest and size.",
      details,
    )
    this.bytes = bytes
    this.maxBytes = maxBytes
  }
}

/** Another process, or another open store in this one, holds the lease. */
export class LogLockedError extends HansardError {
  override readonly code = "log_locked"
  /** The holder's process id; `undefined` when it could not be read. */
  readonly holderPid: number | undefined

  constructor(place: string, holderPid: number | undefined, details?: ErrorDetails) {
    super(
      `${place} is already open for writing by ${holderPid === undefined ? "another process" : `process ${holderPid}`}`,
      "Stop that process, or open the store read-only: reading never needs the lease.",
      details,
    )
    this.holderPid = holderPid
  }
}

/** No such thing, or a range past the end; never a short result. */
export class NotFoundError extends HansardError {
  override readonly code = "not_found"

  constructor(message: string, details?: ErrorDetails) {
    super(message, "Check the name or id; what is unregistered or deleted is not found either.", details)
  }
}

/** The object was closed before or during the call. */
export class ClosedError extends HansardError {
  override readonly code = "closed"

  constructor(what: string, details?: ErrorDetails) {
    super(`${what} is closed`, "Open it again.", details)
  }
}

/** The medium failed. Unless a contract says otherwise, the write did not happen. */
export class StoreUnavailableError extends HansardError {
  override readonly code = "store_unavailable"

  constructor(message: string, details?: ErrorDetails) {
    super(message, "The cause is the driver's own error; mend the medium and call again.", details)
  }
}

/** The medium has no room. The write did not happen, and the store works again once there is room. */
export class StoreFullError extends HansardError {
  override readonly code = "store_full"

  constructor(message: string, details?: ErrorDetails) {
    super(message, "Free some space on the medium and call again.", details)
  }
}

/** A record could not be made durable, and the hub was told that it must be. */
export class AuditUnavailableError extends HansardError {
  override readonly code = "audit_unavailable"

  constructor(message: string, details?: ErrorDetails) {
    super(
      message,
      "The hub refuses changes until its audit log can be written; mend the store and try again.",
      details,
    )
  }
}

/** Stored bytes are not what was recorded. Stop and look; retrying cannot help. */
export class TamperedError extends HansardError {
  override readonly code = "tampered"
  /** The first record that cannot be trusted; those before it can still be read. */
  readonly firstBadIndex: number
  /** Where its line starts, in bytes from the start of the log. */
  readonly byteOffset: number

  constructor(message: string, firstBadIndex: number, byteOffset: number, details?: ErrorDetails) {
    super(
      message,
      "Stop the writers and keep every file; the records before this index are still readable.",
      details,
    )
    this.firstBadIndex = firstBadIndex
    this.byteOffset = byteOffset
  }
}

/** Asserts what only a bug in this package could break. Never used on input. */
export function invariant(condition: boolean, claim: string): asserts condition {
  if (!condition) throw new Error(`bug: ${claim}`)
}
