import { HansardError } from "../core/errors.ts"
import { isVisibleTo } from "../model/envelope.ts"
import type { Envelope } from "../model/envelope.ts"
import { InboxFullError, ProtocolError } from "../model/errors.ts"
import type { Receipt } from "../model/hub-api.ts"
import { timeoutError, toError } from "./context.ts"
import type { ClientContext } from "./context.ts"

export type EnvelopePredicate = (envelope: Envelope) => boolean

export interface WaitOptions {
  readonly signal?: AbortSignal | undefined
  /** Default 300,000. */
  readonly timeoutMs?: number
  /**
   * Also looks at what came after this envelope id and is in the write-ahead log already: nothing is missed between
   * a send and the wait for its answer. Left out: only what is delivered from now on.
   */
  readonly after?: string
}

/** Over all channels of one agent. More than that are refused, and come again on the next attach. */
export const MAX_QUEUED_ENVELOPES = 10_000

const DEFAULT_WAIT_MS = 300_000
const CHANNEL_ENDS: readonly string[] = ["ag2.channel.closed", "ag2.channel.expired"]

interface Queued {
  readonly envelope: Envelope
  /** A waiter has it: it is acknowledged in its turn, and handled by nobody else. */
  readonly taken: boolean
}

interface Waiter {
  readonly matches: EnvelopePredicate
  resolve(envelope: Envelope): void
  reject(reason: unknown): void
}

/**
 * What comes in for one agent.
 *
 * `receive` only queues. Each channel has its own lane, in which envelopes are handled one after another and then
 * acknowledged, so that a cursor never passes an envelope that is still being worked on; lanes run beside each other.
 * Nothing is kept for readers who may come later: the write-ahead log has it.
 */
export class Mailbox {
  readonly #agentId: string
  readonly #context: ClientContext
  readonly #handle: (envelope: Envelope) => Promise<void>
  readonly #lanes = new Map<string, Queued[]>()
  readonly #waiters = new Map<string, Set<Waiter>>()
  /** Owned by `receive` and `#run`: how many wait in all lanes. */
  #queued = 0
  /** Set by `close`. */
  #closedBy: Error | undefined

  /** @param handle answers an envelope; when it rejects, the envelope is refused and comes again. */
  constructor(agentId: string, context: ClientContext, handle: (envelope: Envelope) => Promise<void>) {
    this.#agentId = agentId
    this.#context = context
    this.#handle = handle
  }

  /** @throws InboxFullError when {@link MAX_QUEUED_ENVELOPES} are waiting already. */
  receive(envelope: Envelope): void {
    if (this.#closedBy !== undefined) throw this.#closedBy
    if (this.#queued >= MAX_QUEUED_ENVELOPES) {
      throw new InboxFullError(`${this.#agentId} has ${this.#queued} envelopes waiting in this process`)
    }
    const queued = { envelope, taken: this.#offer(envelope) }
    this.#queued++
    const lane = this.#lanes.get(envelope.channel_id)
    if (lane !== undefined) {
      lane.push(queued)
    } else {
      const opened = [queued]
      this.#lanes.set(envelope.channel_id, opened)
      void this.#run(envelope.channel_id, opened)
    }
  }

  /** The first envelope of others that matches; see `AgentClient.waitFor`. */
  async wait(channelId: string, matches: EnvelopePredicate, options: WaitOptions = {}): Promise<Envelope> {
    const { signal, timeoutMs = DEFAULT_WAIT_MS, after } = options
    if (this.#closedBy !== undefined) throw this.#closedBy
    signal?.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<Envelope>()
    const waiter = { matches, resolve, reject }
    const waiters = this.#waiters.get(channelId) ?? new Set()
    this.#waiters.set(channelId, waiters.add(waiter))
    const onAbort = (): void => reject(signal?.reason)
    signal?.addEventListener("abort", onAbort)
    const cancelTimer = this.#context.timers.after(timeoutMs, () =>
      reject(timeoutError(`nothing that was waited for came within ${timeoutMs} ms in channel ${channelId}`)),
    )
    try {
      this.#look(channelId, waiter, after, signal).catch(reject)
      return await promise
    } finally {
      cancelTimer()
      signal?.removeEventListener("abort", onAbort)
      waiters.delete(waiter)
      if (waiters.size === 0 && this.#waiters.get(channelId) === waiters) this.#waiters.delete(channelId)
    }
  }

  /** Whoever waits is refused, what is queued is dropped without a receipt. */
  close(reason: Error): void {
    if (this.#closedBy !== undefined) return
    this.#closedBy = reason
    for (const waiters of this.#waiters.values()) for (const waiter of waiters) waiter.reject(reason)
    for (const lane of this.#lanes.values()) lane.length = 0
    this.#queued = 0
  }

  async #run(channelId: string, lane: Queued[]): Promise<void> {
    // Off the delivery path: the hub may hold a lock while it delivers.
    await Promise.resolve()
    for (let next = lane.shift(); next !== undefined; next = lane.shift()) {
      this.#queued--
      try {
        if (!next.taken) await this.#handle(next.envelope)
        await this.#receipt(next.envelope, "ack")
      } catch (error) {
        this.#context.logger.error(
          { err: error, envelope_id: next.envelope.envelope_id },
          "envelope not handled",
        )
        await this.#receipt(next.envelope, "nack", toError(error).message)
      }
    }
    this.#lanes.delete(channelId)
  }

  async #receipt(envelope: Envelope, status: Receipt["status"], reason?: string): Promise<void> {
    if (this.#closedBy !== undefined) return
    const { envelope_id, channel_id } = envelope
    const receipt = { envelope_id, status, recipient_id: this.#agentId, channel_id }
    try {
      await this.#context.hub.receipt(reason === undefined ? receipt : { ...receipt, reason })
    } catch (error) {
      this.#context.logger.warn({ err: error, ...receipt }, "receipt not taken")
    }
  }

  /** @returns whether somebody who waits takes it. The end of the channel ends all other waits. */
  #offer(envelope: Envelope): boolean {
    let taken = false
    for (const waiter of this.#waiters.get(envelope.channel_id) ?? []) {
      taken = settle(waiter, envelope) || taken
    }
    return taken
  }

  /** Looks for what is in the log already. An end in it counts whenever it came: nothing comes after it. */
  async #look(
    channelId: string,
    waiter: Waiter,
    after: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    for (const envelope of await this.#context.hub.readWal(channelId, 0, undefined, { signal })) {
      const isNew = after !== undefined && envelope.envelope_id > after
      if (!isNew && !isEnd(envelope)) continue
      const isForMe =
        isEnd(envelope) || (envelope.sender_id !== this.#agentId && isVisibleTo(envelope, this.#agentId))
      if (isForMe && settle(waiter, envelope)) return
    }
  }
}

function isEnd(envelope: Envelope): boolean {
  return CHANNEL_ENDS.includes(envelope.event_type)
}

/** @returns whether the waiter takes it. */
function settle(waiter: Waiter, envelope: Envelope): boolean {
  try {
    if (waiter.matches(envelope)) {
      waiter.resolve(envelope)
      return true
    }
    if (isEnd(envelope)) waiter.reject(endedError(envelope))
  } catch (error) {
    waiter.reject(error)
  }
  return false
}

function endedError(envelope: Envelope): HansardError {
  const { channel_id, event_type, event_data } = envelope
  const how = event_type.slice(event_type.lastIndexOf(".") + 1)
  const reason = typeof event_data["reason"] === "string" ? `: ${event_data["reason"]}` : ""
  return new ProtocolError(`channel ${channel_id} ${how} before anything that was waited for came${reason}`)
}
