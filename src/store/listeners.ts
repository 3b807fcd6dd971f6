import type { Logger } from "../core/logger.ts"
import { isAtOrUnder } from "./paths.ts"

interface Listener {
  readonly path: string
  readonly callback: (path: string) => void
}

/**
 * Who is told of which changes: the part of `onChange` that every store shares. Needs no Node.
 *
 * Changes are told in a microtask after `tell`, so never inside the call that made one, and each path once however
 * often it changed until then.
 */
export class Listeners {
  readonly #logger: Logger
  readonly #all = new Set<Listener>()
  /** Owned by `tell` and `#deliver`: the paths that changed since the last delivery. */
  #changed = new Set<string>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** `path` is normal. */
  add(path: string, callback: (path: string) => void): AsyncDisposable {
    const listener: Listener = { path, callback }
    this.#all.add(listener)
    return {
      [Symbol.asyncDispose]: async () => {
        this.#all.delete(listener)
      },
    }
  }

  /** Whether anybody wants to know of files at or under `path`: a walk through them may cost more than the change. */
  concern(path: string): boolean {
    for (const listener of this.#all) {
      if (isAtOrUnder(listener.path, path) || isAtOrUnder(path, listener.path)) return true
    }
    return false
  }

  /** Call it when the change can be read. */
  tell(path: string): void {
    if (this.#all.size === 0) return
    if (this.#changed.size === 0) queueMicrotask(() => this.#deliver())
    this.#changed.add(path)
  }

  clear(): void {
    this.#all.clear()
  }

  #deliver(): void {
    const changed = this.#changed
    this.#changed = new Set()
    for (const path of changed) {
      for (const listener of [...this.#all]) {
        // A callback before this one may have disposed of it.
        if (this.#all.has(listener) && isAtOrUnder(path, listener.path)) this.#call(listener, path)
      }
    }
  }

  #call(listener: Listener, path: string): void {
    const failed = (error: unknown): void =>
      this.#logger.error({ err: error, path }, "a callback for changes threw; it stays subscribed")
    try {
      // `void` also lets an async function in, whose rejection would otherwise end the process.
      const result: unknown = listener.callback(path)
      if (result instanceof Promise) result.catch(failed)
    } catch (error) {
      failed(error)
    }
  }
}
