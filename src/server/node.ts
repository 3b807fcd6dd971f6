import { createServer } from "node:http"
import type { IncomingMessage, RequestListener, Server, ServerResponse } from "node:http"
import { createServer as createSecureServer } from "node:https"
import type { AddressInfo } from "node:net"
import type { Duplex } from "node:stream"
import { InvalidInputError } from "../core/errors.ts"
import { systemTimers, type Timers } from "../core/system.ts"
import type { Hub } from "../hub/index.ts"
import { isLoopback } from "./http/access.ts"
import type { NodeListener } from "./http/node.ts"
import { HubEndpoint } from "./ws/index.ts"
import type { HubEndpointOptions } from "./ws/index.ts"

/** Where the hub's WebSocket endpoint is. */
export const HUB_PATH = "/v1/hub"

export interface NodeServerOptions {
  /** Default `127.0.0.1`: this machine alone. */
  readonly host?: string
  /** 0 takes a free one. */
  readonly port: number
  /** PEM texts. Without them: no TLS. */
  readonly tls?: { readonly cert: string; readonly key: string }
  /** The hub's endpoint at {@link HUB_PATH}. Without it there is none. */
  readonly hub?: Pick<Hub, "connect">
  readonly hubOptions?: Omit<HubEndpointOptions, "onLoopback">
  /** Answers every other request: `nodeListener(createHandler(log))`. Default: 404. */
  readonly listener?: NodeListener
  readonly timers?: Timers
}

/** Whoever takes longer to send the head of a request keeps a connection for nothing. */
const HEADERS_TIMEOUT_MS = 10_000
const LIMITS = { headersTimeout: HEADERS_TIMEOUT_MS }
/** How often a server that closes looks for connections whose answers have gone. */
const CLOSE_IDLE_MS = 20

/** Whether nobody but this machine can reach the address. */
export function isLocalHost(host: string): boolean {
  return host === "localhost" || isLoopback(host)
}

/** One `node:http` server: upgrades go to the hub's endpoint, everything else to the listener. */
export class NodeServer implements AsyncDisposable {
  /** Without a slash at its end: `http://127.0.0.1:4280`. */
  readonly url: string
  /** The same for WebSockets: `ws://127.0.0.1:4280/v1/hub`. */
  readonly hubUrl: string
  readonly endpoint: HubEndpoint | undefined
  readonly #server: Server
  readonly #timers: Timers
  #closing: Promise<void> | undefined

  private constructor(server: Server, url: string, endpoint: HubEndpoint | undefined, timers: Timers) {
    this.#server = server
    this.#timers = timers
    this.url = url
    this.hubUrl = `${url.replace(/^http/, "ws")}${HUB_PATH}`
    this.endpoint = endpoint
  }

  /** @throws InvalidInputError when it cannot listen there, or certificate and key are not a pair. */
  static async listen(options: NodeServerOptions): Promise<NodeServer> {
    const { host = "127.0.0.1", port, tls, hub, hubOptions, listener = notFound } = options
    const answer = (request: IncomingMessage, response: ServerResponse): void =>
      void listener(request, response)
    const server = tls === undefined ? createServer(LIMITS, answer) : secureServer(tls, answer, hubOptions)
    await listening(server, host, port)
    // Only now: what has timers of its own must not be left behind when there is nowhere to listen.
    const endpoint =
      hub === undefined ? undefined : new HubEndpoint(hub, { ...hubOptions, onLoopback: isLocalHost(host) })
    server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      if (endpoint !== undefined && pathOf(request) === HUB_PATH)
        endpoint.handleUpgrade(request, socket, head)
      else socket.end("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    })
    const { address, family, port: real } = server.address() as AddressInfo
    const scheme = tls === undefined ? "http" : "https"
    const url = `${scheme}://${family === "IPv6" ? `[${address}]` : address}:${real}`
    return new NodeServer(server, url, endpoint, options.timers ?? systemTimers)
  }

  /**
   * Takes nothing new, lets what is under way end, and after the grace ends what is left. A stream comes to its own end
   * only if it was told to: abort the handler's `stopping` first, and every reader who reads gets its last event.
   *
   * @param graceMs default 5,000.
   */
  close(graceMs: number = 5_000): Promise<void> {
    this.#closing ??= this.#close(graceMs)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    const late = new AbortController()
    const cancel = this.#timers.after(graceMs, () => late.abort())
    this.#closeIdle(late.signal)
    await Promise.all([this.endpoint?.close(graceMs), Promise.race([closed, whenAborted(late.signal)])])
    cancel()
    late.abort()
    this.#server.closeAllConnections()
    await closed
  }

  /** A connection that is kept alive is idle only once its answer has gone: until the end they are looked for. */
  #closeIdle(signal: AbortSignal): void {
    if (signal.aborted) return
    this.#server.closeIdleConnections()
    const cancel = this.#timers.after(CLOSE_IDLE_MS, () => {
      signal.removeEventListener("abort", cancel)
      this.#closeIdle(signal)
    })
    signal.addEventListener("abort", cancel, { once: true })
  }
}

function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }))
}

/** Handshakes that fail are logged: whoever failed hears of it in the words of TLS, if at all. */
function secureServer(
  tls: NonNullable<NodeServerOptions["tls"]>,
  answer: RequestListener,
  { logger }: NonNullable<NodeServerOptions["hubOptions"]> = {},
): Server {
  const hint =
    "Give a chain and its private key, as PEM texts: first the server's certificate, then what signed it."
  try {
    const server = createSecureServer({ ...LIMITS, ...tls }, answer)
    server.on("tlsClientError", (error: Error & { readonly code?: string }) => {
      const isPlain = error.code === "ERR_SSL_HTTP_REQUEST"
      const why = isPlain
        ? "a client spoke http: or ws: where https: and wss: are spoken"
        : "a TLS handshake failed"
      logger?.warn({ err: error }, why)
    })
    return server
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new InvalidInputError(`the certificate and its key cannot be used: ${why}`, { cause, hint })
  }
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      const hint = "Stop what listens there, or choose another port."
      reject(new InvalidInputError(`cannot listen on ${host}:${port}: ${cause.message}`, { cause, hint }))
    })
    server.listen(port, host, resolve)
  })
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? "").split("?", 1)[0] ?? ""
}

const notFound: NodeListener = async (_request, response) => {
  response.writeHead(404, { "content-type": "text/plain" }).end("not found\n")
}
