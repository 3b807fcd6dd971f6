/** Evidence files, as the page exports them, checked with a key and nothing else. */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import { formatEvidence } from "../../src/core/index.ts"
import { build, hansard, tempFolder } from "./run.ts"

beforeAll(build, 120_000)

describe("check of an evidence file", () => {
  test("good ones pass; one byte changed is found, and the record named; rubbish is a usage error", () => {
    const dir = tempFolder()
    const lines = Array.from({ length: 9 }, (_, n) => JSON.stringify({ kind: "noted", n }))
    expect(hansard(["append", "--dir", dir], { input: `${lines.join("\n")}\n` }).status).toBe(0)
    const vkey = hansard(["checkpoint", "--vkey", "--dir", dir]).stdout.trim()
    const items = [1, 4, 8].map((index) => {
      const record = join(dir, "record.json")
      const proof = hansard(["prove", String(index), "--record", record, "--dir", dir]).stdout
      return { index, line: readFileSync(record, "utf8").trimEnd(), proof }
    })
    const check = (text: string, ...args: string[]): ReturnType<typeof hansard> => {
      const file = join(dir, "bundle.ndjson")
      writeFileSync(file, text)
      return hansard(["check", file, "--key", vkey, ...args])
    }
    const good = check(items.map(formatEvidence).join(""))
    expect([good.status, good.stderr]).toEqual([0, ""])
    expect(good.stdout).toContain("good: 3 records of ")
    expect(JSON.parse(check(items.map(formatEvidence).join(""), "--json").stdout)).toMatchObject({
      good: true,
      records: 3,
      size: 9,
    })

    const changed = items.map((item) =>
      item.index === 4 ? { ...item, line: item.line.replace('"n": 4', '"n": 5') } : item,
    )
    const bad = check(changed.map(formatEvidence).join(""))
    expect(bad.status).toBe(1)
    expect(bad.stderr).toContain("record 4 is not shown")

    const moved = items.map((item) => ({ ...item, index: item.index + 1 }))
    expect(check(moved.map(formatEvidence).join("")).status).toBe(2)
    for (const text of [
      "{}",
      '{"index":1}',
      `${formatEvidence(items[0] ?? { index: 0, line: "", proof: "" })}{`,
    ]) {
      const refused = check(text)
      expect(refused.status, text).toBe(2)
      expect(refused.stderr).toContain("of the evidence is not")
    }
  })
})
