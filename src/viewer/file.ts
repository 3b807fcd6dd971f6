/** Files that are handed to the reader, of any length, without being held here as a whole. */
import { systemTimers } from "../core/index.ts"

/** Where a file goes part by part. */
export interface FileSink {
  write(part: string | Uint8Array<ArrayBuffer>): Promise<void>
  close(): Promise<void>
  /** What was written is let go. */
  abort(): Promise<void>
}

/** What is longer is asked where to, and written there as it comes. In records. */
const ASK_WHERE_ABOVE = 20_000
/** Parts are given to the browser once there is so much, in characters. */
const PART_LENGTH = 2 ** 20

interface Picker {
  showSaveFilePicker?: (options: { readonly suggestedName: string }) => Promise<{
    createWritable(): Promise<{
      write(part: string | Uint8Array<ArrayBuffer>): Promise<void>
      close(): Promise<void>
      abort(): Promise<void>
    }>
  }>
}

/**
 * Call it in the moment of a click.
 *
 * Where the browser can write files, a long one goes straight to the disk. Elsewhere it is given to the browser a part at
 * a time, which keeps large parts on the disk as well, and is saved in the end.
 *
 * @returns `undefined` when the reader does not want it after all.
 */
export async function openFile(name: string, type: string, records: number): Promise<FileSink | undefined> {
  const pick = (globalThis as Picker).showSaveFilePicker
  if (records <= ASK_WHERE_ABOVE || pick === undefined) return blobFile(name, type)
  try {
    const handle = await pick.call(globalThis, { suggestedName: name })
    return await handle.createWritable()
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return undefined
    return blobFile(name, type)
  }
}

/** The browser fetches it and writes it to the disk by itself. */
export function download(address: string, name: string): void {
  const link = document.createElement("a")
  link.href = address
  link.download = name
  link.click()
}

/** A short one. */
export function save(name: string, type: string, parts: readonly BlobPart[]): void {
  const address = URL.createObjectURL(new Blob([...parts], { type }))
  download(address, name)
  systemTimers.after(60_000, () => URL.revokeObjectURL(address))
}

function blobFile(name: string, type: string): FileSink {
  let blobs: Blob[] = []
  let parts: (string | Uint8Array<ArrayBuffer>)[] = []
  let length = 0
  const seal = (): void => {
    blobs.push(new Blob(parts))
    parts = []
    length = 0
  }
  return {
    write(part) {
      parts.push(part)
      length += part.length
      if (length >= PART_LENGTH) seal()
      return Promise.resolve()
    },
    close() {
      seal()
      save(name, type, blobs)
      return Promise.resolve()
    },
    abort() {
      blobs = []
      parts = []
      return Promise.resolve()
    },
  }
}
