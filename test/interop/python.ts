/** AG2 in its virtual environment, which `setup.sh` makes. */
import { spawn, spawnSync } from "node:child_process"
import type { ChildProcessWithoutNullStreams } from "node:child_process"
import { existsSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"

const VERSION = "1.2.1"
const VENV =
  process.env["HANSARD_AG2_VENV"] ??
  join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), `hansard/ag2-${VERSION}`)

export const PYTHON: string = join(VENV, "bin/python")

/** Why these tests cannot run here; `undefined` when they can. */
export function whyNot(): string | undefined {
  if (!existsSync(PYTHON)) return `there is no AG2 in ${VENV}: run test/interop/setup.sh`
  const { status, stderr } = spawnSync(PYTHON, ["-c", "import ag2.network, watchdog, websockets"], {
    encoding: "utf8",
  })
  return status === 0 ? undefined : `AG2 cannot be loaded from ${VENV}: ${stderr.trim().split("\n").at(-1)}`
}

/** Runs a script of this folder to its end, and reads the JSON that it prints. */
export function runPython<T>(script: string, ...args: string[]): T {
  const { status, stdout, stderr } = spawnSync(PYTHON, [join(import.meta.dirname, script), ...args], {
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  })
  if (status !== 0) throw new Error(`${script} ended with ${status}:\n${stderr}`)
  return JSON.parse(stdout) as T
}

export type Step = { readonly step: string } & Readonly<Record<string, unknown>>

/** A script that runs beside the test, and tells its steps line by line. */
export class PythonProcess {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #lines: AsyncIterator<string>
  #stderr = ""

  constructor(script: string, ...args: string[]) {
    this.#child = spawn(PYTHON, [join(import.meta.dirname, script), ...args])
    this.#child.stderr.on("data", (text) => (this.#stderr += String(text)))
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]()
  }

  /** The next step, which must be this one. */
  async step(name: string): Promise<Step> {
    const { value, done } = await this.#lines.next()
    if (done === true) throw new Error(`the script ended before ${name}:\n${this.#stderr}`)
    const step = JSON.parse(value) as Step
    if (step.step !== name) throw new Error(`the script told ${value} instead of ${name}`)
    return step
  }

  /** Lets it go on where it waits for a line. */
  proceed(): void {
    this.#child.stdin.write("\n")
  }

  stop(): void {
    this.#child.kill("SIGKILL")
  }
}
