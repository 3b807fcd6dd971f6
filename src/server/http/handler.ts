import { Hono } from "hono"
import { compress } from "hono/compress"
import type { AuditLog } from "../../audit/index.ts"
import { invariant } from "../../core/errors.ts"
import {
  InvalidInputError,
  silentLogger,
  systemClock,
  systemStopwatch,
  systemTimers,
} from "../../core/index.ts"
import type { Clock, Logger, Timers } from "../../core/index.ts"
import type { Hub } from "../../hub/index.ts"
import type { KnowledgeStore } from "../../store/contract.ts"
import {
  localOnly,
  requireAll,
  requireScope,
  type Access,
  type Authorize,
  type RequestInfo,
} from "./access.ts"
import { AccessLog } from "./access-log.ts"
import { immutable, respond, SECURITY_HEADERS, UNCACHED } from "./caching.ts"
import { CheckpointEvents } from "./checkpoint-events.ts"
import { Feed } from "./feed.ts"
import { IdempotencyKeys } from "./idempotency.ts"
import { Metrics } from "./metrics.ts"
import { openApiOf } from "./openapi.ts"
import { problemOf, problemResponse, RequestRefused } from "./problems.ts"
import type { Alerter } from "../alerts/alerter.ts"
import type { Viewer } from "../viewer.ts"
import { DEFAULT_RATE, RequestLimiter, type RequestRate } from "./rate.ts"
import { parseFields, queryOf, type Route, type Service } from "./route.ts"
import { ROUTES } from "./routes.ts"

/** Of a URL, in characters. */
const MAX_URL_LENGTH = 8_192

export interface HandlerOptions {
  /** Whose channels and agents are shown. Default: none, and what the records say is all there is. */
  readonly hub?: Hub
  /** What comes before the routes in the URL's path: with a leading slash and no trailing one. Default: empty. */
  readonly basePath?: string
  /** Default {@link localOnly}. */
  readonly authorize?: Authorize
  /** The verifier key of the log's checkpoints, for clients that have none yet to remember. */
  readonly vkey?: string
  /** The page, at the base path and a slash. It holds no data, so everybody gets it. Default: none. */
  readonly viewer?: Viewer
  /** Keeps the keys of requests to append. Default: none, and a request with an `Idempotency-Key` is refused. */
  readonly store?: KnowledgeStore
  /** A second log, which the handler does not close: every use of the first is recorded there. Default: none. */
  readonly accessLog?: AuditLog
  /** Watches the log, and its rules are read and written over HTTP. The handler does not close it. Default: none. */
  readonly alerts?: Alerter
  /** How often a reader may ask; who is not told apart by a token is by its address. Default: {@link DEFAULT_RATE}. */
  readonly rate?: RequestRate
  /** Aborts when the service stops: streams end, with a last checkpoint if there is one. Default: never. */
  readonly stopping?: AbortSignal
  readonly clock?: Clock
  /** For how long things take, in milliseconds with fractions. Default: the machine's. */
  readonly stopwatch?: Clock
  readonly timers?: Timers
  /** Hears of what fails on our side. Default: nobody does. */
  readonly logger?: Logger
}

/** Answers HTTP requests. Never rejects. */
export type ServiceHandler = (request: Request, info?: RequestInfo) => Promise<Response>

/**
 * The service as a function from request to answer: mounts wherever there are web-standard requests.
 *
 * What it answers is in `wire/http.ts`, and at `/openapi.json`. Who may ask is for `authorize` to say, and by default that
 * is nobody but this machine. It writes nothing but what is posted to it, and holds nothing open but the tails.
 *
 * @throws InvalidInputError for a base path that is none.
 */
export function createHandler(log: AuditLog, options: HandlerOptions = {}): ServiceHandler {
  const { basePath = "" } = options
  if (basePath !== "" && !/^(?:\/[\w.~-]+)+$/.test(basePath)) {
    throw new InvalidInputError(`a base path is like /audit, not ${JSON.stringify(basePath)}`)
  }
  const timers = options.timers ?? systemTimers
  const logger = options.logger ?? silentLogger
  const clock = options.clock ?? systemClock
  const stopwatch = options.stopwatch ?? systemStopwatch
  const feed = new Feed(log, { timers, logger })
  const { store } = options
  const service: Service = {
    log,
    hub: options.hub,
    vkey: options.vkey ?? null,
    feed,
    alerts: options.alerts,
    checkpoints: new CheckpointEvents(log),
    metrics: new Metrics(log, feed, { clock, stopwatch, alerts: options.alerts }),
    keys: store === undefined ? undefined : new IdempotencyKeys(store, log, clock),
    clock,
    timers,
    logger,
    stopping: options.stopping ?? new AbortController().signal,
  }
  const gate = gateOf(options, clock)
  const app = appOf(service, { gate, basePath, stopwatch, viewer: options.viewer })
  return async (request, info = {}) => await app.fetch(request, { info })
}

/** What every request passes that needs leave. */
interface Gate {
  enter(route: Route, request: Request, info: RequestInfo): Promise<Access>
  /** What comes of it is on record before it is sent. */
  leave(request: Request, info: RequestInfo, access: Access | undefined, status: number): Promise<void>
}

function gateOf({ authorize = localOnly, accessLog, rate }: HandlerOptions, clock: Clock): Gate {
  const limiter = new RequestLimiter(rate ?? DEFAULT_RATE, clock)
  const log = accessLog === undefined ? undefined : new AccessLog(accessLog, clock)
  return {
    async enter(route, request, info) {
      const access = await authorize(request, info)
      limiter.take(access.name ?? `address ${info.remoteAddress ?? "unknown"}`)
      if (route.needs !== null) requireScope(access, route.needs)
      if (route.needsAll === true) requireAll(access)
      return access
    },
    async leave(request, info, access, status) {
      await log?.record(request, info, { reader: access?.name ?? null, status })
    },
  }
}

interface Environment {
  readonly Bindings: { readonly info: RequestInfo }
}

function appOf(
  service: Service,
  {
    gate,
    basePath,
    stopwatch,
    viewer,
  }: {
    readonly gate: Gate
    readonly basePath: string
    readonly stopwatch: Clock
    readonly viewer: Viewer | undefined
  },
): Hono<Environment> {
  const app = new Hono<Environment>().basePath(basePath)
  const description = JSON.stringify(openApiOf(ROUTES, basePath, service.hub !== undefined))

  app.use(async (context, next) => {
    await next()
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) {
      if (!context.res.headers.has(name)) context.res.headers.set(name, value)
    }
  })
  app.use(compress())
  const refused = (error: unknown): Response => {
    const answer = problemOf(error)
    if (answer.isOurs) service.logger.error({ err: error }, "a request failed")
    return problemResponse(answer)
  }
  app.onError(refused)
  app.notFound(() => {
    throw new RequestRefused(404, "not_found", "there is nothing at this path", {
      hint: "/openapi.json lists the paths.",
    })
  })

  app.get(
    "/openapi.json",
    () => new Response(description, { headers: { "content-type": "application/json" } }),
  )
  for (const route of ROUTES) {
    app.on(route.method, route.path, async (context) => {
      const request = context.req.raw
      const { info } = context.env
      if (request.url.length > MAX_URL_LENGTH) throw urlTooLong()
      const answer = async (access: Access): Promise<Response> => {
        const query = parseFields(route.query, queryOf(new URL(request.url)), "query")
        const params = paramsOf(route, context.req.param(), context.req.path.slice(basePath.length))
        return await route.handle(service, { request, access, query, params, signal: request.signal })
      }
      const begun = stopwatch()
      const response = await throughGate(gate, { route, request, info, answer, refused })
      service.metrics.answered(route.id, response.status, (stopwatch() - begun) / 1000)
      return response
    })
  }
  for (const [path, methods] of methodsByPath()) {
    app.all(path, () => {
      throw new RequestRefused(405, "method_not_allowed", `this path takes ${methods.join(" and ")}`, {
        hint: "Use one of these methods.",
        headers: { allow: methods.join(", ") },
      })
    })
  }
  if (viewer !== undefined) servePage(app, viewer, basePath)
  return app
}

/** Its addresses are relative, so the page's own must end in a slash. */
function servePage(app: Hono<Environment>, viewer: Viewer, basePath: string): void {
  if (basePath !== "")
    app.get("/", (context) => context.redirect(`${basePath}/${new URL(context.req.url).search}`, 308))
  for (const path of viewer.paths) {
    if (path === "/" && basePath !== "") continue
    app.get(path, (context) => pageFile(viewer, path, context.req.raw))
  }
  if (basePath !== "")
    app.get("/*", (context, next) =>
      context.req.path === `${basePath}/` ? pageFile(viewer, "/", context.req.raw) : next(),
    )
}

function pageFile(viewer: Viewer, path: string, request: Request): Response {
  const file = viewer.get(path)
  invariant(file !== undefined, "the viewer has what it lists")
  const caching = file.isImmutable ? immutable(true) : UNCACHED
  return respond(request, file.bytes, { ...caching, "content-type": file.type }, file.etag)
}

/** Whoever may not enter, and whatever fails behind the gate, is on record as well. */
async function throughGate(
  gate: Gate,
  asked: {
    readonly route: Route
    readonly request: Request
    readonly info: RequestInfo
    readonly answer: (access: Access) => Promise<Response>
    readonly refused: (error: unknown) => Response
  },
): Promise<Response> {
  const { route, request, info, answer, refused } = asked
  let access: Access | undefined
  let response: Response
  try {
    access = route.needs === null ? NOBODY : await gate.enter(route, request, info)
    response = await answer(access)
  } catch (error) {
    response = refused(error)
  }
  if (route.needs !== null) await gate.leave(request, info, access, response.status)
  return response
}

const NOBODY: Access = { name: null, scopes: [], limits: null }

function paramsOf(route: Route, params: Readonly<Record<string, string>>, path: string): unknown {
  if (route.params !== undefined) return parseFields(route.params, params, "path")
  return route.path.endsWith("*") ? { rest: path.slice(route.path.length - 1) } : {}
}

function methodsByPath(): Map<string, string[]> {
  const methods = new Map<string, string[]>([["/openapi.json", ["GET", "HEAD"]]])
  for (const { path, method } of ROUTES) {
    const known = methods.get(path) ?? []
    methods.set(path, [...known, method, ...(method === "GET" ? ["HEAD"] : [])])
  }
  return methods
}

function urlTooLong(): RequestRefused {
  return new RequestRefused(414, "uri_too_long", `a URL has at most ${MAX_URL_LENGTH} characters`, {
    hint: "Ask for less at once.",
  })
}
