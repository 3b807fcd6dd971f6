import { describe, expect, test } from "vitest"
import { InvalidInputError } from "./errors.ts"
import {
  digestAt,
  formatHash,
  hashFrom,
  hashIndex,
  hashOfDigest,
  logSize,
  MAX_LOG_SIZE,
  parseHash,
  recordIndex,
} from "./hash-types.ts"

describe("numbers", () => {
  test.each([-1, 0.5, Number.NaN, Infinity, -0, 2 ** 53])("%d is no index and no size", (value) => {
    for (const make of [recordIndex, logSize, hashIndex]) expect(() => make(value)).toThrow(InvalidInputError)
  })

  test.each([0, 1, 2 ** 31, 2 ** 32, MAX_LOG_SIZE - 1])("%d is each of them", (value) => {
    for (const make of [recordIndex, logSize, hashIndex]) expect(make(value)).toBe(value)
  })

  test("the largest log has no record at its size, and hash indexes go further", () => {
    expect(logSize(MAX_LOG_SIZE)).toBe(2 ** 52)
    expect(() => recordIndex(MAX_LOG_SIZE)).toThrow(InvalidInputError)
    expect(() => logSize(MAX_LOG_SIZE + 1)).toThrow(InvalidInputError)
    expect(hashIndex(Number.MAX_SAFE_INTEGER)).toBe(2 ** 53 - 1)
  })
})

describe("hashes", () => {
  const bytes = new Uint8Array(32).map((_, i) => 255 - i * 8)

  test("are copied in", () => {
    const hash = hashFrom(bytes)
    expect(hash).toEqual(bytes)
    expect(hash.buffer).not.toBe(bytes.buffer)
    expect(hashFrom(Buffer.from(bytes)).constructor).toBe(Uint8Array)
  })

  test("are digests spelled otherwise", () => {
    expect(hashOfDigest(digestAt(bytes))).toEqual(bytes)
    expect(digestAt(Buffer.concat([Buffer.alloc(3), bytes]), 3)).toBe(digestAt(bytes))
    expect(() => digestAt(bytes, 1)).toThrow(InvalidInputError)
  })

  test("are printed in one way, and read in no other", () => {
    expect(parseHash(formatHash(hashFrom(bytes)))).toEqual(bytes)
    for (const text of [
      "",
      "AAAA",
      `${"A".repeat(42)}==`,
      "A".repeat(44),
      ` ${"A".repeat(42)}=`,
      `${"A".repeat(42)}B=`,
    ]) {
      expect(() => parseHash(text), text).toThrow(InvalidInputError)
    }
  })

  test.each([0, 31, 33])("have 32 bytes, not %i", (length) => {
    expect(() => hashFrom(new Uint8Array(length))).toThrow(InvalidInputError)
  })
})
