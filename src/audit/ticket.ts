import type { AppendReceipt } from "./types.ts"

/** What lines are to the writer when they cannot be written. */
export type Importance =
  /** Somebody called `append` and hears of the failure: nothing is kept. */
  | "direct"
  /** Hub events: their loss becomes an `audit_gap`. */
  | "event"
  /** A hub event that must not be lost: it is kept and tried again, first in line. */
  | "required"

/** Who waits for how many lines that follow one another in a batch. There is one for most records: it is kept small. */
export class Ticket {
  readonly importance: Importance
  /** Without its newline. Kept for what is required alone: the others' bytes are in the staging. */
  readonly line: string | undefined
  /** In lines. Grows while hub events follow one another. */
  count: number
  /** Takes the index of the first line. */
  readonly resolve: (receipt: AppendReceipt) => void
  readonly reject: (reason: unknown) => void
  /** Of hub events: what all their callers wait for. */
  readonly shared: Promise<void> | undefined
  /** The caller has heard of a failure already. */
  told = false

  constructor(
    importance: Importance,
    line: string | undefined,
    count: number,
    resolve: (receipt: AppendReceipt) => void,
    reject: (reason: unknown) => void,
    shared?: Promise<void>,
  ) {
    this.importance = importance
    this.line = line
    this.count = count
    this.resolve = resolve
    this.reject = reject
    this.shared = shared
  }
}
