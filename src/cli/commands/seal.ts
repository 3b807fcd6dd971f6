import { watch } from "node:fs"
import { realpath, stat } from "node:fs/promises"
import { join, resolve } from "node:path"
import { Command } from "commander"
import { LOG_PATH } from "../../audit/index.ts"
import { InvalidInputError, TamperedError } from "../../core/errors.ts"
import type { KnowledgeStore } from "../../store/index.ts"
import { addCommonOptions, wholeNumber } from "../filters.ts"
import { keyOf, openStoreToWrite } from "../folder.ts"
import { storedHead } from "../ledger-view.ts"
import { openFile } from "../raw-lines.ts"
import { systemError } from "../report.ts"
import { SEALED_PATH, sealedFile } from "../sealed.ts"
import { Sealer } from "../sealer.ts"
import { note } from "../shell.ts"
import type { CommonOptions, Shell } from "../shell.ts"

/** How often a followed file is looked at when nothing tells of changes: not every file system does. */
const LOOK_EVERY_MS = 1_000

interface SealOptions extends CommonOptions {
  readonly follow?: boolean
  readonly interval: number
}

export function sealCommand(shell: Shell, _setStatus: (status: number) => void): Command {
  const command = new Command("seal")
    .description(
      "tree and checkpoints for a log that another program writes, such as AG2's; the lines stay there",
    )
    .argument("<file>", "its file: a record a line")
    .option("-f, --follow", "go on with what is added, until interrupted")
    .option(
      "--interval <ms>",
      "with --follow: how long after a line a checkpoint covers it",
      wholeNumber(10),
      1_000,
    )
    .addHelpText(
      "after",
      "\nKeeps D/store/audit/checkpoint and tree/, and remembers where the file is; every command that reads finds it." +
        "\nEach run reads all that is sealed again: when the file lost a line, or one has changed, it exits 1 and signs nothing." +
        '\nThe last line out is {"sealed":N,"size":N}.',
    )
    .action(async (file: string, options: SealOptions) => seal(shell, file, options))
  return addCommonOptions(command)
}

async function seal(shell: Shell, name: string, options: SealOptions): Promise<void> {
  await using file = await openFile(name)
  const path = await realpath(name)
  await using store = await openStoreToWrite(options.dir)
  const isOwn = path === join(resolve(options.dir), "store", LOG_PATH)
  await claim(store, path, options.dir, isOwn)
  const { signer } = await keyOf(shell, options, store)
  const sealer = await Sealer.start(
    store,
    file,
    signer,
    await storedHead(store, options.dir),
    shell.interrupted,
  )
  let sealed = await sealer.seal(shell.interrupted)
  if (options.follow === true) {
    note(shell, `${sealer.size} records of ${path} are sealed; following it`)
    try {
      sealed += await follow(shell, path, sealer, options)
    } catch (error) {
      if (!shell.interrupted.aborted || error instanceof TamperedError) throw error
    }
    sealed += await sealer.seal()
  }
  shell.out.line(JSON.stringify({ sealed, size: sealer.size }))
}

/** One folder seals one file, and has no log of its own; but the file may lie where that would be. */
async function claim(store: KnowledgeStore, path: string, dir: string, isOwn: boolean): Promise<void> {
  if (!isOwn && (await store.exists(LOG_PATH))) {
    throw new InvalidInputError(`${dir} has a log of its own`, { hint: "Seal into another folder: --dir D." })
  }
  const before = await sealedFile(store)
  if (before === undefined) await store.write(SEALED_PATH, `${JSON.stringify({ path })}\n`)
  else if (before !== path) {
    throw new InvalidInputError(`${dir} seals ${before}, not ${path}`, {
      hint: `Seal into another folder; if the file was moved, change the path in ${dir}/store${SEALED_PATH}.`,
    })
  }
}

/** Until interrupted. @returns how many records were sealed. */
async function follow(
  shell: Shell,
  path: string,
  sealer: Sealer,
  { interval }: SealOptions,
): Promise<number> {
  const { interrupted } = shell
  let sealed = 0
  let last = await fileState(path)
  while (!interrupted.aborted) {
    await changed(path, interrupted)
    await delay(interval, interrupted)
    if (interrupted.aborted) break
    const now = await fileState(path)
    if (now.inode !== last.inode) {
      throw new TamperedError("another file has taken the sealed one's place", sealer.size, sealer.offset, {
        hint: "Run `hansard seal` again: it reads the new file, and goes on if all that is sealed is in it.",
      })
    }
    // Written to, and no longer than before: then it was not appended to.
    if (now.size === last.size && now.modified !== last.modified) await sealer.recheck(interrupted)
    last = now
    sealed += await sealer.seal(interrupted)
  }
  return sealed
}

async function fileState(
  path: string,
): Promise<{ readonly inode: number; readonly size: number; readonly modified: number }> {
  try {
    const { ino, size, mtimeMs } = await stat(path)
    return { inode: ino, size, modified: mtimeMs }
  } catch (error) {
    throw systemError(`read ${path}`, error)
  }
}

/** Resolves when the file may have changed, and after a while in any case. */
async function changed(path: string, signal: AbortSignal): Promise<void> {
  const { promise, resolve: wake } = Promise.withResolvers<void>()
  let watcher: ReturnType<typeof watch> | undefined
  try {
    watcher = watch(path, () => wake())
    watcher.on("error", () => {})
  } catch {
    // Then it is looked at from time to time.
  }
  try {
    await Promise.race([promise, delay(LOOK_EVERY_MS, signal)])
  } finally {
    watcher?.close()
  }
}

function delay(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) return done()
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener("abort", end)
      done()
    }
    const timer = setTimeout(end, milliseconds)
    signal.addEventListener("abort", end)
  })
}
