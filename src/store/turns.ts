import { isAtOrUnder } from "./paths.ts"

/**
 * Who waits for whom: changes to one path, or to a directory and a path in it, happen one at a time and in the order
 * of the calls; all others overlap.
 *
 * A chain of promises per path, not a lock: nobody can forget to release it.
 */
export class Turns {
  /** The newest change to each path, while it is waiting or under way. */
  readonly #paths = new Map<string, Promise<void>>()
  /** The newest change to each whole directory; seldom holds anything. */
  readonly #trees = new Map<string, Promise<void>>()

  /** Runs `work` when everything called earlier on any of `paths` has ended, however it ended. */
  take<T>(paths: readonly string[], work: () => Promise<T>): Promise<T> {
    const before: Promise<void>[] = []
    for (const path of paths) {
      const newest = this.#paths.get(path)
      if (newest !== undefined) before.push(newest)
      for (const [tree, change] of this.#trees) if (isAtOrUnder(path, tree)) before.push(change)
    }
    return this.#start(before, work, this.#paths, paths)
  }

  /** The same for a directory and all that is under it. */
  takeTree<T>(tree: string, work: () => Promise<T>): Promise<T> {
    const before: Promise<void>[] = []
    for (const [path, change] of this.#paths) if (isAtOrUnder(path, tree)) before.push(change)
    for (const [other, change] of this.#trees) {
      if (isAtOrUnder(tree, other) || isAtOrUnder(other, tree)) before.push(change)
    }
    return this.#start(before, work, this.#trees, [tree])
  }

  /** Whether no whole directory with `path` in it waits or is being changed. */
  isFree(path: string): boolean {
    for (const tree of this.#trees.keys()) if (isAtOrUnder(path, tree)) return false
    return true
  }

  /** Resolves when everything called until now has ended. */
  async idle(): Promise<void> {
    await Promise.all([...this.#paths.values(), ...this.#trees.values()])
  }

  #start<T>(
    before: readonly Promise<void>[],
    work: () => Promise<T>,
    map: Map<string, Promise<void>>,
    keys: readonly string[],
  ): Promise<T> {
    const [only] = before
    // The common case, nothing before it, starts within the call.
    const result =
      only === undefined ? work() : before.length === 1 ? only.then(work) : Promise.all(before).then(work)
    const ended = (): void => {
      for (const key of keys) if (map.get(key) === change) map.delete(key)
    }
    const change: Promise<void> = result.then(ended, ended)
    for (const key of keys) map.set(key, change)
    return result
  }
}
