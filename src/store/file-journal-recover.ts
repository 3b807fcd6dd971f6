import type { Logger } from "../core/logger.ts"
import { RESERVED_NAME } from "./contract.ts"
import { journalFolder } from "./file-journal.ts"
import { readBatches, type JournalEntry } from "./file-journal-format.ts"
import { isAbsent, READ, READ_WRITE, readBytes, writeAll } from "./file-system.ts"
import { syncFolder, type FileTree } from "./file-tree.ts"
import { isAtOrUnder, parentOf } from "./paths.ts"

type Append = Extract<JournalEntry, { kind: "append" }>

/**
 * Writes what a crash has left in the journal to where it belongs, and removes the journal. Safe to run again after it was
 * interrupted: it writes the same bytes to the same places.
 *
 * An append that starts behind the end of its file has nothing to follow: the file was changed by hand, or its disk lost
 * what it had synced. Then the journal is kept as `.hansard/journal-<number>`, and told.
 *
 * @throws the file system's errors; then the store does not open, and nothing is lost.
 */
export async function recoverJournal(tree: FileTree, logger: Logger): Promise<void> {
  const folder = journalFolder(tree)
  const numbers = numbersIn(tree, folder)
  if (numbers.length === 0) return
  const appends = new Map<string, Append[]>()
  for (const number of numbers) await collect(tree, `${folder}/${number}`, number, appends)
  const left: string[] = []
  for (const [path, list] of appends) if (!(await place(tree, path, list))) left.push(path)
  for (const number of numbers) {
    const file = `${folder}/${number}`
    if (left.length === 0) tree.fs.unlinkSync(file)
    else tree.fs.renameSync(file, freeName(tree, number))
    // In their order: what a later one says to be void must not come back with an earlier one.
    await syncFolder(tree.fs, folder)
  }
  if (left.length > 0) {
    await syncFolder(tree.fs, tree.at(`/${RESERVED_NAME}`))
    logger.error(
      { paths: left },
      "files are shorter than what was acknowledged; the journal is kept beside them",
    )
  } else if (appends.size > 0) logger.info({ files: appends.size }, "put appends in place after a crash")
}

/** Oldest first. What has another name was not put there by a journal, and is left alone. */
function numbersIn(tree: FileTree, folder: string): number[] {
  try {
    const names = tree.fs.readdirSync(folder).map(({ name }) => name)
    return names
      .filter((name) => /^\d{1,15}$/.test(name))
      .map(Number)
      .sort((a, b) => a - b)
  } catch (error) {
    if (isAbsent(error)) return []
    throw error
  }
}

async function collect(
  tree: FileTree,
  place: string,
  number: number,
  appends: Map<string, Append[]>,
): Promise<void> {
  const fd = tree.fs.openSync(place, READ)
  try {
    const bytes = await readBytes(tree.fs, fd, 0, tree.fs.fstatSync(fd).size)
    for (const batch of readBatches(number, bytes)) {
      for (const entry of batch) {
        if (entry.kind === "void") {
          for (const path of appends.keys()) if (isAtOrUnder(path, entry.path)) appends.delete(path)
          continue
        }
        const list = appends.get(entry.path)
        if (list === undefined) appends.set(entry.path, [entry])
        else list.push(entry)
      }
    }
  } finally {
    tree.close(fd)
  }
}

/** @returns whether all of them have their place. */
async function place(tree: FileTree, path: string, appends: readonly Append[]): Promise<boolean> {
  const [first] = appends
  const existing = tree.openFile(path, READ_WRITE)
  if (existing === undefined && first?.offset !== 0) return false
  const file = existing ?? make(tree, path)
  try {
    let { size } = file
    for (const { offset, bytes } of appends) {
      if (offset > size) return false
      writeAll(tree.fs, file.fd, bytes, offset)
      size = Math.max(size, offset + bytes.length)
    }
    await tree.syncFile(file.fd)
  } finally {
    tree.close(file.fd)
  }
  tree.changed(parentOf(path))
  await tree.settle(parentOf(path))
  return true
}

function make(tree: FileTree, path: string): { fd: number; size: number } {
  tree.makeParents(path)
  return { fd: tree.create(tree.at(path)), size: 0 }
}

function freeName(tree: FileTree, number: number): string {
  for (let n = number; ; n++) {
    const name = tree.at(`/${RESERVED_NAME}/journal-${n}`)
    if (tree.fs.lstatSync(name) === undefined) return name
  }
}
