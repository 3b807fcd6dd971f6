import { AccessDeniedError, ProtocolError } from "../model/index.ts"
import type { Delivery, Envelope, LinkOptions, Receipt } from "../model/index.ts"
import { InvalidInputError } from "../core/errors.ts"
import { parseTime } from "../core/system.ts"
import { recipientsOf } from "./channel.ts"
import type { ChannelBook } from "./channel-book.ts"
import type { HubContext } from "./context.ts"
import type { Cursors } from "./cursors.ts"
import { outsideListeners, type Announcement } from "./fan-out.ts"
import type { Gatekeeper } from "./gatekeeper.ts"
import type { Inboxes } from "./inboxes.ts"
import type { Operation } from "./operation.ts"
import { Outlet, type Deliver } from "./outlet.ts"
import { Outstanding } from "./outstanding.ts"

/** How often an envelope is handed to a recipient that cannot deal with it. */
export const MAX_DELIVERY_TRIES = 5
/** Before the second try; it doubles with each, up to {@link MAX_RETRY_MS}. */
export const FIRST_RETRY_MS = 1_000
export const MAX_RETRY_MS = 60_000

/** An identity on a connection. */
interface Binding {
  readonly outlet: Outlet
  /** While what was missed is delivered again: what is new waits here. */
  backlog: Delivery[] | undefined
}

/**
 * Brings envelopes to the connections of their recipients, in the order of each channel's log, and keeps count of what
 * was acknowledged.
 *
 * At least once: what is refused comes again, after 1, 2, 4 and 8 s, and what is not acknowledged comes again at the next
 * attachment. After {@link MAX_DELIVERY_TRIES} refusals it is told as a dead letter and passed over; a connection that
 * cannot take it at the moment is no refusal. What has outlived its `ttl_seconds` by then is passed over as well.
 */
export class DeliveryDesk {
  readonly #context: HubContext
  readonly #book: ChannelBook
  readonly #cursors: Cursors
  readonly #inboxes: Inboxes
  readonly #gatekeeper: Gatekeeper
  /** Owned by `bind` and `unbind`: an agent has one connection, a connection any number of agents. */
  readonly #bindings = new Map<string, Binding>()
  readonly #outstanding = new Outstanding()

  constructor(
    context: HubContext,
    parts: { book: ChannelBook; cursors: Cursors; inboxes: Inboxes; gatekeeper: Gatekeeper },
  ) {
    this.#context = context
    this.#book = parts.book
    this.#cursors = parts.cursors
    this.#inboxes = parts.inboxes
    this.#gatekeeper = parts.gatekeeper
  }

  outlet(deliver: Deliver, detached?: LinkOptions["detached"]): Outlet {
    const failed = (delivery: Delivery, error: unknown): void => {
      this.#again(made, delivery)
      void this.#failed(delivery, error)
    }
    const made = new Outlet(this.#context.newId(), deliver, failed, detached)
    return made
  }

  isBound(agentId: string, outlet: Outlet): boolean {
    return this.#bindings.get(agentId)?.outlet === outlet
  }

  boundTo(outlet: Outlet): string[] {
    return [...outlet.agents]
  }

  /** An earlier binding of the agent ends. */
  bind(agentId: string, outlet: Outlet): void {
    this.#bind(agentId, { outlet, backlog: undefined })
  }

  /** @param reason what the connection is told. */
  unbind(agentId: string, reason: string): void {
    const binding = this.#bindings.get(agentId)
    if (binding === undefined) return
    this.#bindings.delete(agentId)
    binding.outlet.agents.delete(agentId)
    this.#outstanding.detach(agentId)
    const { detached } = binding.outlet
    if (detached === undefined) return
    outsideListeners(() => {
      Promise.resolve()
        .then(() => detached(agentId, reason))
        .catch((error: unknown) => this.#context.logger.warn({ err: error }, "a connection was not told"))
    })
  }

  /** The agent is gone for good. */
  forget(agentId: string): void {
    this.unbind(agentId, "unregistered")
    this.#outstanding.forget(agentId)
  }

  close(outlet: Outlet): void {
    outlet.close()
    for (const agentId of outlet.agents) {
      this.#bindings.delete(agentId)
      this.#outstanding.detach(agentId)
    }
    outlet.agents.clear()
  }

  closeAll(): void {
    for (const { outlet } of [...this.#bindings.values()]) this.close(outlet)
  }

  /** Nothing happens when the recipient is not connected: it gets the envelope when it attaches. */
  dispatch(envelope: Envelope, recipientId: string): void {
    const binding = this.#bindings.get(recipientId)
    if (binding === undefined) return
    const delivery = Object.freeze({ envelope, recipient_id: recipientId })
    if (binding.backlog === undefined) this.#hand(binding.outlet, delivery)
    else binding.backlog.push(delivery)
  }

  /**
   * Binds the agent, and delivers again what it has not acknowledged and what is newer than `since`; what is posted
   * meanwhile comes after it. Of ended channels too: that is how an agent learns that they have ended.
   */
  async attach(agentId: string, outlet: Outlet, since: string, operation: Operation): Promise<void> {
    const binding: Binding = { outlet, backlog: [] }
    this.#bind(agentId, binding)
    try {
      const replayed = await this.#replay(agentId, outlet, since, operation)
      for (const delivery of binding.backlog ?? []) {
        const { channel_id, envelope_id } = delivery.envelope
        if (envelope_id > (replayed.get(channel_id) ?? "")) this.#hand(outlet, delivery)
      }
      binding.backlog = undefined
    } catch (error) {
      if (this.#bindings.get(agentId) === binding) {
        this.#bindings.delete(agentId)
        outlet.agents.delete(agentId)
        this.#outstanding.detach(agentId)
      }
      throw error
    }
  }

  /** @returns the newest envelope of each channel that was gone through. */
  async #replay(
    agentId: string,
    outlet: Outlet,
    since: string,
    operation: Operation,
  ): Promise<ReadonlyMap<string, string>> {
    const replayed = new Map<string, string>()
    for (const { metadata, wal } of this.#book.ofAgent(agentId)) {
      const { channel_id } = metadata
      const cursor = this.#cursors.get(agentId, channel_id)
      for await (const page of wal.after(cursor > since ? cursor : since)) {
        for (const envelope of page) {
          replayed.set(channel_id, envelope.envelope_id)
          if (!recipientsOf(envelope, metadata).includes(agentId)) continue
          if (this.#outstanding.isSettled(agentId, channel_id, envelope.envelope_id)) continue
          const [permitted] = await this.#gatekeeper.permitted(envelope, [agentId], operation)
          const delivery = Object.freeze({ envelope, recipient_id: agentId })
          if (permitted === undefined) continue
          if (this.#isStale(envelope)) await this.#passOver(delivery, operation.events)
          else this.#hand(outlet, delivery)
        }
      }
    }
    return replayed
  }

  /**
   * Receipts without recipient or channel are ignored, as AG2's hub does.
   *
   * @throws AccessDeniedError for somebody else's delivery, ProtocolError for an envelope that the channel does not have.
   */
  async receipt(receipt: Receipt, outlet: Outlet): Promise<void> {
    const { recipient_id, channel_id, envelope_id, status, reason } = receipt
    if (recipient_id === "" || channel_id === "") return
    if (!this.isBound(recipient_id, outlet)) {
      throw new AccessDeniedError(`connection ${outlet.id} does not act for ${recipient_id}`, {
        hint: "Attach the identity on this connection first.",
      })
    }
    if (status !== "ack" && status !== "nack")
      throw new InvalidInputError("a receipt's status is ack or nack")
    const { wal } = this.#book.require(channel_id)
    if (typeof envelope_id !== "string" || envelope_id === "" || envelope_id > wal.lastId) {
      throw new ProtocolError(`channel ${channel_id} has no envelope ${envelope_id}`)
    }
    if (status === "ack") return await this.#settle(recipient_id, channel_id, envelope_id)
    this.#context.logger.warn({ channel_id, envelope_id, recipient_id, reason }, "envelope nacked")
    const handed = this.#outstanding.find(recipient_id, channel_id, envelope_id)
    if (handed === undefined || handed.cancel !== undefined) return
    handed.nacks++
    const envelope = await wal.find(envelope_id)
    if (envelope === undefined) return
    if (handed.nacks < MAX_DELIVERY_TRIES) this.#again(outlet, { envelope, recipient_id })
    else await this.#deadLetter({ envelope, recipient_id }, handed.nacks, reason ?? "")
  }

  /** The cursor moves as far as everything before it is settled. Durable when it resolves. */
  async #settle(agentId: string, channelId: string, envelopeId: string): Promise<void> {
    const cursor = this.#outstanding.settle(agentId, channelId, envelopeId)
    this.#inboxes.counter.acknowledge(agentId, channelId, cursor)
    await this.#cursors.advance(agentId, channelId, cursor)
  }

  #hand(outlet: Outlet, delivery: Delivery): void {
    const { envelope, recipient_id } = delivery
    this.#outstanding.handed(recipient_id, envelope.channel_id, envelope.envelope_id)
    outlet.push(delivery)
  }

  /** Once more, a little later, if it is still wanted then. */
  #again(outlet: Outlet, delivery: Delivery): void {
    const { envelope, recipient_id } = delivery
    const handed = this.#outstanding.find(recipient_id, envelope.channel_id, envelope.envelope_id)
    if (handed === undefined || handed.cancel !== undefined || !this.isBound(recipient_id, outlet)) return
    const wait = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(handed.retries++, 16))
    handed.cancel = this.#context.timers.after(wait, () => {
      handed.cancel = undefined
      if (!this.#isStale(envelope)) return outlet.push(Object.freeze(delivery))
      const events = this.#context.fanOut.announcement()
      this.#quietly(
        this.#passOver(delivery, events).then(() => events.done()),
        delivery,
      )
    })
  }

  async #deadLetter(delivery: Delivery, tries: number, reason: string): Promise<void> {
    const { envelope, recipient_id } = delivery
    const { channel_id, envelope_id } = envelope
    this.#context.logger.error({ channel_id, envelope_id, recipient_id, tries, reason }, "dead letter")
    const events = this.#context.fanOut.announcement()
    events.deadLettered(envelope, recipient_id, tries, reason)
    await this.#settle(recipient_id, channel_id, envelope_id)
    await events.done()
  }

  #isStale({ ttl_seconds, created_at }: Envelope): boolean {
    if (ttl_seconds === null) return false
    return (parseTime(created_at) ?? Infinity) + ttl_seconds * 1000 <= this.#context.clock()
  }

  async #passOver({ envelope, recipient_id }: Delivery, events: Announcement): Promise<void> {
    const { channel_id, envelope_id } = envelope
    const late = new ProtocolError(
      `its ${envelope.ttl_seconds ?? 0} s were over before it could be delivered`,
    )
    events.dispatchFailed(envelope, recipient_id, late)
    await this.#settle(recipient_id, channel_id, envelope_id)
  }

  /** Nobody waits for it. */
  #quietly(work: Promise<unknown>, { envelope, recipient_id }: Delivery): void {
    const { channel_id, envelope_id } = envelope
    work.catch((error: unknown) =>
      this.#context.logger.warn({ err: error, channel_id, envelope_id, recipient_id }, "not settled"),
    )
  }

  #bind(agentId: string, binding: Binding): void {
    if (this.#bindings.get(agentId)?.outlet !== binding.outlet) this.unbind(agentId, "attached elsewhere")
    // A connection that has closed meanwhile is nobody's.
    if (binding.outlet.closed) return
    this.#bindings.set(agentId, binding)
    binding.outlet.agents.add(agentId)
  }

  async #failed(delivery: Delivery, cause: unknown): Promise<void> {
    const error = cause instanceof Error ? cause : new Error(String(cause))
    const { envelope, recipient_id } = delivery
    const { channel_id, envelope_id } = envelope
    this.#context.logger.warn({ err: error, channel_id, envelope_id, recipient_id }, "dispatch failed")
    const events = this.#context.fanOut.announcement()
    events.dispatchFailed(envelope, recipient_id, error)
    // Nobody waits for it; an audit log that cannot write says so to the next operation.
    await events.done().catch(() => {})
  }
}
