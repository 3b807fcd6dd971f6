import type { Delivery, Receipt } from "../../model/hub-api.ts"
import { MAX_REMEMBERED_DELIVERIES } from "./options.ts"

/** What becomes of a delivery: handed on; ignored, because it is in hand; or acknowledged again, because it was before. */
export type Fate = "new" | "in hand" | "acknowledged"

/**
 * What was delivered here, and whether it was acknowledged: a hub delivers at least once, and this makes it once.
 *
 * What was refused (`nack`) is forgotten, so that it can come again. The oldest are forgotten when there are too many.
 */
export class Deliveries {
  readonly #known = new Map<string, "in hand" | "acknowledged">()
  readonly #limit: number

  constructor(limit: number = MAX_REMEMBERED_DELIVERIES) {
    this.#limit = limit
  }

  take({ recipient_id, envelope }: Delivery): Fate {
    const key = keyOf(recipient_id, envelope.envelope_id)
    const known = this.#known.get(key)
    if (known !== undefined) return known
    this.#known.set(key, "in hand")
    if (this.#known.size > this.#limit) {
      const [oldest] = this.#known.keys()
      if (oldest !== undefined) this.#known.delete(oldest)
    }
    return "new"
  }

  /** What the recipient has not settled comes to somebody else. */
  forget(recipientId: string): void {
    for (const [key, known] of this.#known) {
      if (known === "in hand" && key.startsWith(`${recipientId} `)) this.#known.delete(key)
    }
  }

  settle({ recipient_id, envelope_id, status }: Receipt): void {
    const key = keyOf(recipient_id, envelope_id)
    if (status === "nack") this.#known.delete(key)
    else if (this.#known.has(key)) this.#known.set(key, "acknowledged")
  }
}

function keyOf(recipientId: string, envelopeId: string): string {
  return `${recipientId} ${envelopeId}`
}
