/** The thread that makes blocks: `thread.ts` starts it. It has no store, and sees nothing but lines. */
import { parentPort } from "node:worker_threads"
import { BuildSession } from "./session.ts"
import type { Reply, Request } from "./session.ts"

/** What comes back: a reply, or why there is none. */
export type Answer = { readonly reply: Reply } | { readonly error: string }

const session = new BuildSession()

parentPort?.on("message", (request: Request) => {
  let answer: Answer
  try {
    answer = { reply: session.answer(request) }
  } catch (error) {
    answer = { error: error instanceof Error ? error.message : String(error) }
  }
  const file = "reply" in answer ? answer.reply.file : undefined
  // A file made by `concatBytes` has its buffer to itself.
  parentPort?.postMessage(answer, file === undefined ? [] : [file.buffer as ArrayBuffer])
})
