/**
 * Base64 and decimal in one spelling each. A format with one spelling cannot be forged by respelling, so every reader
 * here refuses what its writer would not have printed: no whitespace, no missing padding, no leading zeros.
 */
import { InvalidInputError } from "./errors.ts"
import { utf8Text } from "./bytes.ts"

/** In bytes: `String.fromCharCode` takes its characters as arguments, and a call has room for so many. */
const CHUNK_BYTES = 8_192

/** The standard alphabet, with padding. */
export function formatBase64(bytes: Uint8Array): string {
  let characters = ""
  for (let i = 0; i < bytes.length; i += CHUNK_BYTES) {
    characters += String.fromCharCode(...bytes.subarray(i, i + CHUNK_BYTES))
  }
  return btoa(characters)
}

/**
 * @param what names the text in the error: "a hash".
 * @throws InvalidInputError for whatever {@link formatBase64} would not print, unused trailing bits included.
 */
export function parseBase64(text: string, what: string): Uint8Array {
  let characters: string
  try {
    characters = atob(text)
  } catch (cause) {
    throw new InvalidInputError(`${what} is not base64`, { cause })
  }
  // `atob` skips whitespace, does without padding and ignores the bits that padding leaves over.
  if (btoa(characters) !== text) throw new InvalidInputError(`${what} is not base64 in its one spelling`)
  return Uint8Array.from(characters, (character) => character.charCodeAt(0))
}

/** @throws InvalidInputError unless `text` is a decimal from 0 to 2^53 - 1, with no leading zeros. */
export function parseDecimal(text: string, what: string): number {
  const value = Number(text)
  if (!/^(?:0|[1-9][0-9]{0,15})$/.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidInputError(`${what} is not a decimal from 0 to 2^53 - 1 without leading zeros`)
  }
  return value
}

/**
 * The text of a file or message that came from outside, bounded before anything is made of it.
 *
 * @throws InvalidInputError for more than `maxBytes`, and for bytes or text that UTF-8 cannot hold.
 */
export function textWithin(input: Uint8Array | string, maxBytes: number, what: string): string {
  // A UTF-16 unit takes at least one byte: a longer text has more bytes than that.
  if (input.length > maxBytes) throw new InvalidInputError(`${what} is longer than ${maxBytes} bytes`)
  if (typeof input === "string") {
    if (!input.isWellFormed()) throw new InvalidInputError(`${what} holds half a surrogate pair`)
    return input
  }
  try {
    return utf8Text(input)
  } catch (cause) {
    throw new InvalidInputError(`${what} is not UTF-8`, { cause })
  }
}
