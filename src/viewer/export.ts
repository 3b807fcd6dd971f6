/** The current query as a file. */
import { utf8 } from "../core/bytes.ts"
import { formatEvidence } from "../core/evidence-file.ts"
import type { RecordsPage } from "../wire/http.ts"
import { ask, askJson } from "./api.ts"
import { number } from "./format.ts"
import { save, say } from "./parts/toast.tsx"
import { filterParams } from "./place.ts"
import type { Filter } from "./place.ts"
import { trust } from "./session.ts"
import { T } from "./texts.ts"

/** A proof is a kilobyte or two, and each is made and checked here. */
const MAX_PROVED = 1_000

export async function exportAs(form: "csv" | "ndjson" | "proofs", filter: Filter): Promise<void> {
  try {
    if (form === "proofs") return await exportProofs(filter)
    const accept = form === "csv" ? "text/csv" : "application/x-ndjson"
    const response = await ask("v1/records", filterParams(filter), { accept })
    save(`hansard.${form}`, accept, [await response.blob()])
  } catch (error) {
    say(error instanceof Error ? error.message : T.failed)
  }
}

/** Proved in this browser, one by one: what does not match stops the export, and is named. */
async function exportProofs(filter: Filter): Promise<void> {
  const params = [...filterParams(filter), ["order", "asc"] as const, ["limit", String(MAX_PROVED)] as const]
  // The same query twice: once for the indexes, once for the exact lines.
  const [page, text] = await Promise.all([
    askJson<RecordsPage>("v1/records", params),
    ask("v1/records", params, { accept: "application/x-ndjson" }).then((response) => response.text()),
  ])
  const lines = text.split("\n")
  const proved: string[] = []
  for (const [i, { index }] of page.records.entries()) {
    const line = lines[i] ?? ""
    const state = await trust.prove(index, utf8(line))
    if (state.status === "pending") break
    if (state.status !== "proved") {
      const because = "because" in state ? state.because : state.status
      return say(T.exportUnproved(index, because))
    }
    proved.push(formatEvidence({ index, line, proof: state.proof }))
    if (i % 50 === 49) say(T.exporting(number(i + 1), number(page.records.length)))
  }
  if (proved.length === 0) return say(T.exportNone)
  if (page.next_cursor !== null) say(T.exportCut(number(MAX_PROVED)))
  save("hansard.evidence.ndjson", "application/x-ndjson", proved)
}
