/**
 * What requests may say, as zod schemas: the same ones validate and describe (`openapi.ts`). Objects are strict: a filter
 * that is misspelt must not be passed over, or the answer would be to another question.
 */
import { z } from "zod"
import { parseTime } from "../../core/index.ts"
import { ruleName, ruleText } from "../alerts/rules.ts"
import {
  MAX_PAGE_RECORDS,
  MAX_STORY_EVENTS,
  SCOPES,
  type RecordsQuery,
  type StatsQuery,
  type TailQuery,
} from "../../wire/http.ts"

/** What zod makes of an object: what is optional may be there and `undefined`. */
export type Parsed<T> = { readonly [K in keyof T]?: T[K] | undefined }

export interface ChannelsQuery {
  readonly agent?: string
  readonly state?: "pending" | "active" | "closing" | "closed" | "expired"
  readonly limit?: number
  readonly cursor?: string
}

export interface AgentsQuery {
  readonly query?: string
  readonly capability?: string
  readonly limit?: number
  readonly cursor?: string
}

export interface PageQuery {
  readonly limit?: number
  readonly cursor?: string
}

/** In characters: no id, kind or outcome that anybody uses is longer. */
const MAX_WORD_LENGTH = 256
/** Of kinds, and of values that are left out. */
const MAX_WORDS = 100
/** Of parts of a line that are left out. */
const MAX_TEXTS = 20
/** In characters: what fits into a URL that every proxy lets through. */
const MAX_TEXT_LENGTH = 2_000
/** Of a list. */
const MAX_LIST = 1_000

const word = z.string().min(1).max(MAX_WORD_LENGTH)
const time = z
  .string()
  .max(64)
  .refine((text) => parseTime(text) !== undefined, "it is not an ISO 8601 time")
  .meta({ examples: ["2026-11-24T10:00:00Z"] })

/** Digits alone: `1e3`, ` 5` and `0x10` are other spellings, and refused. */
function whole(min: number, max: number = Number.MAX_SAFE_INTEGER): z.ZodType<number> {
  return z.preprocess(
    (text) => (typeof text === "string" && /^\d{1,16}$/.test(text) ? Number(text) : text),
    z.int("it must be a whole number").min(min).max(max),
  )
}

const words = z.preprocess(
  (value) => [value].flat().flatMap((text) => String(text).split(",")),
  z.array(word).max(MAX_WORDS),
)
const without = words.optional().describe("Without these. Several times, or with commas.")

const filters = {
  kind: words.optional().describe("One of these kinds. Several times, or with commas."),
  agent: word.optional().describe("Named in any field that names an agent. An id."),
  channel: word.optional(),
  task: word.optional(),
  outcome: word.optional(),
  not_kind: without,
  not_agent: without,
  not_channel: without,
  not_task: without,
  not_outcome: without,
  not_q: z
    .preprocess((value) => [value].flat(), z.array(z.string().min(1).max(MAX_TEXT_LENGTH)).max(MAX_TEXTS))
    .optional()
    .describe("Without records whose line has one of these parts. Several times."),
  q: z.string().max(MAX_TEXT_LENGTH).optional().describe("A part of the line, as it is stored."),
}
const bounds = {
  from: time.optional().describe("Of `at`, inclusive."),
  to: time.optional().describe("Of `at`, exclusive."),
}
const cursor = z.string().max(MAX_WORD_LENGTH).optional().describe("`next_cursor` of the page before.")

export const recordsQuery: z.ZodType<Parsed<RecordsQuery>> = z.strictObject({
  ...filters,
  ...bounds,
  order: z.enum(["asc", "desc"]).optional(),
  limit: whole(1, MAX_PAGE_RECORDS).optional(),
  cursor,
  format: z
    .enum(["json", "ndjson", "csv", "evidence"])
    .optional()
    .describe("Comes before the header Accept."),
  lines: z.enum(["true", "false"]).optional().describe("Exact lines as texts, instead of records."),
})

export const statsQuery: z.ZodType<Parsed<StatsQuery>> = z.strictObject({
  ...filters,
  ...bounds,
  interval: z
    .string()
    .regex(/^(?:auto|[1-9]\d{0,11}(?:ms|s|m|h|d)?)$/, "it is not auto, nor like 500ms, 1s, 5m, 1h or 1d")
    .optional()
    .describe("Of a bucket of the histogram; default auto."),
})

export const tailQuery: z.ZodType<Parsed<TailQuery>> = z.strictObject({
  ...filters,
  since: time.optional().describe("Of `at`, inclusive."),
  until: time.optional().describe("Of `at`, exclusive."),
  from: whole(0).optional().describe("The first index wanted; default: from now on."),
  checkpoint: whole(0).optional().describe("Size of a checkpoint that the reader has verified."),
})

export const channelsQuery: z.ZodType<Parsed<ChannelsQuery>> = z.strictObject({
  agent: word.optional(),
  state: z.enum(["pending", "active", "closing", "closed", "expired"]).optional(),
  limit: whole(1, MAX_LIST).optional(),
  cursor,
})

export const storyQuery: z.ZodType<Parsed<PageQuery>> = z.strictObject({
  limit: whole(1, MAX_STORY_EVENTS).optional(),
  cursor,
})

export const agentsQuery: z.ZodType<Parsed<AgentsQuery>> = z.strictObject({
  query: z.string().max(MAX_WORD_LENGTH).optional().describe("A part of the resume's summary."),
  capability: word.optional(),
  limit: whole(1, MAX_LIST).optional(),
  cursor,
})

export const noQuery: z.ZodType<object> = z.strictObject({})

/** A record as it comes in: an object with a kind. Everything else in it is the caller's. */
export const incomingRecord: z.ZodType<Record<string, unknown>> = z.looseObject({
  kind: word,
  at: time.optional(),
})

export const indexParam: z.ZodType<{ readonly index: number }> = z.strictObject({ index: whole(0) })
export const idParam: z.ZodType<{ readonly id: string }> = z.strictObject({ id: word })

export const ruleParam: z.ZodType<{ readonly name: string }> = z.strictObject({ name: ruleName })

const record = z.record(z.string(), z.unknown())
const item = z.strictObject({ index: z.int().min(0), record })
const lineItem = z.strictObject({ index: z.int().min(0), line: z.string() })
const counts = z.record(z.string(), z.int().min(0))
const count = z.int().min(0)
const text = z.string().nullable()
const scope = z.enum(SCOPES as [string, ...string[]])
const limits = z.strictObject({
  agents: z.array(z.string()).optional(),
  channels: z.array(z.string()).optional(),
  kinds: z.array(z.string()).optional(),
})

export const problem: z.ZodType = z.strictObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string(),
  hint: z.string().optional(),
  errors: z
    .array(
      z.strictObject({
        in: z.enum(["query", "path", "header", "body"]),
        field: z.string(),
        message: z.string(),
      }),
    )
    .optional(),
})

export const recordsPage: z.ZodType = z.strictObject({
  records: z.union([z.array(item), z.array(lineItem)]),
  next_cursor: text,
  size: count,
})
export const recordAnswer: z.ZodType = z.strictObject({ ...item.shape, line: z.string() })
export const appendAnswer: z.ZodType = z.strictObject({ index: count, count, size: count })
export const statsAnswer: z.ZodType = z.strictObject({
  total: count,
  by_kind: counts,
  by_outcome: counts,
  by_agent: counts,
  first_at: text,
  last_at: text,
  histogram: z.strictObject({
    interval_ms: count,
    buckets: z.array(z.strictObject({ at: z.string(), total: count, by_kind: counts })),
  }),
  size: count,
})
const channelItem = z.strictObject({
  channel_id: z.string(),
  type: text,
  state: text,
  creator_id: text,
  participants: z.array(z.string()),
  created_at: text,
  closed_at: text,
  close_reason: text,
})
export const channelsPage: z.ZodType = z.strictObject({ channels: z.array(channelItem), next_cursor: text })
export const channelStory: z.ZodType = z.strictObject({
  channel_id: z.string(),
  metadata: record.nullable(),
  names: z.record(z.string(), z.string()),
  events: z.array(
    z.union([
      z.strictObject({ source: z.literal("audit"), at: text, index: count, record }),
      z.strictObject({ source: z.literal("wal"), at: z.string(), position: count, envelope: record }),
    ]),
  ),
  next_cursor: text,
  size: count,
})
const agentItem = z.strictObject({
  agent_id: z.string(),
  name: z.string(),
  kind: text,
  is_registered: z.boolean(),
  registered_at: text,
})
export const agentsPage: z.ZodType = z.strictObject({ agents: z.array(agentItem), next_cursor: text })
export const agentAnswer: z.ZodType = z.strictObject({
  ...agentItem.shape,
  passport: record.nullable(),
  resume: record.nullable(),
  rule: record.nullable(),
  skill_md: text,
  pending_inbox: count.nullable(),
  history: z.array(item),
  outcomes: counts,
})
export const serviceAnswer: z.ZodType = z.strictObject({
  version: z.string(),
  origin: text,
  vkey: text,
  size: count,
  has_hub: z.boolean(),
  you: z.strictObject({ name: text, scopes: z.array(scope), limits: limits.nullable() }),
})
const alertShape = { name: z.string(), source: z.enum(["file", "api"]), rule: ruleText }
export const alertAnswer: z.ZodType = z.strictObject(alertShape)
export const alertsAnswer: z.ZodType = z.strictObject({
  rules: z.array(z.strictObject({ ...alertShape, etag: z.string(), fired_at: text, pending: count })),
})
export const replayAnswer: z.ZodType = z.strictObject({
  alerts: z.array(
    z.strictObject({ at: z.string(), index: count.nullable(), count, suppressed: z.boolean() }),
  ),
  fired: count,
  suppressed: count,
  size: count,
})
export const healthAnswer: z.ZodType = z.looseObject({
  status: z.enum(["ok", "unavailable"]),
  audit_log_size: count,
  checkpoint_size: count.nullable(),
  checkpoint_age_ms: z.number().nullable(),
})
