import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import { Faults } from "../../test/store/faulty-file-system.ts"
import { WriterProcess } from "../../test/store/writer-process.ts"
import { utf8Text } from "../core/bytes.ts"
import { MAX_OPEN_FILES } from "./file-append.ts"
import { nodeFileSystem } from "./file-system.ts"
import { FileStore } from "./file.ts"

const root = mkdtempSync(join(tmpdir(), "hansard-open-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

let places = 0
const freshPlace = (): string => join(root, `place-${places++}`)

describe("opening", () => {
  test("makes the folder and those above it, unless told not to", async () => {
    const place = freshPlace()
    for (const options of [{ create: false }, { readOnly: true }]) {
      await expect(FileStore.open(place, options)).rejects.toMatchObject({ code: "not_found" })
    }
    await using store = await FileStore.open(join(place, "a/b"))
    expect(await store.list()).toEqual([])
  })

  test("says what is wrong with a folder that cannot be used, and names it", async () => {
    const place = freshPlace()
    writeFileSync(place, "a file")
    const hint = expect.stringContaining(place) as string
    for (const path of [place, join(place, "below")]) {
      await expect(FileStore.open(path)).rejects.toMatchObject({ code: "store_unavailable", hint })
    }
    const faults = new Faults(nodeFileSystem)
    faults.failing = (name) => name === "mkdirSync"
    const refused = FileStore.open(freshPlace(), { fs: faults.fs })
    await expect(refused).rejects.toMatchObject({ code: "store_unavailable", cause: { code: "EIO" } })
  })

  test("removes what a crash has left among the temporary files", async () => {
    const place = freshPlace()
    mkdirSync(join(place, ".hansard/tmp/tree/deep"), { recursive: true })
    writeFileSync(join(place, ".hansard/tmp/0"), "left over")
    await using store = await FileStore.open(place)
    await store.write("/a", "x")
    expect(nodeFileSystem.readdirSync(join(place, ".hansard/tmp"))).toEqual([])
    expect(await store.list()).toEqual(["a"])
  })

  test("takes folders that a crash left empty for absent ones", async () => {
    const place = freshPlace()
    mkdirSync(join(place, "a/b/c"), { recursive: true })
    await using store = await FileStore.open(place)
    expect(await store.list()).toEqual([])
    expect(await store.exists("/a")).toBe(false)
    await store.write("/a", "a file")
    expect(await store.append("/a", "!")).toBe(6)
    mkdirSync(join(place, "d/e"), { recursive: true })
    expect(await store.append("/d", "x")).toBe(0)
  })
})

describe("the lease", () => {
  test("is one process's, and the error names it; a crash gives it back", async () => {
    const place = freshPlace()
    await using writer = await WriterProcess.start(place)
    const locked = { code: "log_locked", holderPid: writer.pid }
    await expect(FileStore.open(place)).rejects.toMatchObject(locked)
    await writer.tell("append", "/log", "kept")
    await writer.kill()
    await using store = await FileStore.open(place)
    expect(await text(store, "/log")).toBe("kept")
  })

  test("keeps two stores in one process apart, until the first is disposed of", async () => {
    const place = freshPlace()
    const first = await FileStore.open(place)
    for (const path of [place, `${place}/../${place.split("/").at(-1)}/`]) {
      const second = FileStore.open(path)
      await expect(second).rejects.toMatchObject({ code: "log_locked", holderPid: process.pid })
    }
    // The refused ones have not shaken the lease.
    await using writer = await WriterProcess.start(freshPlace())
    await expect(WriterProcess.start(place)).rejects.toThrow("the writer said undefined")
    expect(writer.pid).not.toBe(process.pid)
    await first.append("/log", "1")
    await first[Symbol.asyncDispose]()
    await using third = await FileStore.open(place)
    expect(await third.append("/log", "2")).toBe(1)
    expect(JSON.parse(readFileSync(join(place, ".hansard/holder"), "utf8"))).toEqual({ pid: process.pid })
  })

  test("is given back by a process that closes its store", async () => {
    const place = freshPlace()
    await using writer = await WriterProcess.start(place)
    await writer.tell("write", "/a", "x")
    await writer.close()
    expect(existsSync(join(place, ".hansard/holder"))).toBe(false)
    await using store = await FileStore.open(place)
    expect(await text(store, "/a")).toBe("x")
  })
})

describe("read-only", () => {
  test("reads beside a writer, refuses every change, and leaves no trace", async () => {
    const place = freshPlace()
    mkdirSync(place)
    await using empty = await FileStore.open(place, { readOnly: true })
    expect(existsSync(join(place, ".hansard"))).toBe(false)
    await using writer = await WriterProcess.start(place)
    await writer.tell("append", "/log", "one")
    await using reader = await FileStore.open(place, { readOnly: true })
    for (const store of [empty, reader]) {
      expect(await text(store, "/log")).toBe("one")
      const changes = [
        store.append("/log", "x"),
        store.write("/log", "x"),
        store.writeIf("/log", "x", undefined),
        store.truncate("/log", 0),
        store.move("/log", "/b"),
        store.delete("/log"),
      ]
      for (const change of await Promise.allSettled(changes)) {
        expect(change).toMatchObject({ status: "rejected", reason: { code: "invalid_input" } })
      }
    }
    await writer.tell("append", "/log", "two")
    expect(await text(reader, "/log")).toBe("onetwo")
  })

  test("hears of another process's changes, in folders that were not there", async () => {
    const place = freshPlace()
    mkdirSync(place)
    await using reader = await FileStore.open(place, { readOnly: true })
    const heard = new Set<string>()
    let look = (): void => {}
    const until = async (path: string): Promise<void> => {
      while (!heard.has(path)) await new Promise<void>((resolve) => (look = resolve))
      heard.clear()
    }
    const hear = (path: string): void => {
      heard.add(path)
      look()
    }
    await reader.onChange("/audit/2026/log", hear)
    await reader.onChange("/tree", hear)
    await using writer = await WriterProcess.start(place)
    await writer.tell("append", "/audit/2026/other", "x")
    await writer.tell("append", "/audit/2026/log", "x")
    await until("/audit/2026/log")
    await writer.tell("append", "/audit/2026/log", "y")
    await until("/audit/2026/log")
    expect(await text(reader, "/audit/2026/log")).toBe("xy")
    await writer.tell("write", "/audit/2026/log", "z")
    await until("/audit/2026/log")
    await writer.tell("delete", "/audit")
    await until("/audit/2026/log")
    await writer.tell("append", "/audit/2026/log", "again")
    await until("/audit/2026/log")
    await writer.tell("write", "/tree/a/b/c", "x")
    await until("/tree/a/b/c")
    await writer.tell("write", "/tree/a/b/d", "x")
    await until("/tree/a/b/d")
    await writer.tell("delete", "/tree/a/b/d")
    await until("/tree/a/b/d")
    expect([...heard].filter((path) => path.includes("other"))).toEqual([])
  })
})

describe("files", () => {
  test("are their owner's alone, whatever the umask", async () => {
    for (const umask of ["0000", "0277"]) {
      const place = freshPlace()
      const before = process.umask(umask)
      try {
        await using store = await FileStore.open(place)
        await store.append("/a/log", "x")
        await store.write("/b/c/page", "x")
      } finally {
        process.umask(before)
      }
      const modes = Object.fromEntries(
        ["", "a", "a/log", "b", "b/c", "b/c/page", ".hansard", ".hansard/tmp", ".hansard/lease"].map(
          (path) => [path, (statSync(join(place, path)).mode % 0o1000).toString(8)],
        ),
      )
      expect(modes).toEqual({
        "": "700",
        a: "700",
        "a/log": "600",
        b: "700",
        "b/c": "700",
        "b/c/page": "600",
        ".hansard": "700",
        ".hansard/tmp": "700",
        ".hansard/lease": "600",
      })
    }
  })

  test("are reached through no symbolic link, wherever it leads", async () => {
    const place = freshPlace()
    const outside = `${place}-evil`
    mkdirSync(join(outside, "d"), { recursive: true })
    writeFileSync(join(outside, "d/secret"), "secret")
    await using store = await FileStore.open(place)
    await store.write("/inside/file", "x")
    symlinkSync(outside, join(place, "folder"))
    symlinkSync(join(outside, "d/secret"), join(place, "file"))
    symlinkSync(join(outside, "nowhere"), join(place, "dangling"))
    symlinkSync("inside", join(place, "alias"))
    symlinkSync("loop", join(place, "loop"))
    const paths = [
      "/folder/d/secret",
      "/folder/new",
      "/file",
      "/dangling",
      "/dangling/x",
      "/alias/file",
      "/loop/x",
    ]
    for (const path of paths) {
      const calls = [
        store.append(path, "x"),
        store.write(path, "x"),
        store.writeIf(path, "x", undefined),
        store.move("/inside/file", path),
      ]
      const looks = [
        store.read(path),
        store.readRange(path, 0),
        store.truncate(path, 0),
        store.move(path, "/to"),
      ]
      const refused = path.startsWith("/dangling/") ? calls : [...calls, ...looks]
      for (const call of await Promise.allSettled(refused)) {
        expect(call, path).toMatchObject({ status: "rejected", reason: { code: "invalid_input" } })
      }
      await Promise.allSettled(looks)
    }
    expect(readFileSync(join(outside, "d/secret"), "utf8")).toBe("secret")
    expect(existsSync(join(outside, "new"))).toBe(false)
    expect(await store.list()).toEqual(["inside/"])
    expect(await text(store, "/inside/file")).toBe("x")
  })
})

describe("cost", () => {
  test("a thousand concurrent appends share a few syncs", async () => {
    const faults = new Faults(nodeFileSystem)
    await using store = await FileStore.open(freshPlace(), { fs: faults.fs })
    await store.append("/log", "first\n")
    faults.calls.length = 0
    await Promise.all(Array.from({ length: 1000 }, (_, i) => store.append("/log", `${i}\n`)))
    expect(faults.calls).toEqual(["writeSync", "fdatasync"])
  })

  test("callers that append again at once share one sync a round", async () => {
    const faults = new Faults(nodeFileSystem)
    await using store = await FileStore.open(freshPlace(), { fs: faults.fs })
    await store.append("/log", "first\n")
    faults.calls.length = 0
    // Each so many layers above the store, and so many awaits later.
    const caller = async (_: unknown, layers: number): Promise<void> => {
      for (let i = 0; i < 50; i++) {
        await store.append("/log", "x\n")
        for (let layer = 0; layer < layers; layer++) await undefined
      }
    }
    await Promise.all(Array.from({ length: 64 }, caller))
    expect(faults.calls.filter((name) => name === "fdatasync")).toHaveLength(50)
  })

  test("a group ends at about a mebibyte", async () => {
    const faults = new Faults(nodeFileSystem)
    await using store = await FileStore.open(freshPlace(), { fs: faults.fs })
    await store.append("/log", "")
    faults.calls.length = 0
    await Promise.all(Array.from({ length: 64 }, () => store.append("/log", "x".repeat(64 * 1024))))
    expect(faults.calls).toEqual(Array.from({ length: 4 }, () => ["writeSync", "fdatasync"]).flat())
  })

  test("without syncs there is none, in any change", async () => {
    const faults = new Faults(nodeFileSystem)
    await using store = await FileStore.open(freshPlace(), { fs: faults.fs, durability: "os" })
    await store.append("/a/log", "x")
    await store.write("/a/page", "x")
    await store.move("/a/page", "/b/page")
    await store.truncate("/a/log", 0)
    await store.delete("/b")
    expect(faults.calls.filter((name) => name.includes("sync") && !name.endsWith("Sync"))).toEqual([])
  })

  test("a new file is acknowledged after its folders are synced, also those that another call made", async () => {
    const faults = new Faults(nodeFileSystem)
    const synced: string[] = []
    const opened = new Map<number, string>()
    const { openSync, fsync } = faults.fs
    faults.fs.openSync = (path, flags, mode) => {
      const fd = openSync(path, flags, mode)
      opened.set(fd, path)
      return fd
    }
    faults.fs.fsync = async (fd) => {
      await fsync(fd)
      synced.push(opened.get(fd) ?? "")
    }
    const place = freshPlace()
    await using store = await FileStore.open(place, { fs: faults.fs })
    synced.length = 0
    const first = store.append("/a/b/one", "x")
    const second = store.append("/a/b/two", "x").then(() => [...synced])
    expect(new Set(await second)).toEqual(new Set([place, join(place, "a"), join(place, "a/b")]))
    await first
    synced.length = 0
    await store.append("/a/b/one", "y")
    expect(synced).toEqual([])
  })

  test("few descriptors stay open, and one in use is not given to another file", async () => {
    const faults = new Faults(nodeFileSystem)
    let open = 0
    const { openSync, closeSync } = faults.fs
    faults.fs.openSync = (...args) => {
      const fd = openSync(...args)
      open++
      return fd
    }
    faults.fs.closeSync = (fd) => {
      closeSync(fd)
      open--
    }
    const store = await FileStore.open(freshPlace(), { fs: faults.fs, durability: "os" })
    const paths = Array.from({ length: 300 }, (_, i) => `/logs/${i}`)
    const line = "x".repeat(5000)
    await Promise.all(paths.map((path) => store.append(path, `${path} ${line}`)))
    for (const path of paths) {
      const reading = store.read(path)
      await store.delete(path)
      expect(utf8Text((await reading) ?? new Uint8Array(0))).toBe(`${path} ${line}`)
      await store.append(`${path}-next`, "other")
    }
    expect(open).toBeLessThanOrEqual(MAX_OPEN_FILES)
    await store[Symbol.asyncDispose]()
    expect(open).toBe(0)
  })
})

async function text(store: FileStore, path: string): Promise<string | undefined> {
  const bytes = await store.read(path)
  return bytes && utf8Text(bytes)
}
