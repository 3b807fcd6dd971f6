/** Records with their proofs as a stream: each is shown by the key alone, and none needs what came before. */
import { expect, test } from "vitest"
import { checkEvidence, logPolicy, parseEvidence } from "../../src/core/index.ts"
import type { Problem } from "../../src/wire/http.ts"
import { AuditLog } from "../../src/audit/index.ts"
import { MemoryStore } from "../../src/store/index.ts"
import { fill, openWorld } from "./world.ts"

test.each([
  ["all", "", 3_000],
  ["newest first", "order=desc&", 3_000],
  ["what a filter lets through", "kind=turn_failed&agent=agent-1&", 500],
  ["a limit", "limit=300&", 300],
])(
  "evidence of %s: every record with its line and a proof under one checkpoint",
  async (_what, query, count) => {
    await using world = await openWorld({ audit: { index: { blockRecords: 1_024 } } })
    await fill(world.log, 3_000)
    const response = await fetch(`${world.url}/v1/records?${query}format=evidence`)
    expect(response.headers.get("content-type")).toBe("application/x-ndjson")
    expect(response.headers.get("content-disposition")).toContain("evidence.ndjson")
    const items = parseEvidence(new Uint8Array(await response.arrayBuffer()))
    expect(items).toHaveLength(count)
    const wanted = new Map<number, string>()
    for await (const { index, line } of world.log.entries()) wanted.set(index, line)
    const policy = logPolicy([world.vkey])
    for (const item of items) {
      expect(item.line).toBe(wanted.get(item.index))
      expect(checkEvidence(item, policy).size).toBe(3_000)
    }
    const indexes = items.map(({ index }) => index)
    const inOrder = indexes.toSorted((a, b) => a - b)
    expect(indexes).toEqual(query.startsWith("order") ? inOrder.toReversed() : inOrder)
  },
)

test("evidence of a log that signs nothing is refused", async () => {
  const log = await AuditLog.open(new MemoryStore())
  await using world = await openWorld({ log })
  await fill(log, 3)
  const response = await fetch(`${world.url}/v1/records?format=evidence`)
  expect([response.status, ((await response.json()) as Problem).code]).toEqual([404, "not_found"])
  await log.close()
})
