/**
 * Where a log that does not match its tree goes wrong first: a second pass, against leaf hashes that the root vouches
 * for.
 *
 * Tiles are as untrusted as lines. A tile that does not lead to the root says nothing, but its parent may still vouch
 * for all 256 records at once; then it is known that the first bad record is among them, and no more.
 */
import { equalBytes } from "./bytes.ts"
import { HansardError } from "./errors.ts"
import { digestAt, recordIndex, type Digest, type Hash } from "./hash-types.ts"
import type { TreeHead } from "./checkpoint.ts"
import { leafDigest } from "./merkle-hash.ts"
import { rootOfEdge, type ReadHashes } from "./merkle.ts"
import { TreeFrontier } from "./frontier.ts"
import { storedHashIndex } from "./stored-hash.ts"
import { TILE_HEIGHT, TILE_WIDTH } from "./tile.ts"
import { tileHashReader } from "./tile-reader.ts"
import { LineCutter, presentTiles, type LogSource } from "./verify-source.ts"

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
  signal: AbortSignal | undefined,
): Promise<Location> {
  const search = new Search(head)
  const read = tileHashReader(head.size, head.root, presentTiles(source))
  const cutter = new LineCutter()
  const waiting: Line[] = []
  const take = async (isEnd: boolean): Promise<boolean> => {
    while (waiting.length >= TILE_WIDTH || (isEnd && waiting.length > 0)) {
      const lines = waiting.splice(0, TILE_WIDTH)
      if (!(await search.next(lines, read))) return false
    }
    return true
  }
  try {
    for await (const { bytes } of source.lines(head.size)) {
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
  #firstBad: Line | undefined
  #within: Location["within"]
  /** Since the tile with the first bad record: what was recorded there, and what stands there. */
  readonly #recordedAt = new Map<Digest, number>()
  readonly #wrong: Line[] = []
  #tilesLeft = WINDOW_TILES

  constructor(head: TreeHead) {
    this.#head = head
  }

  /** The lines of one tile. @returns whether to go on. */
  async next(lines: readonly Line[], read: ReadHashes): Promise<boolean> {
    const first = lines[0]?.index ?? 0
    const last = Math.min(first + TILE_WIDTH, this.#head.size)
    const leaves = await leavesOf(first, last, read)
    if (leaves === undefined) {
      if (this.#firstBad !== undefined) return false
      if (lines.length === TILE_WIDTH && (await isTileOf(lines, first, read))) return true
      const isKnown = (await hashOrNothing(first, last, read)) !== undefined
      this.#within = { from: first, to: isKnown ? last : this.#head.size }
      return false
    }
    const wrong = lines.filter(({ digest }, i) => digest !== leaves[i])
    this.#firstBad ??= wrong[0]
    if (this.#firstBad === undefined) return true
    this.#wrong.push(...wrong)
    for (const [i, digest] of leaves.entries()) {
      if (!this.#recordedAt.has(digest)) this.#recordedAt.set(digest, first + i)
    }
    return --this.#tilesLeft > 0
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

/** What was recorded at `[from, to)`, if the tiles can show it. */
async function leavesOf(from: number, to: number, read: ReadHashes): Promise<Digest[] | undefined> {
  const indexes = Array.from({ length: to - from }, (_, i) => storedHashIndex(0, recordIndex(from + i)))
  const hashes = await orNothing(() => read(indexes))
  return hashes?.map((hash) => digestAt(hash))
}

/** The root of a whole tile, if its parents can show it. */
async function hashOrNothing(from: number, to: number, read: ReadHashes): Promise<Hash | undefined> {
  if (to - from < TILE_WIDTH) return undefined
  const parent = storedHashIndex(TILE_HEIGHT, from / TILE_WIDTH)
  return (await orNothing(() => read([parent])))?.[0]
}

async function isTileOf(lines: readonly Line[], from: number, read: ReadHashes): Promise<boolean> {
  const recorded = await hashOrNothing(from, from + lines.length, read)
  if (recorded === undefined) return false
  const frontier = new TreeFrontier()
  for (const { digest } of lines) {
    if (digest === undefined) return false
    frontier.append(digest)
  }
  return equalBytes(rootOfEdge(frontier.edge()), recorded)
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
