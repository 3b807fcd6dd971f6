import { agentsOf, type LogEntry } from "../../audit/index.ts"
import { SIGNING_KEY_SET } from "../../core/kinds.ts"
import { AccessDeniedError, AuthError } from "../../model/index.ts"
import { SCOPES, type Scope, type TokenLimits } from "../../wire/http.ts"

/** What is known of a request beside itself. A web-standard `Request` does not say where it comes from. */
export interface RequestInfo {
  /** Of the other end of the socket. Without it nobody is local. */
  readonly remoteAddress?: string | undefined
}

/** Who asks, and what they may do. */
export interface Access {
  /** Of the token; `null` for who needs none. */
  readonly name: string | null
  readonly scopes: readonly Scope[]
  /** `null`: sees everything. */
  readonly limits: TokenLimits | null
  /** Asked from time to time while an answer streams: when it says no, the stream ends. Default: it stays good. */
  readonly isStillGood?: () => Promise<boolean>
}

/**
 * Decides who asks.
 *
 * @throws (rejects) AuthError for 401, RateLimitedError for 429, any other `HansardError` by the table of problems.
 */
export type Authorize = (request: Request, info: RequestInfo) => Promise<Access> | Access

const EVERYTHING: Access = { name: null, scopes: SCOPES, limits: null }

/** Lets everybody do everything. For what stands behind a gate of its own, and nothing else. */
export const everybody: Authorize = () => EVERYTHING

/**
 * The default: who is on this machine may do everything, nobody else may do anything.
 *
 * The name that the request was sent to must be local as well. Otherwise a web page could reach the service from its
 * reader's browser under a name of its own (DNS rebinding), and a proxy on this machine would let in the world.
 */
export const localOnly: Authorize = (request, info) => {
  if (isLocal(request, info)) return EVERYTHING
  throw new AuthError("this needs a token", { hint: "Send `Authorization: Bearer …` with one that is good." })
}

/** A page of another origin that a browser on this machine has open is not local, wherever its request comes from. */
export function isLocal(request: Request, { remoteAddress }: RequestInfo): boolean {
  const site = request.headers.get("sec-fetch-site")
  if (site !== null && site !== "same-origin" && site !== "none") return false
  const { hostname } = new URL(request.url)
  return (
    isLoopback(remoteAddress) && (hostname === "localhost" || isLoopback(hostname.replace(/^\[|\]$/g, "")))
  )
}

/** 127.0.0.0/8, `::1`, and the first as IPv6 writes it. */
export function isLoopback(address: string | undefined): boolean {
  return address !== undefined && /^(?:(?:::ffff:)?127(?:\.\d{1,3}){3}|::1)$/i.test(address)
}

/** @throws AccessDeniedError, before anything is looked up: the answer does not depend on what exists. */
export function requireScope(access: Access, scope: Scope): void {
  if (access.scopes.includes(scope)) return
  throw new AccessDeniedError(`this needs the scope ${scope}`, {
    hint: `Use a token that has it: hansard token new --scope ${scope}.`,
  })
}

/** For what cannot be shown in part. @throws AccessDeniedError for a reader with limits. */
export function requireAll(access: Access): void {
  if (access.limits === null) return
  throw new AccessDeniedError("this shows records of everybody, and the token is limited", {
    hint: "Use a token without limits.",
  })
}

/**
 * Which entries a reader may see; `undefined` when that is all of them.
 *
 * A change of the signing key is everybody's: it names keys alone, and without it nothing that the next one signs can be
 * checked.
 */
export function visibleTo(limits: TokenLimits | null): EntryFilter | undefined {
  const within = withinLimits(limits)
  return within && ((entry) => entry.record["kind"] === SIGNING_KEY_SET || within(entry))
}

type EntryFilter = (entry: Pick<LogEntry, "record">) => boolean

/** Which entries satisfy all limits of a token; `undefined` when it has none. */
export function withinLimits(limits: TokenLimits | null): EntryFilter | undefined {
  if (limits === null) return undefined
  const { agents, channels, kinds } = limits
  return ({ record }) =>
    (kinds === undefined || isIn(kinds, record["kind"])) &&
    (channels === undefined || isIn(channels, record["channel_id"])) &&
    (agents === undefined || agentsOf(record).some((agent) => agents.includes(agent)))
}

function isIn(list: readonly string[], value: unknown): boolean {
  return typeof value === "string" && list.includes(value)
}
