import { equalBytes } from "../core/bytes.ts"
import { TamperedError } from "../core/errors.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import { LogExtent } from "./extent.ts"
import { misplaced } from "./log-files.ts"
import type { LogFiles } from "./log-files.ts"
import { TORN_FOLDER } from "./paths.ts"
import { countLines, view } from "./read.ts"

/** Bytes per read while the log is measured. */
const SCAN_BYTES = 1024 * 1024
const NEWLINE = 0x0a

/**
 * No batch of the writer is longer, in bytes. What lies further than this from the end of the file was therefore
 * acknowledged, and a hole in it is damage, not a torn tail.
 */
export const MAX_BATCH_BYTES: number = 1024 * 1024

/** Bytes at the end of the log that no acknowledgement covers. */
export interface TornTail {
  readonly bytes: number
  /** Where they were set aside. */
  readonly path: string
}

/**
 * Measures the log: reads it once, from `extent` on, and moves `extent` to its last whole line.
 *
 * @throws TamperedError when a sealed segment does not begin where the lines before it end, or ends within a line.
 */
export async function measure(files: LogFiles, extent: LogExtent): Promise<void> {
  let rest = 0
  for (;;) {
    const from = extent.bytes + rest
    const segment = files.segmentAt(extent.bytes)
    if (rest === 0) files.measured(extent.size, from)
    if (rest === 0 && segment?.start === from && segment.firstIndex !== extent.size) {
      throw misplaced(segment, extent.size, from)
    }
    const read = view(await files.read(from, Math.min(from + SCAN_BYTES, segment?.end ?? Infinity)))
    if (read.length === 0) {
      if (segment === undefined) return
      throw new TamperedError(`a sealed segment ends within a line`, extent.size, extent.bytes)
    }
    const whole = read.lastIndexOf(NEWLINE) + 1
    if (whole === 0) {
      rest += read.length
      continue
    }
    advanceInSteps(extent, rest, read.subarray(0, whole))
    rest = read.length - whole
  }
}

/** In steps, so that the extent notes an offset every few hundred lines and not once a megabyte. */
function advanceInSteps(extent: LogExtent, pending: number, bytes: Buffer): void {
  const step = 64 * 1024
  let carried = pending
  let position = 0
  while (position < bytes.length) {
    const target = bytes.indexOf(NEWLINE, Math.min(position + step, bytes.length - 1)) + 1
    const lines = bytes.subarray(position, target)
    extent.advance(countLines(lines), carried + lines.length)
    carried = 0
    position = target
  }
}

/**
 * Opens the log for writing: measures it, from where `extent` knows it, and sets a torn tail aside.
 *
 * A tail is torn when the last line has no newline, or when a line within the last {@link MAX_BATCH_BYTES} holds a NUL:
 * after a power loss a file can be longer than what reached the disk, and reads as zeros there. Our lines never hold
 * one. Everything from that line on is set aside: it was one batch, and none of it was acknowledged.
 *
 * Three steps, each durable before the next, each safe to repeat: copy the tail to `/audit/torn/<index>-<offset>`, cut
 * it off, append `audit_recovered` (that is the caller's). A crash after the second leaves a file there whose name is
 * the log's very end; so it is found and told the next time.
 *
 * @param check runs once `extent` is what the log will be, before anything is changed; what it throws stops everything
 * @returns the torn tail that is still to be told in a record, if any.
 */
export async function recover(
  store: KnowledgeStore,
  files: LogFiles,
  extent: LogExtent,
  check: () => Promise<void>,
): Promise<TornTail | undefined> {
  await measure(files, extent)
  const fileBytes = await files.size()
  const hole = await findHole(files, extent, fileBytes)
  if (hole !== undefined) extent.retreat(hole.size, hole.bytes)
  await check()
  if (fileBytes === extent.bytes) return await findUntold(store, extent)

  const tail = await files.read(extent.bytes, fileBytes)
  const path = await freePath(store, extent.size, extent.bytes, tail)
  await store.write(path, tail)
  await files.truncate(extent.bytes)
  return { bytes: tail.length, path }
}

/**
 * The first line with a NUL in the last batch's reach: how many records and bytes lie before it. Not in what is sealed:
 * that was durable before.
 */
async function findHole(
  files: LogFiles,
  extent: LogExtent,
  end: number,
): Promise<{ size: number; bytes: number } | undefined> {
  const reach = Math.max(files.activeStart, end - MAX_BATCH_BYTES)
  const from = extent.floorOfOffset(reach)
  const bytes = view(await files.read(from.offset, end))
  const nul = bytes.indexOf(0, reach - from.offset)
  if (nul === -1) return undefined
  const good = bytes.subarray(0, bytes.subarray(0, nul).lastIndexOf(NEWLINE) + 1)
  return { size: from.index + countLines(good), bytes: from.offset + good.length }
}

async function findUntold(store: KnowledgeStore, extent: LogExtent): Promise<TornTail | undefined> {
  const name = tornName(extent.size, extent.bytes)
  const names = (await store.list(TORN_FOLDER)).filter(
    (other) => other === name || other.startsWith(`${name}.`),
  )
  const last = names.at(-1)
  if (last === undefined) return undefined
  const path = `${TORN_FOLDER}/${last}`
  return { bytes: await store.size(path), path }
}

/** A second torn tail at the same place does not overwrite the first; the same one again is the same file. */
async function freePath(
  store: KnowledgeStore,
  size: number,
  bytes: number,
  tail: Uint8Array,
): Promise<string> {
  const name = `${TORN_FOLDER}/${tornName(size, bytes)}`
  for (let n = 1; ; n++) {
    const path = n === 1 ? name : `${name}.${n}`
    const there = await store.read(path)
    if (there === undefined || equalBytes(there, tail)) return path
  }
}

function tornName(size: number, bytes: number): string {
  return `${size}-${bytes}`
}
