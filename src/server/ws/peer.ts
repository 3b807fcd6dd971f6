import type { WebSocket } from "ws"
import { HansardError, InvalidInputError } from "../../core/errors.ts"
import { ProtocolError } from "../../model/index.ts"
import type { Delivery } from "../../model/index.ts"
import {
  ag2Code,
  formatFrame,
  formatNotify,
  frameTooLarge,
  MAX_FRAME_BYTES,
  MAX_OVERSIZE_BYTES,
  parseFrame,
  PROTOCOL_VERSION,
  requestIdIn,
  toWireError,
} from "../../wire/index.ts"
import type {
  ErrorFrame,
  Frame,
  HelloFrame,
  ReceiptFrame,
  RequestFrame,
  WelcomeFrame,
} from "../../wire/index.ts"
import { CLOSE_TIMEOUT_MS, MAX_SEND_QUEUE_BYTES } from "./limits.ts"
import { CLOSE_TOO_SLOW } from "./session.ts"
import type { Session, SessionOptions, SessionPeer } from "./session.ts"

/** What a socket needs of the endpoint that has accepted it. */
export interface PeerHost {
  /** Refuses new work while the endpoint drains. */
  isDraining(): boolean
  /** ISO 8601. */
  now(): string
  /** A new session, or the one that `token` names when it is known: then `resumed` is true. */
  session(
    from: SessionOptions["from"],
    negotiated: boolean,
    token: string | undefined,
  ): Promise<{ session: Session; resumed: boolean }>
  /** @param forGood whether the peer has said that it will not come back. */
  left(peer: Peer, forGood: boolean): void
  warn(fields: object, message: string): void
  after(milliseconds: number, callback: () => void): () => void
}

/**
 * One socket: frames in, frames out.
 *
 * Requests are handled beside one another; a request that waits for somebody (a channel for its invitees) holds up
 * nothing. While an identity is being bound its deliveries wait, so that the answer comes before them.
 */
export class Peer implements SessionPeer {
  readonly #socket: WebSocket
  readonly #from: SessionOptions["from"]
  readonly #host: PeerHost
  /** Set by the first frame that needs one. */
  #session: Promise<Session> | undefined
  #open: Session | undefined
  #negotiated = false
  /** How many bindings are under way, and what waits for them; owned by `#binding`. */
  #bindings = 0
  #held: string[] = []
  #isAlive = true
  #isCut = false

  constructor(socket: WebSocket, from: SessionOptions["from"], host: PeerHost) {
    this.#socket = socket
    this.#from = from
    this.#host = host
    socket.on("message", (data, isBinary) => this.#receive(data as Buffer, isBinary))
    socket.on("pong", () => (this.#isAlive = true))
    socket.on("close", (code) => host.left(this, code === CLOSE_NORMAL))
    // What is wrong with the socket is told by its `close`; a listener must be there all the same.
    socket.on("error", (error) => host.warn({ err: error }, "a socket failed"))
  }

  get session(): Session | undefined {
    return this.#open
  }

  /** Ends a socket that has given no sign of life since the last call, and asks the others for one. */
  heartbeat(): void {
    if (!this.#isAlive) return this.#socket.terminate()
    this.#isAlive = false
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping()
  }

  notify({ envelope, recipient_id }: Delivery): void {
    const text = formatNotify(envelope, recipient_id)
    // AG2's client would end the connection over a larger frame.
    const limit = this.#negotiated ? MAX_OVERSIZE_BYTES : MAX_FRAME_BYTES
    if (isLonger(text, limit)) {
      throw new InvalidInputError(`the envelope ${envelope.envelope_id} is too large for the recipient`)
    }
    if (this.#bindings > 0) this.#held.push(text)
    else this.#write(text)
  }

  detached(agent_id: string, message: string): void {
    if (!this.#negotiated) return
    this.#send({ kind: "error", code: "detached", message, envelope_id: null, agent_id })
  }

  /** The peer is told in the closing handshake; who does not answer it in time is ended. */
  cut(code: number, reason: string): void {
    if (this.#isCut) return
    this.#isCut = true
    this.#socket.close(code, reason)
    const cancel = this.#host.after(CLOSE_TIMEOUT_MS, () => this.#socket.terminate())
    this.#socket.on("close", cancel)
  }

  #receive(data: Buffer, isBinary: boolean): void {
    this.#isAlive = true
    if (this.#isCut) return
    if (data.byteLength > MAX_FRAME_BYTES) {
      return this.#refuse(frameTooLarge(data.byteLength), requestIdIn(data.toString("utf8", 0, 4096)))
    }
    let text: string
    try {
      // A binary message is read as text, as AG2's hub does.
      text = utf8.decode(data)
    } catch {
      const kind = isBinary ? "binary" : "text"
      return this.#refuse(new InvalidInputError(`a ${kind} message is not UTF-8`), undefined)
    }
    const parsed = parseFrame(text)
    if (parsed.frame === undefined) return this.#refuse(parsed.error, parsed.requestId)
    this.#handle(parsed.frame).catch((error: unknown) => {
      this.#host.warn({ err: error }, "a frame could not be handled")
      this.#refuse(error, undefined)
    })
  }

  async #handle(frame: Frame): Promise<void> {
    switch (frame.kind) {
      case "ping":
        return this.#send({ kind: "pong" })
      case "pong":
        return
      case "hello":
        return await this.#hello(frame)
      case "request":
        return await this.#request(frame)
      case "receipt":
        return await this.#receipt(frame)
      default:
        this.#refuse(new ProtocolError(`${frame.kind} is the hub's to send`), undefined)
    }
  }

  async #hello(frame: HelloFrame): Promise<void> {
    const { name, auth_scheme: scheme, auth_claim: claim, request_id } = frame
    const echo = request_id === undefined || frame.protocol === undefined ? {} : { request_id }
    try {
      if (this.#host.isDraining()) throw stopping()
      if (frame.protocol !== undefined && !this.#negotiated) return await this.#negotiate(frame, echo)
      const session = await this.#ensureSession()
      await this.#binding(async () => {
        const { since_envelope_id } = frame
        const auth = { ...(scheme === "" ? {} : { scheme }), claim }
        const passport = await session.connection.attach(name, auth, { since_envelope_id })
        return formatFrame(this.#welcome(session, { ...echo, ...(this.#negotiated ? { passport } : {}) }))
      })
    } catch (error) {
      const { code, message, hint } = toWireError(error)
      const told: ErrorFrame = { kind: "error", code, message, envelope_id: null }
      this.#send(this.#negotiated ? { ...told, ...echo, hint } : { ...told, code: ag2Code(code) })
    }
  }

  async #negotiate(frame: HelloFrame, echo: { readonly request_id?: string }): Promise<void> {
    if (this.#session !== undefined) {
      throw new ProtocolError("a protocol is negotiated in the first frame of a connection")
    }
    if (frame.name !== "") {
      throw new ProtocolError("a session is opened first, by a hello without a name, and identities then")
    }
    this.#negotiated = true
    const opening = this.#host.session(this.#from, true, frame.session)
    this.#session = opening.then(({ session }) => session)
    // Told below; whoever asks for the session later is told as well.
    this.#session.catch(() => {})
    const { session, resumed } = await opening
    this.#open = session
    const told = { ...echo, protocol: PROTOCOL_VERSION, session: session.token, resumed }
    this.#send(this.#welcome(session, told))
    if (resumed) session.resume(this)
    else session.attachPeer(this)
    this.#leaveIfClosed()
  }

  async #request(frame: RequestFrame): Promise<void> {
    if (this.#host.isDraining()) return this.#refuse(stopping(), frame.request_id)
    const session = await this.#ensureSession()
    if (frame.op !== "register")
      return this.#answer(formatFrame(await session.answer(frame)), frame.request_id)
    await this.#binding(async () => formatFrame(await session.answer(frame)))
  }

  async #receipt(frame: ReceiptFrame): Promise<void> {
    const session = await this.#ensureSession()
    try {
      await session.receipt(frame)
    } catch (error) {
      // Nobody waits for an answer: AG2's clients would take an error for that of a handshake.
      if (!(error instanceof HansardError)) throw error
      const { envelope_id, recipient_id } = frame
      this.#host.warn({ err: error, envelope_id, recipient_id }, "a receipt was refused")
    }
  }

  /** Sends what `bind` returns, then what was delivered meanwhile. */
  async #binding(bind: () => Promise<string>): Promise<void> {
    this.#bindings++
    try {
      this.#write(await bind())
    } finally {
      if (--this.#bindings === 0) for (const text of this.#held.splice(0)) this.#write(text)
    }
  }

  #ensureSession(): Promise<Session> {
    this.#session ??= this.#host.session(this.#from, false, undefined).then(({ session }) => {
      this.#open = session
      session.attachPeer(this)
      this.#leaveIfClosed()
      return session
    })
    return this.#session
  }

  /** The socket may have closed while its session was opened. */
  #leaveIfClosed(): void {
    if (this.#socket.readyState === this.#socket.CLOSED) this.#host.left(this, false)
  }

  #welcome(session: Session, more: Partial<WelcomeFrame>): WelcomeFrame {
    const { connection_id } = session.connection
    return { kind: "welcome", endpoint_id: connection_id, hub_time: this.#host.now(), ...more }
  }

  #answer(text: string, requestId: string): void {
    const limit = this.#negotiated ? MAX_OVERSIZE_BYTES : MAX_FRAME_BYTES
    if (!isLonger(text, limit)) return this.#write(text)
    const hint = "Ask for less: a smaller limit, or since and until."
    this.#refuse(new ProtocolError(`the answer is larger than ${limit} bytes`, { hint }), requestId)
  }

  #refuse(error: unknown, requestId: string | undefined): void {
    const wire = toWireError(error)
    const code = this.#negotiated ? wire.code : ag2Code(wire.code)
    const { message, hint } = wire
    if (requestId === undefined) {
      const told: ErrorFrame = { kind: "error", code, message, envelope_id: null }
      return this.#send(this.#negotiated ? { ...told, hint } : told)
    }
    const told = { kind: "response", request_id: requestId, ok: false, result: null } as const
    const refusal = { ...told, error_code: code, error_message: message }
    this.#send(this.#negotiated ? { ...refusal, error_hint: hint } : refusal)
  }

  #send(frame: Frame): void {
    this.#write(formatFrame(frame))
  }

  #write(text: string): void {
    if (this.#isCut || this.#socket.readyState !== this.#socket.OPEN) return
    if (this.#socket.bufferedAmount > MAX_SEND_QUEUE_BYTES) {
      this.#host.warn({ bytes: this.#socket.bufferedAmount }, "a socket reads too slowly, and is cut")
      return this.cut(CLOSE_TOO_SLOW, "reads too slowly: what was not acknowledged comes again")
    }
    this.#socket.send(text, { compress: false })
  }
}

/** What a client says that ends its session, too. */
const CLOSE_NORMAL = 1000

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

function stopping(): ProtocolError {
  return new ProtocolError("the hub is stopping", { hint: "Connect again in a moment." })
}

/** In bytes of UTF-8, counted only when it may be. */
function isLonger(text: string, limit: number): boolean {
  return text.length > limit / 3 && (text.length > limit || Buffer.byteLength(text) > limit)
}
