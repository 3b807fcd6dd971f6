import { Command } from "commander"
import {
  evidenceChecker,
  isEvidence,
  MAX_EVIDENCE_BYTES,
  parseEvidenceLine,
} from "../../core/evidence-file.ts"
import { checkForkEvidence, isForkEvidence, parseForkEvidence } from "../../core/fork-evidence.ts"
import type { Fork } from "../../core/fork-evidence.ts"
import { InvalidInputError } from "../../core/errors.ts"
import { describeKey, formatVerifierKey } from "../../core/key.ts"
import { followKeys } from "../../core/key-change.ts"
import { parseLine } from "../../core/line.ts"
import type { Policy, TrustedCheckpoint } from "../../core/policy.ts"
import { BadProofError, BadSignatureError } from "../../core/proof-errors.ts"
import { checkProofFile, parseProofFile } from "../../core/proof-file.ts"
import { isoTime } from "../../core/system.ts"
import { visible } from "../colours.ts"
import { MAX_INPUT_LINE_BYTES, readLines } from "../lines.ts"
import { joinWithin, readParts, readWithin } from "../read-within.ts"
import { OK, report, usageError, VERIFICATION_FAILED } from "../report.ts"
import type { Shell } from "../shell.ts"
import { addTrustOptions, trustOf } from "../trust.ts"
import type { TrustOptions } from "../trust.ts"

interface CheckOptions extends TrustOptions {
  readonly record?: string
  readonly changes?: string
  readonly json?: boolean
}

export function checkCommand(shell: Shell, setStatus: (status: number) => void): Command {
  const command = new Command("check")
    .description(
      "check a proof, records with proofs, or the evidence of a fork, with nothing but a key: no log, no network",
    )
    .argument(
      "<file>",
      "what `hansard prove`, `hansard verify` or the page's export wrote; - for standard input",
    )
    .option(
      "--record <file>",
      "for a proof: the record's exact line, with or without its newline; - for standard input",
    )
    .option(
      "--changes <file>",
      "for a log whose key has changed: the signing_key_set records from that key on, as `hansard export --format jsonl --kind signing_key_set` prints them; - for standard input",
    )
    .option("--json", "JSON for programs, errors included")
    .addHelpText(
      "after",
      "\nExit status of proofs: 0 every record is in the log that the key signs for, 1 that is not shown." +
        "\nOf fork evidence: 0 the key signed two checkpoints that contradict each other, 1 that is not shown." +
        "\n2 a file is not what it should be.",
    )
    .action(async (file: string, options: CheckOptions) => setStatus(await check(shell, file, options)))
  return addTrustOptions(command)
}

async function check(shell: Shell, path: string, options: CheckOptions): Promise<number> {
  if ([path, options.record, options.policy, options.changes].filter((name) => name === "-").length > 1) {
    throw usageError("two files cannot both be standard input", "Save one of them.")
  }
  const trusted = await trustOf(shell, options)
  if (trusted === undefined) {
    throw usageError(
      "neither --key nor --policy says whom to believe",
      "Give --key VKEY, the log's verifier key.",
    )
  }
  const parts = readParts(shell, path)
  const policy = followKeys(trusted, await changesOf(shell, options))
  try {
    const { value: first } = await parts.next()
    if (first !== undefined && isEvidence(first)) {
      await checkAll(shell, joined(first, parts), policy, options)
      return OK
    }
    const whole = first === undefined ? parts : joined(first, parts)
    const bytes = await joinWithin(whole, path, MAX_EVIDENCE_BYTES)
    if (isForkEvidence(bytes)) checkFork(shell, bytes, policy, options)
    else await checkProof(shell, bytes, policy, { ...options, trusted })
    return OK
  } catch (error) {
    if (!(error instanceof BadProofError) && !(error instanceof BadSignatureError)) throw error
    report(isUnsigned(error) ? withChangesHint(error) : error, shell.err, options.json === true)
    return VERIFICATION_FAILED
  }
}

/** Whether no known key has signed: one that took over would have. */
function isUnsigned(error: unknown): error is BadSignatureError {
  return error instanceof BadSignatureError && error.key === undefined
}

function withChangesHint(error: BadSignatureError): BadSignatureError {
  return new BadSignatureError(error.message, undefined, {
    cause: error,
    hint: "Check that the key is the one you mean; if the log has changed it since, give the records that say so with --changes.",
  })
}

/** Lines of a log, or of an evidence file, which has them in it. */
async function changesOf(
  shell: Shell,
  { changes }: CheckOptions,
): Promise<Readonly<Record<string, unknown>>[]> {
  if (changes === undefined) return []
  const text = Buffer.from(await readWithin(shell, changes, MAX_EVIDENCE_BYTES)).toString("utf8")
  const lines = text.split("\n").filter((line) => line !== "")
  return lines.map((line, i) => {
    const record = recordIn(line)
    if (record === undefined) {
      throw usageError(
        `line ${i + 1} of the changes is no record`,
        "Give what `hansard export --format jsonl --kind signing_key_set` prints, or an evidence file.",
      )
    }
    return typeof record["line"] === "string" && "proof" in record ? (recordIn(record["line"]) ?? {}) : record
  })
}

function recordIn(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return parseLine(line)
  } catch (error) {
    if (error instanceof InvalidInputError) return undefined
    throw error
  }
}

async function checkProof(
  shell: Shell,
  bytes: Uint8Array,
  policy: Policy,
  { record: recordPath, trusted, json }: CheckOptions & { readonly trusted: Policy },
): Promise<void> {
  const proof = parseProofFile(bytes)
  if (recordPath === undefined) {
    throw usageError(
      "the record that the proof is of was not given",
      "Give --record FILE: its exact line, as `hansard prove --record FILE` writes it.",
    )
  }
  const record = withoutNewline(await readWithin(shell, recordPath, MAX_INPUT_LINE_BYTES + 1))
  const checkpoint = checkProofFile(proof, record, policy)
  const isGiven = trusted.logs.some(({ key }) => describeKey(key) === describeKey(checkpoint.log))
  tellProof(shell, proof.index, { ...checkpoint, isGiven }, json === true)
}

/**
 * Records with their proofs, a line at a time: however long the file is. The first that is not shown ends it: what is left
 * of such a file is nobody's evidence.
 */
async function checkAll(
  shell: Shell,
  file: AsyncIterable<Uint8Array>,
  policy: Policy,
  { record, json }: CheckOptions,
): Promise<void> {
  if (record !== undefined) throw usageError("this file has its records in it", "Leave out --record.")
  const origins = new Set<string>()
  let size = 0
  let records = 0
  const checked = evidenceChecker(policy)
  for await (const lines of readLines(file)) {
    for (const { text, number, problem } of lines) {
      if (problem !== undefined) throw new InvalidInputError(`line ${number} of the evidence ${problem}`)
      const item = parseEvidenceLine(text, number)
      const checkpoint = shown(item.index, () => checked(item))
      origins.add(checkpoint.origin)
      size = Math.max(size, checkpoint.size)
      records++
    }
  }
  if (json === true) {
    shell.out.line(JSON.stringify({ good: true, records, origins: [...origins], size }))
    return
  }
  const names = [...origins].map(visible).join(", ")
  shell.out.line(`good: ${records} records of ${names}, in checkpoints of up to ${size} records`)
  shell.out.line("  That these are all that there are of their kind is not proved: each stands for itself.")
}

function shown(index: number, check: () => TrustedCheckpoint): TrustedCheckpoint {
  try {
    return check()
  } catch (error) {
    if (!(error instanceof BadProofError) && !(error instanceof BadSignatureError)) throw error
    const message = `record ${index} is not shown: ${error.message}`
    throw error instanceof BadProofError
      ? new BadProofError(message, { cause: error })
      : new BadSignatureError(message, error.key, { cause: error })
  }
}

async function* joined(
  first: Uint8Array,
  rest: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield first
  yield* rest
}

function tellProof(
  shell: Shell,
  index: number,
  { origin, size, log, witnesses, isGiven }: TrustedCheckpoint & { readonly isGiven: boolean },
  json: boolean,
): void {
  const seen = [...witnesses].map(([name, seconds]) => ({ name, at: isoTime(seconds * 1_000) }))
  if (json) {
    const vkey = formatVerifierKey(log)
    shell.out.line(JSON.stringify({ good: true, index, origin, size, vkey, witnesses: seen }))
    return
  }
  shell.out.line(`good: this is record ${index} of ${visible(origin)}, in its checkpoint of ${size} records`)
  if (!isGiven) {
    shell.out.line(
      `  signed by ${visible(describeKey(log))}, which took over by a record that an earlier key signed`,
    )
  }
  for (const { name, at } of seen) shell.out.line(`  ${visible(name)} saw that checkpoint at ${at}`)
  if (seen.length === 0) {
    shell.out.line(
      "  No witness was asked for: that others are shown the same log, and when it was written, is not proved.",
    )
  }
}

/** The quorum of a policy is nobody's concern here: the log's own signatures contradict each other. */
function checkFork(shell: Shell, bytes: Uint8Array, { logs }: Policy, { record, json }: CheckOptions): void {
  const evidence = parseForkEvidence(bytes)
  if (record !== undefined)
    throw usageError("this is the evidence of a fork, and of no record", "Leave out --record.")
  const fork = checkForkEvidence(
    evidence,
    logs.map(({ key }) => key),
  )
  tellFork(shell, fork, json === true)
}

function tellFork({ out }: Shell, fork: Fork, json: boolean): void {
  const { origin, olderSize, newerSize, olderKey, newerKey } = fork
  if (json) {
    const sizes = { older_size: olderSize, newer_size: newerSize }
    out.line(JSON.stringify({ fork: true, origin, ...sizes, older_key: olderKey, newer_key: newerKey }))
    return
  }
  out.line(`a fork: ${visible(origin)} has signed two histories that contradict each other`)
  if (olderSize === newerSize) {
    out.line(`  two checkpoints of ${olderSize} records have different roots`)
  } else {
    out.line(
      `  the checkpoint of ${newerSize} records does not begin with the ${olderSize} records of the other`,
    )
  }
  out.line(
    `  signed by ${visible(olderKey)}${newerKey === olderKey ? ", both" : ` and ${visible(newerKey)}`}`,
  )
  out.line("It proves that whoever has the key let somebody see a log that is not the one that others see.")
  out.line("It does not prove which of the two is true, who had the key, or when either was signed.")
}

/** One newline at most: a second one would be a part of the record. */
function withoutNewline(bytes: Uint8Array): Uint8Array {
  return bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes
}
