/**
 * What witnesses and their clients say to each other, https://c2sp.org/tlog-witness: texts only, nothing is verified.
 * Each reader refuses what its writer would not have printed.
 */
import { parseDecimal, textWithin } from "../core/canonical.ts"
import { parseCheckpoint, type Checkpoint } from "../core/checkpoint.ts"
import { InvalidInputError } from "../core/errors.ts"
import { formatHash, logSize, parseHash, type Hash, type LogSize } from "../core/hash-types.ts"
import { parseNote, parseSignatureLine, type NoteSignature } from "../core/note.ts"

/** The specification's. A tree of 2^62 records has no longer proof. */
export const MAX_PROOF_HASHES = 63

/** Of a request. A proof takes 3 KiB, and sixteen post-quantum signatures 52. */
export const MAX_REQUEST_BYTES: number = 2 ** 17

/** Of the text before the blank line: `old`, a size, and hashes of 44 characters, so that no more of them fit. */
const MAX_HEAD_LENGTH = "old ".length + 16 + MAX_PROOF_HASHES * (1 + 44)

/** The media type of a size as the body of an answer 409. */
export const SIZE_TYPE = "text/x.tlog.size"

/** The body of `POST add-checkpoint`. */
export interface AddCheckpoint {
  /** Of the last checkpoint that the witness cosigned, as the client believes. */
  readonly old: LogSize
  /** That the checkpoint continues the tree of that size. */
  readonly proof: readonly Hash[]
  /** The signed note, as it came. */
  readonly note: string
  /** What the note says. */
  readonly checkpoint: Checkpoint
}

/** @throws InvalidInputError for a proof that is too long, or a note that is no checkpoint. */
export function formatAddCheckpoint({ old, proof, note }: Omit<AddCheckpoint, "checkpoint">): string {
  const body = `old ${old}\n${proof.map((hash) => `${formatHash(hash)}\n`).join("")}\n${note}`
  parseAddCheckpoint(body)
  return body
}

/** @throws InvalidInputError for whatever {@link formatAddCheckpoint} would not print. */
export function parseAddCheckpoint(body: Uint8Array | string): AddCheckpoint {
  const text = textWithin(body, MAX_REQUEST_BYTES, "the request")
  const end = text.indexOf("\n\n")
  if (end < 0 || end > MAX_HEAD_LENGTH) {
    throw new InvalidInputError(
      `the request is not an old size, at most ${MAX_PROOF_HASHES} hashes, a blank line and a checkpoint`,
    )
  }
  const [first = "", ...hashes] = text.slice(0, end).split("\n")
  if (!first.startsWith("old ")) throw new InvalidInputError('the first line is not "old" and a size')
  const old = logSize(parseDecimal(first.slice("old ".length), "the old size"))
  const proof = hashes.map(parseHash)
  const note = text.slice(end + 2)
  return { old, proof, note, checkpoint: parseCheckpoint(parseNote(note).text) }
}

/** The body of an answer 409. */
export function formatKnownSize(size: LogSize): string {
  return `${size}\n`
}

/** @throws InvalidInputError for whatever {@link formatKnownSize} would not print. */
export function parseKnownSize(body: string): LogSize {
  if (!body.endsWith("\n")) throw new InvalidInputError("the known size does not end in a newline")
  return logSize(parseDecimal(body.slice(0, -1), "the known size"))
}

/** The body of an answer 200: one signature line or more. @throws InvalidInputError for anything else. */
export function parseSignatureLines(body: string): NoteSignature[] {
  if (!body.endsWith("\n")) throw new InvalidInputError("the answer's last line does not end in a newline")
  return body.slice(0, -1).split("\n").map(parseSignatureLine)
}
