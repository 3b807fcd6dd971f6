import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import { WebSocketServer } from "ws"
import { silentLogger } from "../../core/logger.ts"
import type { Logger } from "../../core/logger.ts"
import { isoTime, systemClock, systemRandom, systemTimers } from "../../core/system.ts"
import type { Clock, RandomBytes, Timers } from "../../core/system.ts"
import type { Hub } from "../../hub/index.ts"
import { MAX_OVERSIZE_BYTES } from "../../wire/index.ts"
import { isLoopback } from "../http/access.ts"
import { HEARTBEAT_MS, MAX_CONNECTIONS, SESSION_GRACE_MS } from "./limits.ts"
import { isOriginAllowed } from "./origin.ts"
import { Peer } from "./peer.ts"
import type { PeerHost } from "./peer.ts"
import { Session } from "./session.ts"
import type { SessionOptions } from "./session.ts"

export interface HubEndpointOptions {
  /** Whether the address is a loopback one: then pages that this machine serves may connect. Default false. */
  readonly onLoopback?: boolean
  /** Origins of web pages that may connect, such as `https://board.example`. Default: none. */
  readonly origins?: readonly string[]
  /** Sockets at a time. Default {@link MAX_CONNECTIONS}. */
  readonly maxConnections?: number
  /** Default {@link HEARTBEAT_MS}; 0: none. */
  readonly heartbeatMs?: number
  /** How long a session outlives its socket. Default {@link SESSION_GRACE_MS}. */
  readonly sessionGraceMs?: number
  readonly clock?: Clock
  readonly timers?: Timers
  /** Of session tokens. Default: the system's. */
  readonly random?: RandomBytes
  /** Default: silent. Credentials and contents are never told. */
  readonly logger?: Logger
}

const TOKEN_BYTES = 32
const DRAIN_STEP_MS = 20

/**
 * The hub's WebSocket endpoint: hand it the upgrade requests for its path, at whatever server they arrive.
 *
 * Each socket acts for the identities that it has proved, and for nobody else: that is the hub's connection, of which each
 * session has its own.
 */
export class HubEndpoint implements AsyncDisposable {
  readonly #hub: Pick<Hub, "connect">
  readonly #options: Required<Omit<HubEndpointOptions, "logger" | "timers">>
  readonly #logger: Logger
  readonly #timers: Timers
  readonly #server: WebSocketServer
  readonly #peers = new Set<Peer>()
  /** By token; of negotiated ones. */
  readonly #sessions = new Map<string, Session>()
  /** Of sessions without a socket: how to keep them from ending. */
  readonly #graces = new Map<Session, () => void>()
  #isDraining = false
  #stopHeartbeat: () => void = () => {}
  #closing: Promise<void> | undefined

  constructor(hub: Pick<Hub, "connect">, options: HubEndpointOptions = {}) {
    this.#hub = hub
    this.#logger = options.logger ?? silentLogger
    this.#timers = options.timers ?? systemTimers
    this.#options = {
      onLoopback: options.onLoopback ?? false,
      origins: options.origins ?? [],
      maxConnections: options.maxConnections ?? MAX_CONNECTIONS,
      heartbeatMs: options.heartbeatMs ?? HEARTBEAT_MS,
      sessionGraceMs: options.sessionGraceMs ?? SESSION_GRACE_MS,
      clock: options.clock ?? systemClock,
      random: options.random ?? systemRandom,
    }
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: MAX_OVERSIZE_BYTES,
      // Done here, so that the peer is told instead of cut.
      skipUTF8Validation: true,
    })
    this.#beat()
  }

  /** How many sockets there are. */
  get size(): number {
    return this.#peers.size
  }

  /** Takes over the socket of an upgrade request, or answers it with an HTTP error. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { origins, onLoopback, maxConnections } = this.#options
    const { origin } = request.headers
    if (this.#isDraining) return refuseUpgrade(socket, 503, "the hub is stopping")
    if (!isOriginAllowed(origin, origins, onLoopback)) {
      this.#logger.warn({ origin }, "a page was refused")
      return refuseUpgrade(socket, 403, "pages of this origin may not connect")
    }
    if (this.#peers.size >= maxConnections) {
      this.#logger.warn({ maxConnections }, "a socket was refused: there are too many")
      return refuseUpgrade(socket, 503, "too many connections")
    }
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      this.#peers.add(new Peer(webSocket, cameFrom(request), this.#host))
    })
  }

  /**
   * Takes no new sockets and requests, lets those under way end, then tells every peer and ends it.
   *
   * @param graceMs how long requests may still take. Default 5,000.
   */
  close(graceMs: number = 5_000): Promise<void> {
    this.#closing ??= this.#close(graceMs)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(graceMs: number): Promise<void> {
    this.#isDraining = true
    this.#stopHeartbeat()
    const deadline = this.#options.clock() + graceMs
    while (this.#isBusy() && this.#options.clock() < deadline) await this.#sleep(DRAIN_STEP_MS)
    for (const cancel of this.#graces.values()) cancel()
    this.#graces.clear()
    const sessions = new Set([...this.#sessions.values(), ...this.#peerSessions()])
    for (const peer of this.#peers) peer.cut(CLOSE_GOING_AWAY, "the hub is stopping")
    await Promise.all([...sessions].map((session) => session.end(CLOSE_GOING_AWAY, "the hub is stopping")))
    // Each peer ends by itself, or is ended after `CLOSE_TIMEOUT_MS`.
    while (this.#peers.size > 0) await this.#sleep(DRAIN_STEP_MS)
    this.#server.close()
  }

  #isBusy(): boolean {
    return [...this.#sessions.values(), ...this.#peerSessions()].some((session) => session.busy)
  }

  *#peerSessions(): Iterable<Session> {
    for (const { session } of this.#peers) if (session !== undefined) yield session
  }

  readonly #host: PeerHost = {
    isDraining: () => this.#isDraining,
    now: () => isoTime(this.#options.clock()),
    session: (from, negotiated, token) => this.#session(from, negotiated, token),
    left: (peer, forGood) => this.#left(peer, forGood),
    warn: (fields, message) => this.#logger.warn(fields, message),
    after: (milliseconds, callback) => this.#timers.after(milliseconds, callback),
  }

  async #session(
    from: SessionOptions["from"],
    negotiated: boolean,
    token: string | undefined,
  ): Promise<{ session: Session; resumed: boolean }> {
    const known = token === undefined ? undefined : this.#sessions.get(token)
    if (known !== undefined) {
      this.#graces.get(known)?.()
      this.#graces.delete(known)
      return { session: known, resumed: true }
    }
    const session = await Session.open(this.#hub, {
      from,
      negotiated,
      token: negotiated ? this.#token() : "",
      failed: (error, op) => this.#logger.error({ err: error, op }, "an operation failed by a bug"),
      ended: (ended) => this.#forget(ended),
    })
    if (negotiated) this.#sessions.set(session.token, session)
    return { session, resumed: false }
  }

  #left(peer: Peer, forGood: boolean): void {
    this.#peers.delete(peer)
    const { session } = peer
    if (session === undefined || session.isEnded || !session.leave(peer)) return
    const { sessionGraceMs } = this.#options
    const isOver = forGood || !session.negotiated || this.#isDraining || sessionGraceMs <= 0
    if (isOver) return void session.end()
    const cancel = this.#timers.after(sessionGraceMs, () => {
      this.#graces.delete(session)
      void session.end()
    })
    this.#graces.set(session, cancel)
  }

  #forget(session: Session): void {
    this.#sessions.delete(session.token)
    this.#graces.get(session)?.()
    this.#graces.delete(session)
  }

  #beat(): void {
    const { heartbeatMs } = this.#options
    if (heartbeatMs <= 0) return
    this.#stopHeartbeat = this.#timers.after(heartbeatMs, () => {
      for (const peer of this.#peers) peer.heartbeat()
      this.#beat()
    })
  }

  #sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => this.#timers.after(milliseconds, resolve))
  }

  #token(): string {
    return Buffer.from(this.#options.random(TOKEN_BYTES)).toString("hex")
  }
}

/**
 * A program of this machine, or anybody else. What came through a proxy is anybody's, however near the proxy is; and so is
 * what was sent to a name that is not this machine's.
 */
function cameFrom({ headers, socket }: IncomingMessage): SessionOptions["from"] {
  const { remoteAddress } = socket
  const host = (headers.host ?? "").replace(/:\d+$/, "").replace(/^\[|\]$/g, "")
  const isProxied = headers["x-forwarded-for"] !== undefined || headers["forwarded"] !== undefined
  const isLocal = isLoopback(remoteAddress) && (host === "localhost" || isLoopback(host)) && !isProxied
  return {
    origin: isLocal ? "loopback" : "network",
    ...(remoteAddress === undefined ? {} : { peer: remoteAddress }),
  }
}

const CLOSE_GOING_AWAY = 1001

function refuseUpgrade(socket: Duplex, status: number, reason: string): void {
  const texts: Readonly<Record<number, string>> = { 403: "Forbidden", 503: "Service Unavailable" }
  socket.on("error", () => {})
  socket.end(
    `HTTP/1.1 ${status} ${texts[status] ?? "Error"}\r\nConnection: close\r\nContent-Type: text/plain\r\n` +
      `Content-Length: ${reason.length}\r\n\r\n${reason}`,
  )
}
