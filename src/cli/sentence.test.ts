import { describe, expect, test } from "vitest"
import { ansi, coloursFor, plain, visible } from "./colours.ts"
import { sentence } from "./sentence.ts"

const AT = "2026-05-05T10:00:00.000Z"

function tell(record: Readonly<Record<string, unknown>>): string {
  const names: Record<string, string> = { a1: "ana", b1: "ben" }
  return sentence(7, { at: AT, ...record }, (id) => names[String(id)] ?? String(id), plain).replace(
    / {2,}/g,
    " ",
  )
}

describe("a record as a sentence", () => {
  test.each([
    [{ kind: "agent_registered", agent_id: "a1", name: "ana" }, "ana joined"],
    [{ kind: "resume_set", agent_id: "a1", version: 2, source: "tenant" }, "ana wrote resume version 2"],
    [
      { kind: "resume_set", agent_id: "a1", source: "observed", capability: "sum", outcome: "failed" },
      "ana was seen to do sum: failed",
    ],
    [
      {
        kind: "channel_created",
        channel_id: "xx123456",
        creator_id: "a1",
        manifest_type: "consulting",
        participants: ["a1", "b1"],
      },
      "ana invites to consulting channel 123456: ana, ben",
    ],
    [
      {
        kind: "turn_failed",
        agent_id: "b1",
        channel_id: "xx123456",
        exc_type: "TypeError",
        exc_message: "no\nway",
      },
      "ben crashed in channel 123456: TypeError: no\\u000away",
    ],
    [
      {
        kind: "task_terminated",
        task_id: "yy654321",
        owner_id: "b1",
        outcome: "failed",
        capability: "sum",
        reason: "",
      },
      "task 654321 of ben (sum): failed",
    ],
    [
      {
        kind: "expectation_violated",
        expectation: "reply_within",
        channel_id: "xx123456",
        violators: ["b1"],
        on_violation: "audit",
      },
      "reply_within was not kept in channel 123456 by ben; then audit",
    ],
    [{ kind: "deploy_approved", by: "ana", steps: [1, 2] }, "by=ana steps=[1,2]"],
  ])("%j", (record, wanted) => {
    expect(tell(record)).toMatch(/^ 7 \d\d:\d\d:\d\d\.\d\d\d /)
    expect(tell(record).endsWith(` ${wanted}`)).toBe(true)
  })

  test("stands any record: missing fields, wrong types, no kind", () => {
    const values = [null, 5, [], {}, "x", true]
    for (const kind of [
      "turn_failed",
      "channel_created",
      "task_terminated",
      "expectation_violated",
      "audit_gap",
      5,
      null,
    ]) {
      for (const value of values) {
        const record = {
          kind,
          agent_id: value,
          participants: value,
          violators: value,
          reason: value,
          channel_id: value,
        }
        expect(tell(record)).toContain(String(kind))
      }
    }
    expect(sentence(0, {}, String, ansi)).toContain("--:--:--.---")
  })
})

test("what others wrote can move no cursor", () => {
  expect(visible("a\u001b[2J\u0007\u009b\u202e\r\n é 😀")).toBe(
    "a\\u001b[2J\\u0007\\u009b\\u202e\\u000d\\u000a é 😀",
  )
})

test("colour is for terminals, and can be refused", () => {
  expect(coloursFor(true, {})("red", "x")).toBe("\u001b[31mx\u001b[39m")
  expect(coloursFor(false, {})("red", "x")).toBe("x")
  expect(coloursFor(true, { NO_COLOR: "1" })("red", "x")).toBe("x")
  expect(coloursFor(true, { TERM: "dumb" })("red", "x")).toBe("x")
})
