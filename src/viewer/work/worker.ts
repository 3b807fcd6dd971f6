/**
 * The page's worker: what takes more than a frame. One task a worker; whoever does not want it any more ends the worker.
 */
import { Connection } from "../../client/audit-client/connection.ts"
import { exportEvidence } from "./evidence.ts"
import type { Order, Outcome, Report, Task } from "./messages.ts"
import { verifyWhole } from "./verify.ts"

/** What a worker has of the browser: the types of a page do not tell. */
interface Scope {
  postMessage(report: Report): void
  onmessage: ((event: MessageEvent<Order>) => void) | null
}

const scope = globalThis as unknown as Scope
let taken: () => void = () => {}

scope.onmessage = ({ data }) => {
  if (data.task === "taken") return taken()
  perform(data).then(
    (result) => scope.postMessage({ type: "done", result }),
    (error: unknown) =>
      scope.postMessage({ type: "failed", message: error instanceof Error ? error.message : String(error) }),
  )
}

async function perform(task: Task): Promise<Outcome> {
  const connection = new Connection(task.base, task.token === "" ? {} : { token: task.token })
  switch (task.task) {
    case "verify": {
      const onProgress = (done: number): void => scope.postMessage({ type: "progress", done })
      return { task: "verify", verdict: await verifyWhole(task, connection, onProgress) }
    }
    case "evidence": {
      const onPart = async (text: string, done: number): Promise<void> => {
        const isTaken = new Promise<void>((resolve) => (taken = resolve))
        scope.postMessage({ type: "part", text, done })
        await isTaken
      }
      return { task: "evidence", ...(await exportEvidence(task, connection, onPart)) }
    }
  }
}
