import { encodeLine } from "../core/line.ts"
import { isoTime } from "../core/system.ts"
import type { Clock } from "../core/system.ts"

/** Of the first failure's message, in UTF-16 units. */
const MAX_CAUSE_LENGTH = 1000

/** Hub events that were lost since the last one was written: told in an `audit_gap` as soon as writing works. */
export class Gap {
  readonly #clock: Clock
  #told: { lost: number; readonly cause: string; readonly from: string; to: string } | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How many the last line tells of. */
  #inLine = 0

  get isOpen(): boolean {
    return this.#told !== undefined
  }

  /** @param error why; of several, the first is told */
  grow(count: number, error: unknown): void {
    const at = isoTime(this.#clock())
    if (this.#told === undefined) {
      const cause = error instanceof Error ? error.message : String(error)
      this.#told = { lost: count, cause: cause.slice(0, MAX_CAUSE_LENGTH), from: at, to: at }
    } else {
      this.#told.lost += count
      this.#told.to = at
    }
  }

  /** The record that tells of it, as a line; `undefined` when nothing was lost. */
  line(): string | undefined {
    if (this.#told === undefined) return undefined
    this.#inLine = this.#told.lost
    return encodeLine({ at: isoTime(this.#clock()), kind: "audit_gap", ...this.#told })
  }

  /** The last line is durable. What was lost since it was made is the beginning of another gap. */
  close(): void {
    const told = this.#told
    if (told === undefined) return
    const lost = told.lost - this.#inLine
    this.#told = lost > 0 ? { ...told, lost, from: told.to } : undefined
  }
}
