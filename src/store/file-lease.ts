import { chmodSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import type { DatabaseSync } from "node:sqlite"
import { LogLockedError, StoreUnavailableError } from "../core/errors.ts"
import { FILE_MODE } from "./file-system.ts"

export interface Lease {
  /** Somebody else may take it from now on. */
  release(): void
}

/**
 * Takes the right to change a store, for this process alone.
 *
 * The lease is an exclusive SQLite transaction that never commits. SQLite holds it through a lock of the operating
 * system, which ends with the process, however it ends; and it keeps apart two holders in one process, which such a
 * lock alone would not. A file with a process id in it, the usual way, outlives a crash, and then the id may be
 * anyone's. Locks are only as good as the file system: over NFS they may be nothing.
 *
 * Nothing in this process may open the lease file but SQLite: closing any descriptor of it would drop the lock.
 *
 * `folder` is the store's own one, and is there.
 *
 * @throws LogLockedError at once, never after a wait, when the lease is taken.
 */
export function takeLease(folder: string, root: string): Lease {
  const { DatabaseSync: Database } = sqlite()
  const holder = `${folder}/holder`
  let database: DatabaseSync | undefined
  try {
    database = new Database(`${folder}/lease`)
    chmodSync(`${folder}/lease`, FILE_MODE)
    // Nothing is ever written, so no journal either; in memory in case a SQLite should think otherwise.
    database.exec("PRAGMA busy_timeout = 0; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE")
    writeHolder(holder)
  } catch (error) {
    database?.close()
    if (isBusy(error)) throw new LogLockedError(root, readHolder(holder), { cause: error })
    throw new StoreUnavailableError(`could not take the lease of ${root}`, {
      cause: error,
      hint: `Make ${folder} writable, or open the store read-only.`,
    })
  }
  const held = database
  return {
    release: () => {
      // The name first: when the lease is free it is the next holder's.
      rmSync(holder, { force: true })
      held.close()
    },
  }
}

/** SQLITE_BUSY, with whatever detail in the higher bits. */
function isBusy(error: unknown): boolean {
  return (
    error instanceof Error &&
    "errcode" in error &&
    typeof error.errcode === "number" &&
    error.errcode % 256 === 5
  )
}

/** Under another name first, so that nobody reads a half of it. */
function writeHolder(holder: string): void {
  const fresh = `${holder}.new`
  writeFileSync(fresh, `${JSON.stringify({ pid: process.pid })}\n`, { mode: FILE_MODE })
  renameSync(fresh, holder)
}

/** A courtesy: between a lease taken and the name written it is the last holder's, or nobody's. */
function readHolder(holder: string): number | undefined {
  try {
    const { pid } = JSON.parse(readFileSync(holder, "utf8")) as { pid?: unknown }
    return typeof pid === "number" ? pid : undefined
  } catch {
    return undefined
  }
}

/**
 * Loaded on first use, so that read-only stores need no SQLite. Node 22 warns on loading that it is experimental; that
 * one warning is kept from the users of a lock, and every other one goes through.
 */
function sqlite(): typeof import("node:sqlite") {
  const emitWarning = process.emitWarning
  process.emitWarning = (warning: string | Error, ...rest: unknown[]): void => {
    if (!String(warning).includes("SQLite is an experimental feature")) {
      Reflect.apply(emitWarning, process, [warning, ...rest])
    }
  }
  try {
    const loaded: typeof import("node:sqlite") | undefined = process.getBuiltinModule("node:sqlite")
    if (loaded !== undefined) return loaded
  } finally {
    process.emitWarning = emitWarning
  }
  throw new StoreUnavailableError("this Node has no node:sqlite, which the lease of a file store needs", {
    hint: "Use Node 22.15 or newer, built with SQLite; or open the store read-only.",
  })
}
