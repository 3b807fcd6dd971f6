import { encodeLine, HansardError, isoTime } from "../../core/index.ts"
import { SIGNING_KEY_SET } from "../../core/kinds.ts"
import { parseRecord } from "../../core/line.ts"
import { AccessDeniedError } from "../../model/index.ts"
import {
  MAX_APPEND_BYTES,
  MAX_IDEMPOTENCY_KEY_LENGTH,
  type AppendAnswer,
  type FieldError,
} from "../../wire/http.ts"
import { withinLimits, type Access } from "./access.ts"
import { bodyTypeOf, bodyWithin, utf8Of } from "./body.ts"
import { wrongFields } from "./problems.ts"
import { fieldErrors, route, type Route } from "./route.ts"
import { appendAnswer, incomingRecord, noQuery } from "./schemas.ts"

type IncomingRecord = Readonly<Record<string, unknown>>

/** Of wrong fields that are named, in one answer. */
const MAX_ERRORS = 20

export const appendRoute: Route = route({
  id: "appendRecords",
  method: "POST",
  path: "/v1/records",
  summary: "Append one record, or several as NDJSON: all or none; answered once they are durable",
  needs: "append",
  query: noQuery,
  body: [{ type: "application/json", schema: incomingRecord }, { type: "application/x-ndjson" }],
  headers: { "Idempotency-Key": "A request that is sent again with it appends nothing again." },
  answers: {
    201: { description: "They are durable.", content: [{ type: "application/json", schema: appendAnswer }] },
  },
  async handle({ log, keys, clock }, { request, access }) {
    const isMany =
      bodyTypeOf(request, ["application/json", "application/x-ndjson"]) === "application/x-ndjson"
    const key = keyOf(request)
    const body = await bodyWithin(request, MAX_APPEND_BYTES)
    const records = recordsOf(body, isMany)
    mayAppend(access, records)
    const append = async (at: string, skip: number): Promise<AppendAnswer> => {
      const { first_index, count } = await log.appendMany(stamped(records, at).slice(skip))
      return { index: first_index, count, size: log.size }
    }
    if (key === undefined) return created(await append(isoTime(clock()), 0), false)
    if (keys === undefined) {
      const message = "this service keeps no keys"
      throw wrongFields([{ in: "header", field: "Idempotency-Key", message }])
    }
    const linesAt = (at: string): readonly string[] =>
      stamped(records, at).map((record) => encodeLine(record))
    const { answer, isReplay } = await keys.once({ reader: access.name ?? "", key, body }, linesAt, append)
    return created(answer, isReplay)
  },
})

function created(answer: AppendAnswer, isReplay: boolean): Response {
  return new Response(JSON.stringify(answer), {
    status: 201,
    headers: {
      "content-type": "application/json",
      "cache-control": "no-store",
      ...(isReplay ? { "idempotency-replayed": "true" } : {}),
    },
  })
}

function keyOf(request: Request): string | undefined {
  const key = request.headers.get("idempotency-key")
  if (key === null) return undefined
  if (key.length >= 1 && key.length <= MAX_IDEMPOTENCY_KEY_LENGTH) return key
  const message = `it has 1 to ${MAX_IDEMPOTENCY_KEY_LENGTH} characters`
  throw wrongFields([{ in: "header", field: "Idempotency-Key", message }])
}

/** @throws RequestRefused that names every field that is wrong, up to a number. */
function recordsOf(body: Uint8Array, isMany: boolean): IncomingRecord[] {
  const text = utf8Of(body)
  const lines = isMany ? text.split("\n") : [text]
  const errors: FieldError[] = []
  const records: IncomingRecord[] = []
  for (const [n, line] of lines.entries()) {
    if (isMany && line.trim() === "") continue
    const record = recordOf(line, isMany ? `${n + 1}:` : "", errors)
    if (record !== undefined) records.push(record)
    if (errors.length >= MAX_ERRORS) break
  }
  if (errors.length > 0) throw wrongFields(errors)
  if (records.length === 0)
    throw wrongFields([{ in: "body", field: "", message: "there is no record in it" }])
  return records
}

function recordOf(text: string, prefix: string, errors: FieldError[]): IncomingRecord | undefined {
  let record: IncomingRecord
  try {
    record = parseRecord(text)
  } catch {
    errors.push({ in: "body", field: prefix, message: "it is not one JSON object" })
    return undefined
  }
  const checked = incomingRecord.safeParse(record)
  if (!checked.success) errors.push(...fieldErrors(checked.error, "body", prefix))
  // Readers look through all records of this kind for the next key: strangers could make that long.
  else if (checked.data.kind === SIGNING_KEY_SET) {
    const message = "a change of the log's key is made by its keeper: hansard keygen --rotate"
    errors.push({ in: "body", field: `${prefix}kind`, message })
  } else {
    try {
      encodeLine(record)
    } catch (error) {
      if (!(error instanceof HansardError)) throw error
      errors.push({ in: "body", field: prefix, message: error.message })
    }
  }
  return record
}

function stamped(records: readonly IncomingRecord[], at: string): IncomingRecord[] {
  return records.map((record) => (record["at"] === undefined ? { at, ...record } : record))
}

/** Who is limited may append what is within the limits. @throws AccessDeniedError. */
function mayAppend({ limits }: Access, records: readonly IncomingRecord[]): void {
  const within = withinLimits(limits)
  if (within === undefined || records.every((record) => within({ record }))) return
  throw new AccessDeniedError("a record is outside the limits of the token", {
    hint: "Name an agent, channel and kind that the token is limited to.",
  })
}
