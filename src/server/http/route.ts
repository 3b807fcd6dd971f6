import type { z } from "zod"
import type { AuditLog } from "../../audit/index.ts"
import type { Clock, Logger, Timers } from "../../core/index.ts"
import type { Hub } from "../../hub/index.ts"
import type { FieldError, Scope } from "../../wire/http.ts"
import type { Access } from "./access.ts"
import type { CheckpointEvents } from "./checkpoint-events.ts"
import type { IdempotencyKeys } from "./idempotency.ts"
import type { Metrics } from "./metrics.ts"
import type { Alerter } from "../alerts/alerter.ts"
import type { Feed } from "./feed.ts"
import { wrongFields } from "./problems.ts"

/** What the routes work on. */
export interface Service {
  readonly log: AuditLog
  readonly hub: Hub | undefined
  readonly feed: Feed
  readonly checkpoints: CheckpointEvents
  readonly metrics: Metrics
  /** `undefined` where they are kept nowhere. */
  readonly keys: IdempotencyKeys | undefined
  /** `undefined`: nothing watches the log. */
  readonly alerts: Alerter | undefined
  /** Verifier key of the log's checkpoints, to be told; `null` when it is not known here. */
  readonly vkey: string | null
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
  /** Aborts when the service stops: what streams ends. */
  readonly stopping: AbortSignal
}

/** A request that has been let in, and whose parameters are good. */
export interface Ask<Query, Params> {
  readonly request: Request
  readonly access: Access
  readonly query: Query
  readonly params: Params
  /** Aborts when the other end has gone. */
  readonly signal: AbortSignal
}

/** A body, in or out, for the description. */
export interface Content {
  readonly type: string
  /** Left out where it is text or bytes. */
  readonly schema?: z.ZodType
}

export interface Answer {
  readonly description: string
  readonly content: readonly Content[]
}

/** One method of one path: what it takes, what it needs, what it says, and how it is done. */
export interface Route<Query = unknown, Params = unknown> {
  readonly id: string
  readonly method: "GET" | "POST" | "PUT" | "DELETE"
  /** With `:name` for parameters. */
  readonly path: string
  readonly summary: string
  /** `null`: anybody may ask. */
  readonly needs: Scope | null
  /** True where limited readers are refused: what it shows cannot be shown in part. */
  readonly needsAll?: boolean
  readonly query: z.ZodType<Query>
  readonly params?: z.ZodType<Params>
  readonly body?: readonly Content[]
  /** Whether the body may be left out. Default false. */
  readonly isBodyOptional?: boolean
  readonly headers?: Readonly<Record<string, string>>
  /** By status. Every route can also answer with a problem. */
  readonly answers: Readonly<Record<number, Answer>>
  /** A method, so that routes of any parameters fit into one list. */
  handle(service: Service, ask: Ask<Query, Params>): Promise<Response>
}

/** For inference alone: the parameters' types come from their schemas. */
export function route<Query, Params>(described: Route<Query, Params>): Route {
  return described as Route
}

/** @throws RequestRefused that names every wrong field. */
export function parseFields<T>(
  schema: z.ZodType<T>,
  value: unknown,
  where: FieldError["in"],
  prefix = "",
): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw wrongFields(fieldErrors(result.error, where, prefix))
}

export function fieldErrors(error: z.ZodError, where: FieldError["in"], prefix = ""): FieldError[] {
  const errors = error.issues.flatMap((issue) => {
    const path = issue.path.map(String).join(".")
    if (issue.code !== "unrecognized_keys")
      return [{ in: where, field: prefix + path, message: issue.message }]
    return issue.keys.map((key) => ({
      in: where,
      field: prefix + (path === "" ? key : `${path}.${key}`),
      message: "there is no such field",
    }))
  })
  // One is enough of each field: the others follow from it.
  return errors.filter(({ field }, i) => errors.findIndex((other) => other.field === field) === i)
}

/** Of a URL: a parameter that is given once is a text, one that is given more often a list. */
export function queryOf(url: URL): Record<string, string | string[]> {
  const query: Record<string, string | string[]> = Object.create(null) as Record<string, string | string[]>
  for (const name of new Set(url.searchParams.keys())) {
    const values = url.searchParams.getAll(name)
    query[name] = values.length === 1 ? (values[0] ?? "") : values
  }
  return query
}
