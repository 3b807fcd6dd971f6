import { chmodSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs"
import { homedir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { utf8, utf8Text } from "../core/bytes.ts"
import { InvalidInputError } from "../core/errors.ts"
import type { AcceptedCheckpoint } from "../core/verdict.ts"
import { systemError } from "./report.ts"

/** Of the file: a thousand checkpoints with many cosignatures. */
const MAX_STATE_BYTES = 64 * 2 ** 20

type Stored = Record<string, { checkpoint: string; keys: readonly string[] }>

/**
 * The last checkpoint of each log that was accepted, in a file of the user's own (0600). Whoever can write it can make
 * a rollback pass.
 */
export class VerifierState {
  readonly path: string
  readonly #stored: Stored

  private constructor(path: string, stored: Stored) {
    this.path = path
    this.#stored = stored
  }

  static defaultPath(env: Readonly<Record<string, string | undefined>>): string {
    const config = env["XDG_CONFIG_HOME"] || join(homedir(), ".config")
    return join(config, "hansard", "checkpoints.json")
  }

  /** Nothing is remembered when there is no file. @throws InvalidInputError for one that is not ours. */
  static load(path: string): VerifierState {
    const absolute = resolve(path)
    return new VerifierState(absolute, parse(absolute, read(absolute)))
  }

  recall(origin: string): Pick<AcceptedCheckpoint, "checkpoint" | "keys"> | undefined {
    const stored = Object.hasOwn(this.#stored, origin) ? this.#stored[origin] : undefined
    return stored && { checkpoint: utf8(stored.checkpoint), keys: stored.keys }
  }

  /** Replaces the file as a whole, read again just before: others may have verified other logs meanwhile. */
  remember({ origin, checkpoint, keys }: AcceptedCheckpoint): void {
    const stored = parse(this.path, read(this.path))
    stored[origin] = { checkpoint: utf8Text(checkpoint), keys }
    try {
      mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 })
      const temporary = `${this.path}.${process.pid}.tmp`
      writeFileSync(temporary, `${JSON.stringify({ version: 1, checkpoints: stored }, undefined, 2)}\n`, {
        mode: 0o600,
      })
      chmodSync(temporary, 0o600)
      renameSync(temporary, this.path)
    } catch (error) {
      throw systemError(`write ${this.path}`, error)
    }
  }
}

function read(path: string): string | undefined {
  try {
    const stat = statSync(path, { throwIfNoEntry: false })
    if (stat === undefined) return undefined
    if (stat.size > MAX_STATE_BYTES) throw damaged(path, "it is too long")
    return readFileSync(path, "utf8")
  } catch (error) {
    throw systemError(`read ${path}`, error)
  }
}

function parse(path: string, text: string | undefined): Stored {
  const stored: Stored = Object.create(null) as Stored
  if (text === undefined) return stored
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw damaged(path, "it is not JSON", cause)
  }
  if (!isObject(value) || value["version"] !== 1 || !isObject(value["checkpoints"])) {
    throw damaged(path, "it is not what hansard writes")
  }
  for (const [origin, entry] of Object.entries(value["checkpoints"])) {
    const { checkpoint, keys } = isObject(entry) ? entry : {}
    if (
      typeof checkpoint !== "string" ||
      !Array.isArray(keys) ||
      !keys.every((key) => typeof key === "string")
    ) {
      throw damaged(path, `its entry for ${JSON.stringify(origin)} is not what hansard writes`)
    }
    stored[origin] = { checkpoint, keys }
  }
  return stored
}

function damaged(path: string, why: string, cause?: unknown): InvalidInputError {
  return new InvalidInputError(`${path} cannot be used: ${why}`, {
    cause,
    hint: "Restore it from a copy. Without it, a truncation since the last verification is not found.",
  })
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
