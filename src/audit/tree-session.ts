import { TreeFrontier } from "../core/frontier.ts"
import type { RowHashes } from "../core/frontier.ts"
import { logSize } from "../core/hash-types.ts"
import type { Digest, Hash } from "../core/hash-types.ts"
import { leafDigest } from "../core/merkle-hash.ts"

const NEWLINE = 0x0a

/** What a tree's thread is asked. Answered in order. */
export type TreeRequest =
  | {
      readonly ask: "begin"
      readonly size: number
      readonly root: Uint8Array
      readonly partials: readonly Uint8Array[]
    }
  /** Whole lines, each with its newline, in the first `length` bytes. */
  | { readonly ask: "add"; readonly lines: Uint8Array; readonly length: number }
  | { readonly ask: "state" }

export interface TreeReply {
  /** In records, with everything that was asked before. */
  readonly size: number
  /** Hashes that no reply before had. */
  readonly rows: readonly RowHashes[]
  /** To a `state`. */
  readonly root?: Uint8Array
  /** The buffer of an `add`, for another one. */
  readonly lines?: Uint8Array
}

/** A growing tree that is fed with lines: what runs in the thread. */
export class TreeSession {
  #frontier = new TreeFrontier()

  answer(request: TreeRequest): TreeReply {
    switch (request.ask) {
      case "begin":
        this.#frontier = TreeFrontier.resume(logSize(request.size), request.root as Hash, request.partials)
        return { size: this.#frontier.size, rows: [] }
      case "add":
        for (const leaf of leavesOf(request.lines.subarray(0, request.length))) this.#frontier.append(leaf)
        return { size: this.#frontier.size, rows: this.#frontier.takeRows(), lines: request.lines }
      case "state":
        return { size: this.#frontier.size, rows: this.#frontier.takeRows(), root: this.#frontier.root() }
    }
  }
}

/** The leaves of whole lines, each ended by a newline. */
export function leavesOf(lines: Uint8Array): Digest[] {
  const leaves: Digest[] = []
  for (
    let start = 0, end = lines.indexOf(NEWLINE);
    end !== -1;
    start = end + 1, end = lines.indexOf(NEWLINE, start)
  ) {
    leaves.push(leafDigest(lines.subarray(start, end)))
  }
  return leaves
}
