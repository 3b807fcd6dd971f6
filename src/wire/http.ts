/**
 * What the service says over HTTP: one definition for both ends. Types and constants alone; nothing here runs.
 *
 * Keys are snake_case, as they are sent. Every answer is UTF-8 JSON but where its comment says otherwise. Every error, of
 * any route, is a {@link Problem}. Routes are relative to where the service is mounted.
 *
 * | method and path | answer | needs |
 * |---|---|---|
 * | `GET /v1/records` | {@link RecordsPage}; by `Accept`, lines as `application/x-ndjson`, or `text/csv` | `read` |
 * | `POST /v1/records` | 201 {@link AppendAnswer} | `append` |
 * | `GET /v1/records/:index` | {@link RecordAnswer} | `read` |
 * | `GET /v1/records/:index/proof` | a C2SP tlog-proof file, `text/plain` | `read` |
 * | `GET /v1/tail` | `text/event-stream` of {@link TailEvents} | `read` |
 * | `GET /v1/stats` | {@link StatsAnswer} | `read` |
 * | `GET /v1/channels` | {@link ChannelsPage} | `read` |
 * | `GET /v1/channels/:id` | {@link ChannelStory} | `read` |
 * | `GET /v1/agents` | {@link AgentsPage} | `read` |
 * | `GET /v1/agents/:id` | {@link AgentAnswer} | `read` |
 * | `GET /v1/service` | {@link ServiceAnswer} | `read` |
 * | `GET /checkpoint`, `GET /tile/…` | C2SP tlog-tiles | `read` |
 * | `GET /tile/entries/…` | the same; every line | `read`, without limits |
 * | `GET /v1/alerts` and below | `alerts.ts` | `admin` |
 * | `GET /health` | {@link HealthAnswer}; 503 when records cannot be written | nobody's leave |
 * | `GET /metrics` | Prometheus text | `read`, without limits |
 * | `GET /openapi.json` | OpenAPI 3.1 of all this | nobody's leave |
 */
import type { ChannelMetadata, Envelope, JsonObject, Passport, Resume, Rule } from "../model/index.ts"

/** Of a page of `GET /v1/records`. The default is 100. */
export const MAX_PAGE_RECORDS = 1_000
/** Of an answer of `GET /v1/channels/:id`. The default is 1,000. */
export const MAX_STORY_EVENTS = 5_000
/** Of a histogram. What would have more gets longer buckets. */
export const MAX_BUCKETS = 1_000
/** Of a body of `POST /v1/records`, in bytes: no more than what the log writes at once, so that it is all or nothing. */
export const MAX_APPEND_BYTES: number = 512 * 1024
/** Of an `Idempotency-Key`, in characters. */
export const MAX_IDEMPOTENCY_KEY_LENGTH = 255

/**
 * The filters of `GET /v1/records`, `/v1/tail` and `/v1/stats`, as query parameters. All of them must hold.
 *
 * `kind` may be given several times, or with commas. Times are ISO 8601. `q` is a part of the line, as it is stored.
 */
export interface FilterQuery {
  readonly kind?: string | readonly string[]
  /** Any field that names an agent. An id, not a name. */
  readonly agent?: string
  readonly channel?: string
  readonly task?: string
  readonly outcome?: string
  /** Of `at`, inclusive. */
  readonly from?: string
  /** The same, exclusive. */
  readonly to?: string
  readonly q?: string
  /** Without records that have one of these values there; several times, or with commas. */
  readonly not_kind?: string | readonly string[]
  /** In any field that names an agent. */
  readonly not_agent?: string | readonly string[]
  readonly not_channel?: string | readonly string[]
  readonly not_task?: string | readonly string[]
  readonly not_outcome?: string | readonly string[]
  /** Without records whose line has one of these parts; several times, and a comma is a comma. */
  readonly not_q?: string | readonly string[]
}

/** `GET /v1/records`. */
export interface RecordsQuery extends FilterQuery {
  /** Default `"asc"`: oldest first. */
  readonly order?: "asc" | "desc"
  /** Default 100, at most {@link MAX_PAGE_RECORDS}. NDJSON and CSV stream; their default is all of them. */
  readonly limit?: number
  /** `next_cursor` of the page before, with the same filters and order. */
  readonly cursor?: string
  /** Comes before the header `Accept`: for links. */
  readonly format?: ExportFormat | "json"
  /** With `true` the answer is a {@link LinesPage}: for who checks what it is told. */
  readonly lines?: "true" | "false"
}

/**
 * What is streamed: verbatim lines, a table, or lines with their proofs (an evidence file, `hansard check` reads it). The
 * proofs are all under one checkpoint, signed as the stream begins; what comes later is not in it. Of any length: memory is
 * needed for a few hundred records at either end.
 */
export type ExportFormat = "ndjson" | "csv" | "evidence"

/** A record in a list. `record` is its line, byte for byte, set into the answer's text. */
export interface RecordItem {
  /** From 0: the line's number in the log, and its leaf's in the tree. */
  readonly index: number
  readonly record: JsonObject
}

/** `GET /v1/records`, as `application/json`. */
export interface RecordsPage {
  readonly records: readonly RecordItem[]
  /** `null` at the end. It stays good while the log grows, and over restarts. */
  readonly next_cursor: string | null
  /** How many records the log held, whether this reader may see them or not. */
  readonly size: number
}

/** `GET /v1/records?lines=true`: the exact lines instead of the records. */
export interface LinesPage extends Omit<RecordsPage, "records"> {
  readonly records: readonly { readonly index: number; readonly line: string }[]
}

/** `GET /v1/records/:index`. It never changes: cached for ever. */
export interface RecordAnswer extends RecordItem {
  /** The exact line without its newline: what is stored, hashed and proved. Its UTF-8 bytes are the leaf's data. */
  readonly line: string
}

/**
 * `POST /v1/records`, once all is durable. The body is one record (`application/json`) or one a line
 * (`application/x-ndjson`); each is a JSON object with a `kind`, and gets an `at` if it has none. All are appended, one
 * after another, or none is.
 *
 * With an `Idempotency-Key` a request that is sent again gets the first one's answer, also after a restart, with the
 * header `Idempotency-Replayed: true`; the same key with another body is refused with 422.
 */
export interface AppendAnswer {
  /** Of the first one. */
  readonly index: number
  readonly count: number
  /** In records, after the last one. */
  readonly size: number
}

/** `GET /v1/stats`: of the records that pass the filters. */
export interface StatsQuery extends FilterQuery {
  /**
   * Of a bucket, in milliseconds, or as `500ms`, `1s`, `5m`, `1h`, `1d`. Default `auto`: the shortest round one that
   * gives at most 120 buckets. One that would give more than {@link MAX_BUCKETS} is lengthened.
   */
  readonly interval?: string
}

export interface StatsAnswer {
  readonly total: number
  /** Most frequent first. */
  readonly by_kind: Readonly<Record<string, number>>
  /** The same; records without an outcome are not in it. */
  readonly by_outcome: Readonly<Record<string, number>>
  /** The same; a record counts once for each agent that it names. */
  readonly by_agent: Readonly<Record<string, number>>
  /** The least and greatest `at` of the counted records, `null` when there is none. */
  readonly first_at: string | null
  readonly last_at: string | null
  readonly histogram: Histogram
  /** In records, of the whole log. */
  readonly size: number
}

export interface Histogram {
  readonly interval_ms: number
  /** Oldest first; those without a record are left out. Records without a readable `at` are in none. */
  readonly buckets: readonly Bucket[]
}

export interface Bucket {
  /** Where it begins, ISO 8601: a multiple of the interval since 1970. */
  readonly at: string
  readonly total: number
  readonly by_kind: Readonly<Record<string, number>>
}

/**
 * The events of `GET /v1/tail`. Parameters: the filters of {@link FilterQuery} except that `from` is an index here and
 * the time bounds are `since` and `until`; see {@link TailQuery}.
 *
 * In the stream's text an event is `event: NAME`, `data: …`, and for records `id: INDEX`. Comments (`: …`) come at least
 * every 15 seconds. Order: records by index, each once, never before it is durable; a checkpoint only after every record
 * that it covers and that passes the filter.
 */
export interface TailEvents {
  /** `data` is the line, verbatim; `id` its index. */
  readonly record: string
  /** The same for a line with a carriage return in it, which a stream cannot hold: its UTF-8 bytes in base64. */
  readonly record_base64: string
  readonly checkpoint: TailCheckpoint
  /** The last event: the service stops, the token was revoked. Connect again, unless the next answer is a refusal. */
  readonly end: TailEnd
  /** The last event: the log could not be read on. */
  readonly problem: Problem
}

export interface TailQuery extends Omit<FilterQuery, "from" | "to"> {
  readonly since?: string
  readonly until?: string
  /** The first index wanted. Default: from now on. The header `Last-Event-ID` comes first, and names the index before. */
  readonly from?: number
  /** The size of a checkpoint that the reader has verified: the first one of the stream is proved against it. */
  readonly checkpoint?: number
}

export interface TailCheckpoint {
  /** The signed note, verbatim. */
  readonly checkpoint: string
  /** In records: what it covers. The note says the same, signed. */
  readonly size: number
  /** The size of the one before in this stream, or the parameter `checkpoint`; `null` when there is none. */
  readonly from: number | null
  /** RFC 6962 consistency proof from `from` to `size`: hashes in base64. Empty when `from` is null, 0 or `size`. */
  readonly proof: readonly string[]
  /** Every record below this index that passes the filter was sent before this event. At least `size`. */
  readonly position: number
}

export interface TailEnd {
  readonly reason: "shutdown" | "revoked"
}

/** `GET /v1/channels`: newest first. Parameters `agent`, `state`, `limit` (default 100, at most 1,000), `cursor`. */
export interface ChannelsPage {
  readonly channels: readonly ChannelItem[]
  readonly next_cursor: string | null
}

/** Of a hub; without one, what the records say, and then `state` is `null` unless they say it. */
export interface ChannelItem {
  readonly channel_id: string
  readonly type: string | null
  readonly state: string | null
  readonly creator_id: string | null
  /** Agent ids. */
  readonly participants: readonly string[]
  readonly created_at: string | null
  readonly closed_at: string | null
  readonly close_reason: string | null
}

/**
 * `GET /v1/channels/:id`: everything that is known of a channel, in one order. Parameters `limit` (default 1,000, at most
 * {@link MAX_STORY_EVENTS}) and `cursor`.
 */
export interface ChannelStory {
  readonly channel_id: string
  /** `null` when the service has no hub, or its hub does not know the channel. */
  readonly metadata: ChannelMetadata | null
  /** The names of the agents that are named here, as far as they are known. */
  readonly names: Readonly<Record<string, string>>
  readonly events: readonly StoryEvent[]
  readonly next_cursor: string | null
  /** In records, of the log when it was read. */
  readonly size: number
}

/**
 * By time; each source keeps its own order whatever its clocks say. The write-ahead log comes first where times are equal,
 * as it is written first.
 */
export type StoryEvent =
  | {
      readonly source: "audit"
      readonly at: string | null
      readonly index: number
      readonly record: JsonObject
    }
  | {
      readonly source: "wal"
      readonly at: string
      /** In the channel's write-ahead log, from 0. */
      readonly position: number
      readonly envelope: Envelope
    }

/** `GET /v1/agents`: by registration. Parameters `query`, `capability`, `limit` (default 100, at most 1,000), `cursor`. */
export interface AgentsPage {
  readonly agents: readonly AgentItem[]
  readonly next_cursor: string | null
}

export interface AgentItem {
  readonly agent_id: string
  readonly name: string
  /** `agent`, `human` or `remote_agent`; `null` when only the log knows it. */
  readonly kind: string | null
  /** False when the records say that it was unregistered. */
  readonly is_registered: boolean
  readonly registered_at: string | null
}

/** `GET /v1/agents/:id`: by id or by name. Never a claim, never a credential. */
export interface AgentAnswer extends AgentItem {
  /** These are `null` when the service has no hub, or the agent has gone. */
  readonly passport: Passport | null
  /** With the track record by capability, as the hub counted it, in `observed`. */
  readonly resume: Resume | null
  readonly rule: Rule | null
  readonly skill_md: string | null
  /** Envelopes that were sent to it and not acknowledged; `null` when that is not known. */
  readonly pending_inbox: number | null
  /** What happened to its identity (registered, resume, skill and rule set, unregistered), newest first: at most 100. */
  readonly history: readonly RecordItem[]
  /** Terminated tasks by outcome, from the log: of every task that it owned. */
  readonly outcomes: Readonly<Record<string, number>>
}

/** `GET /v1/service`: what is served here, and to whom. */
export interface ServiceAnswer {
  readonly version: string
  /** The log's name in its checkpoints; `null` without a ledger. */
  readonly origin: string | null
  /** The key that signs them. Whoever wants to trust it has it from elsewhere: here it is only remembered. */
  readonly vkey: string | null
  readonly size: number
  readonly has_hub: boolean
  readonly you: {
    /** The token's name; `null` for who needs none. */
    readonly name: string | null
    readonly scopes: readonly Scope[]
    /** What this reader sees is limited to these; `null` when it sees everything. */
    readonly limits: TokenLimits | null
  }
}

export type Scope = "read" | "append" | "admin"
export const SCOPES: readonly Scope[] = ["read", "append", "admin"]

/** A record must satisfy each that is given: one of the agents, one of the channels, one of the kinds. */
export interface TokenLimits {
  readonly agents?: readonly string[]
  readonly channels?: readonly string[]
  readonly kinds?: readonly string[]
}

/** `GET /health`: what the hub's `health()` says, if there is a hub, and this. Everything else needs a token. */
export interface HealthAnswer {
  readonly status: "ok" | "unavailable"
  /** In records. */
  readonly audit_log_size: number
  /** Of the newest checkpoint, in records; `null` without one. */
  readonly checkpoint_size: number | null
  /** Since it was published; `null` without one. */
  readonly checkpoint_age_ms: number | null
  readonly [of_the_hub: string]: string | number | boolean | null
}

/** RFC 9457, `application/problem+json`: the body of every answer of 400 and more. */
export interface Problem {
  /** `urn:hansard:problem:` and the code. */
  readonly type: string
  readonly title: string
  readonly status: number
  /** What is wrong here, in a sentence. */
  readonly detail: string
  /** Stable: switch on this. */
  readonly code: string
  /** What to do next. */
  readonly hint?: string
  /** Which fields are wrong, when the request is. */
  readonly errors?: readonly FieldError[]
}

export interface FieldError {
  readonly in: "query" | "path" | "header" | "body"
  /** The parameter, or the way to it in the body: `limits.agents.0`; in NDJSON with the line in front: `3:kind`. */
  readonly field: string
  readonly message: string
}
