/** A data folder that seals another program's log: where its lines are, and a store that reads them there. */
import { basename, dirname, join } from "node:path"
import { LOG_PATH } from "../audit/index.ts"
import { InvalidInputError, NotFoundError, TamperedError } from "../core/errors.ts"
import { FileStore } from "../store/index.ts"
import type { KnowledgeStore } from "../store/index.ts"

/** In the store of such a folder: `{"path"}`, where the lines are. */
export const SEALED_PATH = "/audit/sealed.json"

/** Where the lines are that a folder seals; `undefined` for a folder with a log of its own. */
export async function sealedFile(store: KnowledgeStore): Promise<string | undefined> {
  const bytes = await store.read(SEALED_PATH)
  if (bytes === undefined) return undefined
  try {
    const { path } = JSON.parse(new TextDecoder().decode(bytes)) as { path?: unknown }
    if (typeof path === "string" && path !== "") return path
  } catch {
    // Told below.
  }
  throw new TamperedError(`${SEALED_PATH} in the store does not say which file is sealed`, 0, 0)
}

/**
 * The store as it is; or, when it seals another program's log, a view of it in which that file stands where the log
 * would. So whatever reads a log reads a sealed one, and follows it. The view takes the store over.
 *
 * @throws NotFoundError when the sealed file is gone: an empty log would be shown instead.
 */
export async function withSealedLog(store: FileStore): Promise<KnowledgeStore> {
  const path = await sealedFile(store)
  if (path === undefined) return store
  const name = `/${basename(path)}`
  const outside = await openFolder(dirname(path))
  if (outside === undefined || !(await outside.exists(name))) {
    await outside?.[Symbol.asyncDispose]()
    throw new NotFoundError(`the sealed log is gone: there is no file ${path}`, {
      hint: `Put it back. If it was moved, change the path in ${join("store", SEALED_PATH)} of the data folder.`,
    })
  }
  return new SealedStore(store, outside, name)
}

async function openFolder(folder: string): Promise<FileStore | undefined> {
  try {
    return await FileStore.open(folder, { readOnly: true })
  } catch (error) {
    if (error instanceof NotFoundError) return undefined
    throw error
  }
}

class SealedStore implements KnowledgeStore {
  readonly #store: KnowledgeStore
  /** The folder that holds the sealed file, and the file's name in it. */
  readonly #outside: KnowledgeStore
  readonly #name: string

  constructor(store: KnowledgeStore, outside: KnowledgeStore, name: string) {
    this.#store = store
    this.#outside = outside
    this.#name = name
  }

  #at(path: string): { store: KnowledgeStore; path: string } {
    return path === LOG_PATH ? { store: this.#outside, path: this.#name } : { store: this.#store, path }
  }

  read(path: string): Promise<Uint8Array | undefined> {
    const at = this.#at(path)
    return at.store.read(at.path)
  }

  readRange(path: string, start: number, end?: number): Promise<Uint8Array> {
    const at = this.#at(path)
    return at.store.readRange(at.path, start, end)
  }

  exists(path: string): Promise<boolean> {
    const at = this.#at(path)
    return at.store.exists(at.path)
  }

  size(path: string): Promise<number> {
    const at = this.#at(path)
    return at.store.size(at.path)
  }

  onChange(path: string, callback: (path: string) => void): Promise<AsyncDisposable> {
    const at = this.#at(path)
    return at.store.onChange(at.path, () => callback(path))
  }

  list(path?: string): Promise<string[]> {
    return this.#store.list(path)
  }

  write(): Promise<void> {
    return refuse()
  }

  writeIf(): Promise<boolean> {
    return refuse()
  }

  append(): Promise<number> {
    return refuse()
  }

  truncate(): Promise<void> {
    return refuse()
  }

  move(): Promise<void> {
    return refuse()
  }

  delete(): Promise<void> {
    return refuse()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#outside[Symbol.asyncDispose]()
    await this.#store[Symbol.asyncDispose]()
  }
}

function refuse(): Promise<never> {
  return Promise.reject(new InvalidInputError("another program's log is read here, and not written"))
}
