import { StoreUnavailableError } from "../../src/core/errors.ts"
import type { AppendOptions, KnowledgeStore } from "../../src/store/contract.ts"

/** What happens to a change that is made to fail. */
export type Failure = "not persisted" | "persisted"

/**
 * A store whose changes fail when a test says so. "persisted" breaks the contract on purpose: the change happens and
 * is then reported as failed, as a network can make any store do.
 */
export class FlakyStore implements KnowledgeStore {
  readonly #inner: KnowledgeStore
  /** Asked before each change; what it returns happens. */
  decide: (
    operation: "append" | "write" | "truncate" | "delete" | "move" | "seal",
    path: string,
  ) => Failure | undefined = () => undefined
  /** How many appends were tried. */
  appends = 0

  constructor(inner: KnowledgeStore) {
    this.#inner = inner
  }

  read(path: string): Promise<Uint8Array | undefined> {
    return this.#inner.read(path)
  }
  readRange(path: string, start: number, end?: number): Promise<Uint8Array> {
    return this.#inner.readRange(path, start, end)
  }
  write(path: string, content: Uint8Array | string): Promise<void> {
    return this.#change("write", path, () => this.#inner.write(path, content))
  }
  writeIf(
    path: string,
    content: Uint8Array | string,
    expected: Uint8Array | string | undefined,
  ): Promise<boolean> {
    return this.#change("write", path, () => this.#inner.writeIf(path, content, expected))
  }
  append(path: string, content: Uint8Array | string, options?: AppendOptions): Promise<number> {
    this.appends++
    return this.#change("append", path, () => this.#inner.append(path, content, options))
  }
  truncate(path: string, size: number): Promise<void> {
    return this.#change("truncate", path, () => this.#inner.truncate(path, size))
  }
  move(from: string, to: string): Promise<void> {
    return this.#change("move", from, () => this.#inner.move(from, to))
  }
  delete(path: string): Promise<void> {
    return this.#change("delete", path, () => this.#inner.delete(path))
  }
  seal(path: string): Promise<void> {
    return this.#change("seal", path, async () => await this.#inner.seal?.(path))
  }
  list(path?: string): Promise<string[]> {
    return this.#inner.list(path)
  }
  exists(path: string): Promise<boolean> {
    return this.#inner.exists(path)
  }
  size(path: string): Promise<number> {
    return this.#inner.size(path)
  }
  onChange(path: string, callback: (path: string) => void): Promise<AsyncDisposable> {
    return this.#inner.onChange(path, callback)
  }
  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#inner[Symbol.asyncDispose]()
  }

  async #change<T>(
    operation: "append" | "write" | "truncate" | "delete" | "move" | "seal",
    path: string,
    make: () => Promise<T>,
  ): Promise<T> {
    const failure = this.decide(operation, path)
    if (failure === undefined) return await make()
    if (failure === "persisted") await make()
    throw new StoreUnavailableError(`the test made ${operation} fail`)
  }
}
