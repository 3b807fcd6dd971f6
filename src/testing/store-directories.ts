import { expect } from "vitest"
import { readText } from "../store/text.ts"
import type { Behaviour } from "./store.ts"

/** What a store promises about the names of files, and the directories that they imply. */
export function testStoreDirectories(behaviour: Behaviour): void {
  behaviour("lists what lies directly in a directory, sorted by code unit", async (store) => {
    for (const path of ["/d/b", "/d/a/deep/er", "/d/B", "/d/a.b", "/d/a-", "/d/ü", "/d/10", "/d/9", "/e"]) {
      await store.write(path, "x")
    }
    expect(await store.list("/d")).toEqual(["10", "9", "B", "a-", "a.b", "a/", "b", "ü"])
    expect(await store.list("d//")).toEqual(await store.list("/d"))
    expect(await store.list()).toEqual(["d/", "e"])
    expect(await store.list("/d/a")).toEqual(["deep/"])
    expect(await store.list("/e")).toEqual([])
    expect(await store.list("/none")).toEqual([])
  })

  behaviour("has a directory as long as there is a file in it", async (store) => {
    await store.write("/a/b/c", "x")
    for (const path of ["/", "/a", "/a/b", "/a/b/c"]) expect(await store.exists(path), path).toBe(true)
    for (const path of ["/a/b/c/d", "/a/bb", "/b"]) expect(await store.exists(path), path).toBe(false)
    expect(await store.size("/a/b")).toBe(0)
    expect(await store.read("/a/b")).toBeUndefined()
    await store.delete("/a/b/c")
    for (const path of ["/", "/a", "/a/b"]) expect(await store.exists(path), path).toBe(false)
    expect(await store.list()).toEqual([])
    await store.write("/a", "now a file")
    expect(await store.list()).toEqual(["a"])
  })

  behaviour("refuses to make a path both a file and a directory", async (store) => {
    await store.write("/a/b", "x")
    await store.write("/f", "y")
    const refused: Promise<unknown>[] = [
      ...["/a", "/a/b/c"].flatMap((path) => [
        store.write(path, "no"),
        store.append(path, "no"),
        store.writeIf(path, "no", undefined),
        store.move("/f", path),
      ]),
      store.move("/f", "/f/under/itself"),
    ].map(handled)
    for (const call of refused) await expect(call).rejects.toMatchObject({ code: "invalid_input" })
    expect(await readText(store, "/a/b")).toBe("x")
    expect(await readText(store, "/f")).toBe("y")
    expect(await store.list()).toEqual(["a/", "f"])
    expect(await store.list("/a")).toEqual(["b"])
  })

  behaviour("deletes a file, a whole directory, and nothing beside it", async (store) => {
    for (const path of ["/a/b/1", "/a/b/c/2", "/a/bc", "/a/b.x/3", "/ab"]) await store.append(path, "x")
    await store.delete("/a/b")
    expect(await store.exists("/a/b")).toBe(false)
    expect(await store.read("/a/b/c/2")).toBeUndefined()
    expect(await store.list("/a")).toEqual(["b.x/", "bc"])
    await store.delete("/a/bc")
    await store.delete("/a/bc")
    await store.delete("/none/at/all")
    await store.delete("/a/b.x/3/under-a-file")
    expect(await store.list("/a")).toEqual(["b.x/"])
    await store.delete("/")
    expect(await store.list()).toEqual([])
    expect(await store.append("/a/b/1", "again")).toBe(0)
  })

  behaviour("moves a file, over another one or to a new directory", async (store) => {
    await store.write("/from/a", "A")
    await store.write("/to", "old")
    await store.move("/from/a", "/to")
    expect(await readText(store, "/to")).toBe("A")
    expect(await store.list()).toEqual(["to"])
    await store.move("/to", "/new/deep/er")
    expect(await readText(store, "/new/deep/er")).toBe("A")
    await store.move("/new/deep/er", "new//deep/er")
    expect(await readText(store, "/new/deep/er")).toBe("A")
  })

  behaviour("finds no file to move where there is none", async (store) => {
    await store.write("/dir/a", "x")
    await store.write("/to", "kept")
    for (const from of ["/none", "/dir", "/dir/a/b"]) {
      await expect(store.move(from, "/to")).rejects.toMatchObject({ code: "not_found" })
      await expect(store.move(from, from)).rejects.toMatchObject({ code: "not_found" })
    }
    expect(await readText(store, "/to")).toBe("kept")
  })
}

/** They are looked at one after another; until then none counts as forgotten. */
export function handled(call: Promise<unknown>): Promise<unknown> {
  call.catch(() => {})
  return call
}
