import { Command } from "commander"
import { formatHash } from "../../core/hash-types.ts"
import { NotFoundError } from "../../core/errors.ts"
import { formatVerifierKey } from "../../core/key.ts"
import { addCommonOptions } from "../filters.ts"
import { existingStore } from "../folder.ts"
import { loadVerifierKey } from "../keys.ts"
import { headCovering } from "../ledger-view.ts"
import type { CommonOptions, Shell } from "../shell.ts"

interface CheckpointOptions extends CommonOptions {
  readonly vkey?: boolean
}

export function checkpointCommand(shell: Shell, _setStatus: (status: number) => void): Command {
  const command = new Command("checkpoint")
    .description("the newest signed checkpoint, as it is; of everything, unless a writer is running")
    .option("--vkey", "the log's verifier key instead: give it to whoever is to check")
    .addHelpText("after", "\nA log without a ledger is put under one by this, and gets its key.")
    .action(async (options: CheckpointOptions) => checkpoint(shell, options))
  return addCommonOptions(command)
}

async function checkpoint(shell: Shell, options: CheckpointOptions): Promise<void> {
  if (options.vkey === true) {
    existingStore(options.dir)
    const key = loadVerifierKey(options.dir)
    if (key === undefined) {
      throw new NotFoundError(`the log in ${options.dir} has no signing key`, {
        hint: "`hansard checkpoint` makes one and puts the log under a ledger.",
      })
    }
    const vkey = formatVerifierKey(key)
    shell.out.line(options.json === true ? JSON.stringify({ name: key.name, key_id: key.keyId, vkey }) : vkey)
    return
  }
  const { origin, size, root, text } = await headCovering(shell, options, undefined)
  if (options.json !== true) shell.out.write(text)
  else shell.out.line(JSON.stringify({ origin, size, root: formatHash(root), checkpoint: text }))
}
