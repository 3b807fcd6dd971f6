import type { Journal } from "./file-journal.ts"
import type { JournalEntry } from "./file-journal-format.ts"

/**
 * From so many files on they share a sync through the journal. Fewer are synced each for itself, which costs no second
 * writing: the system has four threads for it.
 */
export const MIN_SHARED = 4

/** Of one batch of the journal. */
const MAX_BATCH_BYTES = 4 * 1024 * 1024

interface Waiting {
  readonly entry: Extract<JournalEntry, { kind: "append" }>
  readonly alone: () => Promise<void>
  resolve(): void
  reject(error: unknown): void
}

/**
 * Group commit across files: appends that may share a sync and come while one is under way share the next.
 *
 * Nobody waits for company: see `everyoneTold`.
 */
export class SharedSyncs {
  readonly #journal: Journal
  #waiting: Waiting[] = []
  #busy = false
  #scheduled = false

  constructor(journal: Journal) {
    this.#journal = journal
  }

  /** @param alone syncs the append's file itself. */
  sync(entry: Waiting["entry"], alone: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ entry, alone, resolve, reject })
      this.#schedule()
    })
  }

  /** Once those that come in the same turn are there. */
  #schedule(): void {
    if (this.#busy || this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => this.#flush())
  }

  #flush(): void {
    this.#scheduled = false
    if (this.#waiting.length < MIN_SHARED) {
      for (const { alone, resolve, reject } of this.#waiting.splice(0)) alone().then(resolve, reject)
      return
    }
    const batch: Waiting[] = []
    for (let bytes = 0; batch.length < this.#waiting.length && bytes < MAX_BATCH_BYTES;) {
      const next = this.#waiting[batch.length]
      if (next === undefined) break
      batch.push(next)
      bytes += next.entry.bytes.length
    }
    this.#waiting.splice(0, batch.length)
    this.#busy = true
    const ended = (): void => {
      // With what those write next who are being told now.
      void everyoneTold().then(() => {
        this.#busy = false
        if (this.#waiting.length > 0) this.#schedule()
      })
    }
    this.#journal.write(batch.map(({ entry }) => entry)).then(
      () => {
        for (const { resolve } of batch) resolve()
        ended()
      },
      (error: unknown) => {
        for (const { reject } of batch) reject(error)
        ended()
      },
    )
  }
}

let told: Promise<void> | undefined

/**
 * When no promise that is settled now has a callback left to run: whoever was just told has appended again by then.
 *
 * A tick asked for in a microtask runs once the microtasks are done, in the same turn of the event loop. Against
 * `setImmediate` it gave the same to one caller, a sixth more to 256 and a quarter more to 4,096, since what arrives
 * with the next event is encoded while this group syncs. A bare microtask comes before callers that await twice.
 */
export function everyoneTold(): Promise<void> {
  told ??= new Promise((resolve) =>
    queueMicrotask(() =>
      process.nextTick(() => {
        told = undefined
        resolve()
      }),
    ),
  )
  return told
}
