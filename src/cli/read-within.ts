import { open } from "node:fs/promises"
import { InvalidInputError } from "../core/errors.ts"
import { systemError } from "./report.ts"
import type { Shell } from "./shell.ts"

/** A whole file, or standard input for `-`. Bounded while it is read, also when it is a pipe. */
export async function readWithin(shell: Shell, path: string, maxBytes: number): Promise<Uint8Array> {
  const name = path === "-" ? "standard input" : path
  const chunks: Uint8Array[] = []
  let bytes = 0
  try {
    const input = path === "-" ? shell.input : (await open(path)).createReadStream()
    for await (const chunk of input as AsyncIterable<Uint8Array>) {
      bytes += chunk.length
      if (bytes > maxBytes) break
      chunks.push(chunk)
    }
  } catch (error) {
    throw systemError(`read ${name}`, error)
  }
  if (bytes > maxBytes) {
    throw new InvalidInputError(`${name} is longer than ${maxBytes} bytes`, { hint: "Name the right file." })
  }
  return Buffer.concat(chunks)
}
