/** What arrives while somebody looks: shown at once at the top of the list, counted while the reader is elsewhere. */
import { signal } from "@preact/signals"
import type { Signal } from "@preact/signals"
import { systemTimers } from "../../core/index.ts"
import type { RecordItem, TailCheckpoint } from "../../wire/http.ts"
import { sawSize, trust } from "../session.ts"
import { learn } from "../state.ts"
import { follow } from "../tail.ts"
import type { Params } from "../api.ts"
import type { TailWatch } from "../trust/tail-watch.ts"
import type { Rows } from "./rows.ts"

/** While the reader is elsewhere only a number changes, and no frame of their scrolling is spent on it. */
const QUIET_MS = 250

/** Of records that wait while the list is paused; beyond it the list is read again on resuming. */
const MAX_WAITING = 5_000

export class Live {
  readonly isConnected: Signal<boolean> = signal(false)
  /** False: what arrives is counted and kept back. */
  readonly isFollowing: Signal<boolean> = signal(true)
  readonly arrived: Signal<number> = signal(0)
  readonly #rows: Rows
  /** The rows have to be made again: too much was kept back. */
  readonly #reload: () => void
  readonly #changed: () => void
  /** The service is back. */
  readonly #again: () => void
  readonly #stop = new AbortController()
  #waiting: RecordItem[] = []
  #isOverflowing = false
  #wasLost = false
  #fresh: RecordItem[] = []
  /** Cancels what will show the fresh ones. */
  #showing: (() => void) | undefined

  constructor(
    rows: Rows,
    options: { readonly reload: () => void; readonly changed: () => void; readonly again: () => void },
  ) {
    this.#rows = rows
    this.#reload = options.reload
    this.#changed = options.changed
    this.#again = options.again
  }

  /** @param isWhole nothing is filtered out. */
  start(params: Params, from: number, isWhole: boolean): void {
    let next = from
    let watch: TailWatch | undefined
    const handlers = {
      record: (item: RecordItem, line: string) => {
        watch ??= trust.watch(next, isWhole)
        watch?.receive(item.index, line)
        next = item.index + 1
        this.#take(item)
      },
      checkpoint: async (event: TailCheckpoint) => {
        next = Math.max(next, event.position)
        const watching = watch
        await watching?.checkpoint(event)
        // Where the service did not answer, the next record is where watching begins again.
        if (watching === watch && watching?.isOver === true) watch = undefined
        await trust.refresh(event.checkpoint)
      },
      connected: (isConnected: boolean) => {
        if (isConnected && this.#wasLost) this.#again()
        this.#wasLost = !isConnected
        this.isConnected.value = isConnected
      },
    }
    // What does not answer is asked again with the next checkpoint.
    const checkpoint = (event: TailCheckpoint): void => void handlers.checkpoint(event).catch(() => {})
    // What is signed comes first: nothing that is told before it can be held against it.
    void trust.settled.then(() => follow(params, from, { ...handlers, checkpoint }, this.#stop.signal))
  }

  pause(): void {
    this.isFollowing.value = false
  }

  resume(): void {
    this.isFollowing.value = true
    this.arrived.value = 0
    const waiting = this.#waiting
    this.#waiting = []
    if (this.#isOverflowing) this.#reload()
    else if (waiting.length > 0) this.#rows.add(waiting)
  }

  stop(): void {
    this.#stop.abort()
    this.#showing?.()
  }

  /** Drawn once a frame, however fast they come. */
  #take(item: RecordItem): void {
    this.#fresh.push(item)
    this.#showing ??= this.isFollowing.peek()
      ? nextFrame(() => this.#show())
      : systemTimers.after(QUIET_MS, () => this.#show())
  }

  #show(): void {
    this.#showing = undefined
    const items = this.#fresh
    this.#fresh = []
    learn(items.map(({ record }) => record))
    sawSize((items.at(-1)?.index ?? -1) + 1)
    this.#changed()
    if (this.isFollowing.peek()) return this.#rows.add(items)
    this.arrived.value += items.length
    if (this.#waiting.length + items.length > MAX_WAITING) this.#isOverflowing = true
    if (!this.#isOverflowing) this.#waiting.push(...items)
  }
}

function nextFrame(run: () => void): () => void {
  const frame = requestAnimationFrame(run)
  return () => cancelAnimationFrame(frame)
}
