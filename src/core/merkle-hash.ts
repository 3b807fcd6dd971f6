/**
 * The hashes of RFC 6962, section 2.1: https://www.rfc-editor.org/rfc/rfc6962#section-2.1
 *
 * A leaf is SHA-256(0x00 ‖ data), an inner node SHA-256(0x01 ‖ left ‖ right), the empty tree SHA-256 of nothing. The
 * two prefixes keep leaves and nodes apart: without them a node's 64 bytes could be passed off as a record.
 */
import { digestOfBytes, digestOfPair, sha256 } from "#sha256"
import { invariant } from "./errors.ts"
import { hashOfDigest, type Digest, type Hash } from "./hash-types.ts"

/** What comes before a record, and before two hashes: so that no inner node can be passed off as a record. */
export const LEAF_PREFIX = 0x00
export const NODE_PREFIX = 0x01

/** Of a record's exact bytes; for a line, those without its newline. 0.6 µs for 300 bytes on Node. */
export function leafDigest(data: Uint8Array): Digest {
  return digestOfBytes(LEAF_PREFIX, data) as Digest
}

/** 0.5 µs on Node. */
export function nodeDigest(left: Digest, right: Digest): Digest {
  return digestOfPair(NODE_PREFIX, left, right) as Digest
}

/** The root of a perfect subtree: a power of two of digests. As many hashes, less one. */
export function perfectRoot(digests: readonly Digest[]): Digest {
  let level = digests
  while (level.length > 1) {
    const above: Digest[] = []
    for (let i = 0; i < level.length; i += 2) {
      const [left, right] = [level[i], level[i + 1]]
      invariant(left !== undefined && right !== undefined, "a perfect subtree has a power of two of leaves")
      above.push(nodeDigest(left, right))
    }
    level = above
  }
  invariant(level[0] !== undefined, "a subtree has a leaf")
  return level[0]
}

/** {@link leafDigest} in bytes. */
export function leafHash(data: Uint8Array): Hash {
  return hashOfDigest(leafDigest(data))
}

/** {@link nodeDigest} in bytes. */
export function nodeHash(left: Hash, right: Hash): Hash {
  const both = new Uint8Array(64)
  both.set(left)
  both.set(right, 32)
  return hashOfDigest(digestOfBytes(NODE_PREFIX, both) as Digest)
}

/** The root of the tree without records, in a fresh buffer. */
export function emptyRoot(): Hash {
  return sha256(new Uint8Array(0)) as Hash
}
