import type { AuditLog, LogEntry, LogFilter, LogStats, StatsOptions } from "../../src/audit/index.ts"
import { compileFilter } from "../../src/audit/index.ts"
import { Tally } from "../../src/audit/stats.ts"
import { encodeLine } from "../../src/core/line.ts"

/** Random records and filters in which everything that the index treats specially occurs. */
export class RandomLog {
  readonly #random: () => number
  #time = Date.UTC(2026, 4, 5, 10)
  #made = 0

  constructor(random: () => number) {
    this.#random = random
  }

  below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T
  }

  /** A line: ours, or one that another program might have written. */
  line(): string {
    const record = this.#record()
    if (this.#random() < 0.9) return encodeLine(record)
    const text = JSON.stringify(record)
    // The same record: a letter as an escape, other spaces, raw UTF-8.
    return this.#random() < 0.5 ? text.replaceAll("a", "\\u0061") : text.replaceAll(",", " ,")
  }

  #record(): Record<string, unknown> {
    const n = this.#made++
    this.#time += this.below(3) === 0 ? 0 : this.below(2000) - 200
    const at = new Date(this.#time).toISOString()
    const record: Record<string, unknown> = {
      at: this.pick([at, at, at, at, at.replace("Z", "+00:00"), "once", null, n]),
      kind: this.pick(["alpha", "alpha", "alpha", "beta", "gamma", "é", n % 50 === 0 ? "rare" : "beta", 7]),
      n,
    }
    const maybe = (key: string, values: readonly unknown[]): void => {
      if (this.#random() < 0.6) record[key] = this.pick(values)
    }
    maybe("agent_id", AGENTS)
    maybe("actor_id", AGENTS)
    maybe("participants", [["ana", "ben"], ["ben", "ana"], ["ana", "ana"], [], ["ana", 3, "nobody"], "ana"])
    maybe("channel_id", ["c1", "c2", "c3", null])
    if (this.#random() < 0.5) record["task_id"] = `task-${this.below(40)}`
    maybe("outcome", ["failed", "completed", null])
    maybe("region", REGIONS)
    maybe("note", ["needle in a haystack", "a 'quoted' \"text\"", "日本 😀", "\ud83d alone", "zzz"])
    return record
  }

  /** Sometimes of things that occur nowhere. */
  filter(): LogFilter {
    const maybe = <T>(share: number, value: () => T): T | undefined =>
      this.#random() < share ? value() : undefined
    const time = (): string | number => {
      const milliseconds =
        Date.UTC(2026, 4, 5, 10) + this.below(2 * (this.#time - Date.UTC(2026, 4, 5, 10)) + 1)
      return this.#random() < 0.5 ? milliseconds : new Date(milliseconds).toISOString()
    }
    const drawn = {
      kind: maybe(0.3, () =>
        this.pick<string | string[]>(["alpha", "rare", "é", "none", ["beta", "rare"], []]),
      ),
      agent: maybe(0.25, () => this.pick([...AGENTS, "nobody", "stranger"])),
      channel: maybe(0.15, () => this.pick(["c1", "c4"])),
      task: maybe(0.1, () => `task-${this.below(45)}`),
      outcome: maybe(0.15, () => this.pick(["failed", "lost"])),
      from: maybe(0.2, time),
      to: maybe(0.2, time),
      text: maybe(0.15, () =>
        this.pick(["needle", '"quoted"', "日本", "\\u65e5", "\ud83d", "a", "nowhere", "zz"]),
      ),
      where: maybe(0.2, () =>
        this.pick<NonNullable<LogFilter["where"]>>([
          { region: this.pick(REGIONS) },
          { region: "north", outcome: "failed" },
          { n: this.below(this.#made + 2) },
          { kind: 7 },
          { agent_id: "ana" },
          { channel_id: null },
          { note: "zzz" },
        ]),
      ),
      not: maybe(0.25, () =>
        this.pick<NonNullable<LogFilter["not"]>>([
          { kind: this.pick(["alpha", "é", "none"]) },
          { kind: ["beta", "rare"], outcome: "failed" },
          { agent: this.pick([...AGENTS, "stranger"]) },
          { agent: ["ana", "ben"], channel: ["c1", "c4"] },
          { task: `task-${this.below(45)}` },
          { text: this.pick(["needle", "日本", '"quoted"']) },
        ]),
      ),
    }
    return Object.fromEntries(Object.entries(drawn).filter(([, value]) => value !== undefined)) as LogFilter
  }

  statsOptions(): StatsOptions {
    const by = this.pick(["kind", "agent", "channel", "task", "outcome"] as const)
    const interval = this.pick([undefined, 1000, 10_000, 3_600_000])
    return { ...this.filter(), by, ...(interval === undefined ? {} : { interval }) }
  }
}

const AGENTS = ["ana", "ben", "cy", "ana ", "\\", 'd"e']
const REGIONS = ["north", "south", "é", "a\\b"]

/** What a filter lets through, by looking at every record. */
export function bruteForce(all: readonly LogEntry[], filter: LogFilter): number[] {
  return all.filter(compileFilter(filter)).map(({ index }) => index)
}

/** What is counted, by looking at every record. */
export function bruteStats(all: readonly LogEntry[], options: StatsOptions): Omit<LogStats, "scanned"> {
  const lets = compileFilter(options)
  const tally = new Tally(options)
  for (const entry of all) if (lets(entry)) tally.add(entry)
  return withoutScanned(tally.result())
}

export function withoutScanned({ scanned: _, ...stats }: LogStats): Omit<LogStats, "scanned"> {
  return stats
}

export async function entriesOf(log: AuditLog): Promise<LogEntry[]> {
  const all: LogEntry[] = []
  for await (const entry of log.entries()) all.push(entry)
  return all
}
