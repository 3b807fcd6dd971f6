import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { Command } from "commander"
import { HansardError } from "../../core/errors.ts"
import { parseVerifierKey } from "../../core/key.ts"
import { logPolicy, type Policy } from "../../core/policy.ts"
import {
  CLAIMS,
  conditionsOf,
  isGood,
  verdictToJson,
  type Claim,
  type LogVerdict,
  type Verdict,
} from "../../core/verdict.ts"
import { verifyLog } from "../../core/verify.ts"
import type { LogSource } from "../../core/verify-source.ts"
import { readHead } from "../../core/verify-trust.ts"
import { visible, type Colour } from "../colours.ts"
import { addCommonOptions } from "../filters.ts"
import { openTarget, type TargetOptions } from "../log-target.ts"
import { addTokenOption } from "../remote.ts"
import { OK, systemError, usageError, VERIFICATION_FAILED } from "../report.ts"
import { note, type CommonOptions, type Shell } from "../shell.ts"
import { addTrustOptions, trustOf, type TrustOptions } from "../trust.ts"
import { UnfinishedScan, VerifierState } from "../verify-state.ts"

interface VerifyCommandOptions extends CommonOptions, TrustOptions, TargetOptions {
  readonly state?: string
  readonly records?: boolean
  readonly fresh?: boolean
}

const MAX_KEY_FILE_BYTES = 4_096
const PROGRESS_EVERY_MS = 1_000

export function verifyCommand(shell: Shell, setStatus: (status: number) => void): Command {
  const command = new Command("verify")
    .description("what is proved of a log, on what condition, and what cannot be proved")
    .argument("[files...]", "files of lines, in order, instead of a data folder")
    .option("--url <url>", "a running service, or a static tlog-tiles tree, instead of a data folder")
    .option("--state <file>", "what was accepted before (default: ~/.config/hansard/checkpoints.json)")
    .option("--checkpoint <file>", "with files: the signed checkpoint")
    .option("--tiles <folder>", "with files: the folder that holds tile/")
    .option("--records", "parse each line too: finds all that are no records, and bounds all times; slower")
    .option("--fresh", "do not go on where an interrupted run stopped")
    .addHelpText(
      "after",
      "\nRemembers the last checkpoint of each log that it accepted, so that a later truncation is found." +
        "\nInterrupted, it goes on from where it was when it is run again, and says what that is conditional on." +
        "\nExit status 1: a claim is false. --json: one object with `good`, `claims`, `findings`.",
    )
    .action(async (files: string[], options: VerifyCommandOptions) => {
      setStatus(await verify(shell, files, options))
    })
  return addTokenOption(addTrustOptions(addCommonOptions(command)))
}

async function verify(
  shell: Shell,
  files: readonly string[],
  options: VerifyCommandOptions,
): Promise<number> {
  const trust = await trustOf(shell, options)
  const signal = AbortSignal.any([shell.interrupted, shell.unread])
  const state = VerifierState.load(options.state ?? VerifierState.defaultPath(process.env))
  await using target = await openTarget(files, options, signal)
  const isFolder = options.url === undefined && files.length === 0
  const policy = trust ?? logPolicy(isFolder ? keysBeside(options.dir) : [])
  const remembered = await recall(state, target.source, policy)
  const resume = options.fresh === true ? undefined : state.unfinished(target.name)
  const keep = new UnfinishedScan(state, target.name)
  let verdict: LogVerdict
  try {
    verdict = await verifyLog(target.source, {
      policy,
      areKeysVouched: trust !== undefined,
      ...(remembered === undefined ? {} : { remembered }),
      ...(resume === undefined ? {} : { resume }),
      records: options.records === true,
      tiles: true,
      scan: target.scan,
      now: Date.now(),
      signal,
      onProgress: progress(shell),
      onState: keep.onState,
    })
  } catch (error) {
    const records = keep.save()
    if (!signal.aborted || records === 0) throw error
    throw usageError(
      `interrupted after ${records} records`,
      "The same command goes on from there; with --fresh it reads all of them again.",
    )
  }
  keep.end()
  if (verdict.accepted !== undefined) state.remember(verdict.accepted)
  const evidence = verdict.forkEvidence === undefined ? undefined : keepEvidence(state.path, verdict)
  if (options.json === true) {
    shell.out.line(JSON.stringify({ ...verdictToJson(verdict), fork_evidence: evidence ?? null }))
  } else {
    tell(shell, verdict)
    if (evidence !== undefined)
      shell.out.line(
        `fork evidence: anyone with the key can \`hansard check ${visible(evidence)} --key VKEY\``,
      )
  }
  return isGood(verdict) ? OK : VERIFICATION_FAILED
}

/** `<dir>/keys/*.vkey`: log keys that lie beside the log. Nobody vouches for them. */
export function keysBeside(dir: string): string[] {
  const folder = join(resolve(dir), "keys")
  let names: string[]
  try {
    names = readdirSync(folder).filter((name) => name.endsWith(".vkey"))
  } catch {
    return []
  }
  return names.flatMap((name) => {
    const path = join(folder, name)
    try {
      if (statSync(path).size > MAX_KEY_FILE_BYTES) return []
      const key = readFileSync(path, "utf8").trim()
      return parseVerifierKey(key).type === "log" ? [key] : []
    } catch (error) {
      if (error instanceof HansardError) return []
      throw systemError(`read ${path}`, error)
    }
  })
}

/** By the keys' names, then by what the checkpoint calls itself: a log whose checkpoint is gone is still remembered. */
async function recall(
  state: VerifierState,
  source: LogSource,
  { logs }: Policy,
): Promise<ReturnType<VerifierState["recall"]>> {
  const bytes = await source.checkpoint()
  const head = bytes === undefined ? undefined : readHead(bytes)
  if (typeof head === "object") return state.recall(head.origin)
  return logs.map(({ key }) => state.recall(key.name)).find((remembered) => remembered !== undefined)
}

function keepEvidence(statePath: string, { forkEvidence, size }: LogVerdict): string {
  const path = join(dirname(statePath), `fork-${size ?? 0}-${Date.now()}.txt`)
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    writeFileSync(path, forkEvidence ?? "")
  } catch (error) {
    throw systemError(`write ${path}`, error)
  }
  return path
}

/** On a terminal, once a second. */
export function progress(shell: Shell): (records: number, bytes: number) => void {
  let last = Date.now()
  return (records, bytes) => {
    if (!shell.isTerminal || Date.now() - last < PROGRESS_EVERY_MS) return
    last = Date.now()
    note(shell, `${records} records, ${Math.round(bytes / 2 ** 20)} MiB read`)
  }
}

const TITLES: Readonly<Record<Claim, string>> = {
  integrity: "integrity",
  order_and_gaps: "order, no gaps",
  no_truncation: "no truncation",
  authorship: "authorship",
  time: "time",
  no_split_view: "no split view",
  tiles: "tiles",
}

const COLOURS: Readonly<Record<Verdict["status"], Colour>> = {
  proved: "green",
  conditional: "yellow",
  unprovable: "grey",
  false: "red",
}

function tell({ out, colours }: Shell, verdict: LogVerdict): void {
  const { claims, origin, size, records, uncovered, tornBytes, findings } = verdict
  const what =
    origin === undefined
      ? "a log without a checkpoint"
      : `${visible(origin)}, checkpoint of size ${size ?? 0}`
  out.line(`${what}; ${records} records in the log`)
  if (uncovered > 0 && size !== undefined)
    out.line(`the last ${uncovered} are after the checkpoint: nothing is claimed of them`)
  if (tornBytes > 0) out.line(`${tornBytes} bytes after the last newline are no record yet`)
  out.line()
  const conditions = new Map<string, Claim>()
  for (const claim of CLAIMS) {
    const verdict = claims[claim]
    const status = colours(COLOURS[verdict.status], verdict.status.toUpperCase().padEnd(12))
    out.line(`${TITLES[claim].padEnd(15)} ${status} ${visible(verdict.because)}`)
    // What several claims depend on is said once.
    for (const on of conditionsOf(verdict)) {
      const first = conditions.get(on)
      const text = first === undefined ? `on ${visible(on)}` : `on the same as "${TITLES[first]}"`
      out.line(`${" ".repeat(29)}${text}`)
      if (first === undefined) conditions.set(on, claim)
    }
  }
  if (findings.length > 0) out.line()
  for (const { message } of findings.slice(0, 10)) out.line(`${colours("red", "!")} ${visible(message)}`)
  if (findings.length > 10) out.line(`  and more: see \`hansard fsck\``)
  out.line()
  out.line(isGood(verdict) ? "nothing is false" : colours("red", "VERIFICATION FAILED"))
}
