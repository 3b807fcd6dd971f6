import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { seededBytes } from "../../test/support/fake-time.ts"
import { freshSeed } from "../testing/random.ts"
import { idSource, IncreasingIds } from "./ids.ts"

const AT = Date.UTC(2026, 4, 5, 10)
const OTHER_SHAPES = ["", "zz", "01234567-89ab", "F".repeat(32), "0".repeat(33), " ".repeat(32)]

describe("idSource", () => {
  test("writes the nanoseconds and eight random bytes as 32 hexadecimal digits", () => {
    const random = () => Uint8Array.of(0, 1, 2, 0x7f, 0x80, 0xfe, 0xff, 10)
    const id = idSource(() => AT + 0.75, random)()
    expect(id).toBe(`${(BigInt(AT) * 1_000_000n).toString(16).padStart(16, "0")}0001027f80feff0a`)
    expect(idSource(() => 0, random)()).toBe("00000000000000000001027f80feff0a")
  })

  test("sorts by time", () => {
    let now = AT
    const next = idSource(() => now++, seededBytes(1))
    const ids = Array.from({ length: 1000 }, next)
    expect([...ids].sort()).toEqual(ids)
  })
})

describe("IncreasingIds", () => {
  const seed = freshSeed()
  console.info(`ids property: HANSARD_SEED=${seed}`)
  const clocks = fc.array(fc.integer({ min: -1000, max: 2 ** 42 }), { minLength: 1, maxLength: 50 })

  test("mints strictly increasing ids with a frozen clock", () => {
    const ids = new IncreasingIds(() => AT, seededBytes(2))
    const minted = Array.from({ length: 2000 }, () => ids.next())
    for (let i = 1; i < minted.length; i++) expect((minted[i] ?? "") > (minted[i - 1] ?? "")).toBe(true)
    expect(minted.every((id) => /^[0-9a-f]{32}$/.test(id))).toBe(true)
  })

  test("mints strictly increasing ids whatever the clock does", () => {
    fc.assert(
      fc.property(clocks, (times) => {
        let i = 0
        const ids = new IncreasingIds(() => times[i++] ?? 0, seededBytes(seed))
        let before = ""
        for (let n = 0; n < times.length; n++) {
          const id = ids.next()
          expect(id > before).toBe(true)
          before = id
        }
      }),
      { seed },
    )
  })

  test("follows the clock when it moves on", () => {
    let now = AT
    const ids = new IncreasingIds(
      () => now,
      () => new Uint8Array(8),
    )
    ids.next()
    now += 5
    expect(ids.next()).toBe(
      idSource(
        () => AT + 5,
        () => new Uint8Array(8),
      )(),
    )
  })

  test("goes on above what it was told of, however early the clock", () => {
    const time = fc.bigInt({ min: 0n, max: 2n ** 64n - 2n })
    const tail = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
    const hex = (part: bigint) => part.toString(16).padStart(16, "0")
    const stored = fc.tuple(time, tail).map(([high, low]) => hex(high) + hex(low))
    fc.assert(
      fc.property(fc.array(stored, { minLength: 1, maxLength: 5 }), clocks, (known, times) => {
        let i = 0
        const ids = new IncreasingIds(() => times[i++] ?? 0, seededBytes(seed))
        for (const id of known) ids.atLeast(id)
        const id = ids.next()
        for (const each of known) expect(id > each).toBe(true)
      }),
      { seed },
    )
  })

  test("is not set back by an older id, and passes over ids of another shape", () => {
    const zeros = () => new Uint8Array(8)
    const ids = new IncreasingIds(() => AT, zeros)
    const first = ids.next()
    ids.atLeast("0".repeat(32))
    for (const id of OTHER_SHAPES) ids.atLeast(id)
    const second = ids.next()
    expect(second > first).toBe(true)
    expect(BigInt(`0x${second.slice(0, 16)}`)).toBe(BigInt(`0x${first.slice(0, 16)}`) + 1n)
  })
})
