import { concatBytes, utf8Text } from "../core/bytes.ts"
import { parseLine } from "../core/line.ts"
import { RecordTooLargeError } from "../core/errors.ts"
import { writeRecord } from "../core/line-encode.ts"
import type { Envelope } from "../model/index.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import { deepFreeze } from "./plain-json.ts"
import { readEnvelope } from "./records.ts"

/** Of one envelope's line in a write-ahead log, without its newline. */
export const MAX_ENVELOPE_BYTES = 1_048_576

const CHUNK_BYTES = 1_048_576
const NEWLINE = 10

/** A line as it lies in the file. */
export interface WalLine {
  /** Where it starts, in bytes. */
  readonly offset: number
  /** Without its newline. */
  readonly bytes: Uint8Array
  /** False for the last line of a file that does not end in a newline: it was torn. */
  readonly whole: boolean
}

/**
 * The envelope's line, without its newline: the same form as a line of the audit log, but longer.
 *
 * @throws RecordTooLargeError above {@link MAX_ENVELOPE_BYTES}.
 */
export function formatEnvelope(envelope: Envelope): string {
  const line = writeRecord(envelope, undefined)
  if (line.length > MAX_ENVELOPE_BYTES) throw new RecordTooLargeError(line.length, MAX_ENVELOPE_BYTES)
  return line
}

/** @throws TypeError or a HansardError for what is no envelope; fields of newer versions are passed over. */
export function parseEnvelope(bytes: Uint8Array): Envelope {
  return deepFreeze(readEnvelope(parseLine(utf8Text(bytes))))
}

/** The lines in `[from, to)`, in constant memory but for the line itself. Empty lines are passed over. */
export async function* readLines(
  store: KnowledgeStore,
  path: string,
  from: number = 0,
  to: number = Number.MAX_SAFE_INTEGER,
): AsyncGenerator<WalLine> {
  let rest: Uint8Array = new Uint8Array(0)
  let offset = from
  let next = from
  while (next < to) {
    const chunk = await store.readRange(path, next, Math.min(to, next + CHUNK_BYTES))
    if (chunk.length === 0) break
    next += chunk.length
    const bytes = rest.length === 0 ? chunk : concatBytes([rest, chunk])
    let start = 0
    for (;;) {
      const end = bytes.indexOf(NEWLINE, start === 0 ? rest.length : start)
      if (end === -1) break
      if (end > start) yield { offset: offset + start, bytes: bytes.subarray(start, end), whole: true }
      start = end + 1
    }
    rest = bytes.subarray(start)
    offset += start
  }
  if (rest.length > 0) yield { offset, bytes: rest, whole: false }
}
