import { setImmediate as endOfTurn } from "node:timers/promises"
import { systemClock } from "../core/system.ts"
import type { ByteRange } from "./contract.ts"
import { readBytes } from "./file-system.ts"
import type { FileSystem } from "./file-system.ts"

/** In bytes: a longer range goes through the thread pool. */
const SMALL_BYTES = 64 * 1024
/** Ranges that are read in one turn of the event loop: about 0.1 ms when the page cache has them. */
const TOGETHER = 32
/** In milliseconds. When one turn's ranges take longer, the page cache does not have them. */
const SLOW_MS = 4

/**
 * Many ranges of an open file.
 *
 * A small range that the page cache has costs 2 µs when it is read at once, and 15 to 30 through the thread pool. Nothing
 * says beforehand whether it has it; so some are read at once, and as soon as that takes long, the others go through the
 * pool, where the disk can work on many at a time. The event loop stands still for one turn's ranges, once.
 *
 * @param size where the file ends for a reader
 */
export async function readFileRanges(
  fs: FileSystem,
  fd: number,
  size: number,
  ranges: readonly ByteRange[],
): Promise<Uint8Array[]> {
  const found: Uint8Array[] = []
  let isCached = true
  for (let first = 0; first < ranges.length; first += TOGETHER) {
    const together = ranges.slice(first, first + TOGETHER).map(({ start, end }) => {
      const stop = Math.min(end, size)
      return { start, end: Math.max(start, stop) }
    })
    if (!isCached || together.some(({ start, end }) => end - start > SMALL_BYTES)) {
      found.push(...(await Promise.all(together.map(({ start, end }) => readBytes(fs, fd, start, end)))))
      continue
    }
    const before = systemClock()
    for (const { start, end } of together) found.push(readAtOnce(fs, fd, start, end))
    if (systemClock() - before > SLOW_MS) isCached = false
    if (first + TOGETHER < ranges.length) await endOfTurn()
  }
  return found
}

function readAtOnce(fs: FileSystem, fd: number, start: number, end: number): Uint8Array {
  const bytes = new Uint8Array(end - start)
  for (let done = 0; done < bytes.length;) {
    const got = fs.readSync(fd, bytes, done, bytes.length - done, start + done)
    if (got === 0) return bytes.slice(0, done)
    done += got
  }
  return bytes
}
