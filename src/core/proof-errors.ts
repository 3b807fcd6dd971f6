import { HansardError, type ErrorDetails } from "./errors.ts"

/**
 * Hashes that do not lead to the root they are said to lead to: a proof that is too short, too long or about something
 * else, or a tile that is not part of the tree. One of the two sides is lying or damaged; asking again cannot help.
 *
 * Text that is no proof at all is an `InvalidInputError`: malformed and false are different findings.
 */
export class BadProofError extends HansardError {
  override readonly code = "bad_proof"

  constructor(message: string, details?: ErrorDetails) {
    super(message, "Trust nothing that this proof was to show; keep it as evidence.", details)
  }
}

/** A note that no known key has signed, or that a known key has not signed although it says so. */
export class BadSignatureError extends HansardError {
  override readonly code = "bad_signature"
  /** `name+keyid` of the known key whose signature is bad; `undefined` when no known key signed at all. */
  readonly key: string | undefined

  constructor(message: string, key: string | undefined, details?: ErrorDetails) {
    super(message, "Do not use the text; check that the pinned keys are the ones you mean.", details)
    this.key = key
  }
}
