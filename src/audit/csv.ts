import type { LogEntry } from "./types.ts"

/** The columns of an exported log: what most questions are about, and the whole record. */
export const CSV_COLUMNS = [
  "index",
  "at",
  "kind",
  "agent_id",
  "channel_id",
  "task_id",
  "outcome",
  "record",
] as const

export function csvHeader(): string {
  return csvRow(CSV_COLUMNS)
}

/** One row; `record` is the line, verbatim. */
export function csvOf({ index, line, record }: LogEntry): string {
  const cells = CSV_COLUMNS.map((column) => {
    if (column === "index") return String(index)
    if (column === "record") return line
    const value = record[column]
    return value === undefined || value === null
      ? ""
      : typeof value === "string"
        ? value
        : JSON.stringify(value)
  })
  return csvRow(cells)
}

/** RFC 4180, without its line end. */
function csvRow(cells: readonly string[]): string {
  return cells.map(csvCell).join(",")
}

/**
 * A cell that no spreadsheet takes for a formula. Texts here come from agents and whoever talks to them, and
 * `=HYPERLINK(…)` would run on the auditor's desk; an apostrophe in front makes it a text, as OWASP advises.
 */
export function csvCell(text: string): string {
  const safe = /^\s*[=+\-@\t\r\n|%＝＋－＠]/u.test(text) ? `'${text}` : text
  return /[",\r\n']/.test(safe) || safe !== safe.trim() ? `"${safe.replaceAll('"', '""')}"` : safe
}
