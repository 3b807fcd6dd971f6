import { TamperedError } from "../core/errors.ts"
import { parseLine } from "../core/line.ts"
import type { AuditRecord, LogEntry } from "./types.ts"

/** An entry whose record is parsed when somebody asks for it. Only for lines that are known to be good. */
export function entryOf(index: number, offset: number, line: string): LogEntry {
  return new LazyEntry(index, offset, line)
}

/**
 * An entry whose record is parsed now.
 *
 * @throws TamperedError when the line is not a record: what we write always is.
 */
export function checkedEntryOf(index: number, offset: number, line: string): LogEntry {
  const entry = new LazyEntry(index, offset, line)
  void entry.record
  return entry
}

class LazyEntry implements LogEntry {
  readonly index: number
  readonly offset: number
  readonly line: string
  #record: AuditRecord | undefined

  constructor(index: number, offset: number, line: string) {
    this.index = index
    this.offset = offset
    this.line = line
  }

  get record(): AuditRecord {
    return (this.#record ??= this.#parse())
  }

  #parse(): AuditRecord {
    try {
      return parseLine(this.line)
    } catch (cause) {
      const start = JSON.stringify(this.line.slice(0, 60))
      throw new TamperedError(
        `record ${this.index}, at byte ${this.offset}, is not a JSON object: ${start}`,
        this.index,
        this.offset,
        { cause },
      )
    }
  }
}
