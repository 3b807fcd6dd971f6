import { spawn, spawnSync } from "node:child_process"
import type { ChildProcessWithoutNullStreams, SpawnOptionsWithoutStdio } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { onTestFinished } from "vitest"

export const ROOT: string = join(import.meta.dirname, "../..")
export const BIN: string = join(ROOT, "dist/cli/bin.js")

export interface Done {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Builds what the tests run, unless it is as new as the sources. Call it in `beforeAll`. */
export function build(): void {
  const done = spawnSync(process.execPath, [join(ROOT, "dev/run.mjs"), "hansard", "--version"], {
    encoding: "utf8",
  })
  if (done.status !== 0) throw new Error(`the build failed:\n${done.stdout}${done.stderr}`)
}

/** A folder of the test's own, gone with it. */
export function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "hansard-cli-"))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Runs the command to its end. That it made a signing key is left out of `stderr`, unless `keyNotice` is set. */
export function hansard(
  args: readonly string[],
  options: {
    input?: string | Buffer
    cwd?: string
    keyNotice?: boolean
    env?: Readonly<Record<string, string>>
  } = {},
): Done {
  const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, ...args], {
    input: options.input ?? "",
    cwd: options.cwd ?? tmpdir(),
    encoding: "utf8",
    env: { ...quietEnv(), ...options.env },
    maxBuffer: 1 << 28,
    timeout: 60_000,
  })
  return { status, stdout, stderr: options.keyNotice === true ? stderr : stderr.replace(KEY_NOTICE, "") }
}

const KEY_NOTICE = /^(hansard: made a signing key, |\{"made_key":).*\n/m

/** A command that runs beside the test, and is killed with it. */
export class Running {
  readonly child: ChildProcessWithoutNullStreams
  readonly ended: Promise<number | null>
  stdout = ""
  stderr = ""
  #onOutput: () => void = () => {}

  constructor(args: readonly string[], options: SpawnOptionsWithoutStdio = {}) {
    this.child = spawn(process.execPath, [BIN, ...args], { cwd: tmpdir(), env: quietEnv(), ...options })
    this.child.stdout.on("data", (data: Buffer) => {
      this.stdout += data.toString()
      this.#onOutput()
    })
    this.child.stderr.on("data", (data: Buffer) => {
      this.stderr += data.toString()
      this.#onOutput()
    })
    this.child.stdin.on("error", () => {})
    this.ended = new Promise((resolve) => this.child.on("close", resolve))
    void this.ended.then(() => this.#onOutput())
    onTestFinished(() => void this.child.kill("SIGKILL"))
  }

  /** Resolves when the output matches; rejects when the command ends without. */
  async until(pattern: RegExp): Promise<void> {
    let ended = false
    void this.ended.then(() => (ended = true))
    while (!pattern.test(this.stdout)) {
      if (ended) throw new Error(`ended without ${pattern}:\n${this.stdout}\n${this.stderr}`)
      // Also called when it ends.
      await new Promise<void>((resolve) => (this.#onOutput = resolve))
    }
  }
}

/** JSON Lines of `count` records. */
export function records(count: number, kind = "noted"): string {
  return Array.from({ length: count }, (_, n) => `${JSON.stringify({ at: AT, kind, n })}\n`).join("")
}

export const AT = "2026-05-05T10:00:00.000Z"

/** The log of a data folder, as its bytes. */
export function logText(dir: string): string {
  return readFileSync(join(dir, "store/audit/audit.jsonl"), "utf8")
}

export function jsonLines(text: string): unknown[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as unknown)
}

function quietEnv(): NodeJS.ProcessEnv {
  const env = { ...process.env }
  // Vitest's own, which would colour or change what a command prints.
  for (const name of ["FORCE_COLOR", "NO_COLOR", "NODE_OPTIONS", "NODE_ENV", "VITEST"]) delete env[name]
  return env
}
