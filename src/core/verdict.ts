/**
 * What a verification found, claim by claim. A single yes or no would say either too much or too little: the same log
 * can be intact beyond doubt and yet be the older one of two.
 */
import type { LogSize } from "./hash-types.ts"

/** What is claimed of a log. */
export type Claim =
  /** The lines are the bytes that the checkpoint's tree commits to. */
  | "integrity"
  /** Each record stands at the place where it was recorded, and none is missing between two others. */
  | "order_and_gaps"
  /** Nothing was taken off the end, and no older state is shown. */
  | "no_truncation"
  /** Whose key signed. */
  | "authorship"
  /** When the records were written, as far as anything bounds it. */
  | "time"
  /** Everybody is shown the same log. */
  | "no_split_view"
  /** The stored tiles are those of the tree: proofs can be made from them. */
  | "tiles"

/** In the order in which they are told. */
export const CLAIMS: readonly Claim[] = [
  "integrity",
  "order_and_gaps",
  "no_truncation",
  "authorship",
  "time",
  "no_split_view",
  "tiles",
]

/**
 * - `proved`: follows from the bytes at hand, SHA-256, Ed25519 and what the caller told to trust.
 * - `conditional`: follows as well, if what `on` says is so.
 * - `unprovable`: nothing at hand speaks for or against it.
 * - `false`: the bytes at hand contradict it.
 */
export type Verdict =
  | { readonly status: "proved"; readonly because: string }
  | { readonly status: "conditional"; readonly because: string; readonly on: string }
  | { readonly status: "unprovable"; readonly because: string }
  | {
      readonly status: "false"
      readonly because: string
      /** The first record that is wrong or missing, where that is known for certain. */
      readonly firstBadIndex?: number
      /** Where its line starts, in bytes from the start of the log. */
      readonly byteOffset?: number
    }

/** One thing that is wrong, and where. */
export interface Finding {
  readonly where: "line" | "tile" | "checkpoint"
  readonly message: string
  /** Of the tile, relative to the log's prefix. */
  readonly path?: string
  /** Of the record. */
  readonly index?: number
  /** The first bad byte: in the log for a line, in the file for a tile. */
  readonly byteOffset?: number
}

/** Of {@link LogVerdict.findings}: a log that is wholly something else should not fill the memory. */
export const MAX_FINDINGS = 100

export interface LogVerdict {
  readonly claims: Readonly<Record<Claim, Verdict>>
  /** `undefined` when there is no checkpoint, or none that can be read. */
  readonly origin: string | undefined
  /** Of the checkpoint. */
  readonly size: LogSize | undefined
  /** Complete lines in the log. */
  readonly records: number
  /** Lines after the checkpoint's size: nothing is claimed of them. */
  readonly uncovered: number
  /** Bytes after the last newline: a write under way, or a torn one. */
  readonly tornBytes: number
  /** Bytes in all. */
  readonly bytes: number
  /** What is wrong, the first {@link MAX_FINDINGS} of them. */
  readonly findings: readonly Finding[]
  /** The contradiction of two signed checkpoints, as `formatForkEvidence` writes it. */
  readonly forkEvidence: Uint8Array | undefined
  /** The checkpoint that may be remembered with its keys; `undefined` when anything is false or nothing was signed. */
  readonly accepted: AcceptedCheckpoint | undefined
}

/** A checkpoint that a verification accepted, for the next one to hold the log to. */
export interface AcceptedCheckpoint {
  readonly origin: string
  /** The signed note, verbatim. */
  readonly checkpoint: Uint8Array
  /** The keys in whose name it was accepted: one that the caller pinned, then those that took over from it. */
  readonly keys: readonly string[]
}

const AND_ON = "; and on "

/** As one text, each after an "on". */
export function joinConditions(conditions: readonly string[]): string {
  return conditions.join(AND_ON)
}

/** The inverse of {@link joinConditions}: of what is conditional, what on. */
export function conditionsOf(verdict: Verdict): string[] {
  return verdict.status === "conditional" ? verdict.on.split(AND_ON) : []
}

/** Whether nothing is false: exit status 0. */
export function isGood({ claims }: Pick<LogVerdict, "claims">): boolean {
  return CLAIMS.every((claim) => claims[claim].status !== "false")
}

/** As `hansard verify --json` prints it. */
export function verdictToJson(verdict: LogVerdict): Readonly<Record<string, unknown>> {
  const { claims, origin, size, records, uncovered, tornBytes, bytes, findings, forkEvidence } = verdict
  return {
    good: isGood(verdict),
    origin: origin ?? null,
    size: size ?? null,
    records,
    uncovered,
    torn_bytes: tornBytes,
    bytes,
    claims: Object.fromEntries(CLAIMS.map((claim) => [claim, claimToJson(claims[claim])])),
    findings: findings.map(({ where, message, path, index, byteOffset }) => ({
      where,
      message,
      ...(path === undefined ? {} : { path }),
      ...(index === undefined ? {} : { index }),
      ...(byteOffset === undefined ? {} : { byte_offset: byteOffset }),
    })),
    fork: forkEvidence !== undefined,
  }
}

function claimToJson(verdict: Verdict): Readonly<Record<string, unknown>> {
  if (verdict.status !== "false") return verdict
  const { status, because, firstBadIndex, byteOffset } = verdict
  return { status, because, first_bad_index: firstBadIndex ?? null, byte_offset: byteOffset ?? null }
}
