/** Evidence files, as the page exports them, checked with a key and nothing else. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, expect, test } from "vitest"
import { AuditLog } from "../../src/audit/index.ts"
import { formatEvidence, formatVerifierKey, generateSignerKey, systemRandom } from "../../src/core/index.ts"
import { signKeyChange } from "../../src/core/key-change.ts"
import { MemoryStore } from "../../src/store/index.ts"
import { build, hansard, records, tempFolder } from "./run.ts"

beforeAll(build, 120_000)

test("check of an evidence file follows the changes of key that it is given, its own included", async () => {
  const [first, second] = [0, 1].map(() => generateSignerKey("log.example", "log", systemRandom))
  if (first === undefined || second === undefined) throw new Error("two keys were made")
  const store = new MemoryStore()
  const before = new AuditLog(store, { ledger: { signer: first } })
  const at = "2026-05-05T10:00:00Z"
  await before.append({ at, kind: "noted" })
  await before.append({ at, kind: "signing_key_set", ...signKeyChange(first, second) })
  await before.close()
  const log = new AuditLog(store, { ledger: { signer: second, previousKeys: [formatVerifierKey(first)] } })
  await log.checkpoint()
  const { records } = await log.query({})
  const items = await Promise.all(
    records.map(async ({ index, line }) => formatEvidence({ index, line, proof: await log.prove(index) })),
  )
  await log.close()
  const [file, changes] = [join(tempFolder(), "bundle.ndjson"), join(tempFolder(), "changes.ndjson")]
  const check = (...args: string[]): number | null =>
    hansard(["check", file, "--key", formatVerifierKey(first), ...args]).status
  writeFileSync(changes, items[1] ?? "")
  writeFileSync(file, items.join(""))
  expect(check()).toBe(1)
  expect(check("--changes", file)).toBe(0)
  writeFileSync(file, items[0] ?? "")
  expect(check()).toBe(1)
  expect(check("--changes", changes)).toBe(0)
})

test("check of an evidence file: good ones pass, one byte changed is found and its record named", async () => {
  const signer = generateSignerKey("log.example", "log", systemRandom)
  const log = new AuditLog(new MemoryStore(), { ledger: { signer } })
  for (let n = 0; n < 9; n++) await log.append({ at: "2026-05-05T10:00:00Z", kind: "noted", n })
  const { records: entries } = await log.query({})
  const items = await Promise.all(
    entries.map(async ({ index, line }) => ({ index, line, proof: await log.prove(index) })),
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

  // As long as it may be: longer than any file that is read at once, in less memory than it has.
  const long = items.map(formatEvidence).join("")
  const times = Math.ceil((70 * 2 ** 20) / long.length)
  const env = { NODE_OPTIONS: "--max-old-space-size=64" }
  const checked = hansard(["check", "-", "--key", formatVerifierKey(signer), "--json"], {
    input: Buffer.from(long.repeat(times)),
    env,
  })
  expect(checked.stderr).toBe("")
  expect(JSON.parse(checked.stdout)).toMatchObject({ good: true, records: 9 * times })

  const rubbish = check([...items.map(formatEvidence), "{}"])
  expect([rubbish.status, rubbish.stdout]).toEqual([2, ""])
  expect(rubbish.stderr).toContain("line 10 of the evidence")
})

test("export writes records with proofs that check accepts, and says what no checkpoint covers", () => {
  const dir = join(tempFolder(), "d")
  hansard(["append", "--dir", dir], { input: records(700) })
  const vkey = hansard(["checkpoint", "--vkey", "--dir", dir]).stdout.trim()
  const file = join(dir, "evidence.ndjson")
  const exported = hansard(["export", "--dir", dir, "--format", "evidence", "--out", file, "--json"])
  expect(JSON.parse(exported.stdout)).toEqual({ exported: 700, out: file })
  const checked = hansard(["check", file, "--key", vkey, "--json"])
  expect(JSON.parse(checked.stdout)).toMatchObject({ good: true, records: 700, size: 700 })
  const some = hansard(["export", "--dir", dir, "--format", "evidence", "--text", '"n": 69'])
  expect(some.stdout.split("\n")).toHaveLength(12)
  const plain = join(tempFolder(), "plain")
  hansard(["append", "--dir", plain, "--no-ledger"], { input: records(3) })
  expect(hansard(["export", "--dir", plain, "--format", "evidence"])).toMatchObject({ status: 2, stdout: "" })
})
