import { StoreUnavailableError } from "../../core/index.ts"

/** One server-sent event. */
export interface StreamEvent {
  readonly name: string
  readonly id: string | undefined
  readonly data: string
}

/** In characters: a checkpoint with its cosignatures and proof, or the longest line. */
const MAX_EVENT_LENGTH = 2 ** 20

/**
 * The events of a stream, as they come; a comment comes as `undefined`, as a sign of life.
 *
 * @throws StoreUnavailableError for an event that is longer than any of ours.
 */
export async function* parseEvents(
  body: ReadableStream<Uint8Array>,
): AsyncGenerator<StreamEvent | undefined, void, undefined> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let rest = ""
  let event = new Fields()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n")
      rest = lines.pop() ?? ""
      if (rest.length + event.length > MAX_EVENT_LENGTH) {
        throw new StoreUnavailableError(
          `an event of the stream is longer than ${MAX_EVENT_LENGTH} characters`,
        )
      }
      for (const line of lines) {
        if (line === "" || line === "\r") {
          const done = event.take()
          if (done !== undefined) yield done
          event = new Fields()
        } else if (line.startsWith(":")) {
          yield undefined
        } else {
          event.add(line)
        }
      }
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}

class Fields {
  #name = "message"
  #id: string | undefined
  #data: string | undefined
  length = 0

  add(line: string): void {
    this.length += line.length
    const [, field = "", value = ""] = /^([^:]*):? ?([^\r]*)\r?$/.exec(line) ?? []
    if (field === "event") this.#name = value
    else if (field === "id") this.#id = value
    else if (field === "data") this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`
  }

  /** An event without data is none. */
  take(): StreamEvent | undefined {
    return this.#data === undefined ? undefined : { name: this.#name, id: this.#id, data: this.#data }
  }
}
