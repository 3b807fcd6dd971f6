import type { AuditLog, PublishedCheckpoint } from "../../audit/index.ts"
import { formatHash } from "../../core/hash-types.ts"
import { encodeCheckpoint } from "./sse.ts"

/** Readers of one size; those who come and go differ only for a moment. */
const MAX_KEPT = 1_000

/** Checkpoints with their consistency proofs, made and encoded once for all readers who stand at the same place. */
export class CheckpointEvents {
  readonly #log: Pick<AuditLog, "consistency">
  #size = -1
  readonly #events = new Map<string, Promise<Uint8Array>>()

  constructor(log: Pick<AuditLog, "consistency">) {
    this.#log = log
  }

  /**
   * @param from the size that its reader has verified; `null` for none
   * @param position where its reader stands
   */
  event(checkpoint: PublishedCheckpoint, from: number | null, position: number): Promise<Uint8Array> {
    if (checkpoint.size !== this.#size || this.#events.size >= MAX_KEPT) {
      this.#size = checkpoint.size
      this.#events.clear()
    }
    const key = `${from} ${position}`
    let event = this.#events.get(key)
    if (event === undefined) {
      event = this.#make(checkpoint, from, position)
      this.#events.set(key, event)
      event.catch(() => this.#events.delete(key))
    }
    return event
  }

  async #make(
    { text, size }: PublishedCheckpoint,
    from: number | null,
    position: number,
  ): Promise<Uint8Array> {
    const needsProof = from !== null && from > 0 && from < size
    const proof = needsProof ? (await this.#log.consistency(from, size)).map(formatHash) : []
    return encodeCheckpoint({ checkpoint: text, size, from, proof, position })
  }
}
