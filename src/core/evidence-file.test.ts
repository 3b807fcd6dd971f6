import { describe, expect, test } from "vitest"
import { utf8 } from "./bytes.ts"
import { signCheckpoint } from "./checkpoint.ts"
import { checkEvidence, formatEvidence, isEvidence, parseEvidence } from "./evidence-file.ts"
import { logSize, recordIndex } from "./hash-types.ts"
import { generateSignerKey } from "./key.ts"
import { leafHash, nodeHash } from "./merkle-hash.ts"
import { noteSigner } from "./note.ts"
import { logPolicy } from "./policy.ts"
import { formatProofFile } from "./proof-file.ts"
import { systemRandom } from "./system.ts"

const signer = generateSignerKey("log.example", "log", systemRandom)
const lines = ['{"at": "2026-05-05T10:00:00Z", "kind": "a"}', '{"at": "2026-05-05T10:00:00Z", "kind": "b"}']
const leaves = lines.map((line) => leafHash(utf8(line)))
const [first, second] = leaves
if (first === undefined || second === undefined) throw new Error("two lines")
const root = nodeHash(first, second)
const checkpoint = signCheckpoint({ origin: "log.example", size: logSize(2), root }, [noteSigner(signer)])
const items = lines.map((line, i) => ({
  index: i,
  line,
  proof: formatProofFile({ index: recordIndex(i), proof: [i === 0 ? second : first], checkpoint }),
}))
const policy = logPolicy([signer])

describe("an evidence file", () => {
  test("comes back as it was written, and each of its records is shown", () => {
    const file = utf8(items.map(formatEvidence).join(""))
    expect(isEvidence(file)).toBe(true)
    expect(parseEvidence(file)).toEqual(items)
    for (const item of parseEvidence(file)) expect(checkEvidence(item, policy).size).toBe(2)
  })

  test("does not show another line, another place, or another log", () => {
    const [item] = items
    if (item === undefined) throw new Error("an item")
    expect(() => checkEvidence({ ...item, line: item.line.replace("a", "b") }, policy)).toThrow(
      "another root",
    )
    expect(() => checkEvidence({ ...item, index: 1 }, policy)).toThrow("its proof is of record 0")
    expect(() =>
      checkEvidence(item, logPolicy([generateSignerKey("log.example", "log", systemRandom)])),
    ).toThrow("no known key")
  })

  test.each([
    "",
    "{",
    "[]",
    "{}",
    '{"index":-1,"line":"","proof":""}',
    '{"index":1,"line":"a\\nb","proof":""}',
  ])("is not %j, and the line is named", (text) => {
    const good = items.map(formatEvidence).join("")
    expect(() => parseEvidence(utf8(`${good}${text}\n`))).toThrow("line 3 of the evidence")
  })
})
