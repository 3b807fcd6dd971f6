import { Worker } from "node:worker_threads"
import type { RowHashes, TreeFrontier } from "../core/frontier.ts"
import { logSize } from "../core/hash-types.ts"
import type { Hash, LogSize } from "../core/hash-types.ts"
import type { TreeReply, TreeRequest } from "./tree-session.ts"

/** In bytes: so much is handed over at a time. A message costs what two records do. */
const CHUNK_BYTES = 256 * 1024
/** In bytes: above this the thread has fallen behind, and receipts wait for it. */
const MAX_BEHIND_BYTES = 16 * 1024 * 1024
/** Buffers that are kept for the next chunks. */
const MAX_SPARE = 8

/** The tree with everything that was added until it was asked for. */
export interface TreeState {
  readonly size: LogSize
  readonly root: Hash
}

/** The thread has ended, for whatever reason, and with it the tree that it had. */
export class LostTree extends Error {
  override readonly name = "LostTree"
}

/**
 * The tree of a busy log, in a thread of its own.
 *
 * Two hashes a record take a third to a half of what the rest of an append takes, and nobody needs them before the next
 * checkpoint. Lines are copied into chunks, so that the thread costs the writer a message for a thousand records.
 *
 * Keeps the process alive only while a state is asked for.
 */
export class TreeThread {
  readonly #worker: Worker
  readonly #onRows: (rows: readonly RowHashes[]) => void
  #chunk: Uint8Array<ArrayBuffer> | undefined
  /** In bytes, of `#chunk`. */
  #used = 0
  readonly #spare: Uint8Array<ArrayBuffer>[] = []
  /** Chunks that were not answered, in bytes. */
  #behind = 0
  #asked: { resolve(state: TreeState): void; reject(error: Error): void }[] = []
  /** Whoever waits until the thread has caught up. */
  #room: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined
  #lost: Error | undefined

  /**
   * @param frontier whose rows were taken; it is of no more use.
   * @param onRows hears of the hashes, each once and in order
   * @throws when there can be no thread: in a bundle that left out its file, or a runtime without.
   */
  constructor(frontier: TreeFrontier, onRows: (rows: readonly RowHashes[]) => void) {
    this.#onRows = onRows
    // As it was built, or as it is in the sources.
    const name = import.meta.url.endsWith(".ts") ? "./tree-worker.ts" : "./tree-worker.js"
    this.#worker = new Worker(new URL(name, import.meta.url), { name: "hansard tree", execArgv: [] })
    this.#worker.unref()
    this.#worker.on("message", (reply: TreeReply) => this.#answered(reply))
    this.#worker.on("error", (error) => this.#lose(error))
    this.#worker.on("exit", () => this.#lose(new Error("the thread ended")))
    this.#post({
      ask: "begin",
      size: frontier.size,
      root: frontier.root(),
      partials: frontier.partialTiles(),
    })
  }

  get isLost(): boolean {
    return this.#lost !== undefined
  }

  /** Whole lines, which are copied. @returns what to wait for when the thread has fallen behind. */
  add(lines: Uint8Array): Promise<void> | undefined {
    if (this.#chunk !== undefined && this.#used + lines.length > this.#chunk.length) this.#postChunk()
    this.#chunk ??= this.#newChunk(lines.length)
    this.#chunk.set(lines, this.#used)
    this.#used += lines.length
    if (this.#behind < MAX_BEHIND_BYTES || this.isLost) return undefined
    this.#room ??= Promise.withResolvers<void>()
    return this.#room.promise
  }

  /** @throws LostTree */
  state(): Promise<TreeState> {
    if (this.#lost !== undefined)
      return Promise.reject(new LostTree("the tree is lost", { cause: this.#lost }))
    this.#postChunk()
    return new Promise((resolve, reject) => {
      this.#asked.push({ resolve, reject })
      this.#worker.ref()
      this.#post({ ask: "state" })
    })
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }

  #newChunk(wanted: number): Uint8Array<ArrayBuffer> {
    if (wanted > CHUNK_BYTES) return new Uint8Array(wanted)
    return this.#spare.pop() ?? new Uint8Array(CHUNK_BYTES)
  }

  #postChunk(): void {
    const lines = this.#chunk
    if (lines === undefined) return
    this.#chunk = undefined
    this.#behind += lines.length
    this.#post({ ask: "add", lines, length: this.#used }, [lines.buffer])
    this.#used = 0
  }

  #post(request: TreeRequest, transferred: readonly ArrayBuffer[] = []): void {
    this.#worker.postMessage(request, transferred)
  }

  #answered({ size, rows, root, lines }: TreeReply): void {
    if (rows.length > 0) this.#onRows(rows)
    if (lines !== undefined) {
      this.#behind -= lines.length
      if (lines.length === CHUNK_BYTES && this.#spare.length < MAX_SPARE) {
        this.#spare.push(lines as Uint8Array<ArrayBuffer>)
      }
      if (this.#behind < MAX_BEHIND_BYTES / 2) this.#makeRoom()
    }
    if (root === undefined) return
    this.#asked.shift()?.resolve({ size: logSize(size), root: root as Hash })
    if (this.#asked.length === 0) this.#worker.unref()
  }

  #lose(error: Error): void {
    this.#lost ??= error
    this.#makeRoom()
    for (const { reject } of this.#asked) reject(new LostTree("the tree is lost", { cause: error }))
    this.#asked = []
  }

  #makeRoom(): void {
    this.#room?.resolve()
    this.#room = undefined
  }
}
