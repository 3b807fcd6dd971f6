import { NO_KIND } from "../stats.ts"
import type { Tally } from "../stats.ts"
import type { StatsGroup } from "../types.ts"
import type { Block } from "./block.ts"
import { bucketCounts, countIds } from "./buckets.ts"
import { codeCounts } from "./cells.ts"
import type { CellColumn, Cells } from "./cells.ts"
import { codesOf, countsOfTexts } from "./column.ts"
import type { Codes } from "./coding.ts"
import type { Dictionary } from "./column.ts"
import type { Fields } from "./fields.ts"
import { CHUNKS } from "./build.ts"
import { isRuledOut, lieInTime, selectRows } from "./select.ts"
import type { Condition, Plan } from "./select.ts"

/** What is always told, and so what a cell is made of. */
const CELL_GROUPS = ["kind", "outcome", "agent"] as const

/**
 * Adds the rows of a block that pass to a tally, without looking at a record.
 *
 * Where only kinds, outcomes and agents are asked for, it costs a look at each of the block's cells; where the block lies in several
 * buckets, at one number a row of the smaller ones; under any other condition, at the rows that pass.
 *
 * @returns how many passed; `undefined`, and nothing was added, when the columns do not say
 * @throws DamagedBlock, with nothing added: all is read before the first is
 */
export async function countBlock(
  block: Block,
  plan: Plan,
  fields: Fields,
  tally: Tally,
): Promise<number | undefined> {
  if (isRuledOut(block, plan)) return 0
  const cells = plan.residue
    ? undefined
    : await block.cells(CELL_GROUPS.map((group) => fields.columnOf(group)))
  if (cells === undefined) return undefined
  const column = fields.columnOf(tally.by)
  const own = cells.columns.find((each) => each.column === column)
  const chosen = await choose(block, plan, cells, own !== undefined && hasFewBuckets(block, tally))
  if (chosen === undefined) return undefined
  const { rows, wanted } = chosen
  const cellCounts = rows === undefined ? cells.counts : countIds(cells.ids, rows, cells.counts.length)
  const total = wanted === undefined ? (rows?.length ?? block.count) : sumOf(cells.counts, wanted)
  if (total === 0) return 0
  const counted =
    own === undefined ? await columnOf(block, column, rows) : cellsAs(own, cells, cellCounts, wanted)
  if (counted === undefined) return undefined
  const buckets = await bucketCounts(block, rows, counted, tally)
  tally.addTotal(total)
  for (const [n, { dictionary, codes }] of cells.columns.entries()) {
    const group = CELL_GROUPS[n] ?? "kind"
    const isWhole = rows === undefined && wanted === undefined
    const byCode = isWhole ? dictionary.counts : codeCounts(dictionary, codes, cellCounts, wanted)
    eachName(group, dictionary, byCode, (name, n) => tally.addNamed(group, name, n))
  }
  if (own === undefined) {
    eachName(tally.by, counted.dictionary, counted.totals, (name, n) => tally.addNamed(tally.by, name, n))
  }
  for (const [from, ids] of buckets) {
    const codes = counted.codesOf(ids)
    if (codes.every((n) => n === 0)) continue
    const bucket = tally.bucket(from)
    eachName(tally.by, counted.dictionary, codes, (name, n) => bucket.set(name, (bucket.get(name) ?? 0) + n))
  }
  return total
}

/** What goes into the buckets: a number for each row, and what it stands for. */
export interface Counted {
  readonly dictionary: Dictionary
  /** By row. */
  readonly ids: Codes
  /** Of the rows that are looked at: how many have each. */
  readonly totals: Uint32Array
  /** How many rows pass with each code, given how many rows have each number. */
  codesOf(ids: Uint32Array): Uint32Array
}

/** A column that is no part of a cell. `undefined` when it keeps no texts. */
async function columnOf(
  block: Block,
  column: number,
  rows: Uint32Array | undefined,
): Promise<Counted | undefined> {
  const dictionary = await block.dictionary(column)
  if (dictionary.texts === undefined) return undefined
  const ids = await block.codes(column)
  const totals = rows === undefined ? dictionary.counts : countIds(ids, rows, dictionary.counts.length)
  return { dictionary, ids, totals, codesOf: (codes) => codes }
}

function cellsAs(
  { dictionary, codes }: CellColumn,
  { ids }: Cells,
  totals: Uint32Array,
  wanted: Uint32Array | undefined,
): Counted {
  return { dictionary, ids, totals, codesOf: (counts) => codeCounts(dictionary, codes, counts, wanted) }
}

/** So few that one can be made for each part of the block, whether anything that passes lies in it or not. */
function hasFewBuckets({ header }: Block, { interval }: Tally): boolean {
  return interval === undefined || !(header.maxTime - header.minTime > interval * CHUNKS)
}

/** What passes: these rows, or the rows of these cells; neither: all. */
interface Chosen {
  readonly rows?: Uint32Array | undefined
  readonly wanted?: Uint32Array
}

/** `undefined` when the columns do not say which. */
async function choose(
  block: Block,
  plan: Plan,
  cells: Cells,
  mayBeCells: boolean,
): Promise<Chosen | undefined> {
  const asked = [...plan.conditions, ...plan.exclusions]
  const isOfCells = asked.every(({ column }) => cells.columns.some((each) => each.column === column))
  if (mayBeCells && isOfCells && asked.length > 0 && lieInTime(block, plan)) {
    return { wanted: wantedCells(plan, cells) }
  }
  const { rows, exact } = await selectRows(block, plan)
  return exact ? { rows } : undefined
}

function wantedCells({ conditions, exclusions }: Plan, { columns, counts }: Cells): Uint32Array {
  const testOf = ({ column, any }: Condition, found: 0 | 1): { passes: Uint8Array; codes: Uint32Array } => {
    const own = columns.find((each) => each.column === column)
    if (own === undefined) throw new Error("bug: no cell says that")
    const passes = new Uint8Array(own.dictionary.counts.length).fill(1 - found)
    for (const text of any) for (const code of codesOf(own.dictionary, column, text)) passes[code] = found
    return { passes, codes: own.codes }
  }
  const tests = [
    ...conditions.map((condition) => testOf(condition, 1)),
    ...exclusions.map((condition) => testOf(condition, 0)),
  ]
  const wanted = new Uint32Array(counts.length)
  let found = 0
  for (let cell = 0; cell < counts.length; cell++) {
    let passes = 1
    for (const test of tests) passes &= test.passes[test.codes[cell] ?? 0] ?? 0
    if (passes === 1) wanted[found++] = cell
  }
  return wanted.subarray(0, found)
}

function sumOf(counts: Uint32Array, wanted: Uint32Array): number {
  let sum = 0
  for (const cell of wanted) sum += counts[cell] ?? 0
  return sum
}

function eachName(
  group: StatsGroup,
  dictionary: Dictionary,
  counts: Uint32Array,
  add: (name: string, n: number) => void,
): void {
  const none = counts[0] ?? 0
  if (group === "kind" && none > 0) add(NO_KIND, none)
  const { texts } = dictionary
  if (texts === undefined) throw new Error("bug: a column without texts is not counted")
  const byText = countsOfTexts(dictionary, counts)
  for (let id = 0; id < texts.length; id++) {
    const n = byText[id] ?? 0
    if (n > 0) add(texts[id] ?? "", n)
  }
}
