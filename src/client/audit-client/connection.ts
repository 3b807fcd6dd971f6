import { HansardError, InvalidInputError, NotFoundError, StoreUnavailableError } from "../../core/index.ts"
import { concatBytes } from "../../core/bytes.ts"
import { AccessDeniedError, AuthError, RateLimitedError } from "../../model/index.ts"
import type { Problem } from "../../wire/http.ts"

/** Of an answer that is no stream, in bytes: a page of the longest records. */
const MAX_ANSWER_BYTES = 128 * 1024 * 1024

export type Fetch = (input: string, init: RequestInit) => Promise<Response>

export interface ConnectionOptions {
  readonly token?: string | undefined
  /** Default: the platform's. */
  readonly fetch?: Fetch | undefined
}

/** Requests to one service, and its problems as our errors. */
export class Connection {
  /** Without a slash at its end. */
  readonly base: string
  readonly #token: string | undefined
  readonly #fetch: Fetch

  /** @throws InvalidInputError for what is no http or https address. */
  constructor(url: string, options: ConnectionOptions) {
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
      throw new InvalidInputError(`${JSON.stringify(url)} is no http or https address`)
    }
    this.base = url.replace(/\/+$/, "")
    this.#token = options.token
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init))
  }

  /** @throws (rejects) the error that the problem says; StoreUnavailableError when there is no answer. */
  async request(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers)
    if (this.#token !== undefined) headers.set("authorization", `Bearer ${this.#token}`)
    let response: Response
    try {
      response = await this.#fetch(this.base + path, { ...init, headers, redirect: "error" })
    } catch (cause) {
      init.signal?.throwIfAborted()
      throw unreachable(this.base, cause)
    }
    if (response.ok) return response
    throw await errorOf(response)
  }

  async bytes(path: string, signal?: AbortSignal, cache?: RequestInit["cache"]): Promise<Uint8Array> {
    const response = await this.request(path, {
      ...(signal === undefined ? {} : { signal }),
      ...(cache === undefined ? {} : { cache }),
    })
    try {
      return await bodyOf(response)
    } catch (cause) {
      signal?.throwIfAborted()
      if (cause instanceof HansardError) throw cause
      throw unreachable(this.base, cause)
    }
  }

  async text(path: string, signal?: AbortSignal, cache?: RequestInit["cache"]): Promise<string> {
    return new TextDecoder().decode(await this.bytes(path, signal, cache))
  }

  /** @throws StoreUnavailableError for what is not JSON. */
  async json<T>(path: string, signal?: AbortSignal): Promise<T> {
    const text = await this.text(path, signal)
    try {
      return JSON.parse(text) as T
    } catch (cause) {
      throw new StoreUnavailableError(`${this.base} answers with what is not JSON`, { cause })
    }
  }
}

/** What the service says is wrong, in its own words, with its code. */
class ServiceError extends HansardError {
  override readonly code: HansardError["code"]

  constructor(code: HansardError["code"], message: string, hint: string) {
    super(message, hint)
    this.code = code
  }
}

async function errorOf(response: Response): Promise<HansardError> {
  const problem = await problemOf(response)
  const { status } = response
  const detail = problem?.detail ?? `the service answers ${status}`
  const hint = problem?.hint ?? "Look at the service's own log."
  if (status === 401) return new AuthError(detail, { hint })
  if (status === 403) return new AccessDeniedError(detail, { hint })
  if (status === 404) return new NotFoundError(detail, { hint })
  if (status === 429) {
    const seconds = Number(response.headers.get("retry-after"))
    return new RateLimitedError(detail, seconds > 0 ? { hint, retryAfterSeconds: seconds } : { hint })
  }
  if (status >= 500) return new ServiceError("store_unavailable", detail, hint)
  return new ServiceError("invalid_input", detail, hint)
}

async function problemOf(response: Response): Promise<Partial<Problem> | undefined> {
  try {
    return JSON.parse(new TextDecoder().decode(await bodyOf(response))) as Partial<Problem>
  } catch {
    return undefined
  }
}

async function bodyOf(response: Response): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  const reader = response.body?.getReader()
  for (let piece = await reader?.read(); piece?.done === false; piece = await reader?.read()) {
    length += piece.value.length
    if (length > MAX_ANSWER_BYTES) {
      await reader?.cancel()
      throw new StoreUnavailableError(`an answer is longer than ${MAX_ANSWER_BYTES} bytes`)
    }
    parts.push(piece.value)
  }
  return concatBytes(parts)
}

export function unreachable(base: string, cause: unknown): StoreUnavailableError {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
  const why = inner instanceof Error ? inner.message : String(inner)
  return new StoreUnavailableError(`cannot reach ${base}: ${why}`, {
    cause,
    hint: "Is the service running, and is this its address?",
  })
}
