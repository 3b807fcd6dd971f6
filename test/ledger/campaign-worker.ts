/** One thread of the campaign: judges the flips that it is sent, and tells how many had which verdict. */
import { parentPort } from "node:worker_threads"
import { judge, type Part } from "./campaign.ts"

export interface Order {
  readonly part: Part
  readonly flips: readonly number[]
  readonly seed: number
}

export interface Tally {
  readonly part: Part
  readonly verdicts: ReadonlyMap<string, number>
  /** Of all flips whose verdict was wrong, the first few. */
  readonly surprises: readonly string[]
}

const MAX_SURPRISES = 20

parentPort?.on("message", async ({ part, flips, seed }: Order) => {
  const verdicts = new Map<string, number>()
  const surprises: string[] = []
  for (const n of flips) {
    const { verdict, surprise } = await judge(part, n, seed)
    verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1)
    if (surprise !== undefined && surprises.length < MAX_SURPRISES)
      surprises.push(`${part} ${n}: ${surprise}`)
  }
  parentPort?.postMessage({ part, verdicts, surprises } satisfies Tally)
})
