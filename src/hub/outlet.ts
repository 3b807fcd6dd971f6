import type { Delivery, LinkOptions } from "../model/index.ts"
import { outsideListeners } from "./fan-out.ts"

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
