import { ClosedError } from "../../core/errors.ts"
import { idSource } from "../../core/ids.ts"
import { silentLogger } from "../../core/logger.ts"
import type { Logger } from "../../core/logger.ts"
import { systemClock, systemRandom, systemTimers } from "../../core/system.ts"
import type { RandomBytes, Timers } from "../../core/system.ts"
import type { Delivery } from "../../model/hub-api.ts"
import type { AuthClaim, Passport } from "../../model/passport.ts"
import { DisconnectedError, formatFrame, parseFrame, PROTOCOL_VERSION } from "../../wire/index.ts"
import type { Frame, HelloFrame, OperationName, Operations, WelcomeFrame } from "../../wire/index.ts"
import { toError } from "../context.ts"
import type { RemoteOptions } from "./options.ts"
import { Requests, toWireError } from "./requests.ts"

/** What a line tells its connection. */
export interface SessionEvents {
  notified(delivery: Delivery): void
  detached(agentId: string, reason: string): void
  /** A new session has begun in the place of one that the hub has forgotten; nothing else is sent until this resolves. */
  renew(): Promise<void>
}

/**
 * The way to a hub elsewhere: one socket after another, one session for as long as the hub remembers it.
 *
 * A lost socket is replaced after a wait that doubles each time. What was asked and not answered is asked again on the
 * next socket, under the same ids; to a hub that has forgotten the session only what does no harm twice.
 */
export class SessionLine {
  /** Set by the connection that uses the line. */
  events: SessionEvents | undefined
  readonly #url: string
  readonly #timers: Timers
  readonly #random: RandomBytes
  readonly #logger: Logger
  readonly #options: Required<
    Pick<
      RemoteOptions,
      "requestTimeoutMs" | "connectTimeoutMs" | "heartbeatMs" | "backoffMs" | "maxBackoffMs" | "waitForHub"
    >
  >
  readonly #newId: () => string
  readonly #requests: Requests
  /** Of the socket that is being made: what is asked before everything else. */
  #handshake: Requests
  #socket: WebSocket | undefined
  /** The newest one's. */
  #welcome: WelcomeFrame | undefined
  #isClosed = false
  /** Ends the wait before the next attempt. */
  #wake: () => void = () => {}
  /** Of the caller's signal. */
  #unlisten: () => void = () => {}

  private constructor(url: string, options: RemoteOptions) {
    this.#url = url
    this.#timers = options.timers ?? systemTimers
    this.#random = options.random ?? systemRandom
    this.#logger = options.logger ?? silentLogger
    this.#options = {
      requestTimeoutMs: options.requestTimeoutMs ?? 60_000,
      connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
      heartbeatMs: options.heartbeatMs ?? 15_000,
      backoffMs: options.backoffMs ?? 200,
      maxBackoffMs: options.maxBackoffMs ?? 15_000,
      waitForHub: options.waitForHub ?? false,
    }
    this.#newId = idSource(options.clock ?? systemClock, this.#random)
    this.#requests = this.#newRequests(this.#options.requestTimeoutMs)
    this.#handshake = this.#newRequests(this.#options.connectTimeoutMs)
  }

  /**
   * @param opening gives up the first connection; `options.signal` closes the line at any time.
   * @throws DisconnectedError when the hub cannot be reached and is not to be waited for; the reason of either signal.
   */
  static async open(url: string, options: RemoteOptions, opening?: AbortSignal): Promise<SessionLine> {
    const { signal } = options
    signal?.throwIfAborted()
    opening?.throwIfAborted()
    const line = new SessionLine(url, options)
    const abort = (): void => void line.close()
    signal?.addEventListener("abort", abort)
    opening?.addEventListener("abort", abort)
    line.#unlisten = () => signal?.removeEventListener("abort", abort)
    const first = Promise.withResolvers<void>()
    line.#run(first).catch(first.reject)
    try {
      await first.promise
    } catch (error) {
      signal?.throwIfAborted()
      opening?.throwIfAborted()
      throw error
    } finally {
      opening?.removeEventListener("abort", abort)
    }
    return line
  }

  get endpointId(): string {
    return this.#welcome?.endpoint_id ?? ""
  }

  ask<Op extends OperationName>(
    op: Op,
    params: Operations[Op]["params"],
    signal?: AbortSignal,
  ): Promise<Operations[Op]["result"]> {
    return this.#requests.ask(op, params, signal) as Promise<Operations[Op]["result"]>
  }

  hello(
    name: string,
    auth: AuthClaim | undefined,
    since: string | null,
    signal?: AbortSignal,
  ): Promise<Passport> {
    return greet(this.#requests, { name, auth, since, signal })
  }

  /** The same two, before everything that waits: for `SessionEvents.renew`. */
  askNow<Op extends OperationName>(
    op: Op,
    params: Operations[Op]["params"],
  ): Promise<Operations[Op]["result"]> {
    return this.#handshake.ask(op, params) as Promise<Operations[Op]["result"]>
  }

  helloNow(name: string, auth: AuthClaim | undefined, since: string | null): Promise<Passport> {
    return greet(this.#handshake, { name, auth, since })
  }

  /** Idempotent. The hub ends the session. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#unlisten()
    const closed = new ClosedError("the connection to the hub")
    this.#requests.close(closed)
    this.#handshake.close(closed)
    this.#socket?.close(1000)
    this.#wake()
  }

  async #run(first: PromiseWithResolvers<void>): Promise<void> {
    for (let failures = 0; !this.#isClosed;) {
      try {
        const { lost } = await this.#connect()
        failures = 0
        first.resolve()
        this.#logger.info({ url: this.#url }, "connected to the hub")
        const why = await lost
        if (this.#isClosed) return
        this.#logger.warn({ url: this.#url, why }, "the connection to the hub was lost")
      } catch (error) {
        if (this.#isClosed || (this.#welcome === undefined && !this.#options.waitForHub)) {
          await this.close()
          throw error
        }
        this.#logger.warn({ err: error, url: this.#url }, "the hub cannot be reached")
      }
      await this.#sleep(this.#backoff(failures++))
    }
    throw new ClosedError("the connection to the hub")
  }

  /** @returns once everything can be asked; `lost` resolves with the reason when the socket is lost. */
  async #connect(): Promise<{ readonly lost: Promise<string> }> {
    const lost = Promise.withResolvers<string>()
    const opened = Promise.withResolvers<void>()
    const socket = new WebSocket(this.#url)
    this.#socket = socket
    const handshake = this.#newRequests(this.#options.connectTimeoutMs)
    this.#handshake = handshake
    let stopHeartbeat = (): void => {}
    const state = { silentTicks: 0 }
    const drop = (why: string): void => {
      socket.onmessage = socket.onclose = socket.onerror = socket.onopen = null
      // One that is opening throws nothing, and one that is closed ignores it.
      socket.close()
      cancelTimer()
      stopHeartbeat()
      this.#requests.offline()
      const gone = new DisconnectedError(why, { hint: hintFor(this.#url) })
      handshake.close(gone)
      opened.reject(gone)
      lost.resolve(why)
    }
    const cancelTimer = this.#timers.after(this.#options.connectTimeoutMs, () =>
      drop(`${this.#url} did not answer within ${this.#options.connectTimeoutMs} ms`),
    )
    socket.onopen = () => opened.resolve()
    socket.onclose = ({ code, reason }) =>
      drop(reason === "" ? `the connection to ${this.#url} ended with status ${code}` : reason)
    socket.onerror = () => drop(`${this.#url} cannot be reached`)
    socket.onmessage = ({ data }) => {
      state.silentTicks = 0
      this.#receive(data as unknown, handshake, socket)
    }
    try {
      await opened.promise
      const send = (text: string): void => socket.send(text)
      handshake.online(send, true)
      const before = this.#welcome
      const welcome = await this.#openSession(handshake, before?.session)
      this.#welcome = welcome
      stopHeartbeat = this.#beat(socket, state, drop)
      if (before !== undefined && welcome.resumed !== true) await this.events?.renew()
      cancelTimer()
      this.#requests.online(send, welcome.resumed === true)
    } catch (error) {
      drop(toError(error).message)
      throw error
    }
    return { lost: lost.promise }
  }

  async #openSession(handshake: Requests, session: string | undefined): Promise<WelcomeFrame> {
    const welcome = await handshake.greet((request_id) => ({
      kind: "hello",
      name: "",
      auth_scheme: "none",
      auth_claim: {},
      since_envelope_id: null,
      protocol: PROTOCOL_VERSION,
      request_id,
      ...(session === undefined ? {} : { session }),
    }))
    return welcome as WelcomeFrame
  }

  #receive(data: unknown, handshake: Requests, socket: WebSocket): void {
    const { frame, error } = parseFrame(typeof data === "string" ? data : "")
    if (frame === undefined) return this.#logger.warn({ err: error }, "a frame of the hub was not understood")
    switch (frame.kind) {
      case "notify":
        return this.events?.notified({ envelope: frame.envelope, recipient_id: frame.recipient_id })
      case "response":
        handshake.answered(frame)
        return this.#requests.answered(frame)
      case "welcome":
        handshake.greeted(frame.request_id ?? "", frame)
        return this.#requests.greeted(frame.request_id ?? "", frame)
      case "error":
        return this.#refused(frame, handshake)
      case "ping":
        return socket.send(formatFrame({ kind: "pong" }))
      default:
    }
  }

  #refused(frame: Extract<Frame, { kind: "error" }>, handshake: Requests): void {
    const { code, message, request_id, hint = "", agent_id } = frame
    if (agent_id !== undefined) return this.events?.detached(agent_id, message)
    const error = toWireError(code, message, hint)
    if (request_id === undefined) return this.#logger.warn({ err: error }, "the hub refused a frame")
    handshake.refused(request_id, error)
    this.#requests.refused(request_id, error)
  }

  #beat(socket: WebSocket, state: { silentTicks: number }, drop: (why: string) => void): () => void {
    const { heartbeatMs } = this.#options
    if (heartbeatMs <= 0) return () => {}
    let cancel = (): void => {}
    const next = (): void => {
      cancel = this.#timers.after(heartbeatMs, () => {
        if (++state.silentTicks > 2) return drop(`nothing has come in for ${2 * heartbeatMs} ms`)
        if (state.silentTicks > 1) socket.send(formatFrame({ kind: "ping" }))
        next()
      })
    }
    next()
    return () => cancel()
  }

  #newRequests(timeoutMs: number): Requests {
    return new Requests({
      newId: this.#newId,
      after: (milliseconds, callback) => this.#timers.after(milliseconds, callback),
      timeoutMs,
    })
  }

  #backoff(failures: number): number {
    const { backoffMs, maxBackoffMs } = this.#options
    const [random = 0] = this.#random(1)
    return Math.min(maxBackoffMs, backoffMs * 2 ** Math.min(failures, 20)) * (1 - random / 512)
  }

  async #sleep(milliseconds: number): Promise<void> {
    if (this.#isClosed) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = this.#timers.after(milliseconds, resolve)
    this.#wake = resolve
    await promise
    cancel()
  }
}

/** A `WebSocket` says that it failed, and never why: pages must not find out. */
function hintFor(url: string): string {
  return url.startsWith("wss:")
    ? "Check the address, whether the hub is running there with TLS, and whether this machine trusts its certificate; Node takes further ones from the file in NODE_EXTRA_CA_CERTS."
    : "Check the address, and whether the hub is running there; one that has TLS is reached by wss:."
}

async function greet(
  requests: Requests,
  identity: {
    readonly name: string
    readonly auth: AuthClaim | undefined
    readonly since: string | null
    readonly signal?: AbortSignal | undefined
  },
): Promise<Passport> {
  const { name, auth, since, signal } = identity
  const hello = (request_id: string): HelloFrame => ({
    kind: "hello",
    name,
    // Empty: whatever the identity proves itself by.
    auth_scheme: auth === undefined ? "none" : (auth.scheme ?? ""),
    auth_claim: auth?.claim ?? {},
    since_envelope_id: since,
    protocol: PROTOCOL_VERSION,
    request_id,
  })
  const { passport } = (await requests.greet(hello, signal)) as WelcomeFrame
  if (passport === undefined) throw new DisconnectedError("the hub welcomed without saying whom")
  return passport
}
