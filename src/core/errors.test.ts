import { describe, expect, test } from "vitest"
import {
  AuditUnavailableError,
  ClosedError,
  HansardError,
  InvalidInputError,
  InvalidRecordError,
  invariant,
  LogLockedError,
  NotFoundError,
  RecordTooLargeError,
  StoreFullError,
  StoreUnavailableError,
  TamperedError,
} from "./errors.ts"
import type { ErrorDetails } from "./errors.ts"

const CLASSES: [string, string, (details?: ErrorDetails) => HansardError][] = [
  ["AuditUnavailableError", "audit_unavailable", (details) => new AuditUnavailableError("m", details)],
  ["ClosedError", "closed", (details) => new ClosedError("m", details)],
  ["InvalidInputError", "invalid_input", (details) => new InvalidInputError("m", details)],
  ["InvalidRecordError", "invalid_record", (details) => new InvalidRecordError("m", details)],
  ["LogLockedError", "log_locked", (details) => new LogLockedError("m", 7, details)],
  ["NotFoundError", "not_found", (details) => new NotFoundError("m", details)],
  ["RecordTooLargeError", "record_too_large", (details) => new RecordTooLargeError(9, 8, details)],
  ["StoreFullError", "store_full", (details) => new StoreFullError("m", details)],
  ["StoreUnavailableError", "store_unavailable", (details) => new StoreUnavailableError("m", details)],
  ["TamperedError", "tampered", (details) => new TamperedError("m", 3, 120, details)],
]

describe.each(CLASSES)("%s", (name, code, make) => {
  test(`has the code ${code}, its name, a message and a hint`, () => {
    const error = make()
    expect(error).toBeInstanceOf(HansardError)
    expect(error).toBeInstanceOf(Error)
    expect([error.name, error.code]).toEqual([name, code])
    expect(error.message).not.toBe("")
    expect(error.hint).toMatch(/^[A-Z].*\.$/)
    expect("cause" in error).toBe(false)
  })

  test("keeps the cause and takes another hint", () => {
    const cause = new Error("below")
    const error = make({ cause, hint: "Do this." })
    expect(error.cause).toBe(cause)
    expect(error.hint).toBe("Do this.")
  })
})

test("errors carry their facts as fields and in the message", () => {
  const large = new RecordTooLargeError(70_000, 65_535)
  expect(large).toMatchObject({ bytes: 70_000, maxBytes: 65_535 })
  expect(large.message).toBe("the record's line would take 70000 bytes; a line holds at most 65535")
  expect(new LogLockedError("/log", 42)).toMatchObject({
    holderPid: 42,
    message: "/log is already open for writing by process 42",
  })
  expect(new LogLockedError("/log", undefined).message).toBe(
    "/log is already open for writing by another process",
  )
  expect(new TamperedError("m", 3, 120)).toMatchObject({ firstBadIndex: 3, byteOffset: 120 })
  expect(new ClosedError("the log").message).toBe("the log is closed")
})

test("a broken invariant is a bug: a plain Error", () => {
  invariant(true, "one is one")
  const broken = () => invariant(false, "one is two")
  expect(broken).toThrow("bug: one is two")
  expect(broken).not.toThrow(HansardError)
})
