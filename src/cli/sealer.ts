import type { FileHandle } from "node:fs/promises"
import { CHECKPOINT_PATH, storedTiles, TreeRows } from "../audit/index.ts"
import { equalBytes } from "../core/bytes.ts"
import { signCheckpoint } from "../core/checkpoint.ts"
import { TamperedError } from "../core/errors.ts"
import { TreeFrontier } from "../core/frontier.ts"
import type { SignerKey } from "../core/key.ts"
import { noteSigner } from "../core/note.ts"
import { edgeTiles, TILE_WIDTH } from "../core/tile.ts"
import type { KnowledgeStore } from "../store/index.ts"
import { falseLines } from "./ledger-view.ts"
import type { StoredHead } from "./ledger-view.ts"
import { rawLines } from "./raw-lines.ts"

/** How many records go into the tree before their hashes are written: a multiple of 256 tiles' worth. */
const TILES_EVERY = TILE_WIDTH * TILE_WIDTH

/**
 * Keeps a tree and a checkpoint for a file of lines that another program appends to. The lines are read and never
 * copied, and the file is never changed.
 *
 * A checkpoint is signed over lines that this process has read and synced, after their hashes are durable. What the file
 * holds is compared with the tree when the sealer starts, and by {@link recheck}: a line that changes in between is
 * found then, and not when it changes.
 */
export class Sealer {
  readonly #store: KnowledgeStore
  readonly #file: FileHandle
  readonly #signer: SignerKey
  #frontier = new TreeFrontier()
  readonly #rows: TreeRows
  /** In the file: after the last line that is in the tree. */
  #offset = 0
  #head: StoredHead | undefined

  private constructor(
    store: KnowledgeStore,
    file: FileHandle,
    signer: SignerKey,
    head: StoredHead | undefined,
  ) {
    this.#store = store
    this.#file = file
    this.#signer = signer
    this.#head = head
    this.#rows = new TreeRows(store, head?.size ?? 0)
  }

  /** Reads what is sealed already again. @throws TamperedError when it is not what the checkpoint covers. */
  static async start(
    store: KnowledgeStore,
    file: FileHandle,
    signer: SignerKey,
    head: StoredHead | undefined,
    signal?: AbortSignal,
  ): Promise<Sealer> {
    const sealer = new Sealer(store, file, signer, head)
    await sealer.recheck(signal)
    if (head !== undefined) {
      const partials = await storedTiles(store)(edgeTiles(head.size))
      sealer.#frontier = TreeFrontier.resume(head.size, head.root, partials)
    }
    return sealer
  }

  /** In records. */
  get size(): number {
    return this.#head?.size ?? 0
  }

  /** In bytes of the file. */
  get offset(): number {
    return this.#offset
  }

  /** Reads every sealed line again. @throws TamperedError naming the first that is missing or has changed. */
  async recheck(signal?: AbortSignal): Promise<void> {
    const head = this.#head
    if (head === undefined) return
    const tree = new TreeFrontier()
    let end = 0
    for await (const { index, offset, bytes } of rawLines(this.#file, { index: 0, offset: 0 }, signal)) {
      if (index >= head.size) break
      tree.appendRecord(bytes)
      end = offset + bytes.length + 1
      // Nobody wants these tiles: they are there.
      if (tree.size % TILES_EVERY === 0) tree.takeTiles()
    }
    if (tree.size === head.size && equalBytes(tree.root(), head.root)) {
      this.#offset = end
      return
    }
    const lines = rawLines(this.#file, { index: 0, offset: 0 }, signal)
    if (tree.size === head.size) throw await falseLines(this.#store, head, lines)
    throw new TamperedError(
      `the file has ${tree.size} whole lines, and ${head.size} of them are sealed`,
      tree.size,
      end,
      { hint: "Lines were taken away. Keep every file; restore the log from a copy." },
    )
  }

  /**
   * Takes in the whole lines that were added, and signs a checkpoint of them.
   *
   * @returns how many there were.
   * @throws TamperedError when the file has become shorter than what is sealed.
   */
  async seal(signal?: AbortSignal): Promise<number> {
    const { size: fileBytes } = await this.#file.stat()
    if (fileBytes < this.#offset) {
      throw new TamperedError(
        `the file has ${fileBytes} bytes, and ${this.#offset} of them are sealed`,
        this.size,
        fileBytes,
        { hint: "Lines were taken away. Keep every file; restore the log from a copy." },
      )
    }
    // Before they are read: what is signed must survive a power loss.
    await this.#file.datasync()
    const from = { index: this.#frontier.size, offset: this.#offset }
    for await (const { offset, bytes } of rawLines(this.#file, from, signal)) {
      // What was added after the sync may not be on the disk yet; it is the next checkpoint's.
      if (offset + bytes.length + 1 > fileBytes) break
      this.#frontier.appendRecord(bytes)
      this.#offset = offset + bytes.length + 1
      if (this.#frontier.size % TILES_EVERY === 0) await this.#writeRows()
    }
    const size = this.#frontier.size
    const added = size - this.size
    if (added > 0) await this.#publish()
    return added
  }

  async #publish(): Promise<void> {
    await this.#writeRows()
    const { size } = this.#frontier
    const root = this.#frontier.root()
    const origin = this.#signer.name
    const text = signCheckpoint({ origin, size, root }, [noteSigner(this.#signer)])
    if (!(await this.#store.writeIf(CHECKPOINT_PATH, text, this.#head?.text))) {
      throw new TamperedError("somebody else has published a checkpoint of this log", this.size, 0)
    }
    this.#head = { origin, size, root, text }
  }

  async #writeRows(): Promise<void> {
    this.#rows.take(this.#frontier.takeRows())
    await this.#rows.flush()
  }
}
