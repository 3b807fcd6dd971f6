import type { LogEntry } from "../audit/index.ts"
import { encodeLine } from "../core/line.ts"
import { Names } from "./names.ts"
import { sentence } from "./sentence.ts"
import type { Shell } from "./shell.ts"
import type { KnowledgeStore } from "../store/index.ts"

/** How a command shows records: `line` verbatim, `json` with the index, `sentence` for people. */
export type Style = "line" | "json" | "sentence"

/** JSON when asked; else sentences on a terminal, and the verbatim lines into a file or a pipe. */
export function styleFor(shell: Shell, json: boolean | undefined): Style {
  return json === true ? "json" : shell.isTerminal ? "sentence" : "line"
}

/** @returns prints one entry, and resolves when more may be printed. */
export function printer(
  shell: Shell,
  store: KnowledgeStore,
  style: Style,
): (entry: LogEntry) => Promise<void> | undefined {
  const names = new Names(store)
  return (entry) => {
    if (style === "sentence") {
      return names.learn(entry.record).then(() => {
        shell.out.line(sentence(entry.index, entry.record, (id) => names.of(id), shell.colours))
        return shell.out.drained()
      })
    }
    shell.out.line(style === "json" ? jsonOf(entry) : entry.line)
    return shell.out.isFull ? shell.out.drained() : undefined
  }
}

/** `{"index":N,"record":{…}}` around the very line, unless that is not JSON: Python's bare `NaN` and `Infinity`. */
export function jsonOf({ index, line, record }: LogEntry): string {
  return `{"index":${index},"record":${isStrictJson(line) ? line : encodeLine(record)}}`
}

function isStrictJson(line: string): boolean {
  if (!line.includes("NaN") && !line.includes("Infinity")) return true
  try {
    JSON.parse(line)
    return true
  } catch {
    return false
  }
}
