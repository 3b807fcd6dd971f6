/** Gives a task to a worker of its own, and ends it when the task is done or nobody wants it any more. */
import { token } from "../api.ts"
import { T } from "../texts.ts"
import type { Head } from "../trust/trust.ts"
import type { Order, Outcome, Report, Task, Work } from "./messages.ts"

export interface TaskHandlers {
  readonly onProgress?: (done: number) => void
  /** The worker goes on once it has resolved. */
  readonly onPart?: (text: string, done: number) => Promise<void> | void
}

/** What every task starts from. */
export function workOn(head: Head): Work {
  return {
    base: new URL(".", document.baseURI).href,
    token: token.peek(),
    checkpoint: head.checkpoint,
    vkey: head.vkey,
  }
}

/** @throws what the worker failed with, in its words; the signal's reason when it is aborted, at once. */
export async function runTask<K extends Task["task"]>(
  task: Extract<Task, { task: K }>,
  handlers: TaskHandlers,
  signal: AbortSignal,
): Promise<Extract<Outcome, { task: K }>> {
  signal.throwIfAborted()
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" })
  const tell = (order: Order): void => worker.postMessage(order)
  let stop = (): void => {}
  try {
    return await new Promise((resolve, reject) => {
      stop = () => reject(signal.reason as Error)
      signal.addEventListener("abort", stop, { once: true })
      worker.onerror = () => reject(new Error(T.workerFailed))
      worker.onmessage = ({ data }: MessageEvent<Report>) => {
        switch (data.type) {
          case "progress":
            return handlers.onProgress?.(data.done)
          case "part": {
            const taking = Promise.resolve(handlers.onPart?.(data.text, data.done))
            void taking.then(() => tell({ task: "taken" }), reject)
            return
          }
          case "done":
            return resolve(data.result as Extract<Outcome, { task: K }>)
          case "failed":
            return reject(new Error(data.message))
        }
      }
      tell(task)
    })
  } finally {
    signal.removeEventListener("abort", stop)
    worker.terminate()
  }
}
