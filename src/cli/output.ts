import type { Writable } from "node:stream"

/** In bytes of text: what gathers before it is written at once. */
const WRITE_AT = 65_536

/**
 * One of the process's output streams. Short writes are gathered, and one turn of the event loop later they are
 * written together.
 *
 * When the reader has gone (`| head`) everything further is dropped, and `onGone` is told once. The same when writing
 * fails otherwise (a full disk), and then `failure` says why.
 */
export class Output {
  readonly #stream: Writable
  readonly #onGone: () => void
  #buffer = ""
  #isScheduled = false
  #isGone = false
  #failure: Error | undefined
  /** Set while the stream has more than it can take. */
  #full: PromiseWithResolvers<void> | undefined

  constructor(stream: Writable, onGone: () => void = () => {}) {
    this.#stream = stream
    this.#onGone = onGone
    stream.on("error", (error) => this.#gone(error))
    stream.on("drain", () => this.#release())
  }

  /** Why it could not be written, unless its reader just went away. */
  get failure(): Error | undefined {
    return this.#failure
  }

  /** Whether `drained` would wait. */
  get isFull(): boolean {
    return this.#full !== undefined
  }

  /** Await `drained` from time to time when there is much to write. */
  write(text: string): void {
    if (this.#isGone) return
    this.#buffer += text
    if (this.#buffer.length >= WRITE_AT) {
      this.flush()
    } else if (!this.#isScheduled) {
      this.#isScheduled = true
      setImmediate(() => this.flush())
    }
  }

  line(text = ""): void {
    this.write(`${text}\n`)
  }

  /** Resolves once the stream takes more; at once when it does, or when its reader has gone. */
  async drained(): Promise<void> {
    await this.#full?.promise
  }

  flush(): void {
    this.#isScheduled = false
    const text = this.#buffer
    this.#buffer = ""
    if (text === "" || this.#isGone) return
    if (!this.#stream.write(text)) this.#full ??= Promise.withResolvers()
  }

  #gone(error: Error): void {
    if (this.#isGone) return
    this.#isGone = true
    if (!("code" in error && error.code === "EPIPE")) this.#failure = error
    this.#buffer = ""
    this.#release()
    this.#onGone()
  }

  #release(): void {
    this.#full?.resolve()
    this.#full = undefined
  }
}
