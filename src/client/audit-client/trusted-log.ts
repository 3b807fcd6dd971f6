import { equalBytes, utf8, utf8Text } from "../../core/bytes.ts"
import {
  logPolicy,
  NotFoundError,
  openCheckpointBy,
  parseVerifierKey,
  recordIndex,
  tileHashReader,
  treeHash,
  TamperedError,
  type Hash,
  type LogSize,
  type Policy,
  type ReadHashes,
} from "../../core/index.ts"
import { edgeIndexes } from "../../core/merkle.ts"
import { leafHash } from "../../core/merkle-hash.ts"
import { parseProofFile } from "../../core/proof-file.ts"
import { BadProofError } from "../../core/proof-errors.ts"
import { splitStoredHashIndex, storedHashIndex } from "../../core/stored-hash.ts"
import { formatTilePath, TILE_WIDTH, type Tile } from "../../core/tile.ts"
import type { ServiceAnswer } from "../../wire/http.ts"
import type { Connection } from "./connection.ts"

/** A checkpoint that is signed by whom we believe, and continues every one before it. */
export interface TrustedHead {
  /** The signed note, verbatim: worth remembering, and to be given to the next client as `known`. */
  readonly checkpoint: string
  readonly origin: string
  /** In records. */
  readonly size: LogSize
  readonly root: Hash
}

/** In tiles, 8 KiB each. */
const MAX_TILES = 512

/**
 * What is believed of the log: a head that only ever moves forward, and hashes that follow from it.
 *
 * Whatever the service says is held against the head; the head is held against the key, and against the head before.
 */
export class TrustedLog {
  readonly #connection: Connection
  #policy: Policy | undefined
  #head: TrustedHead | undefined
  readonly #known: string | undefined
  readonly #tiles = new Map<string, Uint8Array>()

  constructor(
    connection: Connection,
    options: { readonly policy: Policy | undefined; readonly known: string | undefined },
  ) {
    this.#connection = connection
    this.#policy = options.policy
    this.#known = options.known
  }

  get head(): TrustedHead | undefined {
    return this.#head
  }

  /**
   * A head that covers `size` records or more; the service is asked for one if need be.
   *
   * @throws NotFoundError when the service has none; whatever {@link advance} throws.
   */
  async covering(size: number, signal?: AbortSignal): Promise<TrustedHead> {
    if (this.#head !== undefined && this.#head.size >= size) return this.#head
    const newest = await this.#newest(signal)
    if (newest === undefined && size === 0) throw new NotFoundError("the log has no checkpoint yet")
    if (newest !== undefined) {
      const head = await this.advance(newest, signal)
      if (head.size >= size) return head
    }
    // Asking for a proof makes the service sign what it has.
    const proof = await this.#connection.text(`/v1/records/${size - 1}/proof`, signal)
    const covering = await this.advance(parseProofFile(proof).checkpoint, signal)
    if (covering.size >= size) return covering
    throw new BadProofError(`the service shows record ${size - 1}, and no checkpoint that covers it`)
  }

  /**
   * Takes a checkpoint for the head, if it may be.
   *
   * @throws BadSignatureError when whom we believe did not sign it; TamperedError when it goes back, or does not continue
   * the head: the log was rewritten or forked, and `firstBadIndex` is where, as exactly as the hashes tell.
   */
  async advance(checkpoint: string, signal?: AbortSignal): Promise<TrustedHead> {
    const next = await this.#open(checkpoint, signal)
    const before = this.#head ?? (await this.#remembered(signal))
    if (before !== undefined) await this.#mustContinue(before, next, signal)
    this.#head = next
    return next
  }

  /** The same, where the proof is at hand: the caller has checked that `next` continues the head. */
  adopt(next: TrustedHead): void {
    this.#head = next
  }

  /** @throws BadSignatureError. */
  async open(checkpoint: string, signal?: AbortSignal): Promise<TrustedHead> {
    return await this.#open(checkpoint, signal)
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

  /** Hashes of the tree under a head, out of tiles that are checked against its root. */
  hashesOf({ size, root }: TrustedHead, signal?: AbortSignal): ReadHashes {
    return tileHashReader(size, root, (tiles) => this.#readTiles(tiles, signal))
  }

  async readTiles(tiles: readonly Tile[], signal?: AbortSignal): Promise<readonly Uint8Array[]> {
    return await this.#readTiles(tiles, signal)
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

  /** @returns `undefined` before the first. */
  async #newest(signal: AbortSignal | undefined): Promise<string | undefined> {
    try {
      return await this.#connection.text("/checkpoint", signal)
    } catch (error) {
      if (error instanceof NotFoundError) return undefined
      throw error
    }
  }

  async #mustContinue(
    before: TrustedHead,
    next: TrustedHead,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (next.origin !== before.origin) {
      throw new TamperedError(`the log was ${before.origin} and is now ${next.origin}`, 0, 0)
    }
    if (next.size < before.size) {
      throw new TamperedError(
        `the log had ${before.size} records under a signed checkpoint, and the service shows ${next.size}`,
        next.size,
        0,
      )
    }
    if (before.size === 0) return
    const root =
      next.size === before.size ? next.root : await treeHash(before.size, this.hashesOf(next, signal))
    if (equalBytes(root, before.root)) return
    throw new TamperedError(
      `the checkpoint of ${next.size} records does not continue that of ${before.size}: the log was rewritten or forked`,
      0,
      0,
    )
  }

  async #open(checkpoint: string, signal: AbortSignal | undefined): Promise<TrustedHead> {
    const policy = (this.#policy ??= await this.#firstUse(signal))
    const { origin, size, root } = openCheckpointBy(policy, checkpoint)
    return { checkpoint, origin, size, root }
  }

  async #remembered(signal: AbortSignal | undefined): Promise<TrustedHead | undefined> {
    return this.#known === undefined ? undefined : await this.#open(this.#known, signal)
  }

  /** The key that the service names: from now on no other is believed. */
  async #firstUse(signal: AbortSignal | undefined): Promise<Policy> {
    const { vkey } = await this.#connection.json<ServiceAnswer>("/v1/service", signal)
    if (vkey === null) {
      throw new BadProofError(
        "the service names no key, and none was given: nothing that it says can be checked",
      )
    }
    return logPolicy([parseVerifierKey(vkey)])
  }

  async #readTiles(tiles: readonly Tile[], signal: AbortSignal | undefined): Promise<readonly Uint8Array[]> {
    return await Promise.all(tiles.map((tile) => this.#readTile(tile, signal)))
  }

  async #readTile(tile: Tile, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const path = formatTilePath(tile)
    const known = this.#tiles.get(path)
    if (known !== undefined) return known
    const bytes = await this.#connection.bytes(`/${path}`, signal)
    // Partial tiles are asked for once or twice.
    if (tile.width < TILE_WIDTH) return bytes
    const [oldest] = this.#tiles.keys()
    if (this.#tiles.size >= MAX_TILES && oldest !== undefined) this.#tiles.delete(oldest)
    this.#tiles.set(path, bytes)
    return bytes
  }
}

/** The text of a line that came in base64. */
export function decodeLine(base64: string): string {
  return utf8Text(Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)))
}
