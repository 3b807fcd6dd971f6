/**
 * Where a log that does not match its tree goes wrong first: a second pass, against hashes that the root vouches for.
 *
 * It begins where the first pass left the recorded tree, by the roots of whole tiles that it kept. Tiles are as untrusted
 * as lines. A tile that does not lead to the root says nothing, but its parent may still vouch for all 256 records at
 * once; then it is known that the first bad record is among them, and no more.
 */
import { HansardError } from "./errors.ts"
import { digestAt, type Digest } from "./hash-types.ts"
import type { TreeHead } from "./checkpoint.ts"
import { leafDigest, perfectRoot } from "./merkle-hash.ts"
import type { ReadHashes } from "./merkle.ts"
import { storedHashIndex } from "./stored-hash.ts"
import { TILE_HEIGHT, TILE_WIDTH } from "./tile.ts"
import { tileHashReader } from "./tile-reader.ts"
import type { Trail } from "./verify-scan.ts"
import { LineCutter, presentTiles, type LogPlace, type LogSource } from "./verify-source.ts"

/** How far after the first bad record others are looked at, to tell moved records from altered ones. In tiles. */
const WINDOW_TILES = 8

export interface Location {
  /** Of the first record that is not what was recorded; `undefined` when all that are there are as recorded. */
  readonly firstBad: { readonly index: number; readonly offset: number } | undefined
  /** When the tiles do not tell exactly: the first bad record is one of these, or later ones (`to` exclusive). */
  readonly within: { readonly from: number; readonly to: number } | undefined
  /** The first record that stands in another one's place, as far as was looked. */
  readonly moved: { readonly index: number; readonly offset: number; readonly from: number } | undefined
}

/** @throws the signal's reason; whatever the source rejects with when its medium fails. */
export async function locate(
  source: LogSource,
  head: TreeHead,
  trail: Trail,
  signal: AbortSignal | undefined,
): Promise<Location> {
  const recorded = new RecordedTree(head, tileHashReader(head.size, head.root, presentTiles(source)))
  const from = await recorded.placeOfTrouble(trail)
  const search = new Search(head, recorded)
  const cutter = new LineCutter(from)
  const waiting: Line[] = []
  const take = async (isEnd: boolean): Promise<boolean> => {
    while (waiting.length >= TILE_WIDTH || (isEnd && waiting.length > 0)) {
      if (!(await search.next(waiting.splice(0, TILE_WIDTH)))) return false
    }
    return true
  }
  try {
    for await (const { bytes } of source.lines(head.size, from)) {
      signal?.throwIfAborted()
      cutter.push(bytes, (index, offset, line) => {
        if (index < head.size) waiting.push({ index, offset, digest: line && leafDigest(line) })
      })
      if (!(await take(false))) return search.result()
    }
  } catch (error) {
    if (!(error instanceof HansardError) || error.code !== "tampered") throw error
  }
  await take(true)
  return search.result()
}

interface Line {
  readonly index: number
  readonly offset: number
  /** `undefined` for a line that is too long. */
  readonly digest: Digest | undefined
}

class Search {
  readonly #head: TreeHead
  readonly #recorded: RecordedTree
  #firstBad: Line | undefined
  #within: Location["within"]
  /** From the tile before the first bad record on: what was recorded there. And what stands there and is wrong. */
  readonly #recordedAt = new Map<Digest, number>()
  readonly #wrong: Line[] = []
  #tilesLeft = WINDOW_TILES

  constructor(head: TreeHead, recorded: RecordedTree) {
    this.#head = head
    this.#recorded = recorded
  }

  /** The lines of one tile. @returns whether to go on. */
  async next(lines: readonly Line[]): Promise<boolean> {
    const first = lines[0]?.index ?? 0
    const last = Math.min(first + TILE_WIDTH, this.#head.size)
    const root = await this.#recorded.rootOf(first)
    const digests = lines.flatMap(({ digest }) => digest ?? [])
    const isRight = digests.length === TILE_WIDTH && root !== undefined && perfectRoot(digests) === root
    const leaves = isRight ? digests : await this.#recorded.leaves(first, last)
    if (leaves === undefined) {
      if (this.#firstBad === undefined) {
        this.#within = { from: first, to: root === undefined ? this.#head.size : last }
      }
      return false
    }
    const wrong = isRight ? [] : lines.filter(({ digest }, i) => digest !== leaves[i])
    if (this.#firstBad === undefined) {
      this.#firstBad = wrong[0]
      if (this.#firstBad === undefined) return true
      // What stands twice at the start of a tile was recorded at the end of the one before.
      if (first > 0)
        this.#remember(first - TILE_WIDTH, await this.#recorded.leaves(first - TILE_WIDTH, first))
    }
    this.#wrong.push(...wrong)
    this.#remember(first, leaves)
    return --this.#tilesLeft > 0
  }

  #remember(first: number, leaves: readonly Digest[] = []): void {
    for (const [i, digest] of leaves.entries()) {
      if (!this.#recordedAt.has(digest)) this.#recordedAt.set(digest, first + i)
    }
  }

  result(): Location {
    return { firstBad: this.#firstBad, within: this.#within, moved: this.#moved() }
  }

  #moved(): Location["moved"] {
    for (const { index, offset, digest } of this.#wrong) {
      const from = digest === undefined ? undefined : this.#recordedAt.get(digest)
      if (from !== undefined) return { index, offset, from }
    }
    return undefined
  }
}

/** What was recorded, as far as the tiles can show it. */
class RecordedTree {
  readonly #size: number
  readonly #read: ReadHashes
  /** The roots of the whole tiles that one tile above has, read together. */
  #block: { readonly n: number; readonly roots: readonly Digest[] | undefined } | undefined

  constructor({ size }: TreeHead, read: ReadHashes) {
    this.#size = size
    this.#read = read
  }

  /** Where the first tile starts whose lines have another root than what was recorded, or a place before that. */
  async placeOfTrouble({ tileRoots, places }: Trail): Promise<LogPlace | undefined> {
    let tile = 0
    while (tile < tileRoots.length && (await this.rootOf(tile * TILE_WIDTH)) === tileRoots[tile]) tile++
    return places.findLast(({ index }) => index <= tile * TILE_WIDTH)
  }

  /** Of the whole tile from record `from` on. */
  async rootOf(from: number): Promise<Digest | undefined> {
    const tile = Math.floor(from / TILE_WIDTH)
    const n = Math.floor(tile / TILE_WIDTH)
    if (this.#block?.n !== n) {
      const first = n * TILE_WIDTH
      const whole = Math.min(TILE_WIDTH, Math.floor(this.#size / TILE_WIDTH) - first)
      this.#block = { n, roots: whole > 0 ? await this.#hashes(TILE_HEIGHT, first, whole) : undefined }
    }
    return this.#block.roots?.[tile % TILE_WIDTH]
  }

  /** Of the records `[from, to)`. */
  async leaves(from: number, to: number): Promise<readonly Digest[] | undefined> {
    return await this.#hashes(0, from, to - from)
  }

  async #hashes(level: number, first: number, count: number): Promise<readonly Digest[] | undefined> {
    const indexes = Array.from({ length: count }, (_, i) => storedHashIndex(level, first + i))
    const hashes = await orNothing(() => this.#read(indexes))
    return hashes?.map((hash) => digestAt(hash))
  }
}

/** Nothing for tiles that are missing or wrong; every other failure is the medium's, and told. */
async function orNothing<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof HansardError && (error.code === "bad_proof" || error.code === "not_found"))
      return undefined
    throw error
  }
}
