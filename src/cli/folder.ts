import { mkdirSync, statSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { AuditLog } from "../audit/index.ts"
import { NotFoundError, StoreUnavailableError } from "../core/errors.ts"
import { FileStore } from "../store/index.ts"
import { systemError } from "./report.ts"

export const DEFAULT_DIR = "./hansard-data"

/** A data folder's store and log, closed together. */
export class DataFolder implements AsyncDisposable {
  readonly store: FileStore
  readonly log: AuditLog

  private constructor(store: FileStore, log: AuditLog) {
    this.store = store
    this.log = log
  }

  /** Takes no lease. @throws NotFoundError when there is no store in `dir`. */
  static async openToRead(dir: string): Promise<DataFolder> {
    const folder = join(resolve(dir), "store")
    if (!isFolder(folder)) {
      throw new NotFoundError(`there is no log in ${resolve(dir)}`, {
        hint: "Name its folder with --dir, or make one: `hansard append`, `hansard demo`.",
      })
    }
    return await DataFolder.#open(folder, true)
  }

  /** Makes the folder if need be, but not the one above it. @throws LogLockedError. */
  static async openToWrite(dir: string): Promise<DataFolder> {
    makeDataFolder(dir)
    return await DataFolder.#open(join(resolve(dir), "store"), false)
  }

  static async #open(folder: string, readOnly: boolean): Promise<DataFolder> {
    const store = await FileStore.open(folder, { readOnly })
    try {
      return new DataFolder(store, await AuditLog.open(store, { readOnly }))
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

/** Makes `dir`, for its owner alone. A mistyped path should not become a tree: the folder above must be there. */
export function makeDataFolder(dir: string): void {
  const folder = resolve(dir)
  if (isFolder(folder)) return
  if (!isFolder(dirname(folder))) {
    throw new NotFoundError(`there is no folder ${dirname(folder)} to make ${folder} in`, {
      hint: "Make it first, or name another folder with --dir.",
    })
  }
  if (statSync(folder, { throwIfNoEntry: false }) !== undefined) {
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

function isFolder(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOTDIR") return false
    throw systemError(`look into ${path}`, error)
  }
}
