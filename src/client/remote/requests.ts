import type { HansardError } from "../../core/errors.ts"
import { RateLimitedError } from "../../model/errors.ts"
import {
  CHANGES,
  DisconnectedError,
  formatFrame,
  frameTooLarge,
  fromWireError,
  MAX_FRAME_BYTES,
  MAX_REQUESTS_IN_FLIGHT,
  REPEATABLE,
} from "../../wire/index.ts"
import type { Frame, RequestFrame, ResponseFrame } from "../../wire/index.ts"
import { timeoutError } from "../context.ts"
import { MAX_WAITING_REQUESTS } from "./options.ts"

interface Waiting {
  readonly op: string
  readonly text: string
  /** Whether it was ever on its way: then the hub may have done it. */
  isSent: boolean
  readonly resolve: (result: unknown) => void
  readonly reject: (error: unknown) => void
  readonly cancelTimer: () => void
  readonly unlisten: () => void
}

/**
 * What was asked and is not answered, in the order of asking, across reconnections.
 *
 * At most `MAX_REQUESTS_IN_FLIGHT` are on their way at a time, which is what a session's hub remembers the answers of.
 */
export class Requests {
  readonly #newId: () => string
  readonly #after: (milliseconds: number, callback: () => void) => () => void
  readonly #timeoutMs: number
  readonly #waiting = new Map<string, Waiting>()
  #inFlight = 0
  /** Set while there is a session to send on. */
  #send: ((text: string) => void) | undefined
  #closedBy: Error | undefined

  constructor(options: {
    readonly newId: () => string
    readonly after: (milliseconds: number, callback: () => void) => () => void
    readonly timeoutMs: number
  }) {
    this.#newId = options.newId
    this.#after = options.after
    this.#timeoutMs = options.timeoutMs
  }

  /**
   * @param signal takes back what is not on its way yet; of what is, the answer is not waited for.
   * @throws (rejects) what the hub refuses with; a `TimeoutError`; DisconnectedError; ClosedError; the signal's reason.
   */
  ask(op: string, params: object, signal?: AbortSignal): Promise<unknown> {
    const request_id = this.#newId()
    return this.#add(op, request_id, { kind: "request", request_id, op, params } as RequestFrame, signal)
  }

  /** A `hello` for an identity: answered by `welcome` or `error`. */
  greet(hello: (request_id: string) => Frame, signal?: AbortSignal): Promise<unknown> {
    const request_id = this.#newId()
    return this.#add("hello", request_id, hello(request_id), signal)
  }

  #add(op: string, requestId: string, frame: Frame, signal?: AbortSignal): Promise<unknown> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error)
    if (this.#closedBy !== undefined) return Promise.reject(this.#closedBy)
    if (this.#waiting.size >= MAX_WAITING_REQUESTS) {
      return Promise.reject(new RateLimitedError(`${this.#waiting.size} requests wait for their answers`))
    }
    const text = formatFrame(frame)
    // At most three bytes a unit: only what may be too large is measured.
    if (text.length > MAX_FRAME_BYTES / 3) {
      const bytes = new TextEncoder().encode(text).length
      if (bytes > MAX_FRAME_BYTES) return Promise.reject(frameTooLarge(bytes))
    }
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const cancelTimer = this.#after(this.#timeoutMs, () =>
      this.#take(requestId)?.reject(timeoutError(`no answer to ${op} within ${this.#timeoutMs} ms`)),
    )
    const abort = (): void => this.#take(requestId)?.reject(signal?.reason)
    signal?.addEventListener("abort", abort)
    const unlisten = (): void => signal?.removeEventListener("abort", abort)
    this.#waiting.set(requestId, { op, text, isSent: false, resolve, reject, cancelTimer, unlisten })
    this.#flush()
    return promise
  }

  /** There is a session. @param isKnown whether the hub knows what it was asked before. */
  online(send: (text: string) => void, isKnown: boolean): void {
    this.#inFlight = 0
    for (const [id, waiting] of [...this.#waiting]) {
      if (!waiting.isSent) continue
      waiting.isSent = false
      if (isKnown || mayRepeat(waiting.op)) continue
      const gone = new DisconnectedError(`the connection was lost before ${waiting.op} was answered`)
      this.#take(id)?.reject(gone)
    }
    this.#send = send
    this.#flush()
  }

  offline(): void {
    this.#send = undefined
  }

  answered(frame: ResponseFrame): void {
    const waiting = this.#take(frame.request_id)
    if (frame.ok) waiting?.resolve(frame.result)
    else waiting?.reject(toWireError(frame.error_code, frame.error_message, frame.error_hint))
  }

  greeted(requestId: string, welcome: unknown): void {
    this.#take(requestId)?.resolve(welcome)
  }

  refused(requestId: string, error: HansardError): void {
    this.#take(requestId)?.reject(error)
  }

  close(reason: HansardError): void {
    this.#closedBy = reason
    for (const id of [...this.#waiting.keys()]) this.#take(id)?.reject(reason)
  }

  #take(requestId: string): Waiting | undefined {
    const waiting = this.#waiting.get(requestId)
    if (waiting === undefined) return undefined
    this.#waiting.delete(requestId)
    waiting.cancelTimer()
    waiting.unlisten()
    if (waiting.isSent) this.#inFlight--
    this.#flush()
    return waiting
  }

  #flush(): void {
    if (this.#send === undefined || this.#inFlight >= MAX_REQUESTS_IN_FLIGHT) return
    for (const waiting of this.#waiting.values()) {
      if (waiting.isSent) continue
      waiting.isSent = true
      this.#send(waiting.text)
      if (++this.#inFlight >= MAX_REQUESTS_IN_FLIGHT) return
    }
  }
}

export function toWireError(code: string, message: string, hint: string = ""): HansardError {
  return fromWireError({ code, message, hint })
}

function mayRepeat(op: string): boolean {
  return !CHANGES.has(op) || REPEATABLE.has(op)
}
