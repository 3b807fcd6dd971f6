/** A checkpoint against one that was accepted before. */
import { equalBytes } from "./bytes.ts"
import { HansardError } from "./errors.ts"
import { formatForkEvidence, type ForkEvidence } from "./fork-evidence.ts"
import type { Hash } from "./hash-types.ts"
import { proveTree, treeHash } from "./merkle.ts"
import { tileHashReader } from "./tile-reader.ts"
import { presentTiles, type LogSource } from "./verify-source.ts"
import type { SignedHead } from "./verify-trust.ts"

export type Memory =
  | { readonly status: "continues" }
  /** What is shown is an older state. */
  | { readonly status: "rolled_back" }
  /** What was there before is not what is there now; the evidence says so in a form that others can check. */
  | { readonly status: "contradicts"; readonly evidence: Uint8Array }
  /** Neither lines nor tiles tell what the newer tree begins with. */
  | { readonly status: "unknown" }

/**
 * @param prefixRoot the root of the first `old.size` lines, if the lines are those of `head`; `undefined` when they are
 *   not, and the tiles must tell.
 */
export async function compareWithMemory(
  source: LogSource,
  head: SignedHead,
  old: SignedHead,
  prefixRoot: Hash | undefined,
): Promise<Memory> {
  if (old.size > head.size) return { status: "rolled_back" }
  if (old.size === head.size) {
    return equalBytes(old.root, head.root)
      ? { status: "continues" }
      : contradiction(old, head, { root: head.root, proof: [] })
  }
  // Everything continues the empty log.
  if (old.size === 0) return { status: "continues" }
  const read = tileHashReader(head.size, head.root, presentTiles(source))
  const root = prefixRoot ?? (await orNothing(() => treeHash(old.size, read)))
  if (root === undefined) return { status: "unknown" }
  if (equalBytes(root, old.root)) return { status: "continues" }
  const proof = await orNothing(() => proveTree(head.size, old.size, read))
  return contradiction(old, head, proof && { root, proof })
}

function contradiction(old: SignedHead, head: SignedHead, prefix: ForkEvidence["prefix"]): Memory {
  return {
    status: "contradicts",
    evidence: formatForkEvidence({ older: old.bytes, newer: head.bytes, prefix }),
  }
}

async function orNothing<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof HansardError && (error.code === "bad_proof" || error.code === "not_found"))
      return undefined
    throw error
  }
}
