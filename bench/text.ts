/** How long it takes to find a part of a line among all of them, beside `grep`. */
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import type { BenchContext, BenchTable } from "./bench.ts"
import { measure } from "./measure.ts"
import { durations, inMillions, quantile, SearchedLog } from "./query-log.ts"
import { makeRecord } from "./records.ts"

export async function benchText(context: BenchContext): Promise<BenchTable[]> {
  await using searched = await SearchedLog.open(context)
  const { log, folder } = searched
  const { size } = log
  const files = logFiles(folder)
  // A part of an id: every block of the index has all its trigrams. Of words it has not.
  const ids = (n: number): string =>
    String(makeRecord(7 + 11 * ((n * 7919) % Math.floor(size / 12)))["task_id"]).slice(4, 24)
  const words = (n: number): string => `the moon of planet ${n} was`
  const tables: BenchTable[] = []
  for (const [title, text] of [
    ["all occurrences of a part of an id", ids],
    ["a sentence that no line holds", words],
  ] as const) {
    const results = await measure(
      [
        {
          name: "hansard",
          promise: "answer",
          run: async (time) =>
            quantile(await durations(time, (n) => log.query({ text: text(n), limit: 10_000 })), 0.5),
        },
        {
          name: "grep -F, the C locale",
          promise: "answer",
          run: async (time) => quantile(await durations(time, (n) => grep(text(n), files)), 0.5),
        },
      ],
      context.rounds,
      context.milliseconds,
    )
    const ratio = (results[1]?.median ?? NaN) / (results[0]?.median ?? NaN)
    tables.push({
      title: `${title}, ${inMillions(size)}`,
      unit: "ms",
      better: "less",
      results,
      subject: "hansard",
      notes: [`goal: ≥ 0.9 × grep: ${ratio >= 0.9 ? "met" : "missed"}`],
    })
  }
  return tables
}

function logFiles(folder: string): string[] {
  const segments = join(folder, "audit", "segments")
  const sealed = existsSync(segments) ? readdirSync(segments).map((name) => join(segments, name)) : []
  return [...sealed, join(folder, "audit", "audit.jsonl")].filter((path) => existsSync(path))
}

function grep(text: string, files: readonly string[]): void {
  const { error } = spawnSync("grep", ["-F", "-h", text, ...files], {
    env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C" },
    maxBuffer: 2 ** 30,
  })
  if (error !== undefined) throw error
}
