import { setImmediate as endOfTurn } from "node:timers/promises"
import { Worker } from "node:worker_threads"
import type { Logger } from "../../core/logger.ts"
import type { Answer } from "./build-worker.ts"
import { BuildSession } from "./session.ts"
import type { Reply, Request } from "./session.ts"

/** The thread ended while it was asked: what it had is gone, and can be asked for again. */
export class LostThread extends Error {
  override readonly name = "LostThread"
}

/** Whoever makes blocks: one request at a time. */
export interface BlockMaker extends AsyncDisposable {
  /** Takes the lines' buffer. @throws when the lines are no records; a new block can then be started. */
  ask(request: Request): Promise<Reply>
}

/**
 * A thread if there can be one. To parse 65,536 records takes 0.1 s, which the event loop does not have; a bundler that
 * leaves out the thread's file, or a runtime without threads, gets the same work in slices between other events.
 */
export function openMaker(logger: Logger): BlockMaker {
  try {
    return new ThreadMaker(new Worker(workerFile(), WORKER_OPTIONS), logger)
  } catch (error) {
    logger.warn({ err: error }, "the index has no thread of its own")
    return new LocalMaker()
  }
}

/** As it was built, or as it is in the sources. */
function workerFile(): URL {
  return new URL(import.meta.url.endsWith(".ts") ? "./build-worker.ts" : "./build-worker.js", import.meta.url)
}

const WORKER_OPTIONS = {
  name: "hansard index",
  execArgv: [],
  // In mebibytes. A block in the making takes 20.
  resourceLimits: { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 16 },
}

interface Asked {
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: Error) => void
}

class ThreadMaker implements BlockMaker {
  readonly #worker: Worker
  readonly #logger: Logger
  /** The request that is being answered. */
  #asked: Asked | undefined
  /** The thread is gone: from then on the work is done here. */
  #local: LocalMaker | undefined

  constructor(worker: Worker, logger: Logger) {
    this.#worker = worker
    this.#logger = logger
    worker.unref()
    worker.on("message", (answer: Answer) => {
      const asked = this.#take()
      if ("reply" in answer) asked?.resolve(answer.reply)
      else asked?.reject(new Error(answer.error))
    })
    worker.on("error", (error) => this.#lose(error))
    worker.on("exit", () => this.#lose(new Error("the thread ended")))
  }

  ask(request: Request): Promise<Reply> {
    if (this.#local !== undefined) return this.#local.ask(request)
    return new Promise((resolve, reject) => {
      this.#asked = { resolve, reject }
      // Only while there is work does the thread keep the process alive.
      this.#worker.ref()
      this.#worker.postMessage(request, request.ask === "add" ? [request.lines.buffer as ArrayBuffer] : [])
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#local ??= new LocalMaker()
    await this.#worker.terminate()
  }

  #take(): Asked | undefined {
    const asked = this.#asked
    this.#asked = undefined
    this.#worker.unref()
    return asked
  }

  #lose(error: Error): void {
    const asked = this.#take()
    if (this.#local === undefined) {
      this.#logger.warn({ err: error }, "the index has lost its thread")
      this.#local = new LocalMaker()
    }
    asked?.reject(new LostThread("the thread ended", { cause: error }))
  }
}

/** In bytes, about: so long may the event loop be kept. */
const SLICE_BYTES = 32 * 1024

/** In this thread, a slice at a time. */
export class LocalMaker implements BlockMaker {
  readonly #session = new BuildSession()

  async ask(request: Request): Promise<Reply> {
    await endOfTurn()
    if (request.ask !== "add" || request.small) return this.#session.answer(request)
    let [rows, bytes] = [0, 0]
    const { lines } = request
    while (bytes < lines.length) {
      const newline = lines.indexOf(0x0a, Math.min(lines.length - 1, bytes + SLICE_BYTES))
      const reply = this.#session.answer({
        ask: "add",
        lines: lines.subarray(bytes, newline + 1),
        small: false,
      })
      if (reply.rows === 0) break
      rows += reply.rows
      bytes += reply.bytes
      await endOfTurn()
    }
    return { rows, bytes, file: undefined }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
