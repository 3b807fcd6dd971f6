import { writeFileSync } from "node:fs"
import { Command, InvalidArgumentError } from "commander"
import { storedHashes } from "../../audit/index.ts"
import { rowPath } from "../../audit/tiles.ts"
import { HansardError, NotFoundError, TamperedError } from "../../core/errors.ts"
import { logSize, recordIndex } from "../../core/hash-types.ts"
import { checkRecord, proveRecord } from "../../core/merkle.ts"
import { leafHash } from "../../core/merkle-hash.ts"
import { formatProofFile } from "../../core/proof-file.ts"
import { addCommonOptions } from "../filters.ts"
import { DataFolder } from "../folder.ts"
import { headCovering, recordBytes } from "../ledger-view.ts"
import { systemError } from "../report.ts"
import type { CommonOptions, Shell } from "../shell.ts"

interface ProveOptions extends CommonOptions {
  readonly out?: string
  readonly record?: string
}

export function proveCommand(shell: Shell, _setStatus: (status: number) => void): Command {
  const command = new Command("prove")
    .description("a proof that a record is in the log, for `hansard check` or any C2SP verifier")
    .argument("<index>", "which record, from 0", parseIndex)
    .option("--out <file>", "where to write the proof (default: standard output)")
    .option("--record <file>", "also write the record's exact line there, which whoever checks needs as well")
    .addHelpText(
      "after",
      "\nWorks beside a running writer, whose next checkpoint it waits for. --json: the proof as a text, and its parts.",
    )
    .action(async (index: number, options: ProveOptions) => prove(shell, index, options))
  return addCommonOptions(command)
}

async function prove(shell: Shell, index: number, options: ProveOptions): Promise<void> {
  const { size, root, origin, text } = await headCovering(shell, options, index)
  await using folder = await DataFolder.openToRead(options.dir)
  let record: Uint8Array = new Uint8Array(0)
  let offset = 0
  for await (const line of recordBytes(folder, index, index + 1, shell.interrupted)) {
    record = Uint8Array.from(line.bytes)
    offset = line.offset
  }
  let proof: string
  try {
    const read = await storedHashes(folder.store, logSize(size), root)
    const hashes = await proveRecord(logSize(size), recordIndex(index), read)
    // A proof of something else than what is stored would be refused far away from here, and too late.
    checkRecord(hashes, logSize(size), root, recordIndex(index), leafHash(record))
    proof = formatProofFile({ index: recordIndex(index), proof: hashes, checkpoint: text })
  } catch (cause) {
    if (!(cause instanceof HansardError)) throw cause
    if (cause.code === "not_found") throw await missingTree(folder, index, cause)
    throw new TamperedError(
      `record ${index}, at byte ${offset}, cannot be proved: ${cause.message}`,
      index,
      offset,
      {
        cause,
        hint: "Stop the writers and keep every file; `hansard verify` says what is wrong.",
      },
    )
  }
  if (options.record !== undefined) write(options.record, Buffer.concat([record, Buffer.from("\n")]))
  if (options.out !== undefined) write(options.out, proof)
  if (options.json === true) shell.out.line(JSON.stringify({ index, origin, size, proof }))
  else if (options.out === undefined) shell.out.write(proof)
}

/** A tree that is not there says nothing against the record: it is derived from the lines. */
async function missingTree(
  { store }: DataFolder,
  index: number,
  cause: HansardError,
): Promise<NotFoundError> {
  const isGone = !(await store.exists(rowPath(0)))
  const again =
    "whoever writes makes it again from the lines; `hansard append /dev/null --dir D` does no more than that."
  return new NotFoundError(`record ${index} cannot be proved: ${cause.message}`, {
    cause,
    hint: isGone ? `The tree is derived: ${again}` : `Move store/audit/tree aside, then ${again}`,
  })
}

function write(path: string, content: string | Uint8Array): void {
  try {
    writeFileSync(path, content)
  } catch (error) {
    throw systemError(`write ${path}`, error)
  }
}

function parseIndex(text: string): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError("It must be a whole number from 0.")
  return value
}
