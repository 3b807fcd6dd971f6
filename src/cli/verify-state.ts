import { chmodSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs"
import { homedir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { utf8, utf8Text } from "../core/bytes.ts"
import { InvalidInputError } from "../core/errors.ts"
import type { AcceptedCheckpoint } from "../core/verdict.ts"
import type { ScanState } from "../core/verify-scan.ts"
import { systemError } from "./report.ts"

/** Of the file: a thousand checkpoints with many cosignatures. */
const MAX_STATE_BYTES = 64 * 2 ** 20

type Accepted = Record<string, { checkpoint: string; keys: readonly string[] }>

interface Stored {
  readonly checkpoints: Accepted
  /** By the names of logs: where their verification was interrupted. */
  readonly unfinished: Record<string, unknown>
}

/**
 * The last checkpoint of each log that was accepted, and where a verification was when it was interrupted, in a file of
 * the user's own (0600). Whoever can write it can make a rollback pass, or have lines passed over that a verdict then
 * names as its condition.
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
    const stored = this.#stored.checkpoints[origin]
    return stored && { checkpoint: utf8(stored.checkpoint), keys: stored.keys }
  }

  remember({ origin, checkpoint, keys }: AcceptedCheckpoint): void {
    this.#change(({ checkpoints }) => {
      checkpoints[origin] = { checkpoint: utf8Text(checkpoint), keys }
    })
  }

  /** `undefined` when there is none, and for one that is not what this version writes: then all is read again. */
  unfinished(log: string): ScanState | undefined {
    const state = this.#stored.unfinished[log]
    return isScanState(state) ? state : undefined
  }

  /** @param state `undefined` when the log's verification has ended. */
  keepUnfinished(log: string, state: ScanState | undefined): void {
    if (state === undefined && this.#stored.unfinished[log] === undefined) return
    this.#change(({ unfinished }) => {
      if (state === undefined) delete unfinished[log]
      else unfinished[log] = state
    })
    this.#stored.unfinished[log] = state
  }

  /** Replaces the file as a whole, read again just before: others may have verified other logs meanwhile. */
  #change(change: (stored: Stored) => void): void {
    const stored = parse(this.path, read(this.path))
    change(stored)
    try {
      mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 })
      const temporary = `${this.path}.${process.pid}.tmp`
      writeFileSync(temporary, `${JSON.stringify({ version: 1, ...stored }, undefined, 2)}\n`, {
        mode: 0o600,
      })
      chmodSync(temporary, 0o600)
      renameSync(temporary, this.path)
    } catch (error) {
      throw systemError(`write ${this.path}`, error)
    }
  }
}

const SAVE_EVERY_MS = 5_000

/** Keeps the place of a verification that is under way: every few seconds, so that a kill loses no more. */
export class UnfinishedScan {
  readonly #state: VerifierState
  readonly #log: string
  #scan: ScanState | undefined
  #savedAt = Date.now()

  constructor(state: VerifierState, log: string) {
    this.#state = state
    this.#log = log
  }

  readonly onState = (make: () => ScanState): void => {
    const scan = make()
    if (scan.tally.size === 0) return
    this.#scan = scan
    if (Date.now() - this.#savedAt < SAVE_EVERY_MS) return
    this.save()
    this.#savedAt = Date.now()
  }

  /** @returns how many records need not be read again. */
  save(): number {
    if (this.#scan === undefined) return 0
    this.#state.keepUnfinished(this.#log, this.#scan)
    return this.#scan.tally.size
  }

  end(): void {
    this.#state.keepUnfinished(this.#log, undefined)
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
  const checkpoints = Object.create(null) as Accepted
  const unfinished = Object.create(null) as Record<string, unknown>
  const stored: Stored = { checkpoints, unfinished }
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
    checkpoints[origin] = { checkpoint, keys }
  }
  if (isObject(value["unfinished"])) Object.assign(unfinished, value["unfinished"])
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

/** Its shape. What it says is held against the root, or named as a condition: see `ScanState`. */
function isScanState(value: unknown): value is ScanState {
  if (!isObject(value)) return false
  const { offset, at, tally, records, tiles, isEachParsed } = value
  if (!isCount(offset) || !isCount(at) || typeof isEachParsed !== "boolean") return false
  if (!isObject(tally) || !isObject(records)) return false
  const { size, root, partials, roots } = tally
  const { findings, keyCandidates, times } = records
  return (
    isCount(size) &&
    typeof root === "string" &&
    isArrayOf(partials, (each) => typeof each === "string") &&
    isArrayOf(
      roots,
      (each) => Array.isArray(each) && each.length === 2 && isCount(each[0]) && typeof each[1] === "string",
    ) &&
    isArrayOf(findings, (each) => isObject(each) && typeof each["message"] === "string") &&
    isArrayOf(
      keyCandidates,
      (each) => isObject(each) && isCount(each["index"]) && isObject(each["record"]),
    ) &&
    (times === undefined || (isObject(times) && Object.values(times).every(Number.isFinite))) &&
    (tiles === undefined ||
      (isObject(tiles) && [tiles["compared"], tiles["missing"], tiles["wrong"]].every(isCount)))
  )
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0
}

function isArrayOf(value: unknown, isOne: (each: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isOne)
}
