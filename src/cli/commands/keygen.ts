import { resolve } from "node:path"
import { Command, Option } from "commander"
import { AuditLog } from "../../audit/index.ts"
import { checkKeyName, generateSignerKey } from "../../core/key.ts"
import type { KeyType } from "../../core/key.ts"
import { signKeyChange } from "../../core/key-change.ts"
import { SIGNING_KEY_SET } from "../../core/kinds.ts"
import { isoTime, systemRandom } from "../../core/system.ts"
import { addCommonOptions } from "../filters.ts"
import { existingStore, keyOf, makeDataFolder, openStoreToWrite } from "../folder.ts"
import {
  keyPath,
  keysFolder,
  loadRetiredKeys,
  loadSigner,
  makeFolder,
  retireSigner,
  writeSigner,
} from "../keys.ts"
import type { KeyFile } from "../keys.ts"
import { usageError } from "../report.ts"
import { SEALED_PATH } from "../sealed.ts"
import { note } from "../shell.ts"
import type { CommonOptions, Shell } from "../shell.ts"

interface KeygenOptions extends CommonOptions {
  readonly out?: string
  readonly type: KeyType
  readonly rotate?: boolean
}

export function keygenCommand(shell: Shell, _setStatus: (status: number) => void): Command {
  const command = new Command("keygen")
    .description("a new signing key; prints its verifier key, which is what others get")
    .argument(
      "[name]",
      "the key's name; for a log also its origin: a URL without scheme, such as example.com/log",
    )
    .addOption(
      new Option("--type <type>", "what it signs: a log's checkpoints, or as a witness those of others")
        .choices(["log", "cosigner"])
        .default("log"),
    )
    .addOption(new Option("--out <file>", "the signer's file, instead of one in the data folder's keys/"))
    .addOption(
      new Option(
        "--rotate",
        "change the key of the folder's log, told in a record that the old key signs",
      ).conflicts("out"),
    )
    .addHelpText(
      "after",
      "\nThe signer's file is for its owner alone (0600), is never overwritten and never printed: keep a copy of it." +
        "\nThe verifier key also lies beside it, in a file that ends in .vkey.",
    )
    .action(async (name: string | undefined, options: KeygenOptions) => keygen(shell, name, options))
  return addCommonOptions(command)
}

async function keygen(shell: Shell, name: string | undefined, options: KeygenOptions): Promise<void> {
  if (options.rotate === true) {
    if (name !== undefined) {
      throw usageError("--rotate takes no name", "The log keeps its origin, and so its key's name.")
    }
    return print(shell, options, await rotate(shell, options))
  }
  if (name === undefined)
    throw usageError("the key has no name", "Give it one: `hansard keygen example.com/log`.")
  checkKeyName(name)
  if (options.out === undefined) {
    makeDataFolder(options.dir)
    makeFolder(keysFolder(options.dir))
  }
  const path = options.out === undefined ? keyPath(options.dir, options.type) : resolve(options.out)
  print(shell, options, writeSigner(path, generateSignerKey(name, options.type, systemRandom)))
}

function print(shell: Shell, { json }: KeygenOptions, { signer, path, vkey }: KeyFile): void {
  if (json === true) {
    const { name, keyId, type } = signer
    shell.out.line(JSON.stringify({ name, key_id: keyId, type, vkey, path }))
    return
  }
  note(shell, `the signing key is in ${path}: keep it secret, and a copy of it safe`)
  shell.out.line(vkey)
}

/**
 * Changes the key of a log. Each step is durable before the next, and the whole may be run again after a crash:
 *
 * 1. the next key lies beside the one in use;
 * 2. a `signing_key_set` record names it, signed by the old key, which also signs a checkpoint of that record;
 * 3. the next key takes the place of the other, whose secret is gone then;
 * 4. the next key signs the checkpoint. If this is missed, the next command that writes does it.
 */
async function rotate(shell: Shell, options: KeygenOptions): Promise<KeyFile> {
  existingStore(options.dir)
  if (options.type !== "log")
    throw usageError("only the key of a log can be changed", "Make a witness a new one.")
  const path = keyPath(options.dir)
  const nextPath = path.replace(/\.key$/, "-next.key")
  await using store = await openStoreToWrite(options.dir)
  if (await store.exists(SEALED_PATH)) {
    throw usageError("the log of another program takes no record of ours", "Seal it anew, in another folder.")
  }
  const old = await keyOf(shell, options, store)
  const next =
    loadSigner(nextPath, "log") ??
    writeSigner(nextPath, generateSignerKey(old.signer.name, "log", systemRandom))
  const previousKeys = loadRetiredKeys(options.dir)
  {
    await using log = await AuditLog.open(store, { ledger: { signer: old.signer, previousKeys } })
    const { records } = await log.query({ kind: SIGNING_KEY_SET, order: "desc", limit: 1 })
    if (records[0]?.record["vkey"] !== next.vkey) {
      const at = isoTime(Date.now())
      await log.append({ at, kind: SIGNING_KEY_SET, ...signKeyChange(old.signer, next.signer) })
    }
    await log.checkpoint()
  }
  retireSigner(old, nextPath)
  {
    const ledger = { signer: next.signer, previousKeys: [...previousKeys, old.vkey] }
    await using log = await AuditLog.open(store, { ledger })
    await log.checkpoint()
  }
  note(
    shell,
    `the log's key was ${old.vkey}; whoever knows that one follows the record signing_key_set to the next`,
  )
  return { ...next, path }
}
