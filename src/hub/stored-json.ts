import { utf8Text } from "../core/bytes.ts"
import type { JsonObject } from "../model/index.ts"
import type { KnowledgeStore } from "../store/contract.ts"

/** The file as JSON; `undefined` when there is none. @throws TypeError or SyntaxError when it is not JSON. */
export async function readJson(store: KnowledgeStore, path: string): Promise<unknown> {
  const bytes = await store.read(path)
  return bytes === undefined ? undefined : (JSON.parse(utf8Text(bytes)) as unknown)
}

/** Writes `value`, and of `extras` what `value` does not have: fields that a newer version left there. */
export async function writeJson(
  store: KnowledgeStore,
  path: string,
  value: object,
  extras: JsonObject = {},
): Promise<void> {
  await store.write(path, JSON.stringify({ ...extras, ...value }))
}

/** A map with its keys in order, as the files that AG2 sorts. */
export function sortedObject<T>(entries: Iterable<readonly [string, T]>): Record<string, T> {
  return Object.fromEntries([...entries].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
}

/**
 * A file that is written as a whole and often: changes that come while it is being written share the next writing.
 *
 * `save` resolves once everything that was changed before the call is durable.
 */
export class LazyFile {
  readonly #write: () => Promise<void>
  /** Owned by `save`. */
  #current: Promise<void> | undefined
  #next: Promise<void> | undefined

  constructor(write: () => Promise<void>) {
    this.#write = write
  }

  save(): Promise<void> {
    if (this.#current === undefined) {
      const writing = this.#write()
      this.#current = writing
      const ended = (): void => {
        this.#current = undefined
      }
      writing.then(ended, ended)
      return writing
    }
    this.#next ??= this.#current.then(nothing, nothing).then(() => {
      this.#next = undefined
      return this.save()
    })
    return this.#next
  }
}

function nothing(): void {}
