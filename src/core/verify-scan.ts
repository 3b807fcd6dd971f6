/** The one pass over a log's lines: everything that a verdict needs of them, in constant memory. */
import { equalBytes } from "./bytes.ts"
import { HansardError, TamperedError } from "./errors.ts"
import type { TileData } from "./frontier.ts"
import type { Digest, Hash, LogSize } from "./hash-types.ts"
import type { VerifierKey } from "./key.ts"
import { KeyChain, type KeyChange } from "./key-change.ts"
import { leafDigest } from "./merkle-hash.ts"
import { formatTilePath, TILE_BYTES, TILE_WIDTH } from "./tile.ts"
import { MAX_FINDINGS, type Finding } from "./verdict.ts"
import {
  KeyChangeSearch,
  RecordReader,
  widest,
  type KeyCandidate,
  type RecordsFound,
  type TimeBounds,
} from "./verify-records.ts"
import { LineCutter, type LogPlace, type LogSource } from "./verify-source.ts"
import { hasRoots, MAX_TILE_ROOTS, Tally, type TallyState } from "./verify-tally.ts"

/** Of {@link Trail.places}. */
const MAX_PLACES = MAX_TILE_ROOTS

/** What a line that is too long to be hashed counts as: the hash of nothing that anybody knows. */
const NO_DIGEST: Digest = "\0".repeat(32) as Digest

export interface Scan {
  readonly records: number
  readonly bytes: number
  readonly tornBytes: number
  /** Where the line after the last one starts, in the part that the checkpoint covers. */
  readonly endOffset: number
  /** The root at each of the sizes asked for that the log reaches. */
  readonly roots: ReadonlyMap<number, Hash>
  readonly findings: readonly Finding[]
  /** The first line that is no record, of those that were read. */
  readonly badLine: Finding | undefined
  /** Set when the source itself found bytes that no log has. */
  readonly tampered: TamperedError | undefined
  /** Of the covered records, from {@link ScanOptions.keys} on. */
  readonly keyChanges: readonly KeyChange[]
  /** Of the covered records that tell a time; without {@link ScanOptions.records}, of the first and the last. */
  readonly times: TimeBounds | undefined
  readonly tiles: TileScan | undefined
  readonly trail: Trail
  /** Set when the first records were read by an earlier run, and not by this one. */
  readonly resumed: { readonly records: number; readonly at: number } | undefined
}

/** What the lines gave on the way, so that a second pass begins where they go wrong. Bounded: at most some megabytes. */
export interface Trail {
  /** Of the first whole tiles of the log; none if an earlier run read them. */
  readonly tileRoots: readonly Digest[]
  /** Where some tiles start, in order. */
  readonly places: readonly LogPlace[]
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
  /** Whose changes are followed; none when it does not matter. */
  readonly keys: readonly VerifierKey[]
  /** Whether each line is parsed: to tell all lines that are no records, and all times. */
  readonly records: boolean
  readonly tiles: boolean
  /** Where an earlier scan of the same log stopped. One that cannot be gone on from is ignored. */
  readonly resume: ScanState | undefined
  /** Unix milliseconds; of the states. */
  readonly now: number | undefined
  readonly signal: AbortSignal | undefined
  readonly onProgress: ((records: number, bytes: number) => void) | undefined
  /** From time to time: where a later scan can go on. */
  readonly onState: ((state: () => ScanState) => void) | undefined
}

/** How far a scan has come, as plain data. What it says of the lines nobody can prove without reading them again. */
export interface ScanState {
  readonly offset: number
  readonly tally: TallyState
  readonly records: RecordsFound
  readonly tiles: TileScan | undefined
  readonly isEachParsed: boolean
  /** Unix milliseconds, when it was made; 0 when the time is unknown. */
  readonly at: number
}

/** Another way to scan the same log. @returns `undefined` when it cannot, and nothing is lost. */
export type Scanning = (source: LogSource, options: ScanOptions) => Promise<Scan | undefined>

/** @throws the signal's reason; whatever the source rejects with when its medium fails. */
export async function scanLog(source: LogSource, options: ScanOptions): Promise<Scan> {
  const { size = 0, keys, records, signal } = options
  const ledger = new ScanLedger(source, options)
  const cutter = new LineCutter(ledger.place)
  const search = new KeyChangeSearch()
  const reader = new RecordReader(size)
  let bytes = cutter.offset
  let mayChangeKey = false
  const onLine = (index: number, offset: number, line: Uint8Array | undefined): void => {
    if (index < ledger.limit) ledger.tally.leaf(line === undefined ? NO_DIGEST : leafDigest(line))
    const isEnd = index === 0 || index === size - 1
    if (records || line === undefined || isEnd || mayChangeKey) reader.read(index, offset, line)
    ledger.endLine(index, offset + (line?.length ?? 0) + 1)
  }
  let tampered: TamperedError | undefined
  try {
    for await (const block of source.lines(options.size, ledger.place)) {
      signal?.throwIfAborted()
      bytes += block.bytes.length
      mayChangeKey = !records && keys.length > 0 && search.mayBeIn(block.bytes, block.bytes.includes(NEWLINE))
      cutter.push(block.bytes, onLine)
      ledger.find(reader.take())
      await ledger.settle(cutter.count, bytes)
    }
  } catch (error) {
    if (!(error instanceof TamperedError)) throw error
    tampered = error
  }
  return await ledger.end({ records: cutter.count, bytes, tornBytes: cutter.tornBytes, tampered })
}

const NEWLINE = 0x0a

/** What a scan has found so far, however it reads. Fed in the order of the log. */
export class ScanLedger {
  readonly tally: Tally
  /** So many records are hashed. A smaller limit would miss a root: a remembered checkpoint may be the larger one. */
  readonly limit: number
  /** Where the scan starts. */
  readonly place: LogPlace | undefined
  readonly #source: LogSource
  readonly #options: ScanOptions
  readonly #resumed: ScanState | undefined
  readonly #keyChain: KeyChain
  #keyCandidates: KeyCandidate[] = []
  readonly #lineFindings: Finding[]
  readonly #tileFindings: Finding[] = []
  #times: TimeBounds | undefined
  #tiles: TileScan
  /** Where the last covered line ended. */
  #endOffset: number
  /** Where the last whole tile ended. */
  #tileEnd: LogPlace
  readonly #places: LogPlace[] = []

  constructor(source: LogSource, options: ScanOptions) {
    const { size = 0, rootsAt, tiles, resume } = options
    this.#source = source
    this.#options = options
    this.limit = Math.max(size, ...rootsAt)
    const resumed =
      resume !== undefined && canResume(resume, options) ? tallyFrom(resume, options) : undefined
    const state = resumed && resume
    this.#resumed = state
    this.place = state && { index: state.tally.size, offset: state.offset }
    this.tally = resumed ?? new Tally({ size, rootsAt, tiles })
    this.#tiles = state?.tiles ?? { compared: 0, missing: 0, wrong: 0, first: undefined }
    this.#tileEnd = this.place ?? { index: 0, offset: 0 }
    this.#endOffset = state?.offset ?? 0
    this.#lineFindings = [...(state?.records.findings ?? [])]
    this.#times = state?.records.times
    this.#keyChain = new KeyChain(options.keys)
    this.#followKeys(state?.records.keyCandidates ?? [])
  }

  /** A line has ended at `offset`. */
  endLine(index: number, offset: number): void {
    if (index < (this.#options.size ?? 0)) this.#endOffset = offset
    if ((index + 1) % TILE_WIDTH !== 0) return
    this.#tileEnd = { index: index + 1, offset }
    if (this.#places.length < MAX_PLACES) this.#places.push(this.#tileEnd)
  }

  /** What was found in the lines that came next. */
  find({ findings, keyCandidates, times }: RecordsFound): void {
    const room = MAX_FINDINGS - this.#lineFindings.length
    this.#lineFindings.push(...findings.slice(0, room))
    this.#times = widest(this.#times, times)
    this.#followKeys(keyCandidates)
  }

  /** Compares the tiles that are due, and tells how far the scan is. */
  async settle(records: number, bytes: number): Promise<void> {
    const { size = 0, onProgress, onState } = this.#options
    await this.#compareTiles(this.tally.takeTiles())
    onProgress?.(records, bytes)
    // After the end of what is covered its last tiles are handed out, and a state would be of no use.
    if (this.tally.size < size) onState?.(() => this.#state())
  }

  async end(read: Pick<Scan, "records" | "bytes" | "tornBytes" | "tampered">): Promise<Scan> {
    await this.#compareTiles(this.tally.takeTiles())
    const findings = [...this.#lineFindings, ...this.#tileFindings]
    if (read.tampered !== undefined) {
      const { message, firstBadIndex: index, byteOffset } = read.tampered
      findings.push({ where: "line", message, index, byteOffset })
    }
    return {
      ...read,
      endOffset: this.#endOffset,
      roots: this.tally.roots,
      findings: findings.slice(0, MAX_FINDINGS),
      badLine: this.#lineFindings[0],
      keyChanges: this.#keyChain.changes,
      times: this.#times,
      tiles: this.#options.tiles ? this.#tiles : undefined,
      trail: { tileRoots: this.place === undefined ? this.tally.tileRoots : [], places: this.#places },
      resumed: this.#resumed && { records: this.#resumed.tally.size, at: this.#resumed.at },
    }
  }

  /** What comes after the last whole tile is read again. */
  #state(): ScanState {
    const { index, offset } = this.#tileEnd
    return {
      offset,
      tally: this.tally.state,
      records: {
        findings: this.#lineFindings.filter((finding) => (finding.index ?? 0) < index),
        keyCandidates: this.#keyCandidates.filter((candidate) => candidate.index < index),
        times: this.#times,
      },
      tiles: this.#options.tiles ? this.#tiles : undefined,
      isEachParsed: this.#options.records,
      at: this.#options.now ?? 0,
    }
  }

  /** Keeps those that were followed: each proves itself again when a scan goes on from here. */
  #followKeys(candidates: readonly KeyCandidate[]): void {
    for (const candidate of candidates) {
      const before = this.#keyChain.changes.length
      this.#keyChain.offer(candidate.index, candidate.record)
      if (this.#keyChain.changes.length > before) this.#keyCandidates.push(candidate)
    }
  }

  async #compareTiles(tiles: readonly TileData[]): Promise<void> {
    if (tiles.length === 0) return
    const stored = await this.#source.readTiles(tiles.map(({ tile }) => tile))
    for (const [i, data] of tiles.entries()) {
      const finding = compareTile(stored[i], data)
      const { compared, missing, wrong, first } = this.#tiles
      const isMissing = finding !== undefined && stored[i] === undefined
      this.#tiles = {
        compared: compared + 1,
        missing: missing + (isMissing ? 1 : 0),
        wrong: wrong + (finding !== undefined && !isMissing ? 1 : 0),
        first: first ?? finding,
      }
      if (finding !== undefined && this.#tileFindings.length < MAX_FINDINGS) this.#tileFindings.push(finding)
    }
  }
}

/** A state is of use if the scan would have found the same on the way, and more is left than it has. */
function canResume({ tally, tiles, isEachParsed }: ScanState, options: ScanOptions): boolean {
  const { size = 0, rootsAt, records } = options
  const isPlace = tally.size > 0 && tally.size <= size
  const isAsGood = (isEachParsed || !records) && (tiles !== undefined || !options.tiles)
  return isPlace && isAsGood && hasRoots(tally, rootsAt)
}

/** `undefined` for a state that is damaged. */
function tallyFrom(state: ScanState, { size, rootsAt, tiles }: ScanOptions): Tally | undefined {
  try {
    return new Tally({ size: size ?? 0, rootsAt, tiles }, state.tally)
  } catch (error) {
    if (error instanceof HansardError) return undefined
    throw error
  }
}

/** Bytes of a tile that is wider than asked for belong to a larger log. */
function compareTile(found: Uint8Array | undefined, { tile, bytes }: TileData): Finding | undefined {
  const path = formatTilePath(tile)
  if (found === undefined) return { where: "tile", path, message: `${path} is missing` }
  if (found.length <= TILE_BYTES && equalBytes(found.subarray(0, bytes.length), bytes)) return undefined
  const byteOffset = firstDifference(found, bytes)
  const has = found.length > TILE_BYTES ? "too many" : found.length
  const message =
    found.length === bytes.length
      ? `${path} is not what the lines give, from byte ${byteOffset} on`
      : `${path} has ${has} bytes; the lines give ${bytes.length}`
  return { where: "tile", path, byteOffset, message }
}

function firstDifference(a: Uint8Array, b: Uint8Array): number {
  const end = Math.min(a.length, b.length)
  for (let i = 0; i < end; i++) if (a[i] !== b[i]) return i
  return end
}
