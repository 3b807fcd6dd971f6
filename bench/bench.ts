/**
 * What a benchmark is: a function in a file of its own, named in `main.ts`.
 *
 * It measures its contenders with `measure`, in alternating rounds of one run, and returns tables. It prints nothing and
 * judges nothing: `main.ts` prints, and writes `RESULTS.md` and JSON.
 */
import type { Result } from "./measure.ts"

export interface BenchContext {
  /** Empty, on the disk that is measured, and removed afterwards. */
  readonly folder: string
  /** How often each contender runs. */
  readonly rounds: number
  /** How long one run of a contender takes, about. */
  readonly milliseconds: number
  /** A smoke run: small data, one round; peers that need a server or an installation are left out. */
  readonly quick: boolean
}

export interface BenchTable {
  /** As in `append, 256 in flight`. */
  readonly title: string
  /** Of the figures, as in `records/s` or `ms`. */
  readonly unit: string
  /** Whether more or less of that is better. */
  readonly better: "more" | "less"
  readonly results: readonly Result[]
  /** The result that the others are compared with; only those that promise the same are. */
  readonly subject: string
  /** What the figures say: ratios, goals met or missed. One sentence each. */
  readonly notes: readonly string[]
}

export type Bench = (context: BenchContext) => Promise<readonly BenchTable[]>

/** How many times better than `other` the subject is, where both promise the same. */
export function advantage(table: BenchTable, other: Result): number | undefined {
  const subject = table.results.find(({ name }) => name === table.subject)
  if (subject === undefined || subject === other || subject.promise !== other.promise) return undefined
  return table.better === "more" ? subject.median / other.median : other.median / subject.median
}
