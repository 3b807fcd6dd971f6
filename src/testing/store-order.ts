import { expect } from "vitest"
import { utf8Text } from "../core/bytes.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import { readText } from "../store/text.ts"
import type { Behaviour } from "./store.ts"

/** What a store promises about calls that overlap, and about telling of changes. */
export function testStoreOrder(behaviour: Behaviour): void {
  testRaces(behaviour)
  testChanges(behaviour)
}

function testRaces(behaviour: Behaviour): void {
  behaviour("keeps a thousand concurrent appends whole, in the order of the calls", async (store) => {
    const contents = Array.from({ length: 1000 }, (_, i) => `${i} ${"ø".repeat(i % 7)}\n`)
    const offsets = await Promise.all(contents.map((content) => store.append("/deep/log", content)))
    expect(await readText(store, "/deep/log")).toBe(contents.join(""))
    let offset = 0
    for (const [i, content] of contents.entries()) {
      expect(offsets[i]).toBe(offset)
      offset += new TextEncoder().encode(content).length
    }
  })

  behaviour("keeps appends to many paths apart", async (store) => {
    const paths = Array.from({ length: 100 }, (_, i) => `/many/${i % 10}/${i}`)
    for (let round = 0; round < 3; round++) {
      const offsets = await Promise.all(paths.map((path) => store.append(path, `${path}\n`)))
      expect(offsets).toEqual(paths.map((path) => round * (path.length + 1)))
    }
    for (const path of paths) expect(await readText(store, path)).toBe(`${path}\n`.repeat(3))
  })

  behaviour("reads what has been acknowledged, while other appends are under way", async (store) => {
    let acknowledged = 0
    const writers = Array.from({ length: 20 }, async () => {
      for (let i = 0; i < 10; i++) {
        const offset = await store.append("/log", "12345678\n")
        acknowledged = Math.max(acknowledged, offset + 9)
        const atLeast = acknowledged
        const seen = (await store.read("/log")) ?? new Uint8Array(0)
        expect(seen.length).toBeGreaterThanOrEqual(atLeast)
        expect(utf8Text(seen.slice(0, atLeast))).toBe("12345678\n".repeat(atLeast / 9))
        expect(await store.size("/log")).toBeGreaterThanOrEqual(atLeast)
      }
    })
    await Promise.all(writers)
    expect(await store.size("/log")).toBe(1800)
  })

  behaviour("lets exactly one of many racing writers win", async (store) => {
    for (const expected of [undefined, "won 0"]) {
      if (expected !== undefined) await store.write("/a", expected)
      const calls = Array.from({ length: 20 }, (_, i) => store.writeIf("/a", `racer ${i}`, expected))
      const won = (await Promise.all(calls)).flatMap((wrote, i) => (wrote ? [i] : []))
      expect(won).toHaveLength(1)
      expect(await readText(store, "/a")).toBe(`racer ${won[0]}`)
    }
  })

  behaviour("shows a reader the old bytes or the new ones, never a mixture", async (store) => {
    const pages = ["a", "b", "c"].map((letter) => letter.repeat(300_000))
    await store.write("/page", pages[0] ?? "")
    let writing = true
    const reader = (async () => {
      while (writing) {
        const seen = (await readText(store, "/page")) ?? ""
        expect(pages.includes(seen), `${seen.length} bytes`).toBe(true)
      }
    })()
    try {
      for (let i = 1; i < 12; i++) await store.write("/page", pages[i % 3] ?? "")
    } finally {
      writing = false
    }
    await reader
  })

  behaviour("carries out overlapping changes to one path in the order of the calls", async (store) => {
    const calls = [
      store.write("/a", "1"),
      store.append("/a", "2"),
      store.append("/a", "3"),
      store.write("/a", "45678"),
      store.append("/a", "9"),
      store.truncate("/a", 2),
      store.append("/a", "x"),
      store.writeIf("/a", "swapped", "45x"),
      store.append("/a", "!"),
      store.move("/a", "/b"),
      store.append("/a", "new"),
      store.append("/b", "?"),
    ]
    const unit = undefined
    expect(await Promise.all(calls)).toEqual([unit, 1, 2, unit, 5, unit, 2, true, 7, unit, 0, 8])
    expect(await readText(store, "/b")).toBe("swapped!?")
    expect(await readText(store, "/a")).toBe("new")
  })

  behaviour("takes a change to a directory as a change to all that is in it", async (store) => {
    const calls = [
      store.append("/d/a", "1"),
      store.write("/d/e/b", "2"),
      store.delete("/d"),
      store.append("/d/a", "3"),
      store.append("/d/a", "4"),
      store.delete("/d/e"),
      store.write("/d/e/b", "5"),
      store.delete("/d/a"),
      store.append("/d/a", "6"),
    ]
    const unit = undefined
    expect(await Promise.all(calls)).toEqual([0, unit, unit, 0, 1, unit, unit, unit, 0])
    expect(await readText(store, "/d/a")).toBe("6")
    expect(await readText(store, "/d/e/b")).toBe("5")
  })
}

function testChanges(behaviour: Behaviour): void {
  behaviour("tells of every kind of change at a path and under it, and of no other", async (store) => {
    await store.write("/a/moved", "x")
    const exact = await listen(store, "/a/b")
    const under = await listen(store, "/a")
    const all = await listen(store, "/")
    for (const path of ["/a/b", "/a/bc", "/a/b2/c", "/ab"]) await store.append(path, "x")
    await all.until("/ab")
    expect(new Set(exact.told)).toEqual(new Set(["/a/b"]))
    expect(new Set(under.told)).toEqual(new Set(["/a/b", "/a/bc", "/a/b2/c"]))
    expect(new Set(all.told)).toEqual(new Set(["/a/b", "/a/bc", "/a/b2/c", "/ab"]))

    const changes: [() => Promise<unknown>, string[]][] = [
      [() => store.write("/a/b", "new"), ["/a/b"]],
      [() => store.writeIf("/a/b", "newer", "new"), ["/a/b"]],
      [() => store.truncate("/a/b", 1), ["/a/b"]],
      [() => store.move("/a/moved", "/a/here"), ["/a/moved", "/a/here"]],
      [() => store.delete("/a/b"), ["/a/b"]],
      [() => store.delete("/a/b2"), ["/a/b2/c"]],
    ]
    for (const [change, paths] of changes) {
      under.told.length = 0
      await change()
      for (const path of paths) await under.until(path)
    }
  })

  behaviour("tells after the change can be read, and not inside the call", async (store) => {
    let inside = true
    const seen = new Promise<string>((resolve, reject) => {
      void store.onChange("/a", () => {
        if (inside) reject(new Error("told inside the call"))
        else resolve(readText(store, "/a").then(String))
      })
    })
    await settle(store)
    const call = store.append("/a", "there")
    inside = false
    await call
    expect(await seen).toBe("there")
  })

  behaviour("says nothing of what changed nothing", async (store) => {
    await store.write("/a", "x")
    await settle(store)
    const { told } = await listen(store, "/a")
    await store.writeIf("/a", "y", "z")
    await store.truncate("/a", 9)
    await store.delete("/none")
    await store.move("/a", "/a")
    await expect(store.move("/none", "/b")).rejects.toThrow()
    await settle(store)
    expect(told).toEqual([])
  })

  behaviour("keeps an exception in a callback where it happened", async (store) => {
    await store.onChange("/a", () => {
      throw new Error("from a callback, on purpose")
    })
    await store.onChange("/a", async () => {
      throw new Error("from an async callback, on purpose")
    })
    const after = await listen(store, "/a")
    await store.append("/a", "1")
    await after.until("/a")
    expect(await store.append("/a", "2")).toBe(1)
  })

  behaviour("calls nobody after a subscription is disposed of", async (store) => {
    const gone = await listen(store, "/a")
    const kept = await listen(store, "/a")
    await store.append("/a", "1")
    await kept.until("/a")
    await gone.subscription[Symbol.asyncDispose]()
    await gone.subscription[Symbol.asyncDispose]()
    const before = gone.told.length
    kept.told.length = 0
    await store.append("/a", "2")
    await kept.until("/a")
    expect(gone.told.length).toBe(before)
  })
}

interface Ear {
  readonly told: string[]
  readonly subscription: AsyncDisposable
  /** Resolves when `path` has been told; the test's own time limit is the only one. */
  until(path: string): Promise<void>
}

async function listen(store: KnowledgeStore, path: string): Promise<Ear> {
  const told: string[] = []
  const waiting: (() => void)[] = []
  const subscription = await store.onChange(path, (changed) => {
    told.push(changed)
    for (const look of waiting.splice(0)) look()
  })
  return {
    told,
    subscription,
    async until(wanted) {
      while (!told.includes(wanted)) await new Promise<void>((resolve) => waiting.push(resolve))
    },
  }
}

/** A change elsewhere and the news of it: what was to be told before it has been. */
async function settle(store: KnowledgeStore): Promise<void> {
  const ear = await listen(store, "/settle")
  await store.append("/settle", "x")
  await ear.until("/settle")
  await ear.subscription[Symbol.asyncDispose]()
}
