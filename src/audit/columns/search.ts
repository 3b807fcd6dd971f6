import type { LogExtent } from "../extent.ts"
import { compileFilter } from "../filter.ts"
import type { LogFiles } from "../log-files.ts"
import type { LogEntry, LogFilter } from "../types.ts"
import { fetchRows } from "./fetch.ts"
import { DamagedBlock } from "./file.ts"
import type { LogIndex, Piece } from "./log-index.ts"
import { needlesOf } from "./needles.ts"
import type { Needles } from "./needles.ts"
import { Scanner } from "./scan.ts"
import { positionOf, planFilter, selectRows } from "./select.ts"
import type { Plan } from "./select.ts"
import type { Block } from "./block.ts"

/** Where the entries of a log are looked for. */
export interface SearchedLog {
  readonly files: LogFiles
  readonly extent: LogExtent
  readonly index: LogIndex
}

export interface Search {
  readonly filter: LogFilter
  readonly order: "asc" | "desc"
  /** First index, inclusive. */
  readonly from: number
  /** Last index, exclusive. */
  readonly to: number
  /** How many entries are still wanted; whoever takes them counts it down. */
  readonly demand: { left: number }
  /** How many records were looked at: read, or passed over as bytes. Not those that the index ruled out. */
  readonly work: { scanned: number }
  readonly signal: AbortSignal | undefined
}

/**
 * The entries that a filter lets through, some at a time, in order.
 *
 * A block of the index names candidates, whose records are read and put to the test again; what is not indexed is
 * looked for among the raw bytes. A block that turns out to be damaged is dropped, and its lines are looked at instead.
 */
export async function* search(
  log: SearchedLog,
  options: Search,
): AsyncGenerator<LogEntry[], void, undefined> {
  const { filter, order, signal } = options
  const lets = compileFilter(filter)
  const plan = planFilter(filter, log.index.fields)
  const needles = needlesOf(plan, filter, log.index.fields)
  const scanner = new Scanner(log.files, log.extent)
  for await (let piece of log.index.pieces(options.from, options.to, order)) {
    signal?.throwIfAborted()
    const { block } = piece
    if (block !== undefined) {
      try {
        for await (const entries of searchBlock(log, scanner, options, { ...piece, block }, plan, needles)) {
          const last = entries.at(-1)
          if (last === undefined) continue
          yield entries.filter(lets)
          piece = after(piece, last.index, order)
        }
        continue
      } catch (error) {
        if (!(error instanceof DamagedBlock)) throw error
        log.index.drop(block, error)
      }
    }
    const { from, to } = piece
    const range = { from, to, order, signal }
    for await (const entries of scanner.scan(range, needles, options.work)) yield entries.filter(lets)
  }
}

/** When so many of a block's rows are candidates of which any may fail, they are read as they lie. */
const MOST = 1 / 8
/** Of rows that are read together, when any may fail the test. */
const FIRST_BATCH = 64
const LARGEST_BATCH = 1024

/** The candidates of a block's piece, untested, some at a time. */
async function* searchBlock(
  { files }: SearchedLog,
  scanner: Scanner,
  { order, signal, work, demand }: Search,
  { block, from, to }: Piece & { readonly block: Block },
  plan: Plan,
  needles: Needles,
): AsyncGenerator<LogEntry[], void, undefined> {
  const { rows, exact } = await selectRows(block, plan)
  if (!exact && (rows === undefined || rows.length > block.count * MOST)) {
    yield* scanner.scan({ from, to, order, signal }, needles, work)
    return
  }
  const { firstIndex } = block.header
  const candidates = rowsWithin(rows, from - firstIndex, to - firstIndex)
  let batch = FIRST_BATCH
  for (let done = 0; done < candidates.length; batch = Math.min(2 * batch, LARGEST_BATCH)) {
    signal?.throwIfAborted()
    const size = Math.min(
      exact ? Math.max(1, Math.min(demand.left, LARGEST_BATCH)) : batch,
      candidates.length - done,
    )
    const end = order === "asc" ? done + size : candidates.length - done
    const entries = await fetchRows(files, block, candidates.subarray(end - size, end))
    work.scanned += size
    done += size
    yield order === "asc" ? entries : entries.reverse()
  }
}

/** Of ascending rows, or of all there are, those in `[from, to)`. */
function rowsWithin(rows: Uint32Array | undefined, from: number, to: number): Uint32Array {
  if (rows === undefined) return Uint32Array.from({ length: to - from }, (_, n) => from + n)
  return rows.subarray(positionOf(rows, 0, from), positionOf(rows, 0, to))
}

/** What is left of a piece once the entry at `index` was yielded. */
function after(piece: Piece, index: number, order: "asc" | "desc"): Piece {
  return order === "asc" ? { ...piece, from: index + 1 } : { ...piece, to: index }
}
