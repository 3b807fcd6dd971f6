import type { Codes } from "./coding.ts"
import type { Dictionary } from "./column.ts"

/** A column of those that records are counted by. */
export interface CellColumn {
  readonly column: number
  readonly dictionary: Dictionary
  /** Of each cell. */
  readonly codes: Uint32Array
}

/**
 * What occurs together in a block: a cell for each different combination of codes in a few columns.
 *
 * A hub has some thousand of them to a block of 65,536 records, so counts of what the columns tell cost a look at each
 * cell, and under any other condition, or in parts of the block, one number a row.
 *
 * Derived from the columns when it is first asked for, and kept in memory. Memory: two bytes a row, sixteen a cell.
 */
export interface Cells {
  readonly columns: readonly CellColumn[]
  /** How many rows each cell has. */
  readonly counts: Uint32Array
  /** By row: its cell. */
  readonly ids: Uint16Array
}

/** Combinations are looked up in a table as long as it has no more places. */
const MAX_TABLE = 2 ** 20

export function cellsOf(
  columns: readonly { readonly column: number; readonly dictionary: Dictionary; readonly codes: Codes }[],
  rows: number,
): Cells {
  const ids = new Uint16Array(rows)
  const firstRows: number[] = []
  const counts: number[] = []
  const places = columns.reduce((product, { dictionary }) => product * dictionary.counts.length, 1)
  const table = places <= MAX_TABLE ? new Int32Array(places) : undefined
  const map = new Map<number, number>()
  const keys = keysOf(columns, rows)
  for (let row = 0; row < rows; row++) {
    const key = keys[row] ?? 0
    let cell = (table === undefined ? (map.get(key) ?? 0) : (table[key] ?? 0)) - 1
    if (cell < 0) {
      cell = firstRows.push(row) - 1
      counts.push(0)
      if (table === undefined) map.set(key, cell + 1)
      else table[key] = cell + 1
    }
    ids[row] = cell
    counts[cell] = (counts[cell] ?? 0) + 1
  }
  return {
    columns: columns.map(({ column, dictionary, codes }) => ({
      column,
      dictionary,
      codes: Uint32Array.from(firstRows, (row) => codes[row] ?? 0),
    })),
    counts: Uint32Array.from(counts),
    ids,
  }
}

/** One number for each combination. Below 2^53: three columns of a block have at most 65,537 codes each. */
function keysOf(
  columns: readonly { readonly dictionary: Dictionary; readonly codes: Codes }[],
  rows: number,
): Float64Array {
  const keys = new Float64Array(rows)
  for (const { dictionary, codes } of columns) {
    const { length } = dictionary.counts
    for (let row = 0; row < rows; row++) keys[row] = (keys[row] ?? 0) * length + (codes[row] ?? 0)
  }
  return keys
}

/** In bytes, about. */
export function cellsBytes({ columns, counts, ids }: Cells): number {
  return ids.byteLength + (1 + columns.length) * counts.byteLength + 200
}

/**
 * How many rows have each code of a column, given how many each cell has.
 *
 * @param wanted the cells that count; `undefined`: all
 */
export function codeCounts(
  dictionary: Dictionary,
  codes: Uint32Array,
  counts: Uint32Array,
  wanted: Uint32Array | undefined,
): Uint32Array {
  const byCode = new Uint32Array(dictionary.counts.length)
  const length = wanted?.length ?? codes.length
  for (let n = 0; n < length; n++) {
    const cell = wanted === undefined ? n : (wanted[n] ?? 0)
    const code = codes[cell] ?? 0
    byCode[code] = (byCode[code] ?? 0) + (counts[cell] ?? 0)
  }
  return byCode
}
