import type { LogExtent } from "./extent.ts"
import type { LogFiles } from "./log-files.ts"
import { readEntries } from "./read.ts"
import type { LogEntry } from "./types.ts"

export interface TailOptions {
  /** The first index wanted; it may lie in the future. */
  readonly from: number
  readonly signal?: AbortSignal | undefined
  /** Says that the log is closed: what is there is still yielded, then the tail ends. */
  readonly ended: () => boolean
}

/**
 * Every entry from an index on, past and future, each once and in order; ends when the signal aborts or the log closes.
 *
 * There is no queue between the writer and a tail, so a slow one costs the writer nothing: it takes what it needs from
 * the recent lines in memory if they still reach back far enough, and from the store otherwise. Both are read from the
 * same position, so crossing over can neither lose nor repeat an entry.
 */
export async function* tailEntries(
  files: LogFiles,
  extent: LogExtent,
  options: TailOptions,
): AsyncGenerator<LogEntry, void, undefined> {
  const { signal } = options
  let next = options.from
  while (!signal?.aborted) {
    if (next >= extent.size) {
      if (options.ended()) return
      await extent.wait(signal)
      continue
    }
    const recent = extent.recentFrom(next)
    if (recent !== undefined) {
      for (const entry of recent) {
        if (signal?.aborted) return
        yield entry
        next = entry.index + 1
      }
      continue
    }
    for await (const entry of readEntries(files, extent, { from: next, to: extent.size })) {
      if (signal?.aborted) return
      yield entry
      next = entry.index + 1
    }
  }
}
