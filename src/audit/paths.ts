/** Where the log lies in its store: SPEC.md, "The store". The active segment, or the whole log if it never rotated. */
export const LOG_PATH = "/audit/audit.jsonl"

/** Sealed segments: `/audit/segments/<index of the first record, at least 12 digits>.jsonl`. */
export const SEGMENTS_FOLDER = "/audit/segments"

/** What recovery set aside: `/audit/torn/<index>-<offset>`. */
export const TORN_FOLDER = "/audit/torn"

/** How far the log reached when it was last looked at: derived, and may be deleted at any time. */
export const STATE_PATH = "/audit/state"

/** Of a sealed segment. */
export function segmentPath(firstIndex: number): string {
  return `${SEGMENTS_FOLDER}/${String(firstIndex).padStart(12, "0")}.jsonl`
}

/** Of a sealed segment that has been compressed. */
export function compressedPath(firstIndex: number): string {
  return `${segmentPath(firstIndex)}.zst`
}

/** What a segment's name says; `undefined` for a name that is none of ours. */
export function parseSegmentName(
  name: string,
): { readonly firstIndex: number; readonly isCompressed: boolean } | undefined {
  const [, digits, suffix] = /^(\d{12,16})\.jsonl(\.zst)?$/.exec(name) ?? []
  if (digits === undefined) return undefined
  const firstIndex = Number(digits)
  const isCompressed = suffix !== undefined
  const path = isCompressed ? compressedPath(firstIndex) : segmentPath(firstIndex)
  return path.endsWith(`/${name}`) ? { firstIndex, isCompressed } : undefined
}
