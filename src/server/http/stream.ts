/**
 * A body that is made as it is taken: nothing is asked of `make` before the other end wants more, so nothing is buffered
 * but what the socket holds. When the other end goes, its signal aborts and it is finished.
 */
export function streamOf(
  make: (signal: AbortSignal) => AsyncGenerator<Uint8Array, void, undefined>,
): ReadableStream<Uint8Array> {
  const gone = new AbortController()
  const pieces = make(gone.signal)
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { value, done } = await pieces.next()
        if (done === true) controller.close()
        else controller.enqueue(value)
      },
      async cancel() {
        gone.abort()
        await pieces.return()
      },
    },
    { highWaterMark: 0 },
  )
}

/** Gathers texts into pieces of this many characters or more. */
const PIECE_LENGTH = 64 * 1024

export async function* pieces(texts: AsyncIterable<string>): AsyncGenerator<Uint8Array, void, undefined> {
  const encoder = new TextEncoder()
  let gathered = ""
  for await (const text of texts) {
    gathered += text
    if (gathered.length < PIECE_LENGTH) continue
    yield encoder.encode(gathered)
    gathered = ""
  }
  if (gathered !== "") yield encoder.encode(gathered)
}
