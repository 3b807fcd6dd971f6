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
  const name = path === "-" ? "standard input" : path
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of readParts(shell, path)) {
    bytes += chunk.length
    if (bytes > maxBytes) break
    chunks.push(chunk)
  }
  if (bytes > maxBytes) {
    throw new InvalidInputError(`${name} is longer than ${maxBytes} bytes`, { hint: "Name the right file." })
  }
  return Buffer.concat(chunks)
}
