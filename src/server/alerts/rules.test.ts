import { expect, test } from "vitest"
import { compileFilter, type LogEntry } from "../../audit/index.ts"
import { encodeLine } from "../../core/index.ts"
import { matcherOf, ruleOf } from "./rules.ts"

const entryOf = (line: string): LogEntry => ({
  index: 0,
  offset: 0,
  line,
  record: JSON.parse(line) as LogEntry["record"],
})

test("which records count is what the filter says, however their lines are written, and never what tells of alerts", () => {
  const kinds = ["turn_failed", 'a "quoted" one', "é", "a\\b", "alert_failed", "other"]
  const lines = [
    ...kinds.map((kind) => encodeLine({ at: "2026-01-01T00:00:00Z", kind, n: 1 })),
    '{"kind":"turn_failed"}',
    '{ "kind" : "turn_failed" }',
    '{"kind":"turn\\u005ffailed"}',
    '{"kind":"other","about":"turn_failed"}',
    "{}",
  ]
  for (const kind of [undefined, ...kinds, ["turn_failed", "é"], ["turn_failed", "other"], []]) {
    const when = kind === undefined ? {} : { kind }
    const matches = matcherOf(ruleOf("r", { when, to: { log: true } }, "file"))
    const passes = compileFilter(when)
    for (const entry of lines.map(entryOf)) {
      const isOfAlert = String(entry.record["kind"]).startsWith("alert_")
      expect(matches(entry), `${JSON.stringify(kind)} ${entry.line}`).toBe(passes(entry) && !isOfAlert)
    }
  }
})
