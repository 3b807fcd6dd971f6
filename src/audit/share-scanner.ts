/**
 * The part of one thread in a parallel verification: takes the next share of the log's bytes, cuts it into lines, hashes
 * them, and hands the hashes over.
 *
 * The index of a share's first line is how many lines all shares before it have. So each thread counts its lines first,
 * tells the number in shared memory, and waits there for those of the others; counting takes a twentieth of the time.
 */
import { invariant } from "../core/errors.ts"
import { COUNTS, NEXT, TAKEN, type ScanWork, type ShareScan } from "./scan-work.ts"
import { ShareCutter, type CutLines } from "./share-cutter.ts"
import { StretchReader } from "./stretch.ts"

/** Owns buffers of a share's size, and an open file: one for each thread. */
export class ShareScanner implements Disposable {
  readonly #work: ScanWork
  readonly #reader: StretchReader
  readonly #cutter: ShareCutter
  /** How many lines the first `#counted` shares have, and what comes before them. */
  #base: number
  #counted = 0
  #lines: CutLines | undefined

  constructor(work: ScanWork) {
    this.#work = work
    this.#reader = new StretchReader(work.options)
    this.#cutter = new ShareCutter(work.parts, work.end)
    this.#base = work.firstIndex
  }

  [Symbol.dispose](): void {
    this.#cutter[Symbol.dispose]()
  }

  /** The next share that nobody has. @returns `undefined` when there is none. */
  take(): number | undefined {
    const share = Atomics.add(this.#work.shared, NEXT, 1)
    return share < this.#work.shares ? share : undefined
  }

  /** Whether the share is no further ahead of what has been taken in than it may be. */
  isTurnOf(share: number): boolean {
    return share < Atomics.load(this.#work.shared, TAKEN) + this.#work.ahead
  }

  /** Blocks until it is. */
  waitForTurn(share: number): void {
    waitUntil(this.#work.shared, TAKEN, (taken) => share < taken + this.#work.ahead)
  }

  /** Cuts the share into lines, and tells how many. @returns whether it can; else somebody else must read the log. */
  cut(share: number): boolean {
    const { offset, end, shareBytes, shared } = this.#work
    const from = offset + share * shareBytes
    this.#lines = this.#cutter.cut(from, Math.min(from + shareBytes, end), share === 0)
    if (this.#lines === undefined) return false
    Atomics.store(shared, COUNTS + share, this.#lines.count + 1)
    Atomics.notify(shared, COUNTS + share)
    return true
  }

  /** Whether the shares before are counted. */
  isPlaced(share: number): boolean {
    const { shared } = this.#work
    while (this.#counted < share) {
      const count = Atomics.load(shared, COUNTS + this.#counted)
      if (count === 0) return false
      this.#base += count - 1
      this.#counted++
    }
    return true
  }

  /** Blocks until they are. */
  waitForPlace(share: number): void {
    while (!this.isPlaced(share)) waitUntil(this.#work.shared, COUNTS + this.#counted, (count) => count > 0)
  }

  /** What was {@link cut}, once its place is known. */
  scan(share: number): ShareScan {
    invariant(
      this.#lines !== undefined && this.#counted === share,
      "a share is cut and placed before it is hashed",
    )
    const { tornBytes, ...lines } = this.#lines
    return { share, stretch: this.#reader.read({ ...lines, firstIndex: this.#base }), tornBytes }
  }
}

/** Blocks the thread until the number suits. */
function waitUntil(
  shared: Int32Array<SharedArrayBuffer>,
  at: number,
  suits: (value: number) => boolean,
): void {
  for (let value; !suits((value = Atomics.load(shared, at)));) Atomics.wait(shared, at, value)
}
