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

/** An entry of a block that was parsed as a whole. */
export class ParsedEntry implements LogEntry {
  readonly index: number
  readonly offset: number
  readonly record: AuditRecord
  #text: string
  readonly #start: number
  readonly #end: number
  #line: string | undefined

  /** The line is `text` from `start` to `end`. */
  constructor(index: number, offset: number, record: AuditRecord, text: string, start: number, end: number) {
    this.index = index
    this.offset = offset
    this.record = record
    this.#text = text
    this.#start = start
    this.#end = end
  }

  get line(): string {
    if (this.#line === undefined) {
      this.#line = this.#text.slice(this.#start, this.#end)
      this.#text = ""
    }
    return this.#line
  }
}
