/** `--key` and `--policy`: whom a command that checks something is to believe. The same for all of them. */
import type { Command } from "commander"
import { describeKey, formatVerifierKey } from "../core/key.ts"
import type { VerifierKey } from "../core/key.ts"
import { logPolicy, MAX_POLICY_BYTES, parsePolicy } from "../core/policy.ts"
import type { Policy } from "../core/policy.ts"
import { verifierKeyOf } from "./keys.ts"
import { readWithin } from "./read-within.ts"
import { usageError } from "./report.ts"
import type { Shell } from "./shell.ts"

export interface TrustOptions {
  readonly key?: readonly string[]
  readonly policy?: string
}

export function addTrustOptions(command: Command): Command {
  return command
    .option(
      "--key <vkey>",
      "the log's verifier key, or the file that holds it; given to you by somebody you trust; may be repeated",
      (value: string, before: readonly string[] = []) => [...before, value],
    )
    .option("--policy <file>", "tlog-policy file: logs, witnesses, quorum; with --key, only for those keys")
}

/**
 * Keys alone: these logs, and no witness is asked for. A policy alone: as it says. Both: its witnesses and quorum, and
 * of its logs those whose keys are given; a policy that lists no log does for any.
 *
 * @returns `undefined` when neither is given.
 */
export async function trustOf(shell: Shell, { key = [], policy }: TrustOptions): Promise<Policy | undefined> {
  const keys = key.map((text) => logKey(verifierKeyOf(text)))
  if (policy === undefined) return keys.length === 0 ? undefined : logPolicy(keys)
  const parsed = parsePolicy(await readWithin(shell, policy, MAX_POLICY_BYTES))
  if (keys.length === 0) return parsed
  const listed = parsed.logs.map((log) => formatVerifierKey(log.key))
  const stranger = keys.find((each) => !listed.includes(formatVerifierKey(each)))
  if (listed.length > 0 && stranger !== undefined) {
    throw usageError(
      `the policy does not list ${describeKey(stranger)}`,
      "Add a `log` line for it, or leave out --key.",
    )
  }
  return { ...parsed, logs: logPolicy(keys).logs }
}

function logKey(key: VerifierKey): VerifierKey {
  if (key.type === "log") return key
  throw usageError(
    `${describeKey(key)} is the key of a ${key.type}, not of a log`,
    "`hansard checkpoint --vkey` prints a log's; witnesses belong into a policy file.",
  )
}
