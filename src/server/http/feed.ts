import type { AuditLog, LogEntry, PublishedCheckpoint } from "../../audit/index.ts"
import type { Logger, Timers } from "../../core/index.ts"
import { encodeRecords } from "./sse.ts"

/** Of a stretch, in bytes of lines: about what a socket takes at once. */
const STRETCH_BYTES = 64 * 1024
/** Of the live edge that is kept, in bytes of lines. Who is further behind reads the store. */
const KEPT_BYTES = 1024 * 1024
/** How soon after a checkpoint its readers are told, at most. In milliseconds. */
const LOOK_MS = 200
/** How often idle readers are woken: for a sign of life, and to see whether they may stay. In milliseconds. */
const BEAT_MS = 5_000

/** Which records somebody wants: readers with the same key share what is encoded for one of them. */
export interface Interest {
  readonly key: string
  /** `undefined`: all of them. */
  readonly lets: ((entry: LogEntry) => boolean) | undefined
}

/** Records `[from, to)` of the live edge, which became durable together, and how they are sent. */
export class Stretch {
  readonly from: number
  readonly to: number
  /** Of the lines. */
  readonly bytes: number
  readonly #entries: readonly LogEntry[]
  readonly #encoded = new Map<string, Uint8Array>()

  constructor(entries: readonly LogEntry[], from: number, bytes: number) {
    this.from = from
    this.to = from + entries.length
    this.bytes = bytes
    this.#entries = entries
  }

  /** As events of a stream; empty when nobody wants any. Encoded once, however many readers have this interest. */
  encodedFor({ key, lets }: Interest): Uint8Array {
    const known = this.#encoded.get(key)
    if (known !== undefined) return known
    const encoded = encodeRecords(lets === undefined ? this.#entries : this.#entries.filter(lets))
    this.#encoded.set(key, encoded)
    return encoded
  }
}

/**
 * The live edge of a log for any number of readers: one tail of the log, cut into stretches of what became durable
 * together, the newest {@link KEPT_BYTES} of which are kept.
 *
 * There is no queue: a reader has a position, and takes the stretch that begins there when it is ready for more. Who is
 * so slow that its stretch is gone reads the store until it has caught up (`tail.ts`). So a reader costs its position and
 * what its socket holds, and the log is never held back.
 *
 * It runs while anybody listens.
 */
export class Feed {
  readonly #log: AuditLog
  readonly #timers: Timers
  readonly #logger: Logger
  #stretches: Stretch[] = []
  #keptBytes = 0
  #next = 0
  readonly #positions = new Map<object, () => number>()
  #stop: AbortController | undefined
  #changed: PromiseWithResolvers<void> = Promise.withResolvers()
  #failure: unknown
  /** Counts up every {@link BEAT_MS}. */
  #beats = 0

  constructor(log: AuditLog, options: { readonly timers: Timers; readonly logger: Logger }) {
    this.#log = log
    this.#timers = options.timers
    this.#logger = options.logger
  }

  get readers(): number {
    return this.#positions.size
  }

  /** The index that the next stretch begins with. */
  get next(): number {
    return this.#next
  }

  get beats(): number {
    return this.#beats
  }

  /** Why the log cannot be followed any further. */
  get failure(): unknown {
    return this.#failure
  }

  /** In records: how far the slowest reader is behind the log's end. */
  get lag(): number {
    const slowest = Math.min(this.#log.size, ...[...this.#positions.values()].map((position) => position()))
    return Math.max(0, this.#log.size - slowest)
  }

  /** Readers who are behind what is kept of the live edge, and read the store. */
  get behind(): number {
    const { oldest } = this
    return [...this.#positions.values()].filter((position) => position() < oldest).length
  }

  /**
   * Follows the log from its present end, if nobody did, until the last reader has left.
   *
   * @param position tells where the reader stands, when somebody asks
   */
  join(position: () => number): Disposable {
    const reader = {}
    this.#positions.set(reader, position)
    if (this.#positions.size === 1) this.#start()
    return {
      [Symbol.dispose]: () => {
        if (this.#positions.delete(reader) && this.#positions.size === 0) this.#stop?.abort()
      },
    }
  }

  /** The kept stretch that holds this index. */
  stretchAt(index: number): Stretch | undefined {
    const first = this.#stretches[0]
    if (first === undefined || index < first.from || index >= this.#next) return undefined
    let low = 0
    let high = this.#stretches.length - 1
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if ((this.#stretches[middle]?.from ?? 0) <= index) low = middle
      else high = middle - 1
    }
    return this.#stretches[low]
  }

  /** The first index that is kept; with nothing kept, the next one. */
  get oldest(): number {
    return this.#stretches[0]?.from ?? this.#next
  }

  get checkpoint(): PublishedCheckpoint | undefined {
    return this.#log.checkpointed
  }

  /** Resolves at the next stretch, checkpoint, beat or failure. */
  changed(): Promise<void> {
    return this.#changed.promise
  }

  /** Wakes everybody who waits. */
  wake(): void {
    const { resolve } = this.#changed
    this.#changed = Promise.withResolvers()
    resolve()
  }

  #start(): void {
    const stop = new AbortController()
    this.#stop = stop
    this.#failure = undefined
    this.#stretches = []
    this.#keptBytes = 0
    this.#next = this.#log.size
    this.#follow(stop.signal).catch((error: unknown) => {
      this.#logger.error({ err: error }, "the log cannot be followed for its readers")
      this.#failure = error
      this.wake()
    })
    this.#look(stop.signal, this.#log.checkpointed?.size, 0)
  }

  async #follow(signal: AbortSignal): Promise<void> {
    let entries: LogEntry[] = []
    let bytes = 0
    for await (const entry of this.#log.tail({ from: this.#next, signal })) {
      entries.push(entry)
      bytes += entry.line.length + 1
      // What became durable together is shown together.
      if (entry.index + 1 < this.#log.size && bytes < STRETCH_BYTES) continue
      this.#keep(new Stretch(entries, this.#next, bytes))
      entries = []
      bytes = 0
    }
    if (!signal.aborted) throw new Error("the log was closed")
  }

  #keep(stretch: Stretch): void {
    this.#stretches.push(stretch)
    this.#keptBytes += stretch.bytes
    let drop = 0
    while (this.#keptBytes > KEPT_BYTES && drop < this.#stretches.length - 1) {
      this.#keptBytes -= this.#stretches[drop++]?.bytes ?? 0
    }
    if (drop > 0) this.#stretches.splice(0, drop)
    this.#next = stretch.to
    this.wake()
  }

  /** A log does not tell when it publishes a checkpoint: somebody has to look. */
  #look(signal: AbortSignal, seen: number | undefined, looks: number): void {
    const cancel = this.#timers.after(LOOK_MS, () => {
      signal.removeEventListener("abort", cancel)
      if (signal.aborted) return
      const size = this.#log.checkpointed?.size
      const isBeat = (looks + 1) % (BEAT_MS / LOOK_MS) === 0
      if (isBeat) this.#beats++
      if (isBeat || size !== seen) this.wake()
      this.#look(signal, size, looks + 1)
    })
    signal.addEventListener("abort", cancel, { once: true })
  }
}
