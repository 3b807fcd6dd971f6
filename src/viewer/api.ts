/** How the page asks the service: relative to where the page lies, with the token if there is one, and to be aborted. */
import { signal } from "@preact/signals"
import type { Signal } from "@preact/signals"
import { Connection } from "../client/audit-client/connection.ts"
import type { Problem } from "../wire/http.ts"
import { stored, store } from "./storage.ts"

const TOKEN_KEY = "hansard.token"

/** In this tab's memory only: closing it forgets the token. */
export const token: Signal<string> = signal(stored(TOKEN_KEY, "session") ?? "")
/** Set when the service has refused the token, or that there was none. */
export const isRefused: Signal<boolean> = signal(false)

export function setToken(value: string): void {
  token.value = value.trim()
  isRefused.value = false
  store(TOKEN_KEY, token.value === "" ? undefined : token.value, "session")
}

/** An answer of 400 and more, or none at all (`status` 0). */
export class ApiError extends Error {
  readonly status: number
  readonly code: string
  readonly hint: string

  constructor(status: number, problem: Partial<Problem>) {
    super(problem.detail ?? problem.title ?? `the service answered ${status}`)
    this.name = "ApiError"
    this.status = status
    this.code = problem.code ?? ""
    this.hint = problem.hint ?? ""
  }
}

/** The same service for the parts that the page shares with programs: they check what they are told. */
export const connection: Connection = new Connection(new URL(".", document.baseURI).href, {
  fetch: async (input, init) => {
    const headers = new Headers(init.headers)
    if (token.peek() !== "") headers.set("authorization", `Bearer ${token.peek()}`)
    const response = await fetch(input, { ...init, headers })
    if (response.status === 401) isRefused.value = true
    return response
  },
})

export type Params = readonly (readonly [string, string])[]

export function address(path: string, params: Params = []): URL {
  const url = new URL(path, document.baseURI)
  url.search = new URLSearchParams(params.map(([name, value]) => [name, value])).toString()
  return url
}

/** @throws ApiError; the signal's reason when it is aborted. */
export async function ask(
  path: string,
  params: Params,
  options: {
    readonly signal?: AbortSignal | undefined
    readonly accept?: string
    readonly cache?: RequestCache
  } = {},
): Promise<Response> {
  const headers: Record<string, string> = { accept: options.accept ?? "application/json" }
  if (token.peek() !== "") headers["authorization"] = `Bearer ${token.peek()}`
  let response: Response
  try {
    response = await fetch(address(path, params), {
      headers,
      ...(options.cache === undefined ? {} : { cache: options.cache }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    })
  } catch (error) {
    if (options.signal?.aborted === true) throw error
    throw new ApiError(0, { detail: "the service cannot be reached" })
  }
  if (response.ok) return response
  if (response.status === 401) isRefused.value = true
  const problem = (await response.json().catch(() => ({}))) as Partial<Problem>
  throw new ApiError(response.status, problem)
}

export async function askJson<T>(path: string, params: Params, signal?: AbortSignal): Promise<T> {
  return (await (await ask(path, params, { signal })).json()) as T
}

export async function askBytes(
  path: string,
  signal?: AbortSignal,
  cache: RequestCache = "default",
): Promise<Uint8Array> {
  const response = await ask(path, [], { signal, cache, accept: "*/*" })
  return new Uint8Array(await response.arrayBuffer())
}
