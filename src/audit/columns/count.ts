import { compileFilter } from "../filter.ts"
import type { Tally } from "../stats.ts"
import type { LogFilter } from "../types.ts"
import type { Block } from "./block.ts"
import { countBlock } from "./count-block.ts"
import { findExtremes } from "./extremes.ts"
import { fetchRows } from "./fetch.ts"
import { DamagedBlock } from "./file.ts"
import type { Piece } from "./log-index.ts"
import { needlesOf } from "./needles.ts"
import { Scanner } from "./scan.ts"
import type { SearchedLog } from "./search.ts"
import { planFilter, selectRows } from "./select.ts"

/**
 * Adds the records that a filter lets through to a tally: of blocks whose columns answer the filter without looking at
 * a record; of the rest by reading them.
 */
export async function countLog(
  log: SearchedLog,
  filter: LogFilter,
  tally: Tally,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { files, extent, index } = log
  const lets = compileFilter(filter)
  const plan = planFilter(filter, index.fields)
  const needles = needlesOf(plan, filter, index.fields)
  const counted: Block[] = []
  const scanner = new Scanner(files, extent)
  const work = { scanned: 0 }
  const read = async ({ from, to }: Piece): Promise<void> => {
    for await (const entries of scanner.scan({ from, to, order: "asc", signal }, needles, work)) {
      for (const entry of entries) if (lets(entry)) tally.add(entry)
    }
  }
  for await (const piece of index.pieces(0, extent.size, "asc")) {
    signal?.throwIfAborted()
    const { block } = piece
    if (block === undefined) {
      await read(piece)
      continue
    }
    try {
      const passed = await countBlock(block, plan, index.fields, tally)
      if (passed !== undefined) {
        if (passed > 0) counted.push(block)
        continue
      }
      const { rows } = await selectRows(block, plan)
      if (rows === undefined) {
        await read(piece)
      } else {
        const entries = await fetchRows(files, block, rows)
        work.scanned += entries.length
        for (const entry of entries) if (lets(entry)) tally.add(entry)
      }
    } catch (error) {
      if (!(error instanceof DamagedBlock)) throw error
      index.drop(block, error)
      await read(piece)
    }
  }
  await findExtremes({ log, plan, lets, tally }, counted)
  tally.scanned(work.scanned)
}
