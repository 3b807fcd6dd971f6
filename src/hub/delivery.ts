import { AccessDeniedError, ProtocolError } from "../model/index.ts"
import type { Delivery, Envelope, LinkOptions, Receipt } from "../model/index.ts"
import { InvalidInputError } from "../core/errors.ts"
import { recipientsOf } from "./channel.ts"
import type { ChannelBook } from "./channel-book.ts"
import type { HubContext } from "./context.ts"
import type { Cursors } from "./cursors.ts"
import { outsideListeners } from "./fan-out.ts"
import type { Gatekeeper } from "./gatekeeper.ts"
import type { Inboxes } from "./inboxes.ts"
import type { Operation } from "./operation.ts"

export type Deliver = (delivery: Delivery) => Promise<void> | void

/** The hub's end of a connection: hands envelopes over one after another, and does not wait for their handling. */
export class Outlet {
  readonly id: string
  /** Identities bound here. Owned by the desk. */
  readonly agents: Set<string> = new Set()
  /** Called when one of them no longer is, without the connection's own doing. */
  readonly detached: LinkOptions["detached"]
  readonly #deliver: Deliver
  readonly #failed: (delivery: Delivery, error: unknown) => void
  /** Owned by `push` and the pump. */
  #queue: Delivery[] = []
  #pumping = false
  #closed = false

  constructor(
    id: string,
    deliver: Deliver,
    failed: (delivery: Delivery, error: unknown) => void,
    detached?: LinkOptions["detached"],
  ) {
    this.id = id
    this.detached = detached
    this.#deliver = deliver
    this.#failed = failed
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Never calls out by itself: the recipient's code runs after the caller's. */
  push(delivery: Delivery): void {
    if (this.#closed) return
    this.#queue.push(delivery)
    if (this.#pumping) return
    this.#pumping = true
    outsideListeners(() => void Promise.resolve().then(() => this.#pump()))
  }

  close(): void {
    this.#closed = true
    this.#queue = []
  }

  #pump(): void {
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      const delivery = next
      // Not awaited: a handler may well wait for what is delivered next.
      new Promise<void>((resolve) => resolve(this.#deliver(delivery))).catch((error: unknown) =>
        this.#failed(delivery, error),
      )
    }
    this.#pumping = false
  }
}

/** An identity on a connection. */
interface Binding {
  readonly outlet: Outlet
  /** While what was missed is delivered again: what is new waits here. */
  backlog: Delivery[] | undefined
}

/**
 * Brings envelopes to the connections of their recipients, in the order of each channel's log, and keeps count of what
 * was acknowledged. At least once: what is not acknowledged comes again at the next attachment.
 */
export class DeliveryDesk {
  readonly #context: HubContext
  readonly #book: ChannelBook
  readonly #cursors: Cursors
  readonly #inboxes: Inboxes
  readonly #gatekeeper: Gatekeeper
  /** Owned by `bind` and `unbind`: an agent has one connection, a connection any number of agents. */
  readonly #bindings = new Map<string, Binding>()

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
    const failed = (delivery: Delivery, error: unknown): void => void this.#failed(delivery, error)
    return new Outlet(this.#context.newId(), deliver, failed, detached)
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
    const { detached } = binding.outlet
    if (detached === undefined) return
    outsideListeners(() => {
      Promise.resolve()
        .then(() => detached(agentId, reason))
        .catch((error: unknown) => this.#context.logger.warn({ err: error }, "a connection was not told"))
    })
  }

  close(outlet: Outlet): void {
    outlet.close()
    for (const agentId of outlet.agents) this.#bindings.delete(agentId)
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
    if (binding.backlog === undefined) binding.outlet.push(delivery)
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
        if (envelope_id > (replayed.get(channel_id) ?? "")) outlet.push(delivery)
      }
      binding.backlog = undefined
    } catch (error) {
      if (this.#bindings.get(agentId) === binding) {
        this.#bindings.delete(agentId)
        outlet.agents.delete(agentId)
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
          const [permitted] = await this.#gatekeeper.permitted(envelope, [agentId], operation)
          if (permitted !== undefined) outlet.push(Object.freeze({ envelope, recipient_id: agentId }))
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
    if (status === "nack") {
      this.#context.logger.warn({ channel_id, envelope_id, recipient_id, reason }, "envelope nacked")
      return
    }
    if (status !== "ack") throw new InvalidInputError("a receipt's status is ack or nack")
    const { wal } = this.#book.require(channel_id)
    if (typeof envelope_id !== "string" || envelope_id === "" || envelope_id > wal.lastId) {
      throw new ProtocolError(`channel ${channel_id} has no envelope ${envelope_id}`)
    }
    this.#inboxes.counter.acknowledge(recipient_id, channel_id, envelope_id)
    await this.#cursors.advance(recipient_id, channel_id, envelope_id)
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
