import { HansardError } from "../../core/errors.ts"
import type { ConnectOptions, Hub } from "../../hub/index.ts"
import { InboxFullError, RateLimitedError } from "../../model/index.ts"
import type { Delivery, HubConnection } from "../../model/index.ts"
import {
  ANSWERED_WITH_NULL,
  ag2Code,
  CHANGES,
  MAX_REQUESTS_IN_FLIGHT,
  readReceipt,
  toWireError,
  WireFields,
} from "../../wire/index.ts"
import type { RequestFrame, ResponseFrame } from "../../wire/index.ts"
import { MAX_SESSION_DELIVERIES } from "./limits.ts"
import { runOperation } from "./operations.ts"

/** Where a session's deliveries go: the socket that it has now. */
export interface SessionPeer {
  /** @throws when the envelope cannot be sent there. */
  notify(delivery: Delivery): void
  /** Tells that an identity is bound elsewhere now. */
  detached(agentId: string, reason: string): void
  /** Ends the socket: another has taken the session over, or the session has ended. */
  cut(code: number, reason: string): void
}

export interface SessionOptions {
  /** Whether the peer speaks our protocol: then the session survives its socket. */
  readonly negotiated: boolean
  /** Empty when nothing was negotiated. */
  readonly token: string
  /** Where it comes from. */
  readonly from: Pick<ConnectOptions, "origin" | "peer">
  readonly failed: (error: unknown, op: string) => void
  readonly ended: (session: Session) => void
}

/**
 * A peer's connection to the hub, which may outlive its socket: what was delivered and has no receipt yet is kept, and so
 * are the answers to the last changes. A client that comes back sends its unanswered requests again, and each change is
 * made once.
 */
export class Session {
  readonly token: string
  readonly negotiated: boolean
  readonly #options: SessionOptions
  #connection: HubConnection | undefined
  #peer: SessionPeer | undefined
  #isEnded = false
  /** By recipient and envelope, in the order of delivery; owned by `#deliver`, `#forgetDelivery` and `#detached`. */
  readonly #unreceipted = new Map<string, Delivery>()
  /**
   * Changes under way and done, by request; owned by `answer`. Answers are lost from the newest back, and a client has
   * at most `MAX_REQUESTS_IN_FLIGHT` requests unanswered, so as many of the newest are enough.
   */
  readonly #changes = new Map<string, Promise<ResponseFrame>>()
  #inFlight = 0

  private constructor(options: SessionOptions) {
    this.#options = options
    this.token = options.token
    this.negotiated = options.negotiated
  }

  static async open(hub: Pick<Hub, "connect">, options: SessionOptions): Promise<Session> {
    const session = new Session(options)
    session.#connection = await hub.connect((delivery) => session.#deliver(delivery), {
      ...options.from,
      detached: (agentId, reason) => session.#detached(agentId, reason),
    })
    return session
  }

  get connection(): HubConnection {
    if (this.#connection === undefined) throw new Error("bug: the session is not open yet")
    return this.#connection
  }

  get isEnded(): boolean {
    return this.#isEnded
  }

  /** Requests that are not answered yet. */
  get busy(): boolean {
    return this.#inFlight > 0
  }

  /** From now on deliveries go to `peer`, after those that have no receipt. An earlier socket is cut. */
  resume(peer: SessionPeer): void {
    this.#peer?.cut(CLOSE_RESUMED, "the session goes on on another socket")
    this.#peer = peer
    for (const delivery of [...this.#unreceipted.values()]) {
      try {
        peer.notify(delivery)
      } catch (error) {
        this.#options.failed(error, "notify")
      }
    }
  }

  attachPeer(peer: SessionPeer): void {
    this.#peer = peer
  }

  /** @returns whether the peer was the session's. */
  leave(peer: SessionPeer): boolean {
    if (this.#peer !== peer) return false
    this.#peer = undefined
    return true
  }

  /** Never rejects. */
  answer(frame: RequestFrame): Promise<ResponseFrame> {
    if (!CHANGES.has(frame.op)) return this.#run(frame)
    const known = this.#changes.get(frame.request_id)
    if (known !== undefined) return known
    const answer = this.#run(frame)
    this.#changes.set(frame.request_id, answer)
    if (this.#changes.size > MAX_REQUESTS_IN_FLIGHT) {
      for (const oldest of this.#changes.keys()) {
        this.#changes.delete(oldest)
        break
      }
    }
    return answer
  }

  /** A receipt that nobody is told the fate of, as AG2's clients send it. */
  async receipt(frame: Parameters<HubConnection["receipt"]>[0]): Promise<void> {
    this.#forgetDelivery(frame.recipient_id, frame.envelope_id)
    await this.connection.receipt(frame)
  }

  /** Idempotent, and never rejects. The identities stay registered. */
  async end(code: number = 1000, reason: string = "the session has ended"): Promise<void> {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#options.ended(this)
    this.#peer?.cut(code, reason)
    this.#peer = undefined
    this.#unreceipted.clear()
    try {
      await this.#connection?.[Symbol.asyncDispose]()
    } catch (error) {
      this.#options.failed(error, "end")
    }
  }

  async #run({ request_id, op, params }: RequestFrame): Promise<ResponseFrame> {
    if (this.#inFlight >= MAX_REQUESTS_IN_FLIGHT) {
      return this.#refusal(
        request_id,
        new RateLimitedError(`more than ${MAX_REQUESTS_IN_FLIGHT} requests are unanswered`, {
          hint: "Wait for answers before you ask for more.",
        }),
      )
    }
    this.#inFlight++
    try {
      if (op === "receipt") {
        const { recipient_id, envelope_id } = readReceipt(new WireFields(params, op))
        this.#forgetDelivery(recipient_id, envelope_id)
      }
      const result = await runOperation(this.connection, op, params)
      const told = !this.negotiated && ANSWERED_WITH_NULL.has(op) ? null : result
      return { kind: "response", request_id, ok: true, result: told, error_code: "", error_message: "" }
    } catch (error) {
      if (!(error instanceof HansardError)) this.#options.failed(error, op)
      return this.#refusal(request_id, error)
    } finally {
      this.#inFlight--
    }
  }

  #refusal(request_id: string, error: unknown): ResponseFrame {
    const { code, message, hint } = toWireError(error)
    return {
      kind: "response",
      request_id,
      ok: false,
      result: null,
      error_code: this.negotiated ? code : ag2Code(code),
      error_message: message,
      ...(this.negotiated ? { error_hint: hint } : {}),
    }
  }

  /** @throws when it cannot be sent, or kept: the hub then tells of a failed dispatch. */
  #deliver(delivery: Delivery): void {
    if (this.negotiated) {
      if (this.#unreceipted.size >= MAX_SESSION_DELIVERIES) {
        void this.end(CLOSE_TOO_SLOW, "too many deliveries have no receipt")
        throw new InboxFullError(`${MAX_SESSION_DELIVERIES} deliveries have no receipt`)
      }
      const { recipient_id, envelope } = delivery
      this.#unreceipted.set(deliveryKey(recipient_id, envelope.envelope_id), delivery)
    }
    this.#peer?.notify(delivery)
  }

  /** The identity is bound elsewhere now, or has gone: what it has not handled is not this client's any more. */
  #detached(agentId: string, reason: string): void {
    for (const [key, { recipient_id }] of this.#unreceipted) {
      if (recipient_id === agentId) this.#unreceipted.delete(key)
    }
    this.#peer?.detached(agentId, reason)
  }

  #forgetDelivery(recipientId: string, envelopeId: string): void {
    this.#unreceipted.delete(deliveryKey(recipientId, envelopeId))
  }
}

function deliveryKey(recipientId: string, envelopeId: string): string {
  return `${recipientId} ${envelopeId}`
}

/** Status codes of ours for the end of a socket: 4000 to 4999 are free for applications. */
export const CLOSE_RESUMED = 4001
export const CLOSE_TOO_SLOW = 4008
