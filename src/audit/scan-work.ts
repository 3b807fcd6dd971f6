/** What the threads of a parallel verification say to each other. */
import type { Stretch, StretchOptions } from "./stretch.ts"

/** A stretch of the log's bytes in a file of this machine. */
export interface FilePart {
  /** From the start of the log. */
  readonly start: number
  readonly end: number
  readonly path: string
  /** Open for reading already: a file that may be renamed meanwhile. */
  readonly fd: number | undefined
}

export interface ScanWork {
  readonly parts: readonly FilePart[]
  /** Where the first share starts; a line starts there. */
  readonly offset: number
  readonly firstIndex: number
  /** Where the log ended when the scan began. */
  readonly end: number
  readonly shareBytes: number
  readonly shares: number
  readonly options: StretchOptions
  /** {@link NEXT}, {@link TAKEN}, and from {@link COUNTS} on one more than each share's number of lines, 0 while unknown. */
  readonly shared: Int32Array<SharedArrayBuffer>
  /** How many shares may be ahead of what the main thread has taken. */
  readonly ahead: number
}

export const NEXT = 0
export const TAKEN = 1
export const COUNTS = 2

/** What is found in a share. */
export interface ShareScan {
  readonly share: number
  readonly stretch: Stretch
  /** Of the log's last line, told by the share in which it begins. */
  readonly tornBytes: number
}

/** What a worker says: a share's result, or that it cannot tell, and somebody else must read the log. */
export type ScanMessage = ShareScan | { readonly gaveUp: true }
