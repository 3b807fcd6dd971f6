import { InvalidArgumentError, Option } from "commander"
import type { Command } from "commander"
import type { AuditLog, LogFilter } from "../audit/index.ts"
import { encodeLine } from "../core/line.ts"
import { parseTime } from "../core/system.ts"
import { usageError } from "./report.ts"
import { DEFAULT_DIR } from "./folder.ts"

export interface FilterOptions {
  readonly kind?: readonly string[]
  readonly agent?: string
  readonly channel?: string
  readonly task?: string
  readonly outcome?: string
  readonly since?: string
  readonly until?: string
  readonly text?: string
  readonly where?: Readonly<Record<string, Scalar>>
}

/** With {@link addTimeSynonyms}. */
export interface TimedOptions extends FilterOptions {
  readonly from?: string
  readonly to?: string
}

/** What a filter of a log and one of a service have in common. */
export interface Conditions {
  readonly kind?: readonly string[]
  readonly agent?: string
  readonly channel?: string
  readonly task?: string
  readonly outcome?: string
  readonly from?: string
  readonly to?: string
}

type Scalar = string | number | boolean | null

export function addCommonOptions(command: Command): Command {
  return command
    .option("--dir <folder>", "data folder; the log lies in its store/", DEFAULT_DIR)
    .option("--json", "JSON for programs, errors included")
}

/** For a command that writes: how the log is kept. */
export function addWriteOptions(command: Command): Command {
  return command
    .option("--no-ledger", "a plain log: no signing key, no tree, no checkpoints")
    .option("--rotate <records>", "seal the file after so many records (default: 2^20)", wholeNumber(1))
    .option("--no-rotate", "keep the log in one file, as AG2 does")
    .option("--compress", "compress sealed files in the background, with Zstandard")
}

export function addFilterOptions(command: Command): Command {
  return command
    .option("--kind <kinds>", "only these kinds; repeat it, or separate with commas", parseKinds)
    .option("--agent <id-or-name>", "records that name this agent")
    .option("--channel <id>", "records of this channel")
    .option("--task <id>", "records of this task")
    .option("--outcome <outcome>", "completed, failed, expired or cancelled")
    .option("--since <time>", "from this time on (ISO 8601)", parseTimeOption)
    .option("--until <time>", "before this time (ISO 8601)", parseTimeOption)
    .option("--text <part>", "records whose line contains this")
    .option("--where <field=value>", "any field equals this, JSON or else text; may be repeated", parseWhere)
}

/** `--from` and `--to`, as the service's filters are called: other names for `--since` and `--until`. */
export function addTimeSynonyms(command: Command): Command {
  return command
    .addOption(
      new Option("--from <time>", "the same as --since").argParser(parseTimeOption).conflicts("since"),
    )
    .addOption(new Option("--to <time>", "the same as --until").argParser(parseTimeOption).conflicts("until"))
}

/** @param log looks up the agent when it was given by name: the newest that was registered under it. */
export async function filterOf(options: TimedOptions, log: AuditLog): Promise<LogFilter> {
  const { text, where } = options
  return {
    ...(await conditionsOf(options, (idOrName) => agentId(idOrName, log))),
    ...(text === undefined ? {} : { text }),
    ...(where === undefined ? {} : { where }),
  }
}

/** @param agentId gives the id of an agent that may have been given by name */
export async function conditionsOf(
  options: TimedOptions,
  agentId: (idOrName: string) => Promise<string>,
): Promise<Conditions> {
  const { kind, channel, task, outcome } = options
  const from = options.since ?? options.from
  const to = options.until ?? options.to
  const agent = options.agent === undefined ? undefined : await agentId(options.agent)
  return {
    ...(kind === undefined ? {} : { kind }),
    ...(agent === undefined ? {} : { agent }),
    ...(channel === undefined ? {} : { channel }),
    ...(task === undefined ? {} : { task }),
    ...(outcome === undefined ? {} : { outcome }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  }
}

/** A whole number, `min` or more. */
export function wholeNumber(min: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN
    if (!Number.isSafeInteger(value) || value < min) {
      throw new InvalidArgumentError(`It must be a whole number from ${min}.`)
    }
    return value
  }
}

const ID = /^[0-9a-f]{32}$/

async function agentId(idOrName: string, log: AuditLog): Promise<string> {
  if (ID.test(idOrName)) return idOrName
  const asWritten = encodeLine({ name: idOrName }).slice(1, -1)
  const { records } = await log.query({ kind: "agent_registered", text: asWritten, order: "desc", limit: 1 })
  const id = records[0]?.record["agent_id"]
  return typeof id === "string" ? id : idOrName
}

function parseKinds(text: string, before: readonly string[] | undefined): readonly string[] {
  const kinds = text.split(",").map((kind) => kind.trim())
  if (kinds.includes(""))
    throw usageError("--kind names an empty kind", "Write --kind a,b or --kind a --kind b.")
  return [...(before ?? []), ...kinds]
}

/** `version=3` is a number, `version="3"` and `name=ana` are texts, `reason=null` is null. */
function parseWhere(
  text: string,
  before: Readonly<Record<string, Scalar>> | undefined,
): Readonly<Record<string, Scalar>> {
  const equals = text.indexOf("=")
  if (equals < 1) throw new InvalidArgumentError("It must be field=value.")
  const field = text.slice(0, equals)
  if (before !== undefined && Object.hasOwn(before, field)) {
    throw new InvalidArgumentError(`No record has two values for ${JSON.stringify(field)}.`)
  }
  return Object.fromEntries([...Object.entries(before ?? {}), [field, scalarOf(text.slice(equals + 1))]])
}

function scalarOf(text: string): Scalar {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return text
  }
  if (typeof value === "object" && value !== null) {
    throw new InvalidArgumentError("The value must be a text, a number, true, false or null.")
  }
  return value as Scalar
}

function parseTimeOption(text: string): string {
  if (parseTime(text) === undefined) {
    throw new InvalidArgumentError("It must be an ISO 8601 time, such as 2026-05-05 or 2026-05-05T10:00:00Z.")
  }
  return text
}
