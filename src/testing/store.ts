import { describe, expect, test } from "vitest"
import { concatBytes, utf8, utf8Text } from "../core/bytes.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import { readText } from "../store/text.ts"
import { handled, testStoreDirectories } from "./store-directories.ts"
import { testStoreOrder } from "./store-order.ts"
import { testStoreAgainstModel } from "./store-model.ts"

/** Longer than what a store might gather before it writes. */
const LONG_BYTES = 64 * 1024

/**
 * What every store must do, whoever wrote it. Published as `hansard/testing`, so that a store outside this repository
 * can prove itself with the same lines:
 *
 * ```ts
 * testStore({ name: "mine", open: (place) => MyStore.open(join(folder, place)) })
 * ```
 */
export interface StoreUnderTest {
  readonly name: string
  /**
   * Opens the store at `place`, a short name: empty the first time, and with what it held when opened again after its
   * disposal. Names repeat from run to run, so put them somewhere new.
   */
  open(place: string): Promise<KnowledgeStore>
  /** Tests this store cannot pass, and why. A name that matches no test fails the suite. */
  readonly exempt?: Readonly<Record<string, string>>
}

/** One behaviour, in its own empty place, with the store closed afterwards. */
export type Behaviour = (
  claim: string,
  check: (store: KnowledgeStore, place: string) => Promise<void>,
) => void

let places = 0

/** Declares the suite for one store. Call it at the top of a test file. */
export function testStore(subject: StoreUnderTest): void {
  const unused = new Set(Object.keys(subject.exempt ?? {}))

  const behaviour: Behaviour = (claim, check) => {
    const reason = subject.exempt?.[claim]
    unused.delete(claim)
    test.skipIf(reason !== undefined)(
      reason === undefined ? claim : `${claim} (exempt: ${reason})`,
      async () => {
        const place = `place-${++places}`
        const store = await subject.open(place)
        try {
          await check(store, place)
        } finally {
          await store[Symbol.asyncDispose]()
        }
      },
    )
  }

  describe(`${subject.name} store`, () => {
    testPaths(behaviour)
    testContents(behaviour)
    testStoreDirectories(behaviour)
    testStoreOrder(behaviour)
    testLife(behaviour, subject)
    testStoreAgainstModel(behaviour, subject)

    test("every exemption names a real test", () => {
      expect([...unused]).toEqual([])
    })
  })
}

function testPaths(behaviour: Behaviour): void {
  behaviour("spells a path in one way, however it is written", async (store) => {
    await store.write("a//b/", "x")
    expect(await readText(store, "/a/b")).toBe("x")
    expect(await readText(store, "///a///b//")).toBe("x")
    await store.append("a/b", "y")
    expect(await store.size("//a/b/")).toBe(2)
  })

  behaviour("refuses what is no path, in every call and as a rejection", async (store) => {
    const bad = ["..", "/a/../b", ".", "/a/./b", "/a\0b", "/half \ud800", "/.hansard", "/.Hansard-x/y"]
    const long = [`/${"é".repeat(128)}`, `/${"abcdefg/".repeat(128)}h`]
    for (const path of [...bad, ...long]) {
      for (const call of everyCall(store, path)) {
        await expect(call, JSON.stringify(path)).rejects.toMatchObject({ code: "invalid_input" })
      }
    }
  })

  behaviour("refuses the root where a file is meant", async (store) => {
    await store.write("/a", "x")
    for (const call of fileCalls(store, "/")) {
      await expect(call).rejects.toMatchObject({ code: "invalid_input" })
    }
    expect(await store.list()).toEqual(["a"])
  })

  behaviour("takes the longest path and the oddest names", async (store) => {
    const longest = `/${"x".repeat(254)}/${"y".repeat(255)}/${"z".repeat(255)}/${"w".repeat(256 - 3)}/vv`
    expect(longest.length).toBe(1024)
    const names = ["a b", "ü", "..a", "a.", "%2e%2e", "~", "#", "*", "a'\"b", "\\", "new\nline", "😀"]
    for (const path of [longest, ...names.map((name) => `/odd/${name}`)]) {
      await store.append(path, path)
      expect(await readText(store, path)).toBe(path)
    }
    expect(await store.list("/odd")).toEqual([...names].sort())
  })

  behaviour("refuses a range or a size that is no number of bytes", async (store) => {
    await store.write("/a", "abc")
    for (const wrong of [-1, 0.5, Number.NaN, Infinity]) {
      await expect(store.readRange("/a", wrong)).rejects.toMatchObject({ code: "invalid_input" })
      await expect(store.readRange("/a", 0, wrong)).rejects.toMatchObject({ code: "invalid_input" })
      await expect(store.truncate("/a", wrong)).rejects.toMatchObject({ code: "invalid_input" })
    }
    expect(await readText(store, "/a")).toBe("abc")
  })
}

function testContents(behaviour: Behaviour): void {
  behaviour("starts empty", async (store) => {
    expect(await store.read("/a")).toBeUndefined()
    expect(await store.readRange("/a", 0)).toEqual(new Uint8Array(0))
    expect(await store.size("/a")).toBe(0)
    expect(await store.exists("/a")).toBe(false)
    expect(await store.exists("/")).toBe(false)
    expect(await store.list()).toEqual([])
  })

  behaviour("reads back exactly the bytes written, and replaces them whole", async (store) => {
    const everyByte = Uint8Array.from({ length: 256 }, (_, i) => i)
    await store.write("/a", everyByte)
    expect(await store.read("/a")).toEqual(everyByte)
    await store.write("/a", "short")
    expect(await readText(store, "/a")).toBe("short")
    expect(await store.size("/a")).toBe(5)
  })

  behaviour("tells an empty file from none", async (store) => {
    await store.write("/written", "")
    expect(await store.append("/appended", "")).toBe(0)
    for (const path of ["/written", "/appended"]) {
      expect(await store.read(path)).toEqual(new Uint8Array(0))
      expect(await store.exists(path)).toBe(true)
    }
    expect(await store.list()).toEqual(["appended", "written"])
  })

  behaviour("counts offsets and sizes in bytes", async (store) => {
    expect(await store.append("/log", "naïve ")).toBe(0)
    expect(await store.append("/log", "😀\n")).toBe(7)
    expect(await store.append("/log", new Uint8Array([0xff]))).toBe(12)
    expect(await store.size("/log")).toBe(13)
  })

  behaviour("appends to what was written, moved or cut", async (store) => {
    await store.write("/a", "1234")
    expect(await store.append("/a", "5")).toBe(4)
    await store.write("/a", "ab")
    expect(await store.append("/a", "c")).toBe(2)
    await store.truncate("/a", 1)
    expect(await store.append("/a", "z")).toBe(1)
    await store.move("/a", "/b")
    expect(await store.append("/b", "!")).toBe(2)
    expect(await store.append("/a", "new")).toBe(0)
    await store.delete("/b")
    expect(await store.append("/b", "again")).toBe(0)
    expect(await readText(store, "/b")).toBe("again")
  })

  behaviour("cuts characters where it is told to, and never mends them", async (store) => {
    const smile = utf8("😀")
    await store.append("/log", smile.slice(0, 1))
    await store.append("/log", smile.slice(1, 3))
    await store.append("/log", smile.slice(3))
    expect(await readText(store, "/log")).toBe("😀")
    expect(await store.readRange("/log", 1, 3)).toEqual(smile.slice(1, 3))
    // Two halves in two calls are two broken texts, not one whole one.
    await Promise.all([store.append("/halves", "\ud83d"), store.append("/halves", "\ude00")])
    expect(await readText(store, "/halves")).toBe("\ufffd\ufffd")
  })

  behaviour("reads ranges, short or empty past the end", async (store) => {
    await store.write("/a", "0123456789")
    const ranges: [number, number | undefined, string][] = [
      [0, undefined, "0123456789"],
      [3, 7, "3456"],
      [0, 0, ""],
      [7, 3, ""],
      [8, 99, "89"],
      [10, undefined, ""],
      [10, 12, ""],
      [2 ** 40, 2 ** 41, ""],
      [9, undefined, "9"],
    ]
    for (const [start, end, expected] of ranges) {
      expect(utf8Text(await store.readRange("/a", start, end)), `${start} to ${end}`).toBe(expected)
    }
  })

  behaviour("keeps no buffer of the caller's, and gives none of its own", async (store) => {
    const mine = utf8("mine")
    const waiting = [store.write("/w", mine), store.append("/a", mine), store.writeIf("/i", mine, undefined)]
    mine.fill(0)
    await Promise.all(waiting)
    for (const path of ["/w", "/a", "/i"]) expect(await readText(store, path)).toBe("mine")
    const given = await store.read("/w")
    given?.fill(0)
    ;(await store.readRange("/w", 0)).fill(0)
    expect(await readText(store, "/w")).toBe("mine")

    // The first may be written at once; the others have to wait for it, or for company.
    const long = utf8("l".repeat(LONG_BYTES))
    const appending = [store.append("/l", long), store.append("/l", long), store.append("/l", mine)]
    long.fill(0)
    await Promise.all(appending)
    expect(await readText(store, "/l")).toBe("l".repeat(2 * LONG_BYTES) + "\0\0\0\0")

    const view = new Uint8Array(utf8("__part__").buffer, 2, 4)
    await store.write("/v", view)
    expect(await readText(store, "/v")).toBe("part")
  })

  behaviour("takes eight mebibytes at once, each way", async (store) => {
    const large = new Uint8Array(8 * 1024 * 1024).map((_, i) => i % 251)
    await store.write("/w", large)
    expect(await store.append("/a", large)).toBe(0)
    expect(await store.append("/a", large)).toBe(large.length)
    expect(same(await store.read("/w"), large)).toBe(true)
    expect(same(await store.read("/a"), concatBytes([large, large]))).toBe(true)
    expect(await store.readRange("/a", large.length - 1, large.length + 1)).toEqual(
      new Uint8Array([(large.length - 1) % 251, 0]),
    )
    expect(await store.writeIf("/w", "small", large)).toBe(true)
  })

  behaviour("truncates, and only ever makes shorter", async (store) => {
    await store.write("/a", "0123456789")
    await store.truncate("/a", 4)
    expect(await readText(store, "/a")).toBe("0123")
    await store.truncate("/a", 99)
    expect(await readText(store, "/a")).toBe("0123")
    await store.truncate("/a", 0)
    expect(await store.read("/a")).toEqual(new Uint8Array(0))
    await store.truncate("/none", 3)
    expect(await store.exists("/none")).toBe(false)
  })

  behaviour("reads many ranges as it reads each, if it can", async (store) => {
    const { readRanges } = store
    if (readRanges === undefined) return
    const bytes = Uint8Array.from({ length: 200_000 }, (_, n) => n % 251)
    await store.write("/many", bytes)
    const ends = [0, 1, 70, 4096, 66_000, 199_999, 200_000, 200_001, 300_000]
    const ranges = ends.flatMap((start) => ends.map((end) => ({ start, end })))
    const found = await readRanges.call(store, "/many", ranges)
    const each = await Promise.all(ranges.map(({ start, end }) => store.readRange("/many", start, end)))
    expect(found).toEqual(each)
    await store.append("/log", bytes.slice(0, 10))
    const [first] = await readRanges.call(store, "/log", [{ start: 2, end: 20 }])
    expect(first).toEqual(bytes.slice(2, 10))
    expect(await readRanges.call(store, "/none", [{ start: 0, end: 1 }])).toEqual([new Uint8Array(0)])
    await expect(readRanges.call(store, "/many", [{ start: -1, end: 1 }])).rejects.toMatchObject({
      code: "invalid_input",
    })
  })

  behaviour("reads into a buffer what it reads into a new one, if it can", async (store) => {
    if (store.readInto === undefined) return
    const bytes = Uint8Array.from({ length: 200_000 }, (_, n) => n % 251)
    await store.write("/many", bytes)
    for (const start of [0, 1, 66_000, 199_999, 200_000, 200_001]) {
      for (const length of [0, 1, 4096, 200_000]) {
        const into = new Uint8Array(length + 2).fill(255)
        const got = await store.readInto("/many", start, into.subarray(1, length + 1))
        const expected = await store.readRange("/many", start, start + length)
        expect(got).toBe(expected.length)
        expect(into.slice(1, got + 1)).toEqual(expected)
        // What is beyond the bytes that there were, and beyond the buffer, is as it was.
        expect(into.subarray(got + 1).every((byte) => byte === 255)).toBe(true)
        expect(into[0]).toBe(255)
      }
    }
    await store.append("/log", bytes.slice(0, 10))
    expect(await store.readInto("/log", 2, new Uint8Array(20))).toBe(8)
    expect(await store.readInto("/none", 0, new Uint8Array(20))).toBe(0)
    await expect(store.readInto("/many", -1, new Uint8Array(1))).rejects.toMatchObject({
      code: "invalid_input",
    })
  })

  behaviour(
    "has files that will not change any more, if it can seal: read, moved, replaced, deleted",
    async (store) => {
      if (store.seal === undefined) return
      await store.append("/log", "line")
      await store.seal("/log")
      await store.seal("/log")
      expect(await readText(store, "/log")).toBe("line")
      await store.move("/log", "/sealed/log")
      expect(await store.append("/log", "next")).toBe(0)
      expect(await readText(store, "/sealed/log")).toBe("line")
      await store.write("/sealed/log", "other")
      expect(await store.append("/sealed/log", "!")).toBe(5)
      await store.seal("/sealed/log")
      await store.delete("/sealed")
      expect(await store.list()).toEqual(["log"])
      await expect(store.seal("/none")).rejects.toMatchObject({ code: "not_found" })
    },
  )

  behaviour("writes only over what was expected", async (store) => {
    expect(await store.writeIf("/a", "no", "something")).toBe(false)
    expect(await store.writeIf("/a", "one", undefined)).toBe(true)
    expect(await store.writeIf("/a", "no", undefined)).toBe(false)
    expect(await store.writeIf("/a", "no", "onf")).toBe(false)
    expect(await store.writeIf("/a", "no", "one ")).toBe(false)
    expect(await readText(store, "/a")).toBe("one")
    expect(await store.writeIf("/a", "", utf8("one"))).toBe(true)
    // An empty file is not the absence of one.
    expect(await store.writeIf("/a", "no", undefined)).toBe(false)
    expect(await store.writeIf("/a", "two", "")).toBe(true)
    expect(await readText(store, "/a")).toBe("two")
  })
}

function testLife(behaviour: Behaviour, subject: StoreUnderTest): void {
  behaviour("keeps everything when reopened", async (store, place) => {
    await store.write("/a/written", "w")
    await store.append("/a/appended", "1")
    await store.append("/a/appended", "2")
    await store.writeIf("/b", "i", undefined)
    await store.write("/moved", "m")
    await store.move("/moved", "/c/moved")
    await store.write("/cut", "0123")
    await store.truncate("/cut", 2)
    await store.write("/deleted", "x")
    await store.delete("/deleted")
    await store[Symbol.asyncDispose]()

    const again = await subject.open(place)
    try {
      expect(await again.list()).toEqual(["a/", "b", "c/", "cut"])
      expect(await readText(again, "/a/written")).toBe("w")
      expect(await readText(again, "/a/appended")).toBe("12")
      expect(await readText(again, "/c/moved")).toBe("m")
      expect(await readText(again, "/cut")).toBe("01")
      expect(await again.append("/a/appended", "3")).toBe(2)
    } finally {
      await again[Symbol.asyncDispose]()
    }
  })

  behaviour("finishes what was called before its disposal, and then is closed", async (store, place) => {
    const waiting = [store.append("/log", "a"), store.append("/log", "b"), store.write("/w", "w")]
    const disposed = store[Symbol.asyncDispose]()
    for (const call of everyCall(store, "/x")) await expect(call).rejects.toMatchObject({ code: "closed" })
    await disposed
    await store[Symbol.asyncDispose]()
    expect(await Promise.all(waiting)).toEqual([0, 1, undefined])
    const again = await subject.open(place)
    try {
      expect(await readText(again, "/log")).toBe("ab")
      expect(await again.list()).toEqual(["log", "w"])
    } finally {
      await again[Symbol.asyncDispose]()
    }
  })
}

/** Every call that takes a file; each would change or make it. */
function fileCalls(store: KnowledgeStore, path: string): Promise<unknown>[] {
  return [
    store.read(path),
    store.readRange(path, 0),
    store.write(path, "x"),
    store.writeIf(path, "x", undefined),
    store.append(path, "x"),
    store.truncate(path, 0),
    store.move(path, "/elsewhere"),
    store.move("/a", path),
    store.size(path),
    ...(store.seal === undefined ? [] : [store.seal(path)]),
  ].map(handled)
}

function everyCall(store: KnowledgeStore, path: string): Promise<unknown>[] {
  const others = [store.list(path), store.delete(path), store.exists(path), store.onChange(path, () => {})]
  return [...fileCalls(store, path), ...others.map(handled)]
}

/** vitest takes seconds to compare megabytes. */
function same(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && a.length === b.length && a.every((byte, i) => byte === b[i])
}
