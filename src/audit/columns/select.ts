import { AGENT_FIELDS, textForms, timeBound } from "../filter.ts"
import type { LogFilter } from "../types.ts"
import type { Block } from "./block.ts"
import type { Codes } from "./coding.ts"
import { codesOf } from "./column.ts"
import type { Fields } from "./fields.ts"

/** What of a filter the index can answer. */
export interface Plan {
  /** All must hold. */
  readonly conditions: readonly Condition[]
  /** None may hold. */
  readonly exclusions: readonly Condition[]
  readonly from: number
  readonly to: number
  readonly hasTime: boolean
  /** A line must contain one of them; none: no text is wanted. */
  readonly texts: readonly string[]
  /** The filter asks for more than conditions and times: each record has to be looked at. */
  readonly residue: boolean
}

/** A row holds one of the values in this column. */
export interface Condition {
  readonly column: number
  readonly any: readonly string[]
}

const AGENT_KEYS = new Set<string>(AGENT_FIELDS)

/** @throws InvalidInputError for a filter that is none. */
export function planFilter(filter: LogFilter, fields: Fields): Plan {
  const conditions: Condition[] = []
  const add = (column: number, any: readonly string[] | undefined): void => {
    if (any !== undefined) conditions.push({ column, any })
  }
  const one = (value: string | undefined): readonly string[] | undefined =>
    value === undefined ? undefined : [value]
  add(fields.columnOf("kind"), filter.kind === undefined ? undefined : [filter.kind].flat())
  add(fields.columnOf("agent"), one(filter.agent))
  add(fields.columnOf("channel"), one(filter.channel))
  add(fields.columnOf("task"), one(filter.task))
  add(fields.columnOf("outcome"), one(filter.outcome))
  let residue = false
  for (const [key, value] of Object.entries(filter.where ?? {})) {
    const column = fields.columnOfKey(key)
    const isExact = column !== undefined && typeof value === "string"
    if (isExact) add(column, [value])
    else residue = true
    // The column says that some field names the agent, and not which.
    if (AGENT_KEYS.has(key) && typeof value === "string") add(fields.columnOf("agent"), [value])
  }
  const exclusions = (["kind", "agent", "channel", "task", "outcome"] as const).flatMap((name) => {
    const values = filter.not?.[name]
    return values === undefined ? [] : [{ column: fields.columnOf(name), any: [values].flat() }]
  })
  const from = timeBound(filter.from, "from")
  const to = timeBound(filter.to, "to")
  const texts = textForms(filter.text)
  return {
    conditions,
    exclusions,
    from: from ?? -Infinity,
    to: to ?? Infinity,
    hasTime: from !== undefined || to !== undefined,
    texts,
    residue: residue || texts.length > 0 || filter.not?.text !== undefined,
  }
}

/** The rows of a block that may pass. */
export interface Selection {
  /** Ascending. `undefined`: every row of the block. */
  readonly rows: Uint32Array | undefined
  /** They pass, all of them: nobody has to look at the records. */
  readonly exact: boolean
}

const NOTHING: Selection = { rows: new Uint32Array(0), exact: true }

/** Whether what of the block is in memory says already that no row passes. */
export function isRuledOut(block: Block, { conditions, hasTime, from, to }: Plan): boolean {
  const { minTime, maxTime } = block.header
  // Also where no record of the block has a time: both are NaN then.
  if (hasTime && !(minTime < to && maxTime >= from)) return true
  return !conditions.every(({ column, any }) => any.some((text) => block.mayHold(column, text)))
}

/** Whether the times of all rows are known to pass. */
export function lieInTime({ header, isTimed }: Block, { hasTime, from, to }: Plan): boolean {
  return !hasTime || (isTimed && header.minTime >= from && header.maxTime < to)
}

/** Costs a look at one code a row for the rarest condition, and at one a candidate for each other. */
export async function selectRows(block: Block, plan: Plan): Promise<Selection> {
  const { conditions, texts } = plan
  if (isRuledOut(block, plan)) return NOTHING
  const hasTime = !lieInTime(block, plan)
  if (texts.length > 0 && !(await block.mayContain(texts))) return NOTHING
  const tests: Test[] = []
  let exact = !plan.residue
  for (const { column, any } of conditions) {
    const dictionary = await block.dictionary(column)
    const codes = [...new Set(any.flatMap((text) => codesOf(dictionary, column, text)))]
    if (codes.length === 0) return NOTHING
    if (dictionary.texts === undefined) exact = false
    const rows = codes.reduce((sum, code) => sum + (dictionary.counts[code] ?? 0), 0)
    if (rows === block.count) continue
    const wanted = new Uint8Array(dictionary.counts.length)
    for (const code of codes) wanted[code] = 1
    tests.push({
      codes: await block.codes(column),
      few: codes.length <= FEW ? codes : undefined,
      wanted,
      rows,
    })
  }
  for (const { column, any } of plan.exclusions) {
    const excluding = await exclusion(block, column, any)
    if (excluding === "unknown") exact = false
    else if (excluding !== undefined) tests.push(excluding)
  }
  tests.sort((a, b) => a.rows - b.rows)
  if (tests.length === 0 && !hasTime) return { rows: undefined, exact }
  const candidates = rowsPassing(tests, block.count)
  return { rows: hasTime ? await inTime(block, candidates, plan) : candidates, exact }
}

/**
 * Every row but those with one of the values; `undefined` when that is every row. Hashes alone may take other values for
 * these and would leave out too much: then the records tell.
 */
async function exclusion(
  block: Block,
  column: number,
  any: readonly string[],
): Promise<Test | "unknown" | undefined> {
  const dictionary = await block.dictionary(column)
  if (dictionary.texts === undefined) return "unknown"
  const codes = [...new Set(any.flatMap((text) => codesOf(dictionary, column, text)))]
  if (codes.length === 0) return undefined
  const wanted = new Uint8Array(dictionary.counts.length).fill(1)
  for (const code of codes) wanted[code] = 0
  const excluded = codes.reduce((sum, code) => sum + (dictionary.counts[code] ?? 0), 0)
  return { codes: await block.codes(column), few: undefined, wanted, rows: block.count - excluded }
}

interface Test {
  readonly codes: Codes
  /** The codes that pass, if they are few. */
  readonly few: readonly number[] | undefined
  /** By code: 1 passes. */
  readonly wanted: Uint8Array
  /** How many rows pass. */
  readonly rows: number
}

function rowsPassing(tests: readonly Test[], count: number): Uint32Array {
  const [first, ...others] = tests
  const rows = new Uint32Array(first?.rows ?? count)
  if (first === undefined) {
    for (let row = 0; row < count; row++) rows[row] = row
    return rows
  }
  let found =
    first.few !== undefined && first.rows < count * RARE
      ? jump(first.codes, first.few, rows)
      : find(first, rows)
  for (const test of others) found = keep(test, rows, found)
  return rows.subarray(0, found)
}

/** Below this share of the rows, jumping from one to the next is faster than looking at each. */
const RARE = 1 / 64

/** Codes that may be jumped to, one after the other. */
const FEW = 8

function jump(codes: Codes, few: readonly number[], rows: Uint32Array): number {
  // A buffer finds a byte in a third of the time.
  const searched =
    codes instanceof Uint8Array ? Buffer.from(codes.buffer, codes.byteOffset, codes.length) : codes
  let found = 0
  for (const code of few) {
    for (let row = searched.indexOf(code); row !== -1; row = searched.indexOf(code, row + 1))
      rows[found++] = row
  }
  if (few.length > 1) rows.subarray(0, found).sort()
  return found
}

// The two loops of each function differ in nothing but the type that the compiler sees, which makes them twice as fast:
// almost all columns have bytes, and one loop for all types would be slow for all.

function find({ codes, wanted }: Test, rows: Uint32Array): number {
  let found = 0
  if (codes instanceof Uint8Array) {
    for (let row = 0; row < codes.length; row++) if (wanted[codes[row] ?? 0] === 1) rows[found++] = row
  } else {
    for (let row = 0; row < codes.length; row++) if (wanted[codes[row] ?? 0] === 1) rows[found++] = row
  }
  return found
}

/** Of the first `count` rows those that pass, moved to the front. */
function keep({ codes, wanted }: Test, rows: Uint32Array, count: number): number {
  let kept = 0
  if (codes instanceof Uint8Array) {
    for (let i = 0; i < count; i++) {
      const row = rows[i] ?? 0
      if (wanted[codes[row] ?? 0] === 1) rows[kept++] = row
    }
  } else {
    for (let i = 0; i < count; i++) {
      const row = rows[i] ?? 0
      if (wanted[codes[row] ?? 0] === 1) rows[kept++] = row
    }
  }
  return kept
}

/** Of the candidates, those whose time lies in the range. Times are decoded only of chunks that reach across an end. */
async function inTime(block: Block, candidates: Uint32Array, { from, to }: Plan): Promise<Uint32Array> {
  const { ranges } = block
  const { chunkRows } = block.header
  const kept = new Uint32Array(candidates.length)
  let count = 0
  for (let i = 0; i < candidates.length;) {
    const chunk = Math.floor((candidates[i] ?? 0) / chunkRows)
    const last = positionOf(candidates, i, (chunk + 1) * chunkRows)
    const low = ranges[chunk * 2] ?? -Infinity
    const high = ranges[chunk * 2 + 1] ?? Infinity
    if (low >= from && high < to) {
      kept.set(candidates.subarray(i, last), count)
      count += last - i
    } else if (low < to && high >= from) {
      const times = await block.times(chunk)
      for (let at = i; at < last; at++) {
        const row = candidates[at] ?? 0
        const time = times[row - chunk * chunkRows] ?? NaN
        if (time >= from && time < to) kept[count++] = row
      }
    }
    i = last
  }
  return kept.subarray(0, count)
}

/** The first position from `i` on whose row is not below `end`; the length when there is none. */
export function positionOf(rows: Uint32Array, i: number, end: number): number {
  let low = i
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((rows[middle] ?? 0) < end) low = middle + 1
    else high = middle
  }
  return low
}
