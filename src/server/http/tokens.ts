import { hash, timingSafeEqual } from "node:crypto"
import {
  InvalidInputError,
  isoTime,
  NotFoundError,
  parseTime,
  type Clock,
  type RandomBytes,
} from "../../core/index.ts"
import type { KnowledgeStore } from "../../store/contract.ts"
import { SCOPES, type Scope, type TokenLimits } from "../../wire/http.ts"

/** As it is stored, at `/tokens/<id>.json`. The token itself is nowhere. */
export interface StoredToken {
  readonly id: string
  readonly name: string
  /** SHA-256 of the token, in hexadecimal. */
  readonly sha256: string
  readonly scopes: readonly Scope[]
  readonly limits: TokenLimits | null
  readonly created_at: string
  /** `null`: never. */
  readonly expires_at: string | null
  readonly revoked_at: string | null
}

export interface TokenRequest {
  /** For people, and for the access log. */
  readonly name: string
  readonly scopes: readonly Scope[]
  readonly limits?: TokenLimits | null
  /** ISO 8601. Default: never. */
  readonly expires_at?: string | null
}

const ID_BYTES = 8
const SECRET_BYTES = 32
const TOKEN = /^hansard_([0-9a-f]{16})_[\w-]{43}$/
/** In characters. */
const MAX_NAME_LENGTH = 100
/** Of a list of limits. */
const MAX_LIMITS = 1_000
/** How long what was read of a token is believed, in milliseconds: so soon a revocation counts. */
const BELIEVED_MS = 1_000
/** In tokens. */
const MAX_BELIEVED = 10_000
/** Compared with when there is no such token, so that this takes as long. */
const NO_HASH = "0".repeat(64)

/**
 * The tokens of a service, in a store of their own: they are made and revoked by another process while it runs.
 *
 * A token is 256 random bits, so a plain hash keeps it: there is nothing to guess, and a slow hash would only let
 * strangers keep the processor busy.
 */
export class TokenBook {
  readonly #store: KnowledgeStore
  readonly #clock: Clock
  /** By id: what was read, and when. */
  readonly #believed = new Map<string, { readonly token: StoredToken | undefined; readonly at: number }>()

  constructor(store: KnowledgeStore, options: { readonly clock: Clock }) {
    this.#store = store
    this.#clock = options.clock
  }

  /** @returns the token, which is not kept and cannot be had again. @throws InvalidInputError for a request that is none. */
  async create(
    request: TokenRequest,
    random: RandomBytes,
  ): Promise<{ readonly token: string; readonly stored: StoredToken }> {
    checkRequest(request)
    const id = Buffer.from(random(ID_BYTES)).toString("hex")
    const token = `hansard_${id}_${Buffer.from(random(SECRET_BYTES)).toString("base64url")}`
    const stored: StoredToken = {
      id,
      name: request.name,
      sha256: hash("sha256", token, "hex"),
      scopes: SCOPES.filter((scope) => request.scopes.includes(scope)),
      limits: request.limits ?? null,
      created_at: isoTime(this.#clock()),
      expires_at: request.expires_at ?? null,
      revoked_at: null,
    }
    if (!(await this.#store.writeIf(pathOf(id), JSON.stringify(stored), undefined))) {
      throw new InvalidInputError(`there is a token ${id} already`)
    }
    return { token, stored }
  }

  /** Oldest first, revoked and expired ones included. */
  async list(): Promise<StoredToken[]> {
    const names = await this.#store.list("/tokens")
    const tokens = await Promise.all(names.map((name) => this.#read(name.replace(/\.json$/, ""))))
    return tokens
      .filter((token) => token !== undefined)
      .sort((a, b) => (a.created_at < b.created_at ? -1 : a.created_at > b.created_at ? 1 : 0))
  }

  /** Idempotent. It counts within a second, and for a stream that is open within ten. @throws NotFoundError for an unknown id. */
  async revoke(id: string): Promise<StoredToken> {
    const token = await this.#read(id)
    if (token === undefined) throw new NotFoundError(`there is no token ${JSON.stringify(id)}`)
    if (token.revoked_at !== null) return token
    const revoked = { ...token, revoked_at: isoTime(this.#clock()) }
    await this.#store.write(pathOf(id), JSON.stringify(revoked))
    this.#believed.delete(id)
    return revoked
  }

  /** @returns the token if it is one of ours, neither expired nor revoked. In constant time where it matters. */
  async check(token: string): Promise<StoredToken | undefined> {
    const [, id] = TOKEN.exec(token) ?? []
    const known = id === undefined ? undefined : await this.#recall(id)
    const given = hash("sha256", token, "buffer")
    const isEqual = timingSafeEqual(given, Buffer.from(known?.sha256 ?? NO_HASH, "hex"))
    return isEqual && known !== undefined && this.#isGood(known) ? known : undefined
  }

  /** Whether a token that was good still is. */
  async isStillGood(id: string): Promise<boolean> {
    const token = await this.#recall(id)
    return token !== undefined && this.#isGood(token)
  }

  #isGood({ revoked_at, expires_at }: StoredToken): boolean {
    const expires = expires_at === null ? Infinity : (parseTime(expires_at) ?? -Infinity)
    return revoked_at === null && this.#clock() < expires
  }

  async #recall(id: string): Promise<StoredToken | undefined> {
    const known = this.#believed.get(id)
    const now = this.#clock()
    if (known !== undefined && now - known.at >= 0 && now - known.at < BELIEVED_MS) return known.token
    const token = await this.#read(id)
    if (this.#believed.size >= MAX_BELIEVED) this.#believed.clear()
    this.#believed.set(id, { token, at: now })
    return token
  }

  async #read(id: string): Promise<StoredToken | undefined> {
    if (!/^[0-9a-f]{16}$/.test(id)) return undefined
    const bytes = await this.#store.read(pathOf(id))
    if (bytes === undefined) return undefined
    const token = JSON.parse(new TextDecoder().decode(bytes)) as StoredToken
    // A file under another's name would be another's token.
    return token.id === id && /^[0-9a-f]{64}$/.test(token.sha256) ? token : undefined
  }
}

function pathOf(id: string): string {
  return `/tokens/${id}.json`
}

function checkRequest({ name, scopes, limits, expires_at }: TokenRequest): void {
  if (name.trim() === "" || name.length > MAX_NAME_LENGTH || /\p{Cc}/u.test(name)) {
    throw new InvalidInputError(`a token's name is 1 to ${MAX_NAME_LENGTH} characters on one line`)
  }
  const unknown = scopes.find((scope) => !SCOPES.includes(scope))
  if (unknown !== undefined || scopes.length === 0) {
    throw new InvalidInputError(`a token has one or more of the scopes ${SCOPES.join(", ")}`)
  }
  for (const [field, list] of Object.entries(limits ?? {})) {
    if (!Array.isArray(list) || list.length === 0 || list.length > MAX_LIMITS) {
      throw new InvalidInputError(`the limit to ${field} names 1 to ${MAX_LIMITS} of them`)
    }
  }
  if (limits != null && scopes.includes("admin")) {
    throw new InvalidInputError("an admin has no limits", {
      hint: "Leave out the limits, or the scope admin.",
    })
  }
  if (expires_at != null && parseTime(expires_at) === undefined) {
    throw new InvalidInputError(`${JSON.stringify(expires_at)} is not an ISO 8601 time`)
  }
}
