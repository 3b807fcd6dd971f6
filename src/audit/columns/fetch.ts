import type { LogFiles } from "../log-files.ts"
import { checkedEntry, view } from "../read.ts"
import type { LogEntry } from "../types.ts"
import type { Block } from "./block.ts"
import { DamagedBlock } from "./file.ts"

/** In bytes. Reading so much in vain costs about what one more read does: 2 µs where many are read at once, else 30. */
const CHEAP_GAP = 8 * 1024
const MAX_GAP = 64 * 1024
/** In bytes, of one read, unless one line is longer. */
const MAX_READ = 1024 * 1024
/** In bytes, of reads that are under way together. */
const MAX_UNDER_WAY = 8 * 1024 * 1024

const NEWLINE = 0x0a

/**
 * The entries at ascending rows of a block: one read for neighbours, several reads at a time.
 *
 * @throws DamagedBlock when the lines do not lie where the block says: it is of another log.
 * @throws TamperedError for a line that is not a record.
 */
export async function fetchRows(files: LogFiles, block: Block, rows: Uint32Array): Promise<LogEntry[]> {
  const lines = await block.offsets()
  const offsets = lines.of(rows)
  const entries: LogEntry[] = []
  const gap = files.readsManyCheaply ? CHEAP_GAP : MAX_GAP
  const { firstIndex } = block.header
  const ends = Float64Array.from(offsets, (offset, i) => offset + lines.length(rows[i] ?? 0))
  for (let first = 0; first < rows.length;) {
    const groups: Group[] = []
    for (let bytes = 0; first < rows.length && bytes < MAX_UNDER_WAY;) {
      const group = groupFrom(offsets, ends, first, gap)
      groups.push(group)
      bytes += group.end - group.start
      first = group.last
    }
    const reads = await files.readMany(groups)
    for (const [n, group] of groups.entries()) {
      const bytes = view(reads[n] ?? new Uint8Array(0))
      if (bytes.length !== group.end - group.start) throw new DamagedBlock("the log is shorter")
      for (let i = group.first; i < group.last; i++) {
        const offset = offsets[i] ?? 0
        const start = offset - group.start
        const end = (ends[i] ?? 0) - group.start
        if ((start > 0 && bytes[start - 1] !== NEWLINE) || bytes[end] !== NEWLINE) {
          throw new DamagedBlock(`no line lies at byte ${offset}`)
        }
        entries.push(checkedEntry(bytes.subarray(start, end), firstIndex + (rows[i] ?? 0), offset))
      }
    }
  }
  return entries
}

/** Rows that are read together: `[first, last)` of the rows. */
interface Group {
  readonly first: number
  readonly last: number
  /** With the newline before, if any, and the one after. */
  readonly start: number
  readonly end: number
}

function groupFrom(offsets: Float64Array, ends: Float64Array, first: number, gap: number): Group {
  const start = Math.max(0, (offsets[first] ?? 0) - 1)
  let end = (ends[first] ?? 0) + 1
  let last = first + 1
  for (; last < offsets.length; last++) {
    const next = (ends[last] ?? 0) + 1
    if ((offsets[last] ?? 0) - end > gap || next - start > MAX_READ) break
    end = next
  }
  return { first, last, start, end }
}
