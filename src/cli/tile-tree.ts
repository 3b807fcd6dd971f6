import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { storedTiles } from "../audit/index.ts"
import { equalBytes } from "../core/bytes.ts"
import { parseCheckpoint } from "../core/checkpoint.ts"
import { formatEntryBundle } from "../core/entry-bundle.ts"
import { InvalidInputError, TamperedError } from "../core/errors.ts"
import { TreeFrontier } from "../core/frontier.ts"
import { logSize } from "../core/hash-types.ts"
import { treeHash } from "../core/merkle.ts"
import { parseNote } from "../core/note.ts"
import { formatEntriesPath, formatTilePath, TILE_WIDTH } from "../core/tile.ts"
import { tileHashReader } from "../core/tile-reader.ts"
import type { DataFolder } from "./folder.ts"
import { falseLines, recordBytes } from "./ledger-view.ts"
import type { StoredHead } from "./ledger-view.ts"
import { systemError } from "./report.ts"

/** See `Sealer`. */
const TILES_EVERY = TILE_WIDTH * TILE_WIDTH

/**
 * Writes a whole tlog-tiles log below `target`: tiles, entry bundles, and the checkpoint last, so that whoever is served
 * from there while it is written finds what the checkpoint needs. An older export of the same log is brought up to date.
 *
 * The tiles are made from the lines and not copied, so nothing comes out that does not lead to the checkpoint.
 *
 * @throws TamperedError when the lines do not, naming the first false one; then no checkpoint is written.
 * @throws InvalidInputError when something else is in that folder.
 */
export async function writeTileTree(
  folder: DataFolder,
  head: StoredHead,
  target: string,
  signal: AbortSignal,
): Promise<void> {
  const root = resolve(target)
  await checkTarget(root, head)
  const tree = new TreeFrontier()
  let entries: Uint8Array[] = []
  const writeTiles = (): void => {
    for (const { tile, bytes } of tree.takeTiles()) put(root, formatTilePath(tile), bytes)
  }
  const writeEntries = (): void => {
    const index = Math.ceil(tree.size / TILE_WIDTH) - 1
    put(root, formatEntriesPath({ index, width: entries.length }), formatEntryBundle(entries))
    entries = []
  }
  for await (const { bytes } of recordBytes(folder, 0, head.size, signal)) {
    tree.appendRecord(bytes)
    entries.push(Uint8Array.from(bytes))
    if (entries.length === TILE_WIDTH) writeEntries()
    if (tree.size % TILES_EVERY === 0) writeTiles()
  }
  if (!equalBytes(tree.root(), head.root)) {
    throw await falseLines(folder.store, head, recordBytes(folder, 0, head.size, signal))
  }
  if (entries.length > 0) writeEntries()
  writeTiles()
  put(root, "checkpoint", Buffer.from(head.text))

  async function checkTarget(path: string, { origin, size }: StoredHead): Promise<void> {
    const names = namesIn(path)
    if (names.length === 0) return
    const older = names.includes("checkpoint") ? exported(join(path, "checkpoint")) : undefined
    if (older?.origin !== origin) {
      throw new InvalidInputError(`${path} is not empty, and holds no export of ${origin}`, {
        hint: "Name a new folder, or that of an earlier export of this log.",
      })
    }
    if (older.size > size) {
      throw new TamperedError(`${path} has ${older.size} records of this log, which now has ${size}`, size, 0)
    }
    const read = tileHashReader(logSize(size), head.root, storedTiles(folder.store))
    if (older.size > 0 && !equalBytes(await treeHash(older.size, read), older.root)) {
      throw new TamperedError(`${path} holds another history of this log, up to ${older.size} records`, 0, 0)
    }
  }
}

function exported(path: string): ReturnType<typeof parseCheckpoint> | undefined {
  try {
    return parseCheckpoint(parseNote(readFileSync(path)).text)
  } catch {
    return undefined
  }
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path)
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return []
    throw systemError(`look into ${path}`, error)
  }
}

/** Under another name first: a server never hands out a half of it. */
function put(root: string, path: string, bytes: Uint8Array): void {
  const target = join(root, path)
  try {
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(`${target}.new`, bytes)
    renameSync(`${target}.new`, target)
  } catch (error) {
    throw systemError(`write ${target}`, error)
  }
}
