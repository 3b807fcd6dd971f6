/**
 * Evidence files: records with their proofs, for somebody who has the log's key and nothing else. One JSON object a line,
 *
 *     {"index":12,"line":"{\"at\": …}","proof":"c2sp.org/tlog-proof@v1\nindex 12\n…"}
 *
 * where `line` is the record's exact line without its newline, and `proof` a C2SP tlog-proof file with its checkpoint.
 * Each line stands for itself, so that files may be cut, joined and sorted.
 */
import { textWithin } from "./canonical.ts"
import { utf8 } from "./bytes.ts"
import { InvalidInputError } from "./errors.ts"
import { checkRecord } from "./merkle.ts"
import { leafHash } from "./merkle-hash.ts"
import { openCheckpointBy, type Policy, type TrustedCheckpoint } from "./policy.ts"
import { MAX_PROOF_FILE_BYTES, parseProofFile } from "./proof-file.ts"

/** Of a file that is read at once, in bytes: ten thousand records and more. Line by line there is no end to one. */
export const MAX_EVIDENCE_BYTES: number = 64 * 2 ** 20

export interface EvidenceItem {
  readonly index: number
  readonly line: string
  readonly proof: string
}

/** Ends in a newline. */
export function formatEvidence({ index, line, proof }: EvidenceItem): string {
  return `${JSON.stringify({ index, line, proof })}\n`
}

/** Whether it looks like an evidence file rather than a proof. */
export function isEvidence(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7b
}

/** @throws InvalidInputError naming the line, for what {@link formatEvidence} would not have written. */
export function parseEvidence(file: Uint8Array): EvidenceItem[] {
  const text = textWithin(file, MAX_EVIDENCE_BYTES, "the evidence file")
  const lines = (text.endsWith("\n") ? text.slice(0, -1) : text).split("\n")
  return lines.map((line, i) => parseEvidenceLine(line, i + 1))
}

/** One line of a file, without its newline. @param number from 1. @throws InvalidInputError that names it. */
export function parseEvidenceLine(line: string, number: number): EvidenceItem {
  const item = parseItem(line)
  if (item !== undefined) return item
  throw new InvalidInputError(`line ${number} of the evidence is not {"index", "line", "proof"}`)
}

/**
 * Returns the checkpoint only if the line is the record at that index in it, and the policy trusts it.
 *
 * @throws InvalidInputError when the proof is none, or is of another index than the item says.
 * @throws BadSignatureError, BadProofError as {@link checkProofFile} does.
 */
export function checkEvidence(item: EvidenceItem, policy: Policy): TrustedCheckpoint {
  return evidenceChecker(policy)(item)
}

/**
 * The same for many items, which mostly have one checkpoint: whose it is, is found out once for those that follow one
 * another with the same.
 */
export function evidenceChecker(policy: Policy): (item: EvidenceItem) => TrustedCheckpoint {
  let known: { readonly text: string; readonly trusted: TrustedCheckpoint } | undefined
  return ({ index, line, proof }) => {
    const file = parseProofFile(proof)
    if (file.index !== index) {
      throw new InvalidInputError(
        `the evidence says record ${index}, and its proof is of record ${file.index}`,
      )
    }
    if (known?.text !== file.checkpoint) {
      known = { text: file.checkpoint, trusted: openCheckpointBy(policy, file.checkpoint) }
    }
    const { trusted } = known
    checkRecord(file.proof, trusted.size, trusted.root, file.index, leafHash(utf8(line)))
    return trusted
  }
}

function parseItem(text: string): EvidenceItem | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== "object" || value === null) return undefined
  const { index, line, proof } = value as Readonly<Record<string, unknown>>
  if (typeof index !== "number" || !Number.isSafeInteger(index) || index < 0) return undefined
  if (typeof line !== "string" || line.includes("\n") || !line.isWellFormed()) return undefined
  return typeof proof === "string" && proof.length <= MAX_PROOF_FILE_BYTES
    ? { index, line, proof }
    : undefined
}
