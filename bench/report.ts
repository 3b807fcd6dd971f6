/** Tables for people: on the terminal, and in `RESULTS.md`, where each benchmark has a section that its run replaces. */
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { advantage } from "./bench.ts"
import type { BenchTable } from "./bench.ts"

export interface Report {
  readonly name: string
  readonly machine: string
  readonly at: string
  readonly rounds: number
  readonly milliseconds: number
  readonly tables: readonly BenchTable[]
}

/** At least three digits that mean something, and no more than the figure has. */
export function formatFigure(value: number): string {
  if (!Number.isFinite(value)) return "–"
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en")
  return String(Number(value.toPrecision(3)))
}

export function formatTable(table: BenchTable): string {
  const lines = [`${table.title}: ${table.unit}, median (least–greatest)`]
  for (const result of table.results) {
    const figure = formatFigure(result.median).padStart(12)
    const spread = `(${formatFigure(result.low)}–${formatFigure(result.high)})`
    const times = advantage(table, result)
    const beside =
      times === undefined ? (result.name === table.subject ? "" : result.promise) : `${formatTimes(times)}`
    lines.push(`  ${result.name.padEnd(44)}${figure}  ${spread.padEnd(26)} ${beside}`.trimEnd())
  }
  for (const note of table.notes) lines.push(`  ${note}`)
  return lines.join("\n")
}

const formatTimes = (times: number): string => `we are ${times.toFixed(2)} ×`

/** Replaces the section of this benchmark, or adds it. */
export function writeResults(path: string, report: Report): void {
  const begin = `<!-- begin ${report.name} -->`
  const end = `<!-- end ${report.name} -->`
  const section = `${begin}\n\n${formatSection(report)}\n\n${end}`
  const before = existsSync(path) ? readFileSync(path, "utf8") : HEAD
  const from = before.indexOf(begin)
  const to = before.indexOf(end)
  const after =
    from === -1 || to === -1
      ? `${before.trimEnd()}\n\n${section}\n`
      : before.slice(0, from) + section + before.slice(to + end.length)
  writeFileSync(path, after)
}

const HEAD = `# Results

Written by \`npm run bench\`. Each section names the machine and the run. Compare the ratios: the figures themselves move
with the machine and the hour. Only what makes the same promise is compared; "durable" means that the figure counts what was acknowledged
after the contender's own sync.
`

function formatSection({ name, machine, at, rounds, milliseconds, tables }: Report): string {
  const facts = `${machine}. ${at}. ${rounds} alternating rounds of ${milliseconds} ms.`
  return [`## ${name}`, facts, ...tables.map(formatMarkdown)].join("\n\n")
}

function formatMarkdown(table: BenchTable): string {
  const rows = table.results.map((result) => {
    const times = advantage(table, result)
    const compared = times === undefined ? "" : `${times.toFixed(2)} ×`
    const spread = `${formatFigure(result.low)}–${formatFigure(result.high)}`
    return [result.name, result.promise, formatFigure(result.median), spread, compared]
  })
  const all = [["", "promise", table.unit, "least–greatest", `${table.subject} is`], ...rows]
  const widths =
    all[0]?.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length), 3)) ?? []
  const right = (column: number): boolean => column >= 2
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, i) => (right(i) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0))).join(" | ")} |`
  const rule = `| ${widths.map((width, i) => (right(i) ? `${"-".repeat(width - 1)}:` : "-".repeat(width))).join(" | ")} |`
  const table_ = [line(all[0] ?? []), rule, ...rows.map(line)].join("\n")
  const notes = table.notes.map((note) => `- ${note}`).join("\n")
  return [`### ${table.title}`, table_, ...(notes === "" ? [] : [notes])].join("\n\n")
}
