/** What callers hand over, made into lines or refused. */
import { HansardError, InvalidInputError, RecordTooLargeError } from "../core/errors.ts"
import { utf8 } from "../core/bytes.ts"
import { encodeLine, MAX_LINE_BYTES, parseLine } from "../core/line.ts"
import { MAX_BATCH_BYTES } from "./recover.ts"

/**
 * The lines of records that are appended together, and their bytes with newlines.
 *
 * @throws InvalidInputError for no record at all, for more than {@link MAX_BATCH_BYTES}, and for the first record that is
 * none, with what is wrong with it as its cause.
 */
export function linesOfMany(records: readonly object[]): { lines: string[]; bytes: number } {
  if (!Array.isArray(records) || records.length === 0) {
    throw new InvalidInputError("appendMany takes an array of at least one record")
  }
  const lines: string[] = []
  let bytes = 0
  for (const [n, record] of records.entries()) {
    try {
      const line = encodeLine(record)
      lines.push(line)
      bytes += line.length + 1
    } catch (error) {
      if (!(error instanceof HansardError)) throw error
      throw new InvalidInputError(`record ${n} of ${records.length}: ${error.message}`, {
        cause: error,
        hint: `${error.hint} Nothing was appended.`,
      })
    }
    if (bytes > MAX_BATCH_BYTES) {
      throw new InvalidInputError(`more than ${MAX_BATCH_BYTES} bytes of lines are no single batch`, {
        hint: "Append them in several calls. Nothing was appended.",
      })
    }
  }
  return { lines, bytes }
}

/** The bytes of a line that comes ready-made, with its newline. @throws InvalidInputError, RecordTooLargeError */
export function bytesOfReadyLine(line: string): number {
  const bytes = utf8(line).length
  if (line.includes("\n") || line.includes("\0"))
    throw new InvalidInputError("a line holds no newline and no NUL")
  if (bytes > MAX_LINE_BYTES) throw new RecordTooLargeError(bytes, MAX_LINE_BYTES)
  parseLine(line)
  return bytes + 1
}
