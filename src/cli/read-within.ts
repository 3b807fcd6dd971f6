import { open } from "node:fs/promises"
import { InvalidInputError } from "../core/errors.ts"
import { systemError } from "./report.ts"
import type { Shell } from "./shell.ts"

/** The parts of a file, or of standard input for `-`, as they are read. */
export async function* readParts(shell: Shell, path: string): AsyncGenerator<Uint8Array, void, undefined> {
  const name = path === "-" ? "standard input" : path
  try {
    const input = path === "-" ? shell.input : (await open(path)).createReadStream()
    yield* input as AsyncIterable<Uint8Array>
  } catch (error) {
    throw systemError(`read ${name}`, error)
  }
}

/** A whole file, or standard input for `-`. Bounded while it is read, also when it is a pipe. */
export async function readWithin(shell: Shell, path: string, maxBytes: number): Promise<Uint8Array> {
  return await joinWithin(readParts(shell, path), path, maxBytes)
}

/** What {@link readParts} gives, or what is left of it, in one. @throws InvalidInputError when it is longer. */
export async function joinWithin(
  parts: AsyncIterable<Uint8Array>,
  path: string,
  maxBytes: number,
): Promise<Uint8Array> {
  const read: Uint8Array[] = []
  let bytes = 0
  for await (const part of parts) {
    bytes += part.length
    if (bytes > maxBytes) {
      const name = path === "-" ? "standard input" : path
      throw new InvalidInputError(`${name} is longer than ${maxBytes} bytes`, {
        hint: "Name the right file.",
      })
    }
    read.push(part)
  }
  return Buffer.concat(read)
}
