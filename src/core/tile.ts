/**
 * Tiles: the hashes of a log as static files, https://c2sp.org/tlog-tiles
 *
 * A tile holds up to 256 hashes of one tile level; a hash of tile level L is the root of `256^L` records. Only full
 * tiles are hashed upward, so a tile never changes but for growing at its end: a partial tile of width W is a file of
 * its own, and there is at most one partial tile a level, at the right edge.
 *
 * Here is arithmetic and spelling alone. `tile-reader.ts` reads hashes out of tiles, `frontier.ts` makes tiles.
 */
import { InvalidInputError } from "./errors.ts"
import { parseDecimal } from "./canonical.ts"
import { HASH_BYTES, type LogSize } from "./hash-types.ts"

/** In tree levels. */
export const TILE_HEIGHT = 8
/** In hashes, and in entries of a bundle. */
export const TILE_WIDTH = 256
/** Of a full tile. */
export const TILE_BYTES: number = TILE_WIDTH * HASH_BYTES

/** In tile levels; the format's limit. Our largest log has tiles at levels 0 to 6. */
const MAX_TILE_LEVEL = 63
/** Of a path: more than the longest that is printed here. */
const MAX_PATH_LENGTH = 64

/** Up to 256 entries. */
export interface EntryBundle {
  /** Counted in full bundles from the start of the log. */
  readonly index: number
  /** In entries: 1 to 256. */
  readonly width: number
}

/** Up to 256 hashes. */
export interface Tile extends EntryBundle {
  /** In tile levels: hashes of level 0 are leaves. */
  readonly level: number
}

/** Where a perfect subtree's hash is found: the root of `count` hashes of a tile, from `start`. */
export interface TileSlice {
  readonly tile: Tile
  readonly start: number
  readonly count: number
}

/** Relative to the log's prefix: `tile/1/x001/234`, and `tile/0/003.p/9` for a partial tile. */
export function formatTilePath({ level, index, width }: Tile): string {
  if (!Number.isInteger(level) || level < 0 || level > MAX_TILE_LEVEL) {
    throw new InvalidInputError(`there is no tile level ${level}`)
  }
  return `tile/${level}/${formatIndex(index, width)}`
}

/** `tile/entries/x001/234.p/9`. */
export function formatEntriesPath({ index, width }: EntryBundle): string {
  return `tile/entries/${formatIndex(index, width)}`
}

/** @throws InvalidInputError for whatever {@link formatTilePath} would not print. */
export function parseTilePath(path: string): Tile {
  const [, level, rest] = matchPath(/^tile\/([0-9]{1,2})\/(.+)$/, path)
  const tile = { level: parseDecimal(level ?? "", "a tile level"), ...parseIndex(rest ?? "", path) }
  return printed(tile, formatTilePath(tile), path)
}

/** @throws InvalidInputError for whatever {@link formatEntriesPath} would not print. */
export function parseEntriesPath(path: string): EntryBundle {
  const [, rest] = matchPath(/^tile\/entries\/(.+)$/, path)
  const bundle = parseIndex(rest ?? "", path)
  return printed(bundle, formatEntriesPath(bundle), path)
}

/** The partial tiles of a log, lowest level first: at most 7. Their hashes are its whole right edge. */
export function edgeTiles(size: LogSize): Tile[] {
  const tiles: Tile[] = []
  for (let level = 0, hashes: number = size; hashes > 0; level++) {
    const index = Math.floor(hashes / TILE_WIDTH)
    const width = hashes % TILE_WIDTH
    if (width > 0) tiles.push({ level, index, width })
    hashes = index
  }
  return tiles
}

/**
 * What a log that grows from one size to the other has to write, lowest level first: every tile that it fills, and the
 * partial tiles that `size` has and `from` had not.
 *
 * All of them must be durable before a checkpoint of that size is published.
 */
export function newTiles(from: LogSize, size: LogSize): Tile[] {
  const tiles: Tile[] = []
  for (let level = 0, old: number = from, hashes: number = size; hashes > 0; level++) {
    tiles.push(...grown(old, hashes).map((bundle) => ({ level, ...bundle })))
    old = Math.floor(old / TILE_WIDTH)
    hashes = Math.floor(hashes / TILE_WIDTH)
  }
  return tiles
}

/** {@link newTiles} for the entries. */
export function newEntryBundles(from: LogSize, size: LogSize): EntryBundle[] {
  return grown(from, size)
}

/** The widest tile with this place that a log of `size` records has; `undefined` when it has none. */
export function tileAt(level: number, index: number, size: LogSize): Tile | undefined {
  const hashes = Math.floor(size / TILE_WIDTH ** level)
  const width = Math.min(TILE_WIDTH, hashes - index * TILE_WIDTH)
  return width > 0 ? { level, index, width } : undefined
}

/**
 * Where the hash of perfect subtree `n` at tree level `level` lies, in a log of `size` records.
 *
 * @throws InvalidInputError when the subtree is not complete at that size.
 */
export function tileSliceFor(level: number, n: number, size: LogSize): TileSlice {
  const tileLevel = Math.floor(level / TILE_HEIGHT)
  const count = 2 ** (level % TILE_HEIGHT)
  const first = n * count
  const start = first % TILE_WIDTH
  const tile = tileAt(tileLevel, Math.floor(first / TILE_WIDTH), size)
  if (tile === undefined || start + count > tile.width) {
    throw new InvalidInputError(`a log of ${size} records has no hash ${n} at level ${level}`)
  }
  return { tile, start, count }
}

/** The bundles that `to` items fill or begin and `from` items did not. */
function grown(from: number, to: number): EntryBundle[] {
  const bundles: EntryBundle[] = []
  const full = Math.floor(to / TILE_WIDTH)
  for (let index = Math.floor(from / TILE_WIDTH); index < full; index++)
    bundles.push({ index, width: TILE_WIDTH })
  if (to % TILE_WIDTH > 0 && to > from) bundles.push({ index: full, width: to % TILE_WIDTH })
  return bundles
}

/** In groups of three digits, all but the last marked with `x`, so that no directory grows past a thousand names. */
function formatIndex(index: number, width: number): string {
  if (!Number.isSafeInteger(index) || index < 0) throw new InvalidInputError(`there is no tile ${index}`)
  if (!Number.isInteger(width) || width < 1 || width > TILE_WIDTH) {
    throw new InvalidInputError(`a tile is 1 to ${TILE_WIDTH} wide, not ${width}`)
  }
  const digits = String(index)
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, "0")
  const path = padded.replaceAll(/...(?=.)/g, "x$&/")
  return width === TILE_WIDTH ? path : `${path}.p/${width}`
}

function parseIndex(text: string, path: string): EntryBundle {
  const [, groups, width] = matchPath(/^((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([0-9]{1,3}))?$/, text, path)
  return {
    index: Number((groups ?? "").replaceAll(/[x/]/g, "")),
    width: width === undefined ? TILE_WIDTH : Number(width),
  }
}

function matchPath(pattern: RegExp, text: string, path = text): RegExpExecArray {
  const match = text.length > MAX_PATH_LENGTH ? null : pattern.exec(text)
  if (match === null) throw notAPath(path)
  return match
}

/** What was read, if it is written the same: leading zeros and `.p/256` are other spellings, and refused. */
function printed<T>(value: T, spelling: string, path: string): T {
  if (spelling !== path) throw notAPath(path)
  return value
}

function notAPath(path: string): InvalidInputError {
  return new InvalidInputError(`${JSON.stringify(path.slice(0, MAX_PATH_LENGTH))} is no path of a tile`)
}
