/** Records with their proofs, as an evidence file: made a page at a time, of any length. */
import type { Connection } from "../../client/audit-client/connection.ts"
import { serviceReader } from "../../client/audit-client/log-reader.ts"
import { TrustedLog } from "../../client/audit-client/trusted-log.ts"
import { utf8 } from "../../core/bytes.ts"
import { formatEvidence } from "../../core/evidence-file.ts"
import { logPolicy } from "../../core/policy.ts"
import { MAX_PAGE_RECORDS } from "../../wire/http.ts"
import type { LinesPage } from "../../wire/http.ts"
import type { Task } from "./messages.ts"

/**
 * Oldest first. What does not match what was signed ends it.
 *
 * @param onPart gets a part of the file and how many records it has so far; the next is made once it has resolved.
 * @throws TamperedError that names the record; StoreUnavailableError when the service does not answer.
 */
export async function exportEvidence(
  { checkpoint, vkey, query }: Extract<Task, { task: "evidence" }>,
  connection: Connection,
  onPart: (text: string, done: number) => Promise<void>,
): Promise<{ readonly proved: number; readonly uncovered: number }> {
  const log = new TrustedLog(serviceReader(connection), { policy: logPolicy([vkey]), known: undefined })
  const head = await log.advance(checkpoint)
  let proved = 0
  let uncovered = 0
  let cursor: string | null = null
  do {
    const params = new URLSearchParams(query.map(([name, value]) => [name, value]))
    params.set("lines", "true")
    params.set("order", "asc")
    params.set("limit", String(MAX_PAGE_RECORDS))
    if (cursor !== null) params.set("cursor", cursor)
    const page: LinesPage = await connection.json<LinesPage>(`/v1/records?${params}`)
    const covered = page.records.filter(({ index }) => index < head.size)
    uncovered += page.records.length - covered.length
    const proofs = await log.prove(
      covered.map(({ index, line }) => ({ index, line: utf8(line) })),
      head,
    )
    proved += covered.length
    const text = covered
      .map(({ index, line }, i) => formatEvidence({ index, line, proof: proofs[i]?.file ?? "" }))
      .join("")
    if (text !== "") await onPart(text, proved)
    cursor = page.next_cursor
  } while (cursor !== null)
  return { proved, uncovered }
}
