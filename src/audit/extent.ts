import type { LogEntry } from "./types.ts"
import { entryOf } from "./entry.ts"
import type { Notes } from "./log-state.ts"

/** Lines that became durable together. */
export interface DurableBatch {
  readonly firstIndex: number
  /** Where the first line starts. */
  readonly offset: number
  readonly count: number
  /** The lines, each ended by a newline. Kept whole: what nobody reads is never split. */
  readonly bytes: Buffer
}

export function entriesOfBatch({ firstIndex, offset, bytes }: DurableBatch): LogEntry[] {
  const lines = bytes.toString("utf8").split("\n")
  lines.pop()
  // Our own lines are ASCII; lines that were taken over verbatim need not be.
  const ascii = bytes.length === lines.length + lines.reduce((sum, { length }) => sum + length, 0)
  let start = offset
  return lines.map((line, n) => {
    const entry = entryOf(firstIndex + n, start, line)
    start += (ascii ? line.length : Buffer.byteLength(line)) + 1
    return entry
  })
}

/** A note of where a line starts is kept about this often, in records and in bytes. */
const NOTE_EVERY_RECORDS = 1024
const NOTE_EVERY_BYTES = 256 * 1024

/** How much of the live edge is kept in memory for tails that keep up. In bytes of lines. */
export const RECENT_BYTES: number = 1024 * 1024

/**
 * How far the log reaches, durably: its size in records and in bytes, a sparse table from index to offset, and the
 * last {@link RECENT_BYTES} of lines.
 *
 * Owned by whoever learns of new lines: the writer, or in a read-only log the follower. Everybody else reads it.
 * Memory: 16 bytes per {@link NOTE_EVERY_RECORDS} records, and the recent lines.
 */
export class LogExtent {
  /** Records that are durable. */
  size = 0
  /** Bytes that they take, newlines included. */
  bytes = 0
  #noteIndexes: number[] = [0]
  #noteOffsets: number[] = [0]
  #recent: DurableBatch[] = []
  #recentBytes = 0
  #wake: (() => void)[] = []

  /** More lines are durable. `batch` may be left out where their text is not at hand. */
  advance(count: number, bytes: number, batch?: DurableBatch): void {
    const last = this.#noteIndexes.length - 1
    if (
      this.size - (this.#noteIndexes[last] ?? 0) >= NOTE_EVERY_RECORDS ||
      this.bytes - (this.#noteOffsets[last] ?? 0) >= NOTE_EVERY_BYTES
    ) {
      this.#noteIndexes.push(this.size)
      this.#noteOffsets.push(this.bytes)
    }
    this.#remember(batch)
    this.size += count
    this.bytes += bytes
    if (this.#wake.length === 0) return
    const waiting = this.#wake
    this.#wake = []
    for (const wake of waiting) wake()
  }

  /** Where lines start that were noted. */
  notes(): Notes {
    return { indexes: this.#noteIndexes, offsets: this.#noteOffsets }
  }

  /** What an earlier look found, instead of looking again. Only before anything else. */
  restore(size: number, bytes: number, notes: Notes): void {
    this.#noteIndexes = [...notes.indexes]
    this.#noteOffsets = [...notes.offsets]
    this.size = size
    this.bytes = bytes
  }

  /** The last noted line at or before `index`: read on from there. */
  floor(index: number): { readonly index: number; readonly offset: number } {
    let low = 0
    let high = this.#noteIndexes.length - 1
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if ((this.#noteIndexes[middle] ?? 0) <= index) low = middle
      else high = middle - 1
    }
    return { index: this.#noteIndexes[low] ?? 0, offset: this.#noteOffsets[low] ?? 0 }
  }

  /** The first noted line at or after `index`; the end of the log when there is none. */
  ceiling(index: number): { readonly index: number; readonly offset: number } {
    const at = firstNotBelow(this.#noteIndexes, index)
    return { index: this.#noteIndexes[at] ?? this.size, offset: this.#noteOffsets[at] ?? this.bytes }
  }

  /** The last noted line that starts at or before byte `offset`. */
  floorOfOffset(offset: number): { readonly index: number; readonly offset: number } {
    const at = Math.max(0, firstNotBelow(this.#noteOffsets, offset + 1) - 1)
    return { index: this.#noteIndexes[at] ?? 0, offset: this.#noteOffsets[at] ?? 0 }
  }

  /** Recovery took lines off the end. */
  retreat(size: number, bytes: number): void {
    while ((this.#noteIndexes.at(-1) ?? 0) > size) {
      this.#noteIndexes.pop()
      this.#noteOffsets.pop()
    }
    this.size = size
    this.bytes = bytes
  }

  /** The entries from `index` on, of one batch, if they are still in memory. */
  recentFrom(index: number): LogEntry[] | undefined {
    for (let i = this.#recent.length - 1; i >= 0; i--) {
      const batch = this.#recent[i]
      if (batch === undefined || index < batch.firstIndex) continue
      if (index >= batch.firstIndex + batch.count) return undefined
      return entriesOfBatch(batch).slice(index - batch.firstIndex)
    }
    return undefined
  }

  /** Resolves at the next {@link advance}, or when `signal` aborts, whichever comes first. Never rejects. */
  wait(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const wake = (): void => {
        signal?.removeEventListener("abort", abort)
        resolve()
      }
      const abort = (): void => {
        this.#wake = this.#wake.filter((other) => other !== wake)
        resolve()
      }
      signal?.addEventListener("abort", abort, { once: true })
      this.#wake.push(wake)
    })
  }

  /** Wakes everybody who waits, with nothing new: the log is closing. */
  wakeAll(): void {
    const waiting = this.#wake
    this.#wake = []
    for (const wake of waiting) wake()
  }

  #remember(batch: DurableBatch | undefined): void {
    if (batch === undefined || batch.bytes.length > RECENT_BYTES) {
      this.#recent = []
      this.#recentBytes = 0
      return
    }
    this.#recent.push(batch)
    this.#recentBytes += batch.bytes.length
    while (this.#recentBytes > RECENT_BYTES) this.#recentBytes -= this.#recent.shift()?.bytes.length ?? 0
  }
}

/** The first position whose number is not below `wanted`; the length when there is none. */
function firstNotBelow(sorted: readonly number[], wanted: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if ((sorted[middle] ?? 0) < wanted) low = middle + 1
    else high = middle
  }
  return low
}
