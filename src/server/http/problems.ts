/** Errors as answers: RFC 9457. The one table from our errors to statuses is here. */
import { HansardError, type ErrorCode } from "../../core/index.ts"
import { RateLimitedError } from "../../model/index.ts"
import type { FieldError, Problem } from "../../wire/http.ts"

/** A new code does not compile until it has a line here. */
const STATUS: Readonly<Record<ErrorCode, number>> = {
  access_denied: 403,
  audit_unavailable: 503,
  auth_failed: 401,
  // Only what this service itself has stored is checked here.
  bad_proof: 500,
  bad_signature: 500,
  closed: 503,
  disconnected: 503,
  hub_failed: 500,
  inbox_full: 409,
  invalid_input: 400,
  invalid_record: 400,
  log_locked: 409,
  not_found: 404,
  protocol_error: 409,
  rate_limited: 429,
  record_too_large: 413,
  store_full: 507,
  store_unavailable: 503,
  tampered: 500,
}

const TITLES: Readonly<Record<number, string>> = {
  400: "The request is wrong",
  401: "Who asks is not known",
  403: "This is not allowed",
  404: "There is no such thing",
  405: "Not with this method",
  406: "Not in this format",
  409: "Not in this state",
  412: "It has changed meanwhile",
  413: "Too large",
  414: "Too long",
  415: "Not in this format",
  422: "The request contradicts an earlier one",
  429: "Too often",
  500: "The service failed",
  503: "Not available now",
  507: "No room",
}

/** Codes that only HTTP knows. */
type HttpCode =
  | "method_not_allowed"
  | "not_found"
  | "not_acceptable"
  | "payload_too_large"
  | "too_many_streams"
  | "unsupported_media_type"
  | "uri_too_long"
  | "idempotency_conflict"
  | "precondition_failed"
  | "rule_of_file"

/** A request that is refused for a reason of HTTP's. Never leaves the handler. */
export class RequestRefused extends Error {
  readonly status: number
  readonly code: HttpCode | "invalid_input"
  readonly hint: string
  readonly headers: Readonly<Record<string, string>>
  readonly errors: readonly FieldError[] | undefined

  constructor(
    status: number,
    code: HttpCode | "invalid_input",
    message: string,
    details: {
      readonly hint: string
      readonly headers?: Readonly<Record<string, string>>
      readonly errors?: readonly FieldError[]
    },
  ) {
    super(message)
    this.status = status
    this.code = code
    this.hint = details.hint
    this.headers = details.headers ?? {}
    this.errors = details.errors
  }
}

/** 400 that names the fields. */
export function wrongFields(errors: readonly FieldError[]): RequestRefused {
  const [first] = errors
  const message = first === undefined ? "the request is wrong" : `${first.field}: ${first.message}`
  return new RequestRefused(400, "invalid_input", message, {
    hint: "Mend the fields that are named; /openapi.json describes them.",
    errors,
  })
}

export interface ProblemAnswer {
  readonly problem: Problem
  readonly headers: Readonly<Record<string, string>>
  /** Whether the fault is ours, and belongs into our log with its cause. */
  readonly isOurs: boolean
}

/**
 * What is said of an error. Of one that we did not expect nothing is told but that it happened: its text may hold paths
 * and secrets, and belongs into the operator's log.
 */
export function problemOf(error: unknown): ProblemAnswer {
  if (error instanceof RequestRefused) {
    const { status, code, message, hint, headers, errors } = error
    return { problem: makeProblem(status, code, message, hint, errors), headers, isOurs: false }
  }
  if (!(error instanceof HansardError)) {
    const problem = makeProblem(500, "internal", "the service failed", "Look into the service's own log.")
    return { problem, headers: {}, isOurs: true }
  }
  const status = STATUS[error.code]
  const isOurs = status >= 500
  // What a driver says of a failing disk names paths of this machine.
  const detail =
    isOurs && error.code !== "tampered" ? (OURS[error.code] ?? "the service failed") : error.message
  const hint = isOurs ? "Look into the service's own log, and at /health." : error.hint
  return { problem: makeProblem(status, error.code, detail, hint), headers: headersOf(error), isOurs }
}

const OURS: Partial<Record<ErrorCode, string>> = {
  audit_unavailable: "the record of this change could not be written; nothing was changed",
  closed: "the service is stopping",
  store_full: "the store has no room; nothing was written",
  store_unavailable: "the store does not work now",
}

export function problemResponse({ problem, headers }: ProblemAnswer): Response {
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: { "content-type": "application/problem+json", "cache-control": "no-store", ...headers },
  })
}

function makeProblem(
  status: number,
  code: string,
  detail: string,
  hint: string,
  errors?: readonly FieldError[],
): Problem {
  const title = TITLES[status] ?? "The request failed"
  const problem = { type: `urn:hansard:problem:${code}`, title, status, detail, code, hint }
  return errors === undefined ? problem : { ...problem, errors }
}

function headersOf(error: HansardError): Record<string, string> {
  if (error.code === "auth_failed") return { "www-authenticate": 'Bearer realm="hansard"' }
  if (error instanceof RateLimitedError) return { "retry-after": String(error.retryAfterSeconds ?? 1) }
  return {}
}
