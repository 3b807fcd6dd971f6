import { spawn } from "node:child_process"
import { join } from "node:path"
import { expect } from "vitest"

/**
 * Runs a file of this folder and kills it `milliseconds` after it has first said something, which it does once it is open.
 *
 * @returns what it had said; the last line may have been cut off by the kill.
 */
export async function liveAndDie(
  file: string,
  args: readonly (string | number)[],
  milliseconds: number,
): Promise<string> {
  const child = spawn(process.execPath, [join(import.meta.dirname, file), ...args.map(String)], {
    stdio: ["ignore", "pipe", "pipe"],
  })
  let [said, complaints] = ["", ""]
  child.stderr.on("data", (chunk: Buffer) => (complaints += chunk.toString()))
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()))
  child.stdout.once("data", () => setTimeout(() => child.kill("SIGKILL"), milliseconds))
  const signal = await new Promise<string | null>((resolve) => child.on("close", (_code, by) => resolve(by)))
  expect(signal, complaints).toBe("SIGKILL")
  return said
}
