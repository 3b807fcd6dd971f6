/**
 * Fork evidence: two checkpoints that one log signed and that cannot both be true, as a text that anybody can check
 * with the log's key alone.
 *
 * Of two checkpoints of one size, different roots are the contradiction. Of different sizes it takes more: here, the
 * root that the larger tree's first records do have, with the consistency proof that it leads to the larger root. That
 * proof is valid; what fails is that the smaller checkpoint names another root. A proof that simply fails would show
 * nothing, for anybody can write one down.
 *
 *     hansard-fork-evidence@v1
 *     older <bytes of the first note>
 *     newer <bytes of the second note>
 *     prefix <base64 root of the larger tree's first records>      } left out
 *     <base64 hash>                                                } when not known
 *     …
 *
 *     <the older note><the newer note>
 */
import { concatBytes, equalBytes, utf8 } from "./bytes.ts"
import { parseDecimal, textWithin } from "./canonical.ts"
import { parseCheckpoint } from "./checkpoint.ts"
import { InvalidInputError } from "./errors.ts"
import { formatHash, parseHash, type Hash, type LogSize } from "./hash-types.ts"
import { describeKey, type VerifierKey } from "./key.ts"
import { checkTree } from "./merkle.ts"
import { MAX_NOTE_BYTES, noteVerifier, openNote, parseNote } from "./note.ts"
import { BadProofError, BadSignatureError } from "./proof-errors.ts"

const HEADER = "hansard-fork-evidence@v1"
const MAX_PROOF_HASHES = 63
/** Of a whole file. */
export const MAX_FORK_EVIDENCE_BYTES: number = 2 * MAX_NOTE_BYTES + 8_192

export interface ForkEvidence {
  /** The signed note of the smaller size, verbatim; of equal sizes, the one that was seen first. */
  readonly older: Uint8Array
  readonly newer: Uint8Array
  /** What the newer tree begins with instead; `undefined` when whoever shows it would not say. */
  readonly prefix: { readonly root: Hash; readonly proof: readonly Hash[] } | undefined
}

/** What checked evidence shows. */
export interface Fork {
  readonly origin: string
  readonly olderSize: LogSize
  readonly newerSize: LogSize
  /** `name+keyid` of the keys that signed the older and the newer. */
  readonly olderKey: string
  readonly newerKey: string
}

/** Whether a file says that it is one; nothing more is looked at. */
export function isForkEvidence(file: Uint8Array): boolean {
  return equalBytes(file.subarray(0, HEADER.length + 1), utf8(`${HEADER}\n`))
}

/** @throws InvalidInputError for parts that no evidence can have. */
export function formatForkEvidence({ older, newer, prefix }: ForkEvidence): Uint8Array {
  const lines = [HEADER, `older ${older.length}`, `newer ${newer.length}`]
  if (prefix !== undefined) lines.push(`prefix ${formatHash(prefix.root)}`, ...prefix.proof.map(formatHash))
  const file = concatBytes([utf8(`${lines.join("\n")}\n\n`), older, newer])
  parseForkEvidence(file)
  return file
}

/**
 * The parts; the notes are well-formed checkpoints of one origin, and nothing is verified.
 *
 * @throws InvalidInputError for whatever {@link formatForkEvidence} would not print.
 */
export function parseForkEvidence(file: Uint8Array): ForkEvidence {
  if (file.length > MAX_FORK_EVIDENCE_BYTES) throw new InvalidInputError("the fork evidence is too long")
  const end = blankLine(file)
  const [header, older = "", newer = "", ...rest] = utf8Within(file.subarray(0, end)).split("\n")
  if (header !== HEADER) throw new InvalidInputError(`fork evidence begins with ${HEADER}`)
  const olderBytes = lengthIn(older, "older")
  const newerBytes = lengthIn(newer, "newer")
  const notes = file.subarray(end + 2)
  if (notes.length !== olderBytes + newerBytes) {
    throw new InvalidInputError("the two notes of the fork evidence are not as long as it says")
  }
  const evidence = {
    older: new Uint8Array(notes.subarray(0, olderBytes)),
    newer: new Uint8Array(notes.subarray(olderBytes)),
    prefix: parsePrefix(rest),
  }
  const [first, second] = [checkpointIn(evidence.older), checkpointIn(evidence.newer)]
  if (first.origin !== second.origin) throw new InvalidInputError("the two checkpoints are of different logs")
  if (first.size > second.size) throw new InvalidInputError("the older checkpoint is the larger one")
  return evidence
}

/**
 * Returns only if keys of `keys` signed both checkpoints, and they contradict each other.
 *
 * @param keys of the log; several when its key has changed.
 * @throws BadSignatureError when one is not signed by any of the keys.
 * @throws BadProofError when they do not contradict each other, or it is not shown that they do.
 */
export function checkForkEvidence(evidence: ForkEvidence, keys: readonly VerifierKey[]): Fork {
  const [older, newer] = [signedBy(evidence.older, keys), signedBy(evidence.newer, keys)]
  const fork: Fork = {
    origin: newer.origin,
    olderSize: older.size,
    newerSize: newer.size,
    olderKey: older.key,
    newerKey: newer.key,
  }
  if (older.origin !== newer.origin) throw new BadProofError("the two checkpoints are of different logs")
  if (older.size === newer.size) {
    if (equalBytes(older.root, newer.root)) throw new BadProofError("the two checkpoints say the same")
    return fork
  }
  if (evidence.prefix === undefined) {
    throw new BadProofError(
      `it is not shown that size ${newer.size} does not continue size ${older.size}: nobody gave a proof of either`,
    )
  }
  const { root, proof } = evidence.prefix
  checkTree(proof, newer.size, newer.root, older.size, root)
  if (equalBytes(root, older.root)) throw new BadProofError("the newer checkpoint continues the older one")
  return fork
}

function signedBy(
  note: Uint8Array,
  keys: readonly VerifierKey[],
): ReturnType<typeof parseCheckpoint> & { key: string } {
  const opened = openNote(
    note,
    keys.map((key) => noteVerifier(key)),
  )
  const checkpoint = parseCheckpoint(opened.text)
  const signer = opened.verified.find(({ name }) => name === checkpoint.origin)
  if (signer === undefined) {
    throw new BadSignatureError(`the log ${checkpoint.origin} has not signed the checkpoint`, undefined)
  }
  return { ...checkpoint, key: describeKey(signer) }
}

function parsePrefix([first, ...hashes]: readonly string[]): ForkEvidence["prefix"] {
  if (first === undefined) return undefined
  if (!first.startsWith("prefix "))
    throw new InvalidInputError("the fork evidence has a line that is not known")
  if (hashes.length > MAX_PROOF_HASHES) {
    throw new InvalidInputError(`a proof has at most ${MAX_PROOF_HASHES} hashes`)
  }
  return { root: parseHash(first.slice("prefix ".length)), proof: hashes.map(parseHash) }
}

function checkpointIn(note: Uint8Array): ReturnType<typeof parseCheckpoint> {
  return parseCheckpoint(parseNote(note).text)
}

function lengthIn(line: string, keyword: string): number {
  if (!line.startsWith(`${keyword} `)) throw new InvalidInputError(`the fork evidence has no ${keyword} line`)
  return parseDecimal(line.slice(keyword.length + 1), `the length of the ${keyword} note`)
}

/** Where the head of the file ends. */
function blankLine(file: Uint8Array): number {
  for (let i = file.indexOf(0x0a); i >= 0; i = file.indexOf(0x0a, i + 1)) if (file[i + 1] === 0x0a) return i
  throw new InvalidInputError("the fork evidence has no notes")
}

function utf8Within(bytes: Uint8Array): string {
  return textWithin(bytes, 8_192, "the head of the fork evidence")
}
