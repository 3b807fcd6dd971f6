import { AuthThrottle, notProved, type VerifyAdmin } from "../../hub/auth/index.ts"
import { AuthError } from "../../model/index.ts"
import type { Clock } from "../../core/index.ts"
import { localOnly, isLocal, type Authorize } from "./access.ts"
import type { TokenBook } from "./tokens.ts"

/** Failures are counted by address, not by token: a stranger must not lock out whose token's id they have seen. */
const WHO = "a reader"

const HINT = "Send `Authorization: Bearer …` with a token that `hansard token new` has made."

/**
 * Whoever has a good token may do what it says. Without one, who is on this machine may do everything, unless
 * `trustLocal` is false, and nobody else anything. A wrong token is refused wherever it comes from, and in the same words
 * whether it is unknown, revoked or expired. After some wrong ones in a row an address has to wait, twice as long each
 * time, and meanwhile nothing that it sends is looked at. Behind a proxy all addresses are one.
 */
export function tokenAccess(options: {
  readonly tokens: TokenBook
  readonly clock: Clock
  /** Default true. */
  readonly trustLocal?: boolean
}): Authorize {
  const { tokens, clock, trustLocal = true } = options
  const throttle = new AuthThrottle(clock)
  return async (request, info) => {
    const token = bearerOf(request.headers.get("authorization"))
    if (token === undefined) {
      if (trustLocal && isLocal(request, info)) return localOnly(request, info)
      throw new AuthError("this needs a token", { hint: HINT })
    }
    const address = info.remoteAddress ?? "unknown"
    throttle.check(address, WHO)
    const known = await tokens.check(token)
    if (known === undefined) {
      throttle.failed(address, WHO)
      throw new AuthError("the token is not good", { hint: HINT })
    }
    throttle.succeeded(address, WHO)
    const { id, name, scopes, limits } = known
    return { name, scopes, limits, isStillGood: () => tokens.isStillGood(id) }
  }
}

/**
 * Whoever proves a token of scope `admin` is an administrator of the hub, under the token's name, until it expires or is
 * revoked: within a second, on connections that are open too.
 */
export function tokenAdmins(tokens: TokenBook): VerifyAdmin {
  return async (name, token) => {
    const known = await tokens.check(token)
    const isAdmin = known?.name === name && known.scopes.includes("admin")
    if (known === undefined || !isAdmin) throw notProved(name)
    return { name, isStillGood: () => tokens.isStillGood(known.id) }
  }
}

/** @returns `undefined` without the header; an empty text for one that is no bearer's. */
function bearerOf(header: string | null): string | undefined {
  if (header === null) return undefined
  return /^Bearer +([^\s]+)$/i.exec(header)?.[1] ?? ""
}
