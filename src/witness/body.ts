import { concatBytes } from "../core/bytes.ts"
import { HansardError, type ErrorDetails } from "../core/errors.ts"

/** A body with more bytes than were agreed on. What was read of it is gone; the rest was not read. */
export class BodyTooLargeError extends HansardError {
  override readonly code = "invalid_input"
  readonly maxBytes: number

  constructor(maxBytes: number, details?: ErrorDetails) {
    super(`the body has more than ${maxBytes} bytes`, "Send less: a checkpoint is small.", details)
    this.maxBytes = maxBytes
  }
}

/**
 * The whole body of a request or an answer, of which never more than `maxBytes` and one chunk are held. The length
 * that it announces is believed only when that is too large.
 *
 * @throws BodyTooLargeError; whatever the stream fails with, as it is.
 */
export async function readBody({ body, headers }: Request | Response, maxBytes: number): Promise<Uint8Array> {
  if (body === null) return new Uint8Array(0)
  if (Number(headers.get("content-length") ?? 0) > maxBytes) {
    await discard(body)
    throw new BodyTooLargeError(maxBytes)
  }
  const chunks: Uint8Array[] = []
  let bytes = 0
  const reader = body.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return concatBytes(chunks)
    bytes += value.length
    if (bytes > maxBytes) {
      reader.releaseLock()
      await discard(body)
      throw new BodyTooLargeError(maxBytes)
    }
    chunks.push(value)
  }
}

/** Its sender may fail at being told; that is no concern of ours. */
async function discard(body: ReadableStream<Uint8Array>): Promise<void> {
  await body.cancel().catch(() => {})
}
