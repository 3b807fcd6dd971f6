/** The one pass over a log's lines: everything that a verdict needs of them, in constant memory. */
import { equalBytes, utf8Text } from "./bytes.ts"
import { TamperedError } from "./errors.ts"
import { logSize, type Digest, type Hash, type LogSize } from "./hash-types.ts"
import type { VerifierKey } from "./key.ts"
import { KeyChain, type KeyChange } from "./key-change.ts"
import { parseLine } from "./line.ts"
import { leafDigest } from "./merkle-hash.ts"
import { TreeFrontier, type TileData } from "./frontier.ts"
import { parseTime } from "./system.ts"
import { formatTilePath, TILE_BYTES, TILE_WIDTH, tileAt } from "./tile.ts"
import { MAX_FINDINGS, type Finding } from "./verdict.ts"
import { LineCutter, MAX_VERIFIED_LINE_BYTES, type LogSource } from "./verify-source.ts"

/** Tiles are compared once so many records, so that finished ones do not pile up. */
const TILES_EVERY = 64 * TILE_WIDTH
/** What a line that is too long to be hashed counts as: the hash of nothing that anybody knows. */
const NO_DIGEST: Digest = "\0".repeat(32) as Digest

export interface TimeBounds {
  readonly firstAt: number
  readonly lastAt: number
  /** Of the record with the latest time. */
  readonly lastIndex: number
  readonly lastOffset: number
}

export interface Scan {
  readonly records: number
  readonly bytes: number
  readonly tornBytes: number
  /** Where the line after the last one starts, in the part that the checkpoint covers. */
  readonly endOffset: number
  /** The root at each of the sizes asked for that the log reaches. */
  readonly roots: ReadonlyMap<number, Hash>
  readonly findings: readonly Finding[]
  /** The first line that is no record. */
  readonly badLine: Finding | undefined
  /** Set when the source itself found bytes that no log has. */
  readonly tampered: TamperedError | undefined
  /** Of the covered records, from {@link ScanOptions.keys} on. */
  readonly keyChanges: readonly KeyChange[]
  /** Of the covered records that tell a time. */
  readonly times: TimeBounds | undefined
  readonly tiles: TileScan | undefined
}

export interface TileScan {
  readonly compared: number
  readonly missing: number
  readonly wrong: number
  /** The first that is missing or wrong. */
  readonly first: Finding | undefined
}

export interface ScanOptions {
  /** Of the checkpoint. What lies after it is counted, and no more. */
  readonly size: LogSize | undefined
  /** Sizes at which roots are wanted. */
  readonly rootsAt: readonly number[]
  /** Whose changes are followed. */
  readonly keys: readonly VerifierKey[]
  /** Whether each line is parsed: to tell lines that are no records, times and key changes. */
  readonly records: boolean
  readonly tiles: boolean
  readonly signal: AbortSignal | undefined
  readonly onProgress: ((records: number, bytes: number) => void) | undefined
}

/** @throws the signal's reason; whatever the source rejects with when its medium fails. */
export async function scanLog(source: LogSource, options: ScanOptions): Promise<Scan> {
  const scanner = new Scanner(source, options)
  return await scanner.run()
}

class Scanner {
  readonly #source: LogSource
  readonly #options: ScanOptions
  readonly #limit: number
  readonly #cutter = new LineCutter()
  readonly #frontier = new TreeFrontier()
  readonly #rootsAt: number[]
  readonly #roots = new Map<number, Hash>()
  readonly #findings: Finding[] = []
  readonly #keyChain: KeyChain
  #badLine: Finding | undefined
  #endOffset = 0
  #firstAt = Infinity
  #lastAt = -Infinity
  #lastIndex = 0
  #lastOffset = 0
  #compared = 0
  #missing = 0
  #wrong = 0
  #firstTile: Finding | undefined
  /** Tiles that are full, or are partial at the checkpoint's size; taken when there are many. */
  readonly #pending: TileData[] = []

  constructor(source: LogSource, options: ScanOptions) {
    this.#source = source
    this.#options = options
    this.#keyChain = new KeyChain(options.keys)
    // A smaller limit would miss a root that is asked for: a remembered checkpoint may be the larger one.
    this.#limit = Math.max(options.size ?? 0, ...options.rootsAt)
    this.#rootsAt = [...new Set(options.rootsAt)].sort((a, b) => a - b)
  }

  async run(): Promise<Scan> {
    const { size, signal, onProgress } = this.#options
    let tampered: TamperedError | undefined
    let bytes = 0
    this.#sample()
    try {
      for await (const block of this.#source.lines(size)) {
        signal?.throwIfAborted()
        bytes += block.bytes.length
        this.#cutter.push(block.bytes, this.#onLine)
        if (this.#pending.length > 0) await this.#compareTiles()
        onProgress?.(this.#cutter.count, bytes)
      }
    } catch (error) {
      if (!(error instanceof TamperedError)) throw error
      tampered = error
      this.#add({
        where: "line",
        message: error.message,
        index: error.firstBadIndex,
        byteOffset: error.byteOffset,
      })
    }
    await this.#compareTiles()
    const { count, tornBytes } = this.#cutter
    return {
      records: count,
      bytes,
      tornBytes,
      endOffset: this.#endOffset,
      roots: this.#roots,
      findings: this.#findings,
      badLine: this.#badLine,
      tampered,
      keyChanges: this.#keyChain.changes,
      times:
        this.#lastAt === -Infinity
          ? undefined
          : {
              firstAt: this.#firstAt,
              lastAt: this.#lastAt,
              lastIndex: this.#lastIndex,
              lastOffset: this.#lastOffset,
            },
      tiles: this.#options.tiles
        ? {
            compared: this.#compared,
            missing: this.#missing,
            wrong: this.#wrong,
            first: this.#firstTile,
          }
        : undefined,
    }
  }

  readonly #onLine = (index: number, offset: number, line: Uint8Array | undefined): void => {
    const size = this.#options.size ?? 0
    const isCovered = index < size
    if (isCovered) this.#endOffset = offset + (line?.length ?? 0) + 1
    if (index < this.#limit) {
      this.#frontier.append(line === undefined ? NO_DIGEST : leafDigest(line))
      if (this.#frontier.size === this.#rootsAt[0]) this.#sample()
      if (this.#options.tiles && (this.#frontier.size === size || this.#frontier.size % TILES_EVERY === 0)) {
        this.#takeTiles(size)
      }
    }
    if (this.#options.records || line === undefined) this.#readRecord(index, offset, line, isCovered)
  }

  #sample(): void {
    while (this.#rootsAt[0] === this.#frontier.size) {
      this.#roots.set(this.#frontier.size, this.#frontier.root())
      this.#rootsAt.shift()
    }
  }

  /** Only what a reader at the checkpoint's size would read: partial tiles of other sizes may have been deleted. */
  #takeTiles(size: LogSize | number): void {
    for (const data of this.#frontier.takeTiles()) {
      const { level, index, width } = data.tile
      if (tileAt(level, index, logSize(size))?.width === width) this.#pending.push(data)
    }
  }

  async #compareTiles(): Promise<void> {
    const pending = this.#pending.splice(0)
    const stored = pending.length === 0 ? [] : await this.#source.readTiles(pending.map(({ tile }) => tile))
    for (const [i, { tile, bytes }] of pending.entries()) {
      const found = stored[i]
      const path = formatTilePath(tile)
      this.#compared++
      if (found === undefined) {
        this.#missing++
        this.#tileFinding({ where: "tile", path, message: `${path} is missing` })
      } else if (found.length > TILE_BYTES || !equalBytes(found.subarray(0, bytes.length), bytes)) {
        const byteOffset = firstDifference(found, bytes)
        this.#wrong++
        this.#tileFinding({
          where: "tile",
          path,
          byteOffset,
          message:
            found.length === bytes.length
              ? `${path} is not what the lines give, from byte ${byteOffset} on`
              : `${path} has ${found.length > TILE_BYTES ? "too many" : found.length} bytes; the lines give ${bytes.length}`,
        })
      }
    }
  }

  #tileFinding(finding: Finding): void {
    this.#firstTile ??= finding
    this.#add(finding)
  }

  #readRecord(index: number, offset: number, line: Uint8Array | undefined, isCovered: boolean): void {
    const problem = this.#problemOf(index, offset, line, isCovered)
    if (problem === undefined) return
    const finding: Finding = { where: "line", index, ...problem }
    this.#badLine ??= finding
    this.#add(finding)
  }

  #problemOf(
    index: number,
    offset: number,
    line: Uint8Array | undefined,
    isCovered: boolean,
  ): { message: string; byteOffset: number } | undefined {
    if (line === undefined) {
      return {
        message: `line ${index}, at byte ${offset}, is longer than ${MAX_VERIFIED_LINE_BYTES} bytes`,
        byteOffset: offset,
      }
    }
    let record: Readonly<Record<string, unknown>>
    try {
      record = parseLine(utf8Text(line))
    } catch (error) {
      const what = error instanceof TypeError ? "is not UTF-8" : "is not a JSON object"
      return { message: `line ${index}, at byte ${offset}, ${what}`, byteOffset: offset }
    }
    if (!isCovered) return undefined
    const at = typeof record["at"] === "string" ? parseTime(record["at"]) : undefined
    if (at !== undefined) {
      if (at < this.#firstAt) this.#firstAt = at
      if (at > this.#lastAt) {
        this.#lastAt = at
        this.#lastIndex = index
        this.#lastOffset = offset
      }
    }
    this.#keyChain.offer(index, record)
    return undefined
  }

  #add(finding: Finding): void {
    if (this.#findings.length < MAX_FINDINGS) this.#findings.push(finding)
  }
}

function firstDifference(a: Uint8Array, b: Uint8Array): number {
  const end = Math.min(a.length, b.length)
  for (let i = 0; i < end; i++) if (a[i] !== b[i]) return i
  return end
}
