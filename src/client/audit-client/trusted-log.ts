import { equalBytes, utf8, utf8Text } from "../../core/bytes.ts"
import {
  BadSignatureError,
  formatVerifierKey,
  logPolicy,
  NotFoundError,
  openCheckpointBy,
  parseVerifierKey,
  recordIndex,
  tileHashReader,
  TamperedError,
  type Hash,
  type LogSize,
  type Policy,
  type ReadHashes,
} from "../../core/index.ts"
import { invariant } from "../../core/errors.ts"
import { followKeys } from "../../core/key-change.ts"
import { checkRecord, edgeIndexes, proveRecords } from "../../core/merkle.ts"
import { leafHash } from "../../core/merkle-hash.ts"
import { formatProofFile } from "../../core/proof-file.ts"
import { BadProofError } from "../../core/proof-errors.ts"
import { splitStoredHashIndex, storedHashIndex } from "../../core/stored-hash.ts"
import type { Tile } from "../../core/tile.ts"
import { compareWithMemory } from "../../core/verify-memory.ts"
import { readHead, type SignedHead } from "../../core/verify-trust.ts"
import type { LogReader } from "./log-reader.ts"
import { TileCache } from "./tile-cache.ts"

/** A checkpoint that is signed by whom we believe, and continues every one before it. */
export interface TrustedHead {
  /** The signed note, verbatim: worth remembering, and to be given to the next client as `known`. */
  readonly checkpoint: string
  readonly origin: string
  /** In records. */
  readonly size: LogSize
  readonly root: Hash
  /** The verifier key that signed it: one that was believed from the start, or one that took over from it. */
  readonly vkey: string
  /** Witnesses of the policy that have cosigned it, by their names there, with the time in Unix seconds. */
  readonly witnesses: ReadonlyMap<string, number>
}

/** The log was rewritten or forked: it has signed two histories. */
export class ForkError extends TamperedError {
  /** Both checkpoints and what shows that they contradict each other, as `checkForkEvidence` takes it. */
  readonly evidence: Uint8Array

  constructor(message: string, firstBadIndex: number, evidence: Uint8Array) {
    super(message, firstBadIndex, 0)
    this.evidence = evidence
  }
}

/**
 * What is believed of the log: a head that only ever moves forward, and hashes that follow from it.
 *
 * Whatever the service says is held against the head; the head is held against the key, and against the head before.
 * `AuditClient` and the page both believe through this, and through nothing else.
 */
export class TrustedLog {
  readonly #reader: LogReader
  readonly #tiles: TileCache
  #policy: Policy | undefined
  #head: TrustedHead | undefined
  readonly #known: string | undefined
  /** Checkpoints are judged one after another. */
  #turn: Promise<unknown> = Promise.resolve()

  /**
   * @param options.policy `undefined`: the key that the service names at first, and no other from then on.
   * @param options.known a checkpoint that was believed before: what does not continue it is refused.
   */
  constructor(
    reader: LogReader,
    options: { readonly policy: Policy | undefined; readonly known: string | undefined },
  ) {
    this.#reader = reader
    this.#tiles = new TileCache(reader)
    this.#policy = options.policy
    this.#known = options.known
  }

  get head(): TrustedHead | undefined {
    return this.#head
  }

  /**
   * Asks for the newest checkpoint, and takes it for the head.
   *
   * An answer that a newer one has overtaken is no rollback: only a second look shows one.
   *
   * @throws NotFoundError when the service has none; whatever {@link advance} throws.
   */
  async refresh(signal?: AbortSignal): Promise<TrustedHead> {
    return await this.#inTurn(async () => {
      const newest = await this.#newest(signal)
      const next = await this.open(newest, signal)
      const isOlder = this.#head !== undefined && next.size < this.#head.size
      return await this.#advance(isOlder ? await this.#newest(signal) : newest, signal)
    })
  }

  /**
   * A head that covers `size` records or more; the service is asked for one if need be.
   *
   * @throws NotFoundError when the service has none; whatever {@link advance} throws.
   */
  async covering(size: number, signal?: AbortSignal): Promise<TrustedHead> {
    if (this.#head !== undefined && this.#head.size >= size) return this.#head
    try {
      const head = await this.refresh(signal)
      if (head.size >= size) return head
    } catch (error) {
      if (!(error instanceof NotFoundError) || size === 0) throw error
    }
    const covering = await this.advance(await this.#reader.covering(size - 1, signal), signal)
    if (covering.size >= size) return covering
    throw new BadProofError(`the service shows record ${size - 1}, and no checkpoint that covers it`)
  }

  /**
   * Takes a checkpoint for the head, if it may be.
   *
   * @throws BadSignatureError when whom we believe did not sign it; TamperedError when it goes back, or does not continue
   * the head: the log was rewritten or forked, and `firstBadIndex` is where, as exactly as the hashes tell;
   * BadProofError when nothing shows that it continues.
   */
  async advance(checkpoint: string, signal?: AbortSignal): Promise<TrustedHead> {
    return await this.#inTurn(() => this.#advance(checkpoint, signal))
  }

  /** The same, where the proof is at hand: the caller has checked that `next` continues the head. */
  adopt(next: TrustedHead): void {
    if (this.#head === undefined || next.size >= this.#head.size) this.#head = next
  }

  /**
   * A checkpoint that was believed elsewhere, by another window say. It and the head must be of one history; the larger
   * one is the head then.
   *
   * @throws what {@link advance} throws.
   */
  async meet(checkpoint: string, signal?: AbortSignal): Promise<void> {
    await this.#inTurn(async () => {
      const head = this.#head
      if (checkpoint === head?.checkpoint) return
      const other = await this.open(checkpoint, signal)
      if (head === undefined || other.size > head.size) await this.#advance(checkpoint, signal)
      else await this.#mustContinue(other, head, signal)
    })
  }

  /**
   * Whose it is, and nothing about what was before. Keys that took over from those that are believed are followed.
   *
   * @throws BadSignatureError.
   */
  async open(checkpoint: string, signal?: AbortSignal): Promise<TrustedHead> {
    const policy = (this.#policy ??= await this.#firstUse(signal))
    try {
      return opened(policy, checkpoint)
    } catch (error) {
      if (!(error instanceof BadSignatureError) || error.key !== undefined) throw error
      const next = await this.#withSuccessors(policy, signal)
      if (next.logs.length === policy.logs.length) throw error
      const head = opened(next, checkpoint)
      this.#policy = next
      return head
    }
  }

  /**
   * Returns only if each line is the record at its index.
   *
   * @throws TamperedError that names the first one that is not.
   */
  async check(
    records: readonly { readonly index: number; readonly line: string }[],
    head: TrustedHead,
    signal?: AbortSignal,
  ): Promise<void> {
    if (records.length === 0) return
    const read = this.hashesOf(head, signal)
    const hashes = await read(records.map(({ index }) => storedHashIndex(0, recordIndex(index))))
    for (const [i, { index, line }] of records.entries()) {
      const hash = hashes[i]
      if (hash === undefined || !equalBytes(hash, leafHash(utf8(line)))) {
        throw new TamperedError(`record ${index} is not the one that was signed`, index, 0)
      }
    }
  }

  /**
   * Proofs that others can check, as tlog-proof files, in the order of the records. Made here, out of tiles that are
   * read and checked once for all of them, and checked before they are returned.
   *
   * @param records `line` is the exact bytes, without the newline.
   * @throws TamperedError that names the first that is not the record at its index.
   */
  async prove(
    records: readonly { readonly index: number; readonly line: Uint8Array }[],
    head: TrustedHead,
    signal?: AbortSignal,
  ): Promise<readonly Proved[]> {
    const indexes = records.map(({ index }) => recordIndex(index))
    try {
      const proofs = await proveRecords(head.size, indexes, this.hashesOf(head, signal))
      return records.map(({ index, line }, i) => proved(index, line, proofs[i] ?? [], head))
    } catch (error) {
      if (error instanceof BadProofError) this.#tiles.clear()
      throw error
    }
  }

  /** Hashes of the tree under a head, out of tiles that are checked against its root. */
  hashesOf({ size, root }: TrustedHead, signal?: AbortSignal): ReadHashes {
    return tileHashReader(size, root, (tiles) => this.#tiles.read(tiles, signal))
  }

  async readTiles(tiles: readonly Tile[], signal?: AbortSignal): Promise<readonly Uint8Array[]> {
    return await this.#tiles.read(tiles, signal)
  }

  /**
   * Where the tree of `next` begins to differ from that of `before`, of which the edge's hashes are known; `undefined`
   * when it does not: the subtree's first record.
   */
  async firstDifference(
    before: LogSize,
    edge: readonly Hash[],
    next: TrustedHead,
    signal?: AbortSignal,
  ): Promise<number | undefined> {
    const indexes = edgeIndexes(before)
    const hashes = await this.hashesOf(next, signal)(indexes)
    const at = hashes.findIndex((hash, i) => !equalBytes(hash, edge[i] ?? hash))
    const index = indexes[at]
    if (index === undefined) return undefined
    const { level, n } = splitStoredHashIndex(index)
    return n * 2 ** level
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work)
    this.#turn = turn.catch(() => {})
    return await turn
  }

  async #advance(checkpoint: string, signal: AbortSignal | undefined): Promise<TrustedHead> {
    const next = await this.open(checkpoint, signal)
    const before =
      this.#head ?? (this.#known === undefined ? undefined : await this.open(this.#known, signal))
    if (before !== undefined) await this.#mustContinue(before, next, signal)
    this.#head = next
    return next
  }

  async #newest(signal: AbortSignal | undefined): Promise<string> {
    const newest = await this.#reader.checkpoint(signal)
    if (newest === undefined) throw new NotFoundError("the log has no checkpoint yet")
    return newest
  }

  async #mustContinue(
    before: TrustedHead,
    next: TrustedHead,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (next.origin !== before.origin) {
      throw new TamperedError(`the log was ${before.origin} and is now ${next.origin}`, 0, 0)
    }
    const source = {
      checkpoint: () => Promise.resolve(undefined),
      lines: noLines,
      readTiles: (tiles: readonly Tile[]) => this.#tiles.read(tiles, signal),
    }
    const found = await compareWithMemory(source, signedHead(next), signedHead(before), undefined)
    switch (found.status) {
      case "continues":
        return
      case "rolled_back":
        throw new TamperedError(
          `the log had ${before.size} records under a signed checkpoint, and the service shows ${next.size}`,
          next.size,
          0,
        )
      case "contradicts":
        throw new ForkError(
          `the checkpoint of ${next.size} records does not continue that of ${before.size}: the log was rewritten or forked`,
          0,
          found.evidence,
        )
      case "unknown":
        this.#tiles.clear()
        throw new BadProofError(
          `nothing shows that the checkpoint of ${next.size} records continues that of ${before.size}`,
        )
    }
  }

  /** The key that the service names: from now on no other is believed. */
  async #firstUse(signal: AbortSignal | undefined): Promise<Policy> {
    const vkey = await this.#reader.key(signal)
    if (vkey === undefined) {
      throw new BadProofError(
        "the service names no key, and none was given: nothing that it says can be checked",
      )
    }
    return logPolicy([parseVerifierKey(vkey)])
  }

  /** With the keys that those of the policy have handed over to, themselves or through others. */
  async #withSuccessors(policy: Policy, signal: AbortSignal | undefined): Promise<Policy> {
    const changes = await this.#reader.keyChanges(signal)
    return followKeys(
      policy,
      changes.map(({ record }) => record),
    )
  }
}

/** A record's proof. */
export interface Proved {
  /** A tlog-proof file. */
  readonly file: string
  /** How many hashes lie between the record and the root. */
  readonly hashes: number
}

function proved(index: number, line: Uint8Array, proof: readonly Hash[], head: TrustedHead): Proved {
  const at = recordIndex(index)
  try {
    checkRecord(proof, head.size, head.root, at, leafHash(line))
  } catch (cause) {
    if (!(cause instanceof BadProofError)) throw cause
    throw new TamperedError(`record ${index} is not the one that was signed`, index, 0, { cause })
  }
  return { file: formatProofFile({ index: at, proof, checkpoint: head.checkpoint }), hashes: proof.length }
}

function opened(policy: Policy, checkpoint: string): TrustedHead {
  const { origin, size, root, log, witnesses } = openCheckpointBy(policy, checkpoint)
  return { checkpoint, origin, size, root, vkey: formatVerifierKey(log), witnesses }
}

function signedHead({ checkpoint }: TrustedHead): SignedHead {
  const head = readHead(utf8(checkpoint))
  invariant(typeof head === "object", "it was opened before")
  return head
}

async function* noLines(): AsyncGenerator<never> {}

/** The text of a line that came in base64. */
export function decodeLine(base64: string): string {
  return utf8Text(Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)))
}
