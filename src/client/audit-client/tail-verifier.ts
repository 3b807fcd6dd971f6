import { utf8 } from "../../core/bytes.ts"
import { equalBytes } from "../../core/bytes.ts"
import { checkTree, logSize, TamperedError, TreeFrontier, type Hash, type LogSize } from "../../core/index.ts"
import { parseHash } from "../../core/hash-types.ts"
import { BadProofError } from "../../core/proof-errors.ts"
import { edgeTiles } from "../../core/tile.ts"
import type { TailCheckpoint } from "../../wire/http.ts"
import type { TrustedHead, TrustedLog } from "./trusted-log.ts"

/** A record as it came, and is not proved yet. */
export interface Received {
  readonly index: number
  readonly line: string
}

/** In records: what a service may show without a checkpoint that covers it. */
const MAX_UNPROVED = 200_000
/** The same, in characters of lines. */
const MAX_UNPROVED_LENGTH = 128 * 1024 * 1024

/**
 * Holds a tail against the log's key as it flows.
 *
 * Without a filter nothing may be missing: each record must have the next index, and the leaves of all of them, added to
 * the tree of the head, must give the root of each further checkpoint. With a filter a record's index must be above the
 * last one's and its leaf must be in the tree at that index; that the service left none out cannot be seen then.
 *
 * What it is given and has not proved it keeps, up to a limit.
 */
export class TailVerifier {
  readonly #log: TrustedLog
  readonly #isWhole: boolean
  #next: number
  #pending: Received[] = []
  #pendingLength = 0
  /** The tree at the head; only where nothing may be missing. */
  #frontier: TreeFrontier | undefined

  /** @param next the first index wanted */
  constructor(log: TrustedLog, options: { readonly next: number; readonly isWhole: boolean }) {
    this.#log = log
    this.#next = options.next
    this.#isWhole = options.isWhole
  }

  /** The first index that has not come. */
  get next(): number {
    return this.#next
  }

  get hasUnproved(): boolean {
    return this.#pending.length > 0
  }

  /** Takes in the tree of the head while the service still shows it: a later lie is held against it. */
  async begin(signal?: AbortSignal): Promise<void> {
    const head = this.#log.head
    if (this.#isWhole && head !== undefined) await this.#frontierAt(head, signal)
  }

  /** @throws TamperedError for a record that is out of turn; BadProofError when too many are not covered. */
  receive({ index, line }: Received): void {
    const isExpected = this.#isWhole ? index === this.#next : index >= this.#next
    if (!isExpected) {
      const what = index < this.#next ? `shows record ${index} again` : `goes on with record ${index}`
      throw new TamperedError(`record ${this.#next} is missing: the service ${what}`, this.#next, 0)
    }
    this.#next = index + 1
    this.#pending.push({ index, line })
    this.#pendingLength += line.length
    if (this.#pending.length > MAX_UNPROVED || this.#pendingLength > MAX_UNPROVED_LENGTH) {
      const first = this.#pending[0]?.index ?? index
      throw new BadProofError(
        `the service shows records from ${first} on, and no checkpoint that covers them`,
      )
    }
  }

  /**
   * A record came out of turn: one before it may have been wrong already, and then that one is to be named.
   *
   * @throws TamperedError for it, or `error`.
   */
  async blame(error: unknown, signal?: AbortSignal): Promise<never> {
    try {
      if (this.hasUnproved) await this.proveUnder(await this.#log.covering(this.#next, signal), signal)
    } catch (earlier) {
      if (earlier instanceof TamperedError) throw earlier
    }
    throw error
  }

  /** What the head covers already: the past, which is not read for its order but looked up. */
  async proveUnder(head: TrustedHead, signal?: AbortSignal): Promise<readonly Received[]> {
    const covered = this.#take(head.size)
    await this.#log.check(covered, head, signal)
    return covered
  }

  /**
   * A checkpoint of the stream.
   *
   * @returns the records that it proves, in order.
   * @throws BadSignatureError, or TamperedError that names the record from which on the service contradicts what was
   * signed.
   */
  async advance(event: TailCheckpoint, signal?: AbortSignal): Promise<readonly Received[]> {
    const before = this.#log.head
    const next = await this.#log.open(event.checkpoint, signal)
    const isFollowing = before !== undefined && event.from === before.size
    if (isFollowing) {
      const edge = this.#isWhole ? (await this.#frontierAt(before, signal)).edge() : undefined
      await this.#mustContinue(before, next, event, edge, signal)
    } else {
      await this.#log.advance(event.checkpoint, signal)
      this.#frontier = undefined
    }
    const covered = this.#take(next.size)
    // A tail that began beyond the head has not seen what lies between.
    if ((covered[0]?.index ?? next.size) !== this.#frontier?.size) this.#frontier = undefined
    const isMissing = this.#isWhole && this.#next < next.size
    const frontier = this.#frontier
    if (isMissing || frontier === undefined) await this.#log.check(covered, next, signal)
    if (isMissing) {
      const message = `record ${this.#next} is missing: it is signed and was not sent`
      throw new TamperedError(message, this.#next, 0)
    }
    if (frontier !== undefined) await this.#mustGrowInto(frontier, next, covered, signal)
    this.#log.adopt(next)
    await this.begin(signal)
    return covered
  }

  /** By the proof that came with it. Where it fails, hashes tell where the two part. */
  async #mustContinue(
    before: TrustedHead,
    next: TrustedHead,
    event: TailCheckpoint,
    edge: readonly Hash[] | undefined,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (next.size < before.size) {
      throw new TamperedError(
        `the service goes back from ${before.size} signed records to ${next.size}`,
        next.size,
        0,
      )
    }
    try {
      if (before.size === 0) return
      const proof = next.size === before.size ? [] : event.proof.map(parseHash)
      checkTree(proof, next.size, next.root, before.size, before.root)
    } catch {
      // The proof alone may be bad; whether the trees are is for their hashes to say.
      const at = edge === undefined ? undefined : await this.#differenceAt(before.size, edge, next, signal)
      throw new TamperedError(
        `the checkpoint of ${next.size} records does not continue that of ${before.size}: the log was rewritten or forked`,
        at ?? 0,
        0,
      )
    }
  }

  /** @returns nothing when the service does not even give the hashes of what it signed. */
  async #differenceAt(
    before: LogSize,
    edge: readonly Hash[],
    next: TrustedHead,
    signal: AbortSignal | undefined,
  ): Promise<number | undefined> {
    try {
      return await this.#log.firstDifference(before, edge, next, signal)
    } catch {
      signal?.throwIfAborted()
      return undefined
    }
  }

  /** The tree of the head and the leaves that came must be the tree that was signed. */
  async #mustGrowInto(
    frontier: TreeFrontier,
    next: TrustedHead,
    covered: readonly Received[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    for (const { line } of covered) frontier.appendRecord(utf8(line))
    if (frontier.size === next.size && equalBytes(frontier.root(), next.root)) {
      // Only their hashes are needed from here on.
      frontier.takeTiles()
      return
    }
    // Which one it is, the tiles under the signed root say; whoever withholds them is no better.
    await this.#log.check(covered, next, signal)
    const first = covered[0]?.index ?? next.size
    throw new TamperedError(`the records from ${first} on are not those that were signed`, first, 0)
  }

  async #frontierAt(head: TrustedHead, signal: AbortSignal | undefined): Promise<TreeFrontier> {
    if (this.#frontier?.size === head.size) return this.#frontier
    const tiles = await this.#log.readTiles(edgeTiles(logSize(head.size)), signal)
    const frontier = TreeFrontier.resume(logSize(head.size), head.root, tiles)
    this.#frontier = frontier
    return frontier
  }

  #take(below: number): Received[] {
    const end = this.#pending.findIndex(({ index }) => index >= below)
    const taken = this.#pending.splice(0, end === -1 ? this.#pending.length : end)
    this.#pendingLength = this.#pending.reduce((sum, { line }) => sum + line.length, 0)
    return taken
  }
}
