import { isUtf8 } from "node:buffer"

/** In bytes. Far above what a record may take; it only keeps a file without newlines from filling the memory. */
export const MAX_INPUT_LINE_BYTES = 1_048_576

/** How much of a file is read at once. */
export const READ_BYTES = 262_144

export interface InputLine {
  /** From 1. */
  readonly number: number
  readonly text: string
  /** Why it cannot be used; then `text` is empty. */
  readonly problem?: string
  /** False only for the last line of an input that does not end in a newline. */
  readonly isComplete: boolean
  /** Without the newline. */
  readonly bytes: number
}

const NEWLINE = 0x0a

/** The lines of a stream, in groups as they come. Memory: a chunk and one line, at most {@link MAX_INPUT_LINE_BYTES}. */
export async function* readLines(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<readonly InputLine[], void, undefined> {
  let number = 1
  /** The start of the line that is being read; dropped when the line turns out to be too long. */
  let held: Buffer[] = []
  let heldBytes = 0
  const take = (rest: Buffer, isComplete: boolean): InputLine => {
    const bytes = heldBytes + rest.length
    const line = makeLine(
      number++,
      held.length === 0 ? rest : Buffer.concat([...held, rest]),
      bytes,
      isComplete,
    )
    held = []
    heldBytes = 0
    return line
  }
  for await (const part of source) {
    const chunk = Buffer.from(part.buffer, part.byteOffset, part.byteLength)
    const lines: InputLine[] = []
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      lines.push(take(chunk.subarray(start, end), true))
      start = end + 1
    }
    const rest = chunk.subarray(start)
    if (heldBytes + rest.length > MAX_INPUT_LINE_BYTES) held = []
    else if (rest.length > 0) held.push(Buffer.from(rest))
    heldBytes += rest.length
    if (lines.length > 0) yield lines
  }
  if (heldBytes > 0) yield [take(Buffer.alloc(0), false)]
}

function makeLine(number: number, content: Buffer, bytes: number, isComplete: boolean): InputLine {
  if (bytes > MAX_INPUT_LINE_BYTES) {
    const problem = `is ${bytes} bytes long; at most ${MAX_INPUT_LINE_BYTES} are read`
    return { number, text: "", problem, isComplete, bytes }
  }
  if (!isUtf8(content)) return { number, text: "", problem: "is not UTF-8", isComplete, bytes }
  return { number, text: content.toString("utf8"), isComplete, bytes }
}
