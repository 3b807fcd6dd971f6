/** The limit of verification: a worker that hashes lines and nodes that are in memory, and keeps no tree. */
import { hash } from "node:crypto"
import { parentPort, workerData } from "node:worker_threads"

interface Work {
  /** Lines, each with its newline. */
  readonly lines: Uint8Array
  readonly count: number
}

const { lines, count } = workerData as Work
const bytes = Buffer.from(lines.buffer, lines.byteOffset, lines.length)
const node = Buffer.alloc(65)
const ends = new Int32Array(count + 1)
for (let i = 0, end = -1; i < count; i++) {
  end = bytes.indexOf(0x0a, end + 1)
  ends[i + 1] = end
}
parentPort?.on("message", () => {
  const start = performance.now()
  for (let i = 0; i < count; i++) {
    hash("sha256", bytes.subarray(ends[i], ends[i + 1]), "binary")
    hash("sha256", node, "binary")
  }
  parentPort?.postMessage(performance.now() - start)
})
