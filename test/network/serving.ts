import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { onTestFinished } from "vitest"
import { BIN } from "../cli/run.ts"

/** `hansard serve` in a process of its own, on a free port. */
export class Serving {
  readonly url: string
  readonly hubUrl: string
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, url: string, hubUrl: string) {
    this.#child = child
    this.url = url
    this.hubUrl = hubUrl
  }

  static async start(dir: string, ...args: string[]): Promise<Serving> {
    const child = spawn(process.execPath, [BIN, "serve", "--json", "--port", "0", "--dir", dir, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    })
    onTestFinished(() => void child.kill("SIGKILL"))
    let stderr = ""
    child.stderr.on("data", (text) => (stderr += String(text)))
    for await (const line of createInterface(child.stdout)) {
      const { url, hub_url } = JSON.parse(line) as { url: string; hub_url: string }
      return new Serving(child, url, hub_url)
    }
    throw new Error(`serve ended before it listened:\n${stderr}`)
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** As an operator does it. @returns the exit status. */
  async stop(): Promise<number | null> {
    const ended = once(this.#child, "exit")
    this.#child.kill("SIGTERM")
    const [status] = (await ended) as [number | null]
    return status
  }

  /** As a power cut does it. */
  async kill(): Promise<void> {
    const ended = once(this.#child, "exit")
    this.#child.kill("SIGKILL")
    await ended
  }
}
