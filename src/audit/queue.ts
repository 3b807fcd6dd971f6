import { Staging } from "./staging.ts"
import type { Ticket } from "./ticket.ts"

/** What is written and synced together. */
export interface Batch {
  readonly bytes: Buffer
  /** Lines of `tickets`. */
  readonly count: number
  /** A line that says what was lost comes before them. */
  readonly withGap: boolean
  readonly tickets: readonly Ticket[]
}

/** Lines that wait for the disk, in the order of the calls, and who waits for them. */
export class LineQueue {
  /** Of what is staged. */
  #tickets: Ticket[] = []
  /** In lines. */
  #staged = 0
  readonly #staging = new Staging()
  /** Batches that are full. */
  #full: Batch[] = []
  #fullBytes = 0

  /** In bytes: of all that waits. */
  get bytes(): number {
    return this.#fullBytes + this.#staging.bytes
  }

  /** In bytes: of what could still be joined by more. */
  get stagedBytes(): number {
    return this.#staging.bytes
  }

  get isEmpty(): boolean {
    return this.#full.length === 0 && this.#staged === 0
  }

  get hasFullBatch(): boolean {
    return this.#full.length > 0
  }

  /** Who waits for the line that was added last, if it is still to be joined by more. */
  get lastTicket(): Ticket | undefined {
    return this.#tickets.at(-1)
  }

  /** Makes the next `bytes` of lines one batch's. */
  keepTogether(bytes: number): void {
    if (!this.#staging.hasRoomFor(bytes)) this.#closeStaged()
  }

  /** @param bytes of the line in UTF-8, with its newline. Its ticket is to be added next, or is the last one. */
  addLine(line: string, bytes: number): void {
    this.keepTogether(bytes)
    this.#staging.add(line, bytes)
    this.#staged++
  }

  addTicket(ticket: Ticket): void {
    this.#tickets.push(ticket)
  }

  takeNext(): Batch | undefined {
    const full = this.#full.shift()
    if (full === undefined) return this.#staged > 0 ? this.#takeStaged() : undefined
    this.#fullBytes -= full.bytes.length
    return full
  }

  takeAll(): Batch[] {
    const all = this.#full
    this.#full = []
    this.#fullBytes = 0
    return this.#staged > 0 ? [...all, this.#takeStaged()] : all
  }

  #closeStaged(): void {
    const batch = this.#takeStaged()
    this.#full.push(batch)
    this.#fullBytes += batch.bytes.length
  }

  #takeStaged(): Batch {
    const batch = { bytes: this.#staging.take(), count: this.#staged, withGap: false, tickets: this.#tickets }
    this.#tickets = []
    this.#staged = 0
    return batch
  }
}
