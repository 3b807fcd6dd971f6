/**
 * Checkpoints, https://c2sp.org/tlog-checkpoint: a log's size and root as a signed note.
 *
 * One signature commits to every record: the root to their bytes and order, the size to there being no more. What a
 * checkpoint cannot say alone is that the log showed everyone the same one; that is what cosignatures are for.
 */
import { formatHash, logSize, parseHash, type Hash, type LogSize } from "./hash-types.ts"
import { InvalidInputError } from "./errors.ts"
import { parseDecimal } from "./canonical.ts"
import { openNote, signNote, type NoteSigner, type NoteVerifier, type OpenedNote } from "./note.ts"
import { BadSignatureError } from "./proof-errors.ts"

export interface TreeHead {
  readonly size: LogSize
  readonly root: Hash
}

export interface Checkpoint extends TreeHead {
  /** Which log: a URL without scheme, and the name of its key. */
  readonly origin: string
}

/** A checkpoint with everything that its note says. */
export interface OpenedCheckpoint extends Checkpoint {
  /** Lines after the root, opaque. Never written here, as neither auditors nor all cosigners cover them. */
  readonly extensions: readonly string[]
  readonly note: OpenedNote
}

/**
 * The note's text: origin, size and root, a line each.
 *
 * @throws InvalidInputError for an origin that is empty or more than a line.
 */
export function formatCheckpoint({ origin, size, root }: Checkpoint): string {
  checkOrigin(origin)
  return `${origin}\n${logSize(size)}\n${formatHash(root)}\n`
}

/**
 * What the text of a note says as a checkpoint, unverified. Its root is not compared with anything: that a log of size
 * 0 has the root of the empty tree is for the caller to find, as witnesses have an answer of their own for it.
 *
 * @throws InvalidInputError for whatever {@link formatCheckpoint} would not print, but for extension lines.
 */
export function parseCheckpoint(text: string): Checkpoint & { readonly extensions: readonly string[] } {
  const lines = text.split("\n")
  const [origin = "", size = "", root = "", ...extensions] = lines.slice(0, -1)
  if (lines.length < 4 || lines.at(-1) !== "" || lines.slice(0, -1).includes("")) {
    throw new InvalidInputError("a checkpoint has three lines or more, none of them empty")
  }
  checkOrigin(origin)
  return {
    origin,
    size: logSize(parseDecimal(size, "the checkpoint's size")),
    root: parseHash(root),
    extensions,
  }
}

/**
 * The signed note.
 *
 * Whoever calls this must have made sure that no inconsistent checkpoint was ever signed, and that the tiles of this
 * one are durable: a signature cannot be taken back.
 *
 * @throws InvalidInputError unless the first signer's name is the origin: otherwise no client would look for its key.
 */
export function signCheckpoint(checkpoint: Checkpoint, signers: readonly NoteSigner[]): string {
  if (signers[0]?.name !== checkpoint.origin) {
    throw new InvalidInputError(
      `the first key to sign a checkpoint of ${checkpoint.origin} must have that name`,
    )
  }
  return signNote(formatCheckpoint(checkpoint), signers)
}

/**
 * The checkpoint, if the log signed it. Cosignatures by the keys of `others` are verified as well, and their absence
 * is for the caller to judge: see `policy.ts`.
 *
 * @throws InvalidInputError when it is no signed checkpoint.
 * @throws BadSignatureError when the log did not sign it, when it is of another log, or a known key's signature is bad.
 */
export function openCheckpoint(
  message: Uint8Array | string,
  log: NoteVerifier,
  others: readonly NoteVerifier[] = [],
): OpenedCheckpoint {
  const note = openNote(message, [log, ...others])
  const checkpoint = parseCheckpoint(note.text)
  if (checkpoint.origin !== log.name) {
    throw new BadSignatureError(`the checkpoint is of ${checkpoint.origin}, not of ${log.name}`, undefined)
  }
  if (!note.verified.some(({ name, keyId }) => name === log.name && keyId === log.keyId)) {
    throw new BadSignatureError(`${log.name} has not signed the checkpoint`, undefined)
  }
  return { ...checkpoint, note }
}

function checkOrigin(origin: string): void {
  if (origin === "" || /[\0-\x1f]/.test(origin) || !origin.isWellFormed()) {
    throw new InvalidInputError("an origin is one line of text, and not empty")
  }
}
