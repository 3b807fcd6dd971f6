import { open } from "node:fs/promises"
import { Command } from "commander"
import { InvalidInputError } from "../../core/errors.ts"
import { equalBytes } from "../../core/bytes.ts"
import { describeKey, formatVerifierKey } from "../../core/key.ts"
import type { VerifierKey } from "../../core/key.ts"
import { logPolicy, MAX_POLICY_BYTES, parsePolicy } from "../../core/policy.ts"
import type { TrustedCheckpoint } from "../../core/policy.ts"
import { BadProofError, BadSignatureError } from "../../core/proof-errors.ts"
import { checkProofFile, MAX_PROOF_FILE_BYTES, parseProofFile } from "../../core/proof-file.ts"
import { isoTime } from "../../core/system.ts"
import { visible } from "../colours.ts"
import { MAX_INPUT_LINE_BYTES } from "../lines.ts"
import { verifierKeyOf } from "../keys.ts"
import { OK, report, systemError, usageError, VERIFICATION_FAILED } from "../report.ts"
import type { Shell } from "../shell.ts"

interface CheckOptions {
  readonly record: string
  readonly key?: string
  readonly policy?: string
  readonly json?: boolean
}

export function checkCommand(shell: Shell, setStatus: (status: number) => void): Command {
  return new Command("check")
    .description("check a proof with nothing but the record and a key: no log, no network")
    .argument("<proof>", "the proof's file; - for standard input")
    .requiredOption(
      "--record <file>",
      "the record's exact line, with or without its newline; - for standard input",
    )
    .option(
      "--key <vkey>",
      "the log's verifier key, or the file that holds it; given to you by somebody you trust",
    )
    .option("--policy <file>", "tlog-policy file: logs, witnesses, quorum")
    .option("--json", "JSON for programs, errors included")
    .addHelpText(
      "after",
      "\nExit status: 0 the record is in the log that the key signs for, 1 that is not shown, 2 a file is not what it should be.",
    )
    .action(async (proof: string, options: CheckOptions) => setStatus(await check(shell, proof, options)))
}

async function check(shell: Shell, path: string, options: CheckOptions): Promise<number> {
  if (options.key === undefined && options.policy === undefined) {
    throw usageError(
      "neither --key nor --policy says whom to believe",
      "Give --key VKEY, the log's verifier key.",
    )
  }
  if ([path, options.record].every((name) => name === "-")) {
    throw usageError("proof and record cannot both be standard input", "Save one of them as a file.")
  }
  const key = options.key === undefined ? undefined : logKey(verifierKeyOf(options.key))
  const policy =
    options.policy !== undefined
      ? parsePolicy(await readWithin(shell, options.policy, MAX_POLICY_BYTES))
      : logPolicy(key === undefined ? [] : [key])
  const proof = parseProofFile(await readWithin(shell, path, MAX_PROOF_FILE_BYTES))
  const record = withoutNewline(await readWithin(shell, options.record, MAX_INPUT_LINE_BYTES + 1))
  let trusted: TrustedCheckpoint
  try {
    trusted = checkProofFile(proof, record, policy)
    if (key !== undefined && !equalBytes(key.publicKey, trusted.log.publicKey)) {
      throw new BadSignatureError(
        `the policy trusts ${describeKey(trusted.log)}, and that is not --key`,
        undefined,
      )
    }
  } catch (error) {
    if (!(error instanceof BadProofError) && !(error instanceof BadSignatureError)) throw error
    report(error, shell.err, options.json === true)
    return VERIFICATION_FAILED
  }
  tell(shell, proof.index, trusted, options.json === true)
  return OK
}

function tell(
  shell: Shell,
  index: number,
  { origin, size, log, witnesses }: TrustedCheckpoint,
  json: boolean,
): void {
  const seen = [...witnesses].map(([name, seconds]) => ({ name, at: isoTime(seconds * 1_000) }))
  if (json) {
    const vkey = formatVerifierKey(log)
    shell.out.line(JSON.stringify({ good: true, index, origin, size, vkey, witnesses: seen }))
    return
  }
  shell.out.line(`good: this is record ${index} of ${visible(origin)}, in its checkpoint of ${size} records`)
  for (const { name, at } of seen) shell.out.line(`  ${visible(name)} saw that checkpoint at ${at}`)
  if (seen.length === 0) {
    shell.out.line(
      "  No witness was asked for: that others are shown the same log, and when it was written, is not proved.",
    )
  }
}

function logKey(key: VerifierKey): VerifierKey {
  if (key.type === "log") return key
  throw usageError(
    `${describeKey(key)} is the key of a ${key.type}, not of a log`,
    "`hansard checkpoint --vkey` prints a log's; witnesses belong into a policy file.",
  )
}

/** One newline at most: a second one would be a part of the record. */
function withoutNewline(bytes: Uint8Array): Uint8Array {
  return bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes
}

/** Bounded while it is read, also when it is a pipe. */
async function readWithin(shell: Shell, path: string, maxBytes: number): Promise<Uint8Array> {
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
