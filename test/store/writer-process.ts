import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { join } from "node:path"

/** Another process with a store open, which does what it is told. */
export class WriterProcess implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #answers: AsyncIterator<string>
  #errors = ""

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child
    this.#answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    child.stderr.on("data", (text) => (this.#errors += String(text)))
  }

  /** Resolves when it has the store open. */
  static async start(place: string): Promise<WriterProcess> {
    const writer = new WriterProcess(spawn(process.execPath, [join(import.meta.dirname, "writer.ts"), place]))
    await writer.#answer("open")
    return writer
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  async tell(what: "append" | "write" | "delete", path: string, content = ""): Promise<void> {
    this.#child.stdin.write(`${what} ${path} ${content}\n`)
    await this.#answer("done")
  }

  async close(): Promise<void> {
    this.#child.stdin.end("close\n")
    await this.#answer("closed")
    await this.#gone()
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL")
    await this.#gone()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }

  async #gone(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, "exit")
  }

  async #answer(wanted: string): Promise<void> {
    const { value } = await this.#answers.next()
    if (value !== wanted) throw new Error(`the writer said ${String(value)}, not ${wanted}\n${this.#errors}`)
  }
}
