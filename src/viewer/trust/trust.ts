/**
 * What this browser can show for itself about a log that somebody else serves.
 *
 * A checkpoint counts once its signature was verified with the pinned key and its tree was shown to continue the last
 * one that this browser had accepted; a record counts once its exact line was hashed here and led to that checkpoint's
 * root. Nothing that the service says about itself is used, but for the key on the very first visit.
 *
 * The logic alone: fetching, storage and time come in, so that the same code is tested without a browser.
 */
import { openCheckpoint } from "../../core/checkpoint.ts"
import { HansardError, invariant, NotFoundError } from "../../core/errors.ts"
import { KeyChain } from "../../core/key-change.ts"
import { parseVerifierKey } from "../../core/key.ts"
import { BadSignatureError } from "../../core/proof-errors.ts"
import { logSize, recordIndex } from "../../core/hash-types.ts"
import type { Hash, LogSize } from "../../core/hash-types.ts"
import { leafHash } from "../../core/merkle-hash.ts"
import { checkRecord, proveRecord } from "../../core/merkle.ts"
import type { ReadHashes } from "../../core/merkle.ts"
import { noteVerifier } from "../../core/note.ts"
import { formatProofFile } from "../../core/proof-file.ts"
import type { Clock } from "../../core/system.ts"
import { formatTilePath, TILE_WIDTH } from "../../core/tile.ts"
import type { Tile } from "../../core/tile.ts"
import { tileHashReader } from "../../core/tile-reader.ts"
import { compareWithMemory } from "../../core/verify-memory.ts"
import { readHead } from "../../core/verify-trust.ts"
import type { SignedHead } from "../../core/verify-trust.ts"
import type { RecordItem } from "../../wire/http.ts"
import { withSeen } from "./memory.ts"
import type { TrustMemory } from "./memory.ts"

export interface Head {
  readonly origin: string
  readonly size: LogSize
  readonly root: Hash
  /** The signed note, verbatim. */
  readonly text: string
  readonly vkey: string
  /** Names on signatures by other keys. They are not verified here: nobody gave this browser their keys. */
  readonly cosigners: readonly string[]
}

export type HeadState =
  | { readonly status: "checking" }
  /** There is nothing signed to check. */
  | { readonly status: "unsigned"; readonly because: string }
  | {
      readonly status: "verified"
      readonly head: Head
      readonly pin: TrustMemory["pin"]
      /** The size of the last checkpoint of an earlier visit that this one was shown to continue. */
      readonly continues: number | undefined
    }
  | {
      readonly status: "refused"
      readonly because: string
      /** Two contradicting signed checkpoints, as `formatForkEvidence` writes them. */
      readonly evidence?: Uint8Array
    }

export type LineState =
  | { readonly status: "checking" }
  | { readonly status: "proved"; readonly head: Head; readonly hashes: number; readonly proof: string }
  /** No accepted checkpoint covers it yet. */
  | { readonly status: "pending"; readonly size: number }
  | { readonly status: "unprovable"; readonly because: string }
  | { readonly status: "refused"; readonly because: string }

export interface TrustPorts {
  /** The newest signed note; `undefined` when the service has none. */
  readonly fetchCheckpoint: () => Promise<string | undefined>
  /** The bytes at a path such as `tile/0/001`; `undefined` when there is nothing. */
  readonly fetchTile: (path: string) => Promise<Uint8Array | undefined>
  /** The key that the service names; asked only when none is pinned. */
  readonly fetchKey: () => Promise<string | undefined>
  /** Records that hand the signing key over, oldest first; asked only when the pinned key did not sign. Not believed: each proves itself. */
  readonly fetchKeyChanges: () => Promise<readonly RecordItem[]>
  readonly load: () => TrustMemory | undefined
  readonly save: (memory: TrustMemory) => void
  readonly clock: Clock
  readonly changed: (state: HeadState) => void
}

/** Full tiles never change: this many are kept, at 8 KiB each. */
const MAX_TILES = 256

export class Trust {
  readonly #ports: TrustPorts
  readonly #tiles = new Map<string, Uint8Array>()
  #state: HeadState = { status: "checking" }
  #reader: { readonly head: Head; readonly read: ReadHashes } | undefined
  /** What the first accepted checkpoint of this visit continued. */
  #continues: number | undefined
  /** Checkpoints are judged one after another. */
  #judging: Promise<void> = Promise.resolve()

  constructor(ports: TrustPorts) {
    this.#ports = ports
  }

  get state(): HeadState {
    return this.#state
  }

  /**
   * Judges the newest checkpoint, or the one given. What was refused stays refused for this visit: a service that
   * mends its story afterwards has still told another one.
   */
  async refresh(text?: string): Promise<void> {
    const judging = this.#judging.then(async () => {
      if (this.#state.status === "refused") return
      try {
        await this.#judge(text ?? (await this.#ports.fetchCheckpoint()))
      } catch (error) {
        if (!(error instanceof HansardError)) throw error
        this.#become({ status: "refused", because: error.message })
      }
    })
    this.#judging = judging.catch(() => {})
    await judging
  }

  /** Whether `line`, exactly as it is, is record `index` of the accepted checkpoint's tree. One round trip for tiles. */
  async prove(index: number, line: Uint8Array): Promise<LineState> {
    if (this.#state.status === "checking" || !this.#covers(index)) await this.refresh()
    const state = this.#state
    if (state.status === "refused") return { status: "refused", because: state.because }
    if (state.status !== "verified") {
      return {
        status: "unprovable",
        because: state.status === "unsigned" ? state.because : "not checked yet",
      }
    }
    const { head } = state
    if (index >= head.size) return { status: "pending", size: head.size }
    try {
      const proof = await proveRecord(head.size, recordIndex(index), this.#readerFor(head))
      checkRecord(proof, head.size, head.root, recordIndex(index), leafHash(line))
      const file = formatProofFile({ index: recordIndex(index), proof, checkpoint: head.text })
      return { status: "proved", head, hashes: proof.length, proof: file }
    } catch (error) {
      if (!(error instanceof HansardError)) throw error
      this.#tiles.clear()
      return { status: "refused", because: error.message }
    }
  }

  /** The reader vouches for this key from now on; the memory of another key's log is dropped. */
  pin(vkey: string): void {
    noteVerifier(vkey)
    const memory = this.#ports.load()
    const now = this.#ports.clock()
    this.#ports.save(
      memory?.vkey === vkey ? { ...memory, pin: "given" } : { vkey, pin: "given", pinned_at: now, seen: [] },
    )
    this.#become({ status: "checking" })
  }

  #covers(index: number): boolean {
    return this.#state.status !== "verified" || index < this.#state.head.size
  }

  async #judge(text: string | undefined, isSecondLook = false): Promise<void> {
    const memory = this.#ports.load() ?? (await this.#pinOnFirstUse())
    if (memory === undefined || text === undefined) {
      if (memory?.checkpoint !== undefined) {
        const because = "this browser has seen a signed checkpoint of this log, and now there is none"
        return this.#become({ status: "refused", because })
      }
      const because = memory === undefined ? "this log is not signed" : "nothing has been signed yet"
      return this.#become({ status: "unsigned", because })
    }
    const head = await this.#openWithSuccessors(text, memory.vkey)
    const old = memory.checkpoint === undefined ? undefined : openHead(memory.checkpoint, memory.vkey)
    if (old !== undefined && head.size < old.size && !isSecondLook) {
      // The tail tells late, and another tab may have been told of a newer one while this answer was on its way: only a
      // second look is proof.
      return await this.#judge(await this.#ports.fetchCheckpoint(), true)
    }
    if (old !== undefined && !(await this.#continuesFrom(old, head))) return
    this.#continues ??= old?.size
    this.#ports.save({
      ...memory,
      vkey: head.vkey,
      checkpoint: text,
      seen: withSeen(memory.seen, { size: head.size, at: this.#ports.clock() }),
    })
    this.#become({ status: "verified", head, pin: memory.pin, continues: this.#continues })
  }

  async #continuesFrom(old: Head, head: Head): Promise<boolean> {
    const source = {
      checkpoint: () => Promise.resolve(undefined),
      lines: () => noLines(),
      readTiles: (tiles: readonly Tile[]) => Promise.all(tiles.map((tile) => this.#tile(tile))),
    }
    const found = await compareWithMemory(source, signedHead(head), signedHead(old), undefined)
    if (found.status === "continues") return true
    const sizes = `${old.size} records, and now a checkpoint of ${head.size}`
    if (found.status === "rolled_back") {
      const because = `an older log is shown: this browser has verified ${sizes}`
      this.#become({ status: "refused", because })
    } else if (found.status === "contradicts") {
      const because = `history was rewritten: this browser has verified ${sizes} that does not continue them`
      this.#become({ status: "refused", because, evidence: found.evidence })
    } else {
      const because = `nothing shows that the log continues the ${old.size} records that this browser has verified`
      this.#become({ status: "refused", because })
    }
    return false
  }

  /** By the pinned key, or by one that it has handed over to, itself or through others. */
  async #openWithSuccessors(text: string, vkey: string): Promise<Head> {
    try {
      return openHead(text, vkey)
    } catch (error) {
      if (!(error instanceof BadSignatureError) || error.key !== undefined) throw error
      const chain = new KeyChain([parseVerifierKey(vkey)])
      for (const { index, record } of await this.#ports.fetchKeyChanges()) chain.offer(index, record)
      const next = chain.changes.at(-1)?.vkey
      if (next === undefined) throw error
      return openHead(text, next)
    }
  }

  async #pinOnFirstUse(): Promise<TrustMemory | undefined> {
    const vkey = await this.#ports.fetchKey()
    if (vkey === undefined) return undefined
    noteVerifier(vkey)
    const memory: TrustMemory = { vkey, pin: "first_use", pinned_at: this.#ports.clock(), seen: [] }
    this.#ports.save(memory)
    return memory
  }

  #readerFor(head: Head): ReadHashes {
    if (this.#reader?.head.text !== head.text) {
      const readTiles = async (tiles: readonly Tile[]): Promise<Uint8Array[]> =>
        await Promise.all(
          tiles.map(async (tile) => {
            const found = await this.#tile(tile)
            if (found === undefined) throw new NotFoundError(`the service has no ${formatTilePath(tile)}`)
            return found
          }),
        )
      this.#reader = { head, read: tileHashReader(logSize(head.size), head.root, readTiles) }
    }
    return this.#reader.read
  }

  /** A partial tile may be gone once its place is full: then the full one has what it had. */
  async #tile(tile: Tile): Promise<Uint8Array | undefined> {
    const path = formatTilePath(tile)
    const known = this.#tiles.get(path)
    if (known !== undefined) return known
    const found = await this.#ports.fetchTile(path)
    if (found === undefined) {
      return tile.width < TILE_WIDTH ? await this.#tile({ ...tile, width: TILE_WIDTH }) : undefined
    }
    if (tile.width === TILE_WIDTH) {
      const [oldest] = this.#tiles.keys()
      if (this.#tiles.size >= MAX_TILES && oldest !== undefined) this.#tiles.delete(oldest)
      this.#tiles.set(path, found)
    }
    return found
  }

  #become(state: HeadState): void {
    this.#state = state
    this.#ports.changed(state)
  }
}

function openHead(text: string, vkey: string): Head {
  const opened = openCheckpoint(text, noteVerifier(vkey))
  const { origin, size, root, note } = opened
  return { origin, size, root, text, vkey, cosigners: note.unverified.map(({ name }) => name) }
}

function signedHead({ text }: Head): SignedHead {
  const head = readHead(new TextEncoder().encode(text))
  invariant(typeof head === "object", "it was opened before")
  return head
}

async function* noLines(): AsyncGenerator<never> {}
