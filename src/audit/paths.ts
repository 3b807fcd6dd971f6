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

/** The first index in a segment's name; `undefined` for a name that is none of ours. */
export function parseSegmentName(name: string): number | undefined {
  const digits = /^(\d{12,16})\.jsonl$/.exec(name)?.[1]
  const first = Number(digits)
  return digits !== undefined && segmentPath(first).endsWith(`/${name}`) ? first : undefined
}
