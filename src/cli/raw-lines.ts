import { open } from "node:fs/promises"
import type { FileHandle } from "node:fs/promises"
import { InvalidInputError } from "../core/errors.ts"
import { MAX_INPUT_LINE_BYTES, READ_BYTES } from "./lines.ts"
import { systemError } from "./report.ts"

const NEWLINE = 0x0a

/** A line of a file, as it is. */
export interface RawLine {
  /** From 0. */
  readonly index: number
  /** Where it starts, in bytes. */
  readonly offset: number
  /** Without its newline. A view, good until the next line is asked for. */
  readonly bytes: Uint8Array
}

export async function openFile(path: string): Promise<FileHandle> {
  try {
    const file = await open(path)
    if ((await file.stat()).isFile()) return file
    await file.close()
  } catch (error) {
    throw systemError(`read ${path}`, error)
  }
  throw new InvalidInputError(`${path} is not a regular file`, { hint: "Name the file of the log." })
}

/**
 * The whole lines of a file from a place on, whatever is in them; what comes after the last newline is left alone.
 * Memory: a block and a line.
 */
export async function* rawLines(
  file: FileHandle,
  from: { readonly index: number; readonly offset: number },
  signal?: AbortSignal,
): AsyncGenerator<RawLine, void, undefined> {
  let { index, offset } = from
  let rest: Buffer = Buffer.alloc(0)
  for (;;) {
    signal?.throwIfAborted()
    const block = Buffer.allocUnsafe(READ_BYTES)
    const { bytesRead } = await file.read(block, 0, block.length, offset + rest.length)
    if (bytesRead === 0) return
    const read = block.subarray(0, bytesRead)
    const bytes = rest.length === 0 ? read : Buffer.concat([rest, read])
    let start = 0
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
      yield { index, offset: offset + start, bytes: bytes.subarray(start, end) }
      index++
      start = end + 1
    }
    rest = bytes.subarray(start)
    offset += start
    if (rest.length > MAX_INPUT_LINE_BYTES) {
      throw new InvalidInputError(`line ${index + 1} is longer than ${MAX_INPUT_LINE_BYTES} bytes`, {
        hint: "It is no log of records; nothing from that line on is read.",
      })
    }
  }
}
