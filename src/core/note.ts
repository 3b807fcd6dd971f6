/**
 * Signed notes, https://c2sp.org/signed-note
 *
 * A text that ends in a newline, a blank line, and one line for each signature: an em dash, a space, the key's name, a
 * space, and base64 of key id and signature. Texts may have blank lines of their own; the last one separates.
 *
 * A note's text means nothing until {@link openNote} has returned it.
 */
import { ed25519Sign, ed25519Verify } from "#ed25519"
import { concatBytes, utf8 } from "./bytes.ts"
import { formatBase64, parseBase64, textWithin } from "./canonical.ts"
import { InvalidInputError } from "./errors.ts"
import {
  checkKeyName,
  describeKey,
  formatKeyId,
  parseVerifierKey,
  type KeyIdentity,
  type SignerKey,
  type VerifierKey,
} from "./key.ts"
import { BadSignatureError } from "./proof-errors.ts"

/** Of a whole note, in UTF-8. A hundred post-quantum signatures take a third of it. */
export const MAX_NOTE_BYTES: number = 2 ** 20
/** The specification wants at least 16 to be accepted. */
export const MAX_NOTE_SIGNATURES = 100

/** Bytes before the signature itself. */
const KEY_ID_BYTES = 4

export interface NoteSignature extends KeyIdentity {
  /** Without the key id. */
  readonly signature: Uint8Array
}

/** What a note says, before anything is verified. */
export interface Note {
  /** Ends in a newline. */
  readonly text: string
  readonly signatures: readonly NoteSignature[]
}

/** What a note says, and who says so. */
export interface OpenedNote {
  readonly text: string
  /** By the known keys, in the note's order; at least one. A key may have signed more than once. */
  readonly verified: readonly NoteSignature[]
  /** By keys that are not known: they may be anything. */
  readonly unverified: readonly NoteSignature[]
}

/** One known key. `verify` never throws. */
export interface NoteVerifier extends KeyIdentity {
  verify(text: string, signature: Uint8Array): boolean
}

/** One key to sign with. */
export interface NoteSigner extends KeyIdentity {
  sign(text: string): Uint8Array
}

/** Verifies the plain signatures of a log. @throws InvalidInputError for a key of another type. */
export function noteVerifier(key: VerifierKey | string): NoteVerifier {
  const { name, keyId, type, publicKey } = typeof key === "string" ? parseVerifierKey(key) : key
  if (type !== "log") throw new InvalidInputError(`${name} is the key of a ${type}, not of a log`)
  return { name, keyId, verify: (text, signature) => ed25519Verify(publicKey, utf8(text), signature) }
}

/** Signs as a log. @throws InvalidInputError for a key of another type. */
export function noteSigner({ name, keyId, type, seed }: SignerKey): NoteSigner {
  if (type !== "log") throw new InvalidInputError(`${name} is the key of a ${type}, not of a log`)
  return { name, keyId, sign: (text) => ed25519Sign(seed, utf8(text)) }
}

/**
 * The note, with the text signed by each signer in turn.
 *
 * @throws InvalidInputError for a text that no note can carry.
 */
export function signNote(text: string, signers: readonly NoteSigner[]): string {
  // Checked before it is signed: a signature over something unprintable would still be a signature.
  checkText(text)
  const signatures = signers.map(({ name, keyId, sign }) => ({ name, keyId, signature: sign(text) }))
  return formatNote({ text, signatures })
}

/**
 * The text and who has signed it.
 *
 * Signatures by unknown keys are ignored. A bad signature by a known key is fatal even if others are good: either the
 * text was changed or the key is not what it seems. Text and signatures of a refused note are not returned.
 *
 * @throws InvalidInputError when it is no note, and for verifiers that cannot be told apart.
 * @throws BadSignatureError when a known key's signature is bad, or no known key signed.
 */
export function openNote(message: Uint8Array | string, verifiers: readonly NoteVerifier[]): OpenedNote {
  const known = new Map(verifiers.map((verifier) => [describeKey(verifier), verifier]))
  if (known.size !== verifiers.length)
    throw new InvalidInputError("two of the known keys have one name and key id")
  const { text, signatures } = parseNote(message)
  const verified: NoteSignature[] = []
  const unverified: NoteSignature[] = []
  for (const signature of signatures) {
    const key = describeKey(signature)
    const verifier = known.get(key)
    if (verifier === undefined) unverified.push(signature)
    else if (verifier.verify(text, signature.signature)) verified.push(signature)
    else throw new BadSignatureError(`the signature by ${key} is bad`, key)
  }
  if (verified.length === 0) throw new BadSignatureError("no known key has signed the note", undefined)
  return { text, verified, unverified }
}

/** @throws InvalidInputError for a text or a signature that no note can carry. */
export function formatNote({ text, signatures }: Note): string {
  checkText(text)
  const note = `${text}\n${signatures.map(formatSignatureLine).join("")}`
  // Reading is stricter than writing: what comes back is what was put in, or nothing goes out.
  parseNote(note)
  return note
}

/** `— name base64` and a newline: what witnesses answer, to be put at the end of a note. */
export function formatSignatureLine({ name, keyId, signature }: NoteSignature): string {
  checkKeyName(name)
  if (signature.length === 0) throw new InvalidInputError(`the signature by ${name} is empty`)
  const id = Uint8Array.from(keyId.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16))
  if (formatKeyId(id) !== keyId || id.length !== KEY_ID_BYTES) {
    throw new InvalidInputError("a key id is 8 lower-case hexadecimal digits")
  }
  return `— ${name} ${formatBase64(concatBytes([id, signature]))}\n`
}

/** One line, with or without its newline. @throws InvalidInputError for what {@link formatSignatureLine} does not print. */
export function parseSignatureLine(line: string): NoteSignature {
  const [, name = "", base64 = ""] = /^— ([^ \n]+) ([^ \n]+)\n?$/.exec(line) ?? []
  if (base64 === "") throw new InvalidInputError("a signature line is an em dash, a name and base64")
  checkKeyName(name)
  const bytes = parseBase64(base64, `the signature by ${name}`)
  if (bytes.length <= KEY_ID_BYTES) throw new InvalidInputError(`the signature by ${name} is empty`)
  return { name, keyId: formatKeyId(bytes), signature: bytes.subarray(KEY_ID_BYTES) }
}

/**
 * The note's parts, unverified.
 *
 * @throws InvalidInputError for whatever {@link formatNote} would not print.
 */
export function parseNote(message: Uint8Array | string): Note {
  const note = textWithin(message, MAX_NOTE_BYTES, "the note")
  const end = note.lastIndexOf("\n\n")
  if (end < 0) throw new InvalidInputError("the note has no blank line before its signatures")
  const text = note.slice(0, end + 1)
  checkText(text)
  const block = note.slice(end + 2)
  if (!block.endsWith("\n"))
    throw new InvalidInputError("the note has no signatures, or no newline after the last")
  const lines = block.slice(0, -1).split("\n", MAX_NOTE_SIGNATURES + 1)
  if (lines.length > MAX_NOTE_SIGNATURES) {
    throw new InvalidInputError(`the note has more than ${MAX_NOTE_SIGNATURES} signatures`)
  }
  return { text, signatures: lines.map(parseSignatureLine) }
}

function checkText(text: string): void {
  if (!text.endsWith("\n")) throw new InvalidInputError("a note's text ends in a newline")
  if (/[\0-\x09\x0b-\x1f]/.test(text)) throw new InvalidInputError("a note's text has no control characters")
  if (!text.isWellFormed()) throw new InvalidInputError("a note's text holds half a surrogate pair")
}
