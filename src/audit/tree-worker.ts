/** The thread that hashes a busy log's lines: `tree-thread.ts` starts it. It has no store, and sees nothing but lines. */
import { parentPort } from "node:worker_threads"
import { TreeSession } from "./tree-session.ts"
import type { TreeRequest } from "./tree-session.ts"

const session = new TreeSession()

// What throws here is a bug, and ends the thread: whoever asked makes the tree again from the log.
parentPort?.on("message", (request: TreeRequest) => {
  const reply = session.answer(request)
  parentPort?.postMessage(reply, reply.lines === undefined ? [] : [reply.lines.buffer as ArrayBuffer])
})
