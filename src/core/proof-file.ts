/**
 * Proof files, https://c2sp.org/tlog-proof: all that it takes to show, offline, that a record is in a log.
 *
 * The verifier brings the record's bytes and whom to believe; the file brings the index, the inclusion proof and the
 * checkpoint, signatures included. Stored as `.tlog-proof`.
 */
import { formatBase64, parseBase64, parseDecimal, textWithin } from "./canonical.ts"
import { parseCheckpoint } from "./checkpoint.ts"
import { InvalidInputError } from "./errors.ts"
import { formatHash, parseHash, recordIndex, type Hash, type RecordIndex } from "./hash-types.ts"
import { leafHash } from "./merkle-hash.ts"
import { checkRecord } from "./merkle.ts"
import { MAX_NOTE_BYTES, parseNote } from "./note.ts"
import { openCheckpointBy, type Policy, type TrustedCheckpoint } from "./policy.ts"

const HEADER = "c2sp.org/tlog-proof@v1"
/** Of a proof: what a tree of 2^63 records takes. */
const MAX_PROOF_HASHES = 63
/** Of a whole file. */
export const MAX_PROOF_FILE_BYTES: number = 2 * MAX_NOTE_BYTES

export interface ProofFile {
  readonly index: RecordIndex
  /** From the leaf's sibling up to the root's child. */
  readonly proof: readonly Hash[]
  /** The signed note, verbatim. */
  readonly checkpoint: string
  /** Not authenticated by anything: whatever it says may be a lie. */
  readonly extra?: Uint8Array
}

/** @throws InvalidInputError for parts that no proof file can have. */
export function formatProofFile({ index, proof, checkpoint, extra }: ProofFile): string {
  const lines = [HEADER]
  if (extra !== undefined) lines.push(`extra ${formatBase64(extra)}`)
  lines.push(`index ${index}`, ...proof.map(formatHash), "", checkpoint)
  const file = lines.join("\n")
  parseProofFile(file)
  return file
}

/**
 * The file's parts. The note in it is well-formed and a checkpoint, and nothing is verified.
 *
 * @throws InvalidInputError for whatever {@link formatProofFile} would not print.
 */
export function parseProofFile(input: Uint8Array | string): ProofFile {
  const file = textWithin(input, MAX_PROOF_FILE_BYTES, "the proof file")
  const end = file.indexOf("\n\n")
  const [header, ...lines] = file.slice(0, Math.max(end, 0)).split("\n", MAX_PROOF_HASHES + 4)
  if (header !== HEADER)
    throw new InvalidInputError(`a proof file begins with ${HEADER} and has a checkpoint`)
  const extra = lines[0]?.startsWith("extra ") === true ? lines.shift()?.slice("extra ".length) : undefined
  if (extra === "") throw new InvalidInputError("the proof file's extra data is empty")
  const indexLine = lines.shift() ?? ""
  if (!indexLine.startsWith("index ")) throw new InvalidInputError("the proof file has no index line")
  if (lines.length > MAX_PROOF_HASHES)
    throw new InvalidInputError(`a proof has at most ${MAX_PROOF_HASHES} hashes`)
  const checkpoint = file.slice(end + 2)
  parseCheckpoint(parseNote(checkpoint).text)
  return {
    index: recordIndex(parseDecimal(indexLine.slice("index ".length), "the proof's index")),
    proof: lines.map(parseHash),
    checkpoint,
    ...(extra === undefined ? {} : { extra: parseBase64(extra, "the proof's extra data") }),
  }
}

/**
 * Returns the checkpoint only if `data` are the exact bytes of record `file.index` in it, and the policy trusts it.
 *
 * That shows: whoever holds the log's key committed to these bytes at this place, and the quorum's witnesses saw that
 * commitment. It does not show that the record is true, nor when it was written, but by the witnesses' clocks.
 *
 * @throws InvalidInputError when the checkpoint in it is none.
 * @throws BadSignatureError when the policy does not trust the checkpoint.
 * @throws BadProofError when the record is not what is at that index.
 */
export function checkProofFile(file: ProofFile, data: Uint8Array, policy: Policy): TrustedCheckpoint {
  const checkpoint = openCheckpointBy(policy, file.checkpoint)
  checkRecord(file.proof, checkpoint.size, checkpoint.root, file.index, leafHash(data))
  return checkpoint
}
