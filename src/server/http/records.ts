import {
  evidenceOf,
  type AuditLog,
  type LogEntry,
  type Prover,
  type QueryOptions,
} from "../../audit/index.ts"
import { csvHeader, csvOf } from "../../audit/csv.ts"
import { InvalidInputError, NotFoundError } from "../../core/index.ts"
import type { ExportFormat, RecordsQuery } from "../../wire/http.ts"
import { visibleTo, type Access } from "./access.ts"
import { immutable, respond, UNCACHED } from "./caching.ts"
import { filterOf } from "./filters.ts"
import { wrongFields } from "./problems.ts"
import { route, type Ask, type Route } from "./route.ts"
import { indexParam, noQuery, recordAnswer, recordsPage, recordsQuery, type Parsed } from "./schemas.ts"
import { pieces, streamOf } from "./stream.ts"

/** In records, of a stream with proofs. */
const PROVED_AT_ONCE = 256
/** Of a page, unless the request says another one. */
const DEFAULT_LIMIT = 100

export const recordsRoute: Route = route({
  id: "listRecords",
  method: "GET",
  path: "/v1/records",
  summary:
    "Records that pass all filters, a page at a time; as NDJSON, CSV or with proofs all of them, streamed",
  needs: "read",
  query: recordsQuery,
  headers: { Accept: "application/json, application/x-ndjson (verbatim lines) or text/csv" },
  answers: {
    200: {
      description:
        "A page; it may hold fewer records than `limit` and is the last only when `next_cursor` is null.",
      content: [
        { type: "application/json", schema: recordsPage },
        { type: "application/x-ndjson" },
        { type: "text/csv" },
      ],
    },
  },
  async handle({ log }, ask) {
    const format = ask.query.format ?? formatOf(ask.request)
    if (format === "json") return await page(log, ask)
    if (ask.query.cursor !== undefined) {
      throw wrongFields([{ in: "query", field: "cursor", message: "a stream has no pages" }])
    }
    const entries = (signal: AbortSignal): AsyncIterable<LogEntry> => search(log, ask, signal)
    const texts = format === "evidence" ? evidenceTexts(await proverOf(log)) : TEXTS[format]
    return new Response(
      streamOf((signal) => pieces(texts(entries(signal)))),
      {
        headers: {
          ...UNCACHED,
          "content-type":
            format === "csv" ? "text/csv; charset=utf-8; header=present" : "application/x-ndjson",
          "content-disposition": `attachment; filename="${FILE_NAMES[format]}"`,
        },
      },
    )
  },
})

export const recordRoute: Route = route({
  id: "getRecord",
  method: "GET",
  path: "/v1/records/:index",
  summary: "A record with its exact line",
  needs: "read",
  query: noQuery,
  params: indexParam,
  answers: {
    200: {
      description: "It never changes.",
      content: [{ type: "application/json", schema: recordAnswer }],
    },
  },
  async handle({ log }, { request, access, params: { index } }) {
    const { line } = await visibleEntry(log, access, index)
    const body = `{"index":${index},"line":${JSON.stringify(line)},"record":${line}}`
    return respond(request, body, { ...immutable(access.name === null), ...JSON_TYPE })
  },
})

export const proofRoute: Route = route({
  id: "getProof",
  method: "GET",
  path: "/v1/records/:index/proof",
  summary: "A tlog-proof of a record, under the newest checkpoint",
  needs: "read",
  query: noQuery,
  params: indexParam,
  answers: { 200: { description: "C2SP tlog-proof.", content: [{ type: "text/plain" }] } },
  async handle({ log }, { request, access, params: { index } }) {
    await visibleEntry(log, access, index)
    const proof = await prove(log, index)
    return respond(request, proof, { ...UNCACHED, "content-type": "text/plain; charset=utf-8" })
  },
})

const JSON_TYPE = { "content-type": "application/json" }

/**
 * @throws NotFoundError when there is none, and in the same words when this reader may not see it.
 */
export async function visibleEntry(log: AuditLog, access: Access, index: number): Promise<LogEntry> {
  const visible = visibleTo(access.limits)
  for await (const entry of log.entries({ from: index, to: index + 1 })) {
    if (visible === undefined || visible(entry)) return entry
  }
  throw new NotFoundError(`there is no record ${index}`)
}

/** Of a log that is only read here, under what its writer has signed. @throws NotFoundError where nothing covers it. */
export async function prove(log: AuditLog, index: number): Promise<string> {
  try {
    return await log.prove(index)
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error
    return await log.evidence.prove(index)
  }
}

/**
 * One page, as text: each record is its line, set in as it is.
 *
 * What a filter cannot say of a reader's limits is left out afterwards, so a page may be short; an empty one is passed
 * over unless it is the last.
 */
async function page(
  log: AuditLog,
  { request, access, query, signal }: Ask<Parsed<RecordsQuery>, unknown>,
): Promise<Response> {
  const visible = visibleTo(access.limits)
  const { order = "asc", limit = DEFAULT_LIMIT } = query
  const options: QueryOptions = { ...filterOf(query, access.limits), order, limit, signal }
  let { cursor } = query
  for (;;) {
    const found = await log.query(cursor === undefined ? options : { ...options, cursor })
    const records = visible === undefined ? found.records : found.records.filter(visible)
    if (records.length === 0 && found.next_cursor !== null) {
      cursor = found.next_cursor
      continue
    }
    const items = records.map(query.lines === "true" ? lineItem : recordItem).join(",")
    const next = JSON.stringify(found.next_cursor)
    const body = `{"records":[${items}],"next_cursor":${next},"size":${found.size}}`
    return respond(request, body, { ...UNCACHED, ...JSON_TYPE })
  }
}

/** The line, set in as it is. */
function recordItem({ index, line }: LogEntry): string {
  return `{"index":${index},"record":${line}}`
}

function lineItem({ index, line }: LogEntry): string {
  return `{"index":${index},"line":${JSON.stringify(line)}}`
}

async function* search(
  log: AuditLog,
  { access, query }: Ask<Parsed<RecordsQuery>, unknown>,
  signal: AbortSignal,
): AsyncGenerator<LogEntry, void, undefined> {
  const visible = visibleTo(access.limits)
  const { order = "asc", limit = Infinity } = query
  let left = limit
  for await (const entry of log.search({ ...filterOf(query, access.limits), order, signal })) {
    if (visible !== undefined && !visible(entry)) continue
    yield entry
    if (--left <= 0) return
  }
}

async function* lineTexts(entries: AsyncIterable<LogEntry>): AsyncGenerator<string, void, undefined> {
  for await (const { line } of entries) yield `${line}\n`
}

async function* csvTexts(entries: AsyncIterable<LogEntry>): AsyncGenerator<string, void, undefined> {
  yield `${csvHeader()}\r\n`
  for await (const entry of entries) yield `${csvOf(entry)}\r\n`
}

type Texts = (entries: AsyncIterable<LogEntry>) => AsyncGenerator<string, void, undefined>

const TEXTS: Readonly<Record<"ndjson" | "csv", Texts>> = { ndjson: lineTexts, csv: csvTexts }

const FILE_NAMES: Readonly<Record<ExportFormat, string>> = {
  ndjson: "records.ndjson",
  csv: "records.csv",
  evidence: "evidence.ndjson",
}

/** Under a checkpoint of everything that is durable now; of a log that is only read here, under its writer's newest. */
async function proverOf(log: AuditLog): Promise<Prover> {
  try {
    await log.checkpoint()
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error
  }
  const prover = await log.evidence.prover()
  if (prover === undefined) throw new NotFoundError("this log has no checkpoint that proves anything")
  return prover
}

/** A group at a time, so that neighbours share the tiles that they lie under. */
function evidenceTexts(prover: Prover): Texts {
  return async function* (entries) {
    let group: LogEntry[] = []
    for await (const entry of entries) {
      if (entry.index >= prover.size) continue
      group.push(entry)
      if (group.length < PROVED_AT_ONCE) continue
      yield await evidenceOf(prover, group)
      group = []
    }
    if (group.length > 0) yield await evidenceOf(prover, group)
  }
}

type Format = "json" | ExportFormat
const FORMATS: Readonly<Record<string, Format>> = {
  "application/json": "json",
  "application/x-ndjson": "ndjson",
  "application/jsonl": "ndjson",
  "text/csv": "csv",
}

/** The first of ours that the request names; JSON for who takes anything. */
function formatOf(request: Request): Format {
  const accept = request.headers.get("accept") ?? ""
  for (const range of accept.split(",")) {
    const format = FORMATS[(range.split(";")[0] ?? "").trim().toLowerCase()]
    if (format !== undefined) return format
  }
  return "json"
}
