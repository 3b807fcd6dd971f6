import { compileFilter, type AuditLog, type LogEntry } from "../../audit/index.ts"
import type { TailQuery } from "../../wire/http.ts"
import { visibleTo } from "./access.ts"
import { filterOf } from "./filters.ts"
import type { Interest } from "./feed.ts"
import { problemOf, RequestRefused, wrongFields } from "./problems.ts"
import { route, type Ask, type Route, type Service } from "./route.ts"
import { tailQuery, type Parsed } from "./schemas.ts"
import { encodeEnd, encodeProblem, encodeRecords, HEARTBEAT, OPENING } from "./sse.ts"
import { streamOf } from "./stream.ts"

/** In bytes of lines: what a reader who is behind is given at once. */
const CATCH_UP_BYTES = 64 * 1024
/** Streams at one time. Each costs a socket. */
const MAX_TAILS = 10_000

export const tailRoute: Route = route({
  id: "tail",
  method: "GET",
  path: "/v1/tail",
  summary: "Every record as it comes, and checkpoints that prove what came",
  needs: "read",
  query: tailQuery,
  headers: { "Last-Event-ID": "The index of the last record that was received; comes before `from`." },
  answers: {
    200: {
      description: "Events `record`, `checkpoint`, `end`, `problem`; comments as signs of life.",
      content: [{ type: "text/event-stream" }],
    },
  },
  async handle(service, ask) {
    const from = firstWanted(ask)
    const interest = interestOf(ask)
    // A log that nobody has used yet does not know its size.
    await service.log.entries({ from: 0, to: 0 }).next()
    if (service.feed.readers >= MAX_TAILS) {
      throw new RequestRefused(503, "too_many_streams", "too many readers follow the log", {
        hint: "Try again later.",
        headers: { "retry-after": "10" },
      })
    }
    return new Response(
      streamOf((signal) => follow(service, ask, { from, interest, signal })),
      {
        headers: {
          "content-type": "text/event-stream; charset=utf-8",
          "cache-control": "no-store, no-transform",
          "x-accel-buffering": "no",
        },
      },
    )
  },
})

interface Following {
  /** `undefined`: from now on. */
  readonly from: number | undefined
  readonly interest: Interest
  /** The reader has gone. */
  readonly signal: AbortSignal
}

/**
 * What one reader is sent. It holds a position and no queue: the feed's stretches while it keeps up, the store's records
 * when it does not. Asked for the next piece only when the socket takes one.
 */
async function* follow(
  service: Service,
  { access, query }: Ask<Parsed<TailQuery>, unknown>,
  { from, interest, signal }: Following,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { feed, log, stopping } = service
  const gone = whenAborted(AbortSignal.any([signal, stopping]))
  let next = from ?? log.size
  using _reader = feed.join(() => next)
  yield OPENING
  try {
    let proved = query.checkpoint ?? null
    let beats = feed.beats
    while (!signal.aborted) {
      if (next < feed.next) {
        const stretch = feed.stretchAt(next)
        if (stretch?.from === next) {
          next = stretch.to
          const encoded = stretch.encodedFor(interest)
          if (encoded.length > 0) yield encoded
        } else {
          const to = stretch?.to ?? feed.oldest
          yield* catchUp(log, interest, { from: next, to }, signal)
          next = to
        }
      }
      const checkpoint = feed.checkpoint
      if (checkpoint !== undefined && next >= checkpoint.size && checkpoint.size > (proved ?? -1)) {
        yield await service.checkpoints.event(checkpoint, proved, next)
        proved = checkpoint.size
      }
      if (next < feed.next) continue
      if (stopping.aborted) {
        yield encodeEnd({ reason: "shutdown" })
        return
      }
      if (feed.failure !== undefined) throw feed.failure
      if (beats !== feed.beats) {
        beats = feed.beats
        if ((await access.isStillGood?.()) === false) {
          yield encodeEnd({ reason: "revoked" })
          return
        }
        yield HEARTBEAT
      }
      await Promise.race([feed.changed(), gone])
    }
  } catch (error) {
    if (signal.aborted) return
    const { problem, isOurs } = problemOf(error)
    if (isOurs) service.logger.error({ err: error }, "a tail failed")
    yield encodeProblem(problem)
  }
}

/** Records `[from, to)` out of the store, in pieces. */
async function* catchUp(
  log: AuditLog,
  { lets }: Interest,
  range: { readonly from: number; readonly to: number },
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  let entries: LogEntry[] = []
  let bytes = 0
  for await (const entry of log.entries({ ...range, signal })) {
    if (lets !== undefined && !lets(entry)) continue
    entries.push(entry)
    bytes += entry.line.length
    if (bytes < CATCH_UP_BYTES) continue
    yield encodeRecords(entries)
    entries = []
    bytes = 0
  }
  if (entries.length > 0) yield encodeRecords(entries)
}

function interestOf({ query, access }: Ask<Parsed<TailQuery>, unknown>): Interest {
  const { since, until, ...rest } = query
  const filter = filterOf({ ...rest, from: since, to: until }, access.limits)
  const visible = visibleTo(access.limits)
  if (Object.keys(filter).length === 0 && visible === undefined) return { key: "", lets: undefined }
  const passes = compileFilter(filter)
  return {
    key: JSON.stringify([filter, access.limits]),
    lets: visible === undefined ? passes : (entry) => passes(entry) && visible(entry),
  }
}

/** @returns `undefined` for "from now on". */
function firstWanted({ request, query }: Ask<Parsed<TailQuery>, unknown>): number | undefined {
  const last = request.headers.get("last-event-id")
  if (last === null || last === "") return query.from
  const index = /^\d{1,16}$/.test(last) ? Number(last) : NaN
  if (Number.isSafeInteger(index)) return index + 1
  throw wrongFields([{ in: "header", field: "Last-Event-ID", message: "it is not the index of a record" }])
}

function whenAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }))
}
