/** Evidence files, as the page exports them, checked with a key and nothing else. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, expect, test } from "vitest"
import { AuditLog } from "../../src/audit/index.ts"
import { formatEvidence, formatVerifierKey, generateSignerKey, systemRandom } from "../../src/core/index.ts"
import { MemoryStore } from "../../src/store/index.ts"
import { build, hansard, tempFolder } from "./run.ts"

beforeAll(build, 120_000)

test("check of an evidence file: good ones pass, one byte changed is found and its record named", async () => {
  const signer = generateSignerKey("log.example", "log", systemRandom)
  const log = new AuditLog(new MemoryStore(), { ledger: { signer } })
  for (let n = 0; n < 9; n++) await log.append({ at: "2026-05-05T10:00:00Z", kind: "noted", n })
  const { records } = await log.query({})
  const items = await Promise.all(
    records.map(async ({ index, line }) => ({ index, line, proof: await log.prove(index) })),
  )
  await log.close()
  const file = join(tempFolder(), "bundle.ndjson")
  const check = (lines: readonly string[], ...args: string[]): ReturnType<typeof hansard> => {
    writeFileSync(file, lines.join(""))
    return hansard(["check", file, "--key", formatVerifierKey(signer), ...args])
  }
  const good = check(items.map(formatEvidence), "--json")
  expect([good.status, good.stderr]).toEqual([0, ""])
  expect(JSON.parse(good.stdout)).toEqual({ good: true, records: 9, origins: ["log.example"], size: 9 })

  const bad = check(
    items.map((item) => formatEvidence({ ...item, line: item.line.replace('"n": 4', '"n": 5') })),
  )
  expect(bad.status).toBe(1)
  expect(bad.stderr).toContain("record 4 is not shown")

  const rubbish = check([...items.map(formatEvidence), "{}"])
  expect([rubbish.status, rubbish.stdout]).toEqual([2, ""])
  expect(rubbish.stderr).toContain("line 10 of the evidence")
})
