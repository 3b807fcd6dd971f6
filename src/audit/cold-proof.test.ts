import { expect, test } from "vitest"
import { TreeFrontier } from "../core/frontier.ts"
import { digestAt, logSize, recordIndex } from "../core/hash-types.ts"
import { checkRecord, proveRecord } from "../core/merkle.ts"
import { leafHash } from "../core/merkle-hash.ts"
import { MemoryStore } from "../store/index.ts"
import { EDGE_PATH, rowPath, storedHashes } from "./tiles.ts"

const SIZE = 1_000_000

class CountingStore extends MemoryStore {
  reads: string[] = []

  override readRange(path: string, start: number, end?: number): Promise<Uint8Array> {
    this.reads.push(path)
    return super.readRange(path, start, end)
  }
}

test("a proof from a cold store at 1,000,000 records takes 4 reads, and a false edge is not believed", async () => {
  const leaf = leafHash(Buffer.from("{}"))
  const digest = digestAt(leaf)
  const tree = new TreeFrontier()
  for (let i = 0; i < SIZE; i++) tree.append(digest)
  const store = new CountingStore()
  for (const { level, bytes } of tree.takeRows()) await store.write(rowPath(level), bytes)
  const edge = Buffer.concat(tree.edge())
  const [size, root] = [logSize(SIZE), tree.root()]

  async function readsOf(index: number): Promise<string[]> {
    store.reads = []
    const read = await storedHashes(store, size, root)
    const proof = await proveRecord(size, recordIndex(index), read)
    checkRecord(proof, size, root, recordIndex(index), leaf)
    return store.reads
  }

  await store.write(EDGE_PATH, edge)
  for (const index of [0, 300_000, 65_536 * 15 + 3, SIZE - 65, SIZE - 1]) {
    expect((await readsOf(index)).length, `record ${index}`).toBeLessThanOrEqual(4)
  }
  expect(await readsOf(300_000)).toHaveLength(4)
  // Without an edge, with another tree's, or with one that was changed: the tiles alone, and one read more.
  for (const bytes of [new Uint8Array(0), edge.subarray(32), Buffer.from(edge).fill(1, 40, 41)]) {
    await store.write(EDGE_PATH, bytes)
    expect(await readsOf(300_000)).toHaveLength(6)
  }
}, 60_000)
