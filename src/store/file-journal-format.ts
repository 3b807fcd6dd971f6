import { crc32 } from "node:zlib"
import { utf8Text } from "../core/bytes.ts"

/**
 * What lies in a file of the journal: batches, each of them durable as a whole or not there.
 *
 *     hansard-journal 1 <number of the file> <bytes of the body> <CRC-32 of the body, 8 hexadecimal digits>\n
 *     append <offset> <bytes> <bytes of the path>\n<path><content>      one or more, in a batch of appends
 *     void <bytes of the path>\n<path>                                 what was said of it and under it holds no more
 */
export type JournalEntry =
  | { readonly kind: "append"; readonly path: string; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: "void"; readonly path: string }

const NEWLINE = 10
/** Of a batch's or an entry's first line; what is longer is none. */
const MAX_HEADER_BYTES = 100

export function encodeBatch(file: number, entries: readonly JournalEntry[]): Uint8Array {
  const parts: { readonly head: string; readonly path: string; readonly content: Uint8Array | undefined }[] =
    []
  let size = 0
  for (const entry of entries) {
    const pathBytes = Buffer.byteLength(entry.path)
    const content = entry.kind === "append" ? entry.bytes : undefined
    const head =
      entry.kind === "append"
        ? `append ${entry.offset} ${entry.bytes.length} ${pathBytes}\n`
        : `void ${pathBytes}\n`
    parts.push({ head, path: entry.path, content })
    size += head.length + pathBytes + (content?.length ?? 0)
  }
  const batch = Buffer.allocUnsafe(MAX_HEADER_BYTES + size)
  let at = MAX_HEADER_BYTES
  for (const { head, path, content } of parts) {
    at += batch.write(head, at, "latin1")
    at += batch.write(path, at)
    if (content === undefined) continue
    batch.set(content, at)
    at += content.length
  }
  const body = batch.subarray(MAX_HEADER_BYTES, at)
  const sum = crc32(body).toString(16).padStart(8, "0")
  const header = `hansard-journal 1 ${file} ${body.length} ${sum}\n`
  const start = MAX_HEADER_BYTES - header.length
  batch.write(header, start, "latin1")
  return batch.subarray(start, at)
}

/** The batches up to the first that is not whole: that one was never acknowledged. */
export function* readBatches(file: number, bytes: Uint8Array): Generator<JournalEntry[]> {
  let at = 0
  while (at < bytes.length) {
    const header = lineAt(bytes, at)
    const match = /^hansard-journal 1 (\d+) (\d+) ([0-9a-f]{8})$/.exec(header ?? "")
    if (header === undefined || match === null || Number(match[1]) !== file) return
    const start = at + header.length + 1
    const end = start + Number(match[2])
    if (end > bytes.length) return
    const body = bytes.subarray(start, end)
    if (crc32(body) !== Number.parseInt(match[3] ?? "", 16)) return
    yield entriesOf(body)
    at = end
  }
}

function entriesOf(body: Uint8Array): JournalEntry[] {
  const entries: JournalEntry[] = []
  let at = 0
  while (at < body.length) {
    const header = lineAt(body, at) ?? ""
    const [kind, ...numbers] = header.split(" ")
    const [offset = 0, size = 0] = kind === "append" ? numbers.map(Number) : []
    const pathStart = at + header.length + 1
    const pathEnd = pathStart + Number(numbers.at(-1))
    const path = utf8Text(body.subarray(pathStart, pathEnd))
    at = pathEnd + size
    if (!(at > pathStart && at <= body.length) || (kind !== "append" && kind !== "void")) {
      // Its checksum is right: whoever wrote it was of another mind.
      throw new RangeError(`the journal holds an entry of no known kind: ${header}`)
    }
    if (kind === "append") entries.push({ kind, path, offset, bytes: body.subarray(pathEnd, at) })
    else entries.push({ kind, path })
  }
  return entries
}

/** Without its newline; `undefined` when none is near. */
function lineAt(bytes: Uint8Array, at: number): string | undefined {
  const end = bytes.subarray(at, at + MAX_HEADER_BYTES).indexOf(NEWLINE)
  return end === -1 ? undefined : Buffer.from(bytes.buffer, bytes.byteOffset + at, end).toString("latin1")
}
