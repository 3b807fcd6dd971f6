import { mkdirSync, statSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { AuditLog, CHECKPOINT_PATH, LOG_PATH } from "../audit/index.ts"
import type { AuditLogOptions, LedgerOptions } from "../audit/index.ts"
import { InvalidInputError, NotFoundError, StoreUnavailableError } from "../core/errors.ts"
import { FileStore } from "../store/index.ts"
import type { KnowledgeStore } from "../store/index.ts"
import { keyPath, loadOrMakeSigner, loadRetiredKeys } from "./keys.ts"
import type { KeyFile } from "./keys.ts"
import { systemError } from "./report.ts"
import { SEALED_PATH, withSealedLog } from "./sealed.ts"
import { note } from "./shell.ts"
import type { CommonOptions, Shell } from "./shell.ts"

export const DEFAULT_DIR = "./hansard-data"

/** What a command that writes says about how the log is kept. */
export interface WriteOptions extends CommonOptions {
  /** False for a plain log: `--no-ledger`. */
  readonly ledger?: boolean
  readonly rotate?: number | false
  readonly compress?: boolean
}

/** A data folder's store and log, closed together. */
export class DataFolder implements AsyncDisposable {
  readonly store: KnowledgeStore
  readonly log: AuditLog

  private constructor(store: KnowledgeStore, log: AuditLog) {
    this.store = store
    this.log = log
  }

  /** Takes no lease. Of a folder that seals another program's log, that log. @throws NotFoundError when there is none. */
  static async openToRead(dir: string): Promise<DataFolder> {
    const store = await openStoreToRead(dir)
    return await DataFolder.#with(store, () => AuditLog.open(store, { readOnly: true }))
  }

  /**
   * Makes the folder if need be, but not the one above it; and a signing key, unless the log is to be a plain one.
   * With a ledger, closing ends with a checkpoint that covers all there is.
   *
   * @throws LogLockedError.
   */
  static async openToWrite(shell: Shell, options: WriteOptions): Promise<DataFolder> {
    const store = await openStoreToWrite(options.dir)
    return await DataFolder.#with(store, async () => {
      return await AuditLog.open(store, await logOptions(shell, options, store))
    })
  }

  static async #with(store: KnowledgeStore, open: () => Promise<AuditLog>): Promise<DataFolder> {
    try {
      return new DataFolder(store, await open())
    } catch (error) {
      await store[Symbol.asyncDispose]()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.log.close()
    } finally {
      await this.store[Symbol.asyncDispose]()
    }
  }
}

/** @throws NotFoundError when there is no store in `dir`. */
export function existingStore(dir: string): string {
  const folder = join(resolve(dir), "store")
  if (!isFolder(folder)) {
    throw new NotFoundError(`there is no log in ${resolve(dir)}`, {
      hint: "Name its folder with --dir, or make one: `hansard append`, `hansard demo`.",
    })
  }
  return folder
}

/** See {@link DataFolder.openToRead}. */
export async function openStoreToRead(dir: string): Promise<KnowledgeStore> {
  const store = await FileStore.open(existingStore(dir), { readOnly: true })
  try {
    return await withSealedLog(store)
  } catch (error) {
    await store[Symbol.asyncDispose]()
    throw error
  }
}

/** Makes the data folder if need be. @throws LogLockedError. */
export async function openStoreToWrite(dir: string): Promise<FileStore> {
  makeDataFolder(dir)
  return await FileStore.open(join(resolve(dir), "store"))
}

/** How the folder's log is kept: {@link ledgerOf}, and in which files. */
export async function logOptions(
  shell: Shell,
  options: WriteOptions,
  store: KnowledgeStore,
): Promise<Pick<AuditLogOptions, "ledger" | "rotate" | "compress">> {
  const ledger = await ledgerOf(shell, options, store)
  return {
    ...(ledger === undefined ? {} : { ledger }),
    ...(options.rotate === undefined ? {} : { rotate: options.rotate }),
    ...(options.compress === true ? { compress: true } : {}),
  }
}

/**
 * How the folder's log keeps its ledger; `undefined` with `--no-ledger`. Makes the signing key on first use and says
 * so, and warns of a key that others can read. Call it with the store's lease.
 *
 * @throws NotFoundError when there are checkpoints and their key is gone: another key would make another log.
 */
export async function ledgerOf(
  shell: Shell,
  options: WriteOptions,
  store: KnowledgeStore,
): Promise<LedgerOptions | undefined> {
  if (await store.exists(SEALED_PATH)) {
    throw new InvalidInputError(`${options.dir} seals another program's log, and has none of its own`, {
      hint: `Name another folder with --dir. When that program writes no more and the log is ${join(options.dir, "store", LOG_PATH)}, take it over: remove ${join(options.dir, "store", SEALED_PATH)}.`,
    })
  }
  if (options.ledger === false) return undefined
  const { signer } = await keyOf(shell, options, store)
  return { signer, previousKeys: loadRetiredKeys(options.dir) }
}

/** The folder's log key, made and told on first use. */
export async function keyOf(shell: Shell, options: CommonOptions, store: KnowledgeStore): Promise<KeyFile> {
  const path = keyPath(options.dir)
  if (!isThere(path) && (await store.exists(CHECKPOINT_PATH))) {
    throw new NotFoundError(`the log has checkpoints, but the key that signs them is not there: ${path}`, {
      hint: "Put the key back from a copy; `--no-ledger` appends without it, and a later run covers those records.",
    })
  }
  const key = loadOrMakeSigner(options.dir)
  tellOfKey(shell, options, key)
  return key
}

/** That a key was made, and that others can read it. */
export function tellOfKey(shell: Shell, { dir, json }: CommonOptions, key: KeyFile): void {
  const { vkey } = key
  const path = key.path.startsWith(resolve(dir)) ? join(dir, key.path.slice(resolve(dir).length)) : key.path
  if (key.made) {
    if (json === true) shell.err.line(JSON.stringify({ made_key: { path, vkey } }))
    else note(shell, `made a signing key, ${path}; its verifier key is ${vkey}`)
  }
  if (key.isExposed) {
    const fix = `chmod 600 ${path}`
    if (json === true) shell.err.line(JSON.stringify({ warning: { code: "key_exposed", path, fix } }))
    else note(shell, `warning: others can read the signing key ${path}; run \`${fix}\``)
  }
}

/** Makes `dir`, for its owner alone. A mistyped path should not become a tree: the folder above must be there. */
export function makeDataFolder(dir: string): void {
  const folder = resolve(dir)
  if (isFolder(folder)) return
  if (!isFolder(dirname(folder))) {
    throw new NotFoundError(`there is no folder ${dirname(folder)} to make ${folder} in`, {
      hint: "Make it first, or name another folder with --dir.",
    })
  }
  if (isThere(folder)) {
    throw new StoreUnavailableError(`${folder} is a file, not a folder`, {
      hint: "Name another folder with --dir.",
    })
  }
  try {
    mkdirSync(folder, { mode: 0o700 })
  } catch (error) {
    throw systemError(`make the folder ${folder}`, error)
  }
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined
}

function isFolder(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOTDIR") return false
    throw systemError(`look into ${path}`, error)
  }
}
