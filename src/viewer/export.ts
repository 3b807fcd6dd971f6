/** The current query as a file. */
import { signal } from "@preact/signals"
import type { Signal } from "@preact/signals"
import { address, ask, token } from "./api.ts"
import { download, openFile } from "./file.ts"
import type { FileSink } from "./file.ts"
import { number } from "./format.ts"
import { say } from "./parts/toast.tsx"
import { filterParams } from "./place.ts"
import type { Filter } from "./place.ts"
import { head, refusedRecord } from "./session.ts"
import { T } from "./texts.ts"
import { runTask, workOn } from "./work/run.ts"

/** What is under way; `undefined` when nothing is. */
export const exporting: Signal<{ readonly text: string; readonly cancel: () => void } | undefined> =
  signal(undefined)

export type ExportForm = "csv" | "ndjson" | "proofs"

/**
 * One at a time.
 *
 * @param total how many records the query has, as far as they were counted.
 */
export async function exportAs(form: ExportForm, filter: Filter, total: number): Promise<void> {
  if (exporting.peek() !== undefined) return say(T.exportBusy)
  const stop = new AbortController()
  const tell = (text: string): void => {
    exporting.value = { text, cancel: () => stop.abort() }
  }
  try {
    if (form === "proofs") return await exportProofs(filter, total, tell, stop.signal)
    const params = [...filterParams(filter), ["format", form] as const]
    // A link can bring no token; without one the browser needs nobody's help.
    if (token.peek() === "") return download(address("v1/records", params).href, `hansard.${form}`)
    const file = await openFile(`hansard.${form}`, form === "csv" ? "text/csv" : NDJSON, total)
    if (file === undefined) return
    tell(T.exportRunning)
    const { body } = await ask("v1/records", params, { accept: "*/*", signal: stop.signal })
    await written(file, async () => {
      const reader = body?.getReader()
      for (let part = await reader?.read(); part?.done === false; part = await reader?.read())
        await file.write(part.value)
    })
  } catch (error) {
    say(stop.signal.aborted ? T.exportCancelled : error instanceof Error ? error.message : T.failed)
  } finally {
    exporting.value = undefined
  }
}

const NDJSON = "application/x-ndjson"

/** Proved in this browser, in a worker: what does not match stops the export, and is named. */
async function exportProofs(
  filter: Filter,
  total: number,
  tell: (text: string) => void,
  stop: AbortSignal,
): Promise<void> {
  const state = head.peek()
  if (state.status !== "verified") return say(T.exportUnsigned)
  const file = await openFile("hansard.evidence.ndjson", NDJSON, total)
  if (file === undefined) return
  tell(T.exporting("0", number(total)))
  const query = filterParams(filter)
  await written(file, async () => {
    const { proved, uncovered } = await runTask(
      { ...workOn(state.head), task: "evidence", query },
      {
        onPart: async (text, done) => {
          await file.write(text)
          tell(T.exporting(number(done), number(Math.max(total, done))))
        },
      },
      stop,
    ).catch((error: unknown) => {
      const index = /^record (\d+) is not the one/.exec(error instanceof Error ? error.message : "")?.[1]
      if (index !== undefined) refusedRecord.value ??= Number(index)
      throw error
    })
    if (proved === 0) throw new Error(T.exportNone)
    if (uncovered > 0) say(T.exportUncovered(number(uncovered)))
  })
}

/** Closes the file when all is written, and lets go of it when something failed. */
async function written(file: FileSink, write: () => Promise<void>): Promise<void> {
  try {
    await write()
  } catch (error) {
    await file.abort().catch(() => {})
    throw error
  }
  await file.close()
}
