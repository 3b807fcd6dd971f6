import { arch, cpus, platform, totalmem } from "node:os"

/** One thing that is measured: it works for about `milliseconds` and says how much it did. */
export interface Contender {
  readonly name: string
  /** What its figure promises; only figures of one promise stand beside each other. */
  readonly promise: "durable" | "not durable" | "answer" | "part"
  run(milliseconds: number): Promise<number>
}

export interface Result {
  readonly name: string
  readonly promise: Contender["promise"]
  /** Per second: the median of the rounds, and the least and greatest. */
  readonly median: number
  readonly low: number
  readonly high: number
  /** Of each round, in turn; there for whatever {@link measure} measured. */
  readonly rounds?: readonly number[]
}

/**
 * Alternating rounds, so that whatever else the machine does falls on all alike; each begins with another contender, so that what
 * comes before leaves its traces on the disk for all alike.
 */
export async function measure(
  contenders: readonly Contender[],
  rounds: number,
  milliseconds: number,
): Promise<Result[]> {
  const rates = contenders.map((): number[] => [])
  for (let round = 0; round < rounds; round++) {
    const first = Math.floor((round * contenders.length) / rounds)
    for (let n = 0; n < contenders.length; n++) {
      const i = (first + n) % contenders.length
      globalThis.gc?.()
      rates[i]?.push((await contenders[i]?.run(milliseconds)) ?? NaN)
    }
  }
  return contenders.map(({ name, promise }, i) => {
    const rounds = rates[i] ?? []
    const sorted = rounds.toSorted((a, b) => a - b)
    return { name, promise, median: median(rounds), low: sorted[0] ?? 0, high: sorted.at(-1) ?? 0, rounds }
  })
}

/** The upper one of two. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

/** The median of the ratios of each round: what slows the machine for a minute slows both. */
export function ratioOf(a: Result | undefined, b: Result | undefined): number {
  if (a?.rounds === undefined || b?.rounds === undefined) return NaN
  const { rounds } = b
  return median(a.rounds.map((value, round) => value / (rounds[round] ?? NaN)))
}

/** Repeats `batch` until the time is up. @returns things per second. */
export async function timed(milliseconds: number, batch: () => Promise<number> | number): Promise<number> {
  const start = performance.now()
  let done = 0
  for (;;) {
    done += await batch()
    const spent = performance.now() - start
    if (spent >= milliseconds) return (done / spent) * 1000
  }
}

/** Keeps `inFlight` calls under way, each caller starting its next call when its last has been answered. */
export async function keepInFlight(
  milliseconds: number,
  inFlight: number,
  call: (n: number) => Promise<unknown>,
): Promise<number> {
  const start = performance.now()
  let n = 0
  let stop = false
  const caller = async (): Promise<void> => {
    while (!stop) {
      await call(n++)
      if (performance.now() - start >= milliseconds) stop = true
    }
  }
  await Promise.all(Array.from({ length: inFlight }, caller))
  return (n / (performance.now() - start)) * 1000
}

export function describeMachine(): string {
  const processor = cpus()[0]?.model.trim() ?? "unknown processor"
  return `${cpus().length} × ${processor}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${platform()}-${arch()}, Node ${process.versions.node}`
}
