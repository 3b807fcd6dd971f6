import { expect, test } from "vitest"
import { concatBytes, equalBytes, toBytes, utf8, utf8Text } from "./bytes.ts"

test("texts go to UTF-8 and back unchanged, a byte order mark included", () => {
  for (const text of ["", "a", "naïve – 漢字 🦉", "\ufeffmarked", "\0\n"]) {
    expect(utf8Text(utf8(text))).toBe(text)
    expect(toBytes(text)).toEqual(utf8(text))
  }
  expect([...utf8("é")]).toEqual([0xc3, 0xa9])
})

test("bytes that are not UTF-8 are refused", () => {
  for (const bytes of [[0xff], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80]]) {
    expect(() => utf8Text(Uint8Array.from(bytes))).toThrow(TypeError)
  }
})

test("bytes stay as they are", () => {
  const bytes = Uint8Array.of(1, 2)
  expect(toBytes(bytes)).toBe(bytes)
})

test("bytes are compared by what is in them", () => {
  const equal = (a: number[], b: number[]) => equalBytes(Uint8Array.from(a), Uint8Array.from(b))
  expect(equal([], [])).toBe(true)
  expect(equal([1, 2], [1, 2])).toBe(true)
  expect(equal([1, 2], [1, 3])).toBe(false)
  expect(equal([0, 2], [1, 2])).toBe(false)
  expect(equal([1], [1, 2])).toBe(false)
  expect(equal([1, 2], [1])).toBe(false)
  expect(equalBytes(Uint8Array.of(9, 1, 2).subarray(1), Uint8Array.of(1, 2))).toBe(true)
})

test("parts are joined in order into bytes of their own", () => {
  const part = Uint8Array.of(1, 2)
  const joined = concatBytes([part, Uint8Array.of(3, 4), Uint8Array.of()])
  part[0] = 9
  expect(joined).toEqual(Uint8Array.of(1, 2, 3, 4))
  expect(concatBytes([])).toEqual(Uint8Array.of())
  expect(concatBytes([part])).not.toBe(part)
})
