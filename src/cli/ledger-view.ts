import { setTimeout as sleep } from "node:timers/promises"
import { CHECKPOINT_PATH, storedTiles } from "../audit/index.ts"
import { equalBytes, utf8 } from "../core/bytes.ts"
import { openCheckpoint, parseCheckpoint } from "../core/checkpoint.ts"
import type { Checkpoint } from "../core/checkpoint.ts"
import { HansardError, LogLockedError, NotFoundError, TamperedError } from "../core/errors.ts"
import { logSize } from "../core/hash-types.ts"
import { describeKey, parseVerifierKey } from "../core/key.ts"
import type { VerifierKey } from "../core/key.ts"
import { leafHash } from "../core/merkle-hash.ts"
import { noteVerifier, parseNote } from "../core/note.ts"
import { storedHashIndex } from "../core/stored-hash.ts"
import { tileHashReader } from "../core/tile-reader.ts"
import type { KnowledgeStore } from "../store/index.ts"
import { DataFolder } from "./folder.ts"
import { loadRetiredKeys, loadVerifierKey } from "./keys.ts"
import { openFile, rawLines } from "./raw-lines.ts"
import type { RawLine } from "./raw-lines.ts"
import { SEALED_PATH, sealedFile } from "./sealed.ts"
import type { CommonOptions, Shell } from "./shell.ts"

/** How long to wait for a running writer's next checkpoint. */
const PATIENCE_MS = 5_000
const LOOK_EVERY_MS = 100

/** A stored checkpoint, and its note as it is. */
export interface StoredHead extends Checkpoint {
  readonly text: string
}

/**
 * The stored checkpoint; `undefined` when there is none. Its signature is checked if the folder has its log's verifier
 * key, and nobody outside need trust that: who checks a proof brings a key of their own.
 *
 * @throws TamperedError when it is no checkpoint, or not one of that key.
 */
export async function storedHead(store: KnowledgeStore, dir: string): Promise<StoredHead | undefined> {
  const bytes = await store.read(CHECKPOINT_PATH)
  if (bytes === undefined) return undefined
  try {
    const key = loadVerifierKey(dir)
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes)
    const { origin, size, root } =
      key === undefined ? parseCheckpoint(parseNote(bytes).text) : opened(bytes, key, dir)
    return { origin, size, root, text }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new TamperedError(`the stored checkpoint is not good: ${why}`, 0, 0, { cause })
  }
}

/** By the log's key; or by one before it, whose successor has signed nothing yet. */
function opened(bytes: Uint8Array, key: VerifierKey, dir: string): Checkpoint {
  const signers = parseNote(bytes).signatures.map(describeKey)
  const before = loadRetiredKeys(dir).map(parseVerifierKey)
  const signer = before.find((each) => signers.includes(describeKey(each)))
  return openCheckpoint(bytes, noteVerifier(signer ?? key))
}

/**
 * A checkpoint that covers record `index`, or by default every record: the stored one if it does, else a new one; beside
 * a running writer the one that it makes next, or by default the stored one as it is.
 */
export async function headCovering(
  shell: Shell,
  options: CommonOptions,
  index: number | undefined,
): Promise<StoredHead> {
  {
    await using folder = await DataFolder.openToRead(options.dir)
    const { store, log } = folder
    const head = await storedHead(store, options.dir)
    const isSealed = await store.exists(SEALED_PATH)
    const size = isSealed ? (head?.size ?? 0) : log.size
    if (index !== undefined && index >= size) {
      throw new NotFoundError(`there is no record ${index}; the log has ${size}`, {
        hint: isSealed ? "`hansard seal` takes in what has been added." : "Records count from 0.",
      })
    }
    if (head !== undefined && head.size >= (index === undefined ? size : index + 1)) return head
    if (isSealed) throw new NotFoundError("nothing is sealed yet", { hint: "Run `hansard seal` first." })
  }
  try {
    await using folder = await DataFolder.openToWrite(shell, options)
    await folder.log.checkpoint()
    return await theHead(folder.store, options.dir)
  } catch (error) {
    if (!(error instanceof LogLockedError)) throw error
    await using folder = await DataFolder.openToRead(options.dir)
    return await writersHead(shell, folder.store, options.dir, index, error)
  }
}

async function writersHead(
  shell: Shell,
  store: KnowledgeStore,
  dir: string,
  index: number | undefined,
  locked: LogLockedError,
): Promise<StoredHead> {
  for (let waited = 0; waited < PATIENCE_MS && !shell.interrupted.aborted; waited += LOOK_EVERY_MS) {
    const head = await storedHead(store, dir)
    if (head !== undefined && (index === undefined || index < head.size)) return head
    await sleep(LOOK_EVERY_MS)
  }
  throw new NotFoundError(`the writer has published no checkpoint that covers ${index ?? "the log"}`, {
    cause: locked,
    hint: "It may keep a plain log (--no-ledger): run this again when it has ended.",
  })
}

async function theHead(store: KnowledgeStore, dir: string): Promise<StoredHead> {
  const head = await storedHead(store, dir)
  if (head === undefined)
    throw new NotFoundError("there is no checkpoint", { hint: "Append a record first." })
  return head
}

/**
 * The exact bytes of the records `[from, to)`, of the folder's own log or of the file that it seals.
 *
 * @throws TamperedError when there are fewer.
 */
export async function* recordBytes(
  { store, log }: DataFolder,
  from: number,
  to: number,
  signal?: AbortSignal,
): AsyncGenerator<RawLine, void, undefined> {
  const sealed = await sealedFile(store)
  let next = from
  let end = 0
  if (sealed === undefined) {
    for await (const { index, offset, line } of log.entries({ from, to, ...(signal && { signal }) })) {
      const bytes = utf8(line)
      yield { index, offset, bytes }
      next = index + 1
      end = offset + bytes.length + 1
    }
  } else {
    await using file = await openFile(sealed)
    for await (const line of rawLines(file, { index: 0, offset: 0 }, signal)) {
      if (line.index >= to) break
      end = line.offset + line.bytes.length + 1
      if (line.index < from) continue
      yield line
      next = line.index + 1
    }
  }
  if (next < to) {
    throw new TamperedError(`the log ends before record ${next}, at byte ${end}`, next, end)
  }
}

/** The first of these lines that is not the record that the tree has there; `undefined` when all are. */
export async function firstFalse(
  store: KnowledgeStore,
  { size, root }: Pick<Checkpoint, "size" | "root">,
  lines: AsyncIterable<RawLine>,
): Promise<RawLine | undefined> {
  const read = tileHashReader(logSize(size), root, storedTiles(store))
  let group: { readonly line: RawLine; readonly leaf: Uint8Array }[] = []
  const falseInGroup = async (): Promise<RawLine | undefined> => {
    const hashes = await read(group.map(({ line }) => storedHashIndex(0, line.index)))
    const found = group.find(({ leaf }, i) => !equalBytes(leaf, hashes[i] ?? new Uint8Array(0)))
    group = []
    return found?.line
  }
  for await (const line of lines) {
    if (line.index >= size) break
    group.push({ line: { ...line, bytes: new Uint8Array(0) }, leaf: leafHash(line.bytes) })
    if (group.length < 1_024) continue
    const found = await falseInGroup()
    if (found !== undefined) return found
  }
  return group.length === 0 ? undefined : await falseInGroup()
}

/** What to throw when lines do not lead to their checkpoint's root: it names the first that is to blame, if tiles tell. */
export async function falseLines(
  store: KnowledgeStore,
  head: Pick<Checkpoint, "size" | "root">,
  lines: AsyncIterable<RawLine>,
): Promise<TamperedError> {
  try {
    const found = await firstFalse(store, head, lines)
    if (found !== undefined) {
      const message = `record ${found.index}, at byte ${found.offset}, is not the one that the checkpoint covers`
      return new TamperedError(message, found.index, found.offset)
    }
  } catch (error) {
    if (!(error instanceof HansardError)) throw error
  }
  return new TamperedError("the lines do not lead to the checkpoint, nor do the tiles", 0, 0)
}
