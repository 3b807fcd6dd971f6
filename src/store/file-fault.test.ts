/**
 * For each file-system call of each change, in turn: fail and not persist; fail but persist; stop short. After each the
 * store holds what was acknowledged and nothing else, works again, and so does one opened on what is on disk.
 */
import { execFileSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import { utf8Text } from "../core/bytes.ts"
import type { KnowledgeStore } from "./contract.ts"
import { FileStore } from "./file.ts"
import { nodeFileSystem, type FileSystem } from "./file-system.ts"
import { Faults, type Fault } from "../../test/store/faulty-file-system.ts"

// The disk is not what is tested, and thousands of stores are opened: in memory where there is such a place.
const base = existsSync("/dev/shm") ? "/dev/shm" : tmpdir()
const root = mkdtempSync(join(base, "hansard-fault-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

let places = 0
const freshPlace = (): string => join(root, `place-${places++}`)

const OLD = { "/d/log": "old\n", "/d/file": "old", "/other": "o" }

/** What each change makes of {@link OLD} when it happens. */
const CHANGES: Record<string, { call(store: KnowledgeStore): Promise<unknown>; after: Files }> = {
  "append to a file": {
    call: (store) => store.append("/d/log", "new\n"),
    after: { ...OLD, "/d/log": "old\nnew\n" },
  },
  "append to an open file": {
    call: async (store) => {
      await store.append("/d/log", "first\n")
      await store.append("/d/log", "new\n")
    },
    after: { ...OLD, "/d/log": "old\nfirst\nnew\n" },
  },
  "a group of appends": {
    call: (store) => Promise.all([store.append("/d/log", "1\n"), store.append("/d/log", "2\n")]),
    after: { ...OLD, "/d/log": "old\n1\n2\n" },
  },
  "append to a new file in new folders": {
    call: (store) => store.append("/x/y/new", "new\n"),
    after: { ...OLD, "/x/y/new": "new\n" },
  },
  "write over a file": {
    call: (store) => store.write("/d/file", "new"),
    after: { ...OLD, "/d/file": "new" },
  },
  "write a new file in new folders": {
    call: (store) => store.write("/x/y/new", "new"),
    after: { ...OLD, "/x/y/new": "new" },
  },
  "swap a file": {
    call: (store) => store.writeIf("/d/file", "new", "old"),
    after: { ...OLD, "/d/file": "new" },
  },
  "move to a new folder": {
    call: (store) => store.move("/d/file", "/x/moved"),
    after: { "/d/log": "old\n", "/other": "o", "/x/moved": "old" },
  },
  "move over a file": {
    call: (store) => store.move("/other", "/d/file"),
    after: { "/d/log": "old\n", "/d/file": "o" },
  },
  "truncate a file": {
    call: (store) => store.truncate("/d/log", 2),
    after: { ...OLD, "/d/log": "ol" },
  },
  "delete a file": {
    call: (store) => store.delete("/d/file"),
    after: { "/d/log": "old\n", "/other": "o" },
  },
  "delete a directory": { call: (store) => store.delete("/d"), after: { "/other": "o" } },
  "delete everything": { call: (store) => store.delete("/"), after: {} },
}

const FAULTS: readonly Fault[] = ["fails", "fails but persists", "stops short", "ENOSPC"]

type Files = Readonly<Record<string, string>>

for (const [name, { call, after }] of Object.entries(CHANGES)) {
  describe(name, () => {
    for (const fault of FAULTS) {
      test(`each call ${fault}, alone`, () => everyCall(call, after, fault, false))
      test(`each call ${fault}, and all after it`, () => everyCall(call, after, fault, true))
    }
  })
}

async function everyCall(
  call: (store: KnowledgeStore) => Promise<unknown>,
  after: Files,
  fault: Fault,
  forGood: boolean,
): Promise<void> {
  let broken = 0
  for (let step = 0; ; step++) {
    const place = freshPlace()
    const faults = new Faults(nodeFileSystem)
    const store = await FileStore.open(place, { fs: faults.fs })
    for (const [path, content] of Object.entries(OLD)) await store.append(path, content)
    // Descriptors that are open from before would skip the calls that open them.
    for (const path of Object.keys(OLD)) await store.truncate(path, 2 ** 40)

    const seen: string[] = []
    faults.start(step, fault, forGood)
    const outcome = await call(store).then(
      () => "done" as const,
      (error: unknown) => error,
    )
    const hit = faults.stop()
    seen.push(`step ${step} (${hit ?? "none"}) of ${fault}: ${String(outcome)}`)

    const first = { ...OLD, "/d/log": "old\nfirst\n" }
    const shown = await contents(store)
    if (outcome === "done") expect(shown, seen.join()).toEqual(after)
    else {
      broken++
      // `append to an open file` has two changes, of which the first may have been acknowledged.
      expect(
        "/d/log" in after && after["/d/log"]?.includes("first") ? [OLD, first] : [OLD],
        seen.join(),
      ).toContainEqual(shown)
      const code = fault === "ENOSPC" ? "store_full" : "store_unavailable"
      expect(outcome, seen.join()).toMatchObject({ code })
    }
    // A crash at this point leaves what the next process finds.
    expect(await store.append("/works", "yes"), seen.join()).toBe(0)
    expect(await store.append("/d/log", "after\n"), seen.join()).toBe((shown["/d/log"] ?? "").length)
    await store.write("/d/file", "later")
    const wanted = {
      ...shown,
      "/works": "yes",
      "/d/file": "later",
      "/d/log": `${shown["/d/log"] ?? ""}after\n`,
    }
    expect(await contents(store), seen.join()).toEqual(wanted)
    await store[Symbol.asyncDispose]()
    await using again = await FileStore.open(place)
    expect(await contents(again), seen.join()).toEqual(wanted)
    expect(nodeFileSystem.readdirSync(join(place, ".hansard/tmp"))).toEqual([])
    rmSync(place, { recursive: true })
    if (hit === undefined) break
  }
  // A table of faults that break nothing tests nothing.
  if (fault !== "stops short") expect(broken).toBeGreaterThan(0)
}

test("a log whose rollback fails can be read, but not added to until it has been rolled back", async () => {
  const faults = new Faults(nodeFileSystem)
  await using store = await FileStore.open(freshPlace(), { fs: faults.fs })
  await store.append("/log", "good\n")
  faults.failing = (name) => name === "fdatasync" || name === "ftruncateSync"
  await expect(store.append("/log", "bad\n")).rejects.toMatchObject({ code: "store_unavailable" })
  await expect(store.append("/log", "bad\n")).rejects.toMatchObject({ code: "store_unavailable" })
  expect(await contents(store)).toEqual({ "/log": "good\n" })
  expect(await store.size("/log")).toBe(5)
  const into = new Uint8Array(20)
  expect(await store.readInto("/log", 0, into)).toBe(5)
  expect(utf8Text(into.subarray(0, 9))).toBe("good\n\0\0\0\0")
  faults.failing = () => false
  expect(await store.append("/log", "more\n")).toBe(5)
  expect(await contents(store)).toEqual({ "/log": "good\nmore\n" })
})

test("a descriptor whose sync failed is never written to or synced again", async () => {
  const faults = new Faults(nodeFileSystem)
  await using store = await FileStore.open(freshPlace(), { fs: faults.fs })
  await store.append("/log", "good\n")
  const failed: number[] = []
  const used: number[] = []
  const watched: FileSystem["fdatasync"] = (fd) => {
    used.push(fd)
    return nodeFileSystem.fdatasync(fd)
  }
  faults.fs.fdatasync = async (fd) => {
    // Kept busy by another descriptor, or the system would give the same number out again.
    failed.push(fd)
    faults.fs.fdatasync = watched
    throw Object.assign(new Error("EIO"), { code: "EIO" })
  }
  await expect(store.append("/log", "bad\n")).rejects.toMatchObject({ code: "store_unavailable" })
  expect(used).toHaveLength(1)
  expect(used).not.toContain(failed[0])
  expect(await store.append("/log", "more\n")).toBe(5)
})

test("on a disk that is really full, nothing is half-written, and it goes on when there is room", async (context) => {
  const place = mkdtempSync(join(tmpdir(), "hansard-full-"))
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", place], { stdio: "ignore" })
  } catch {
    rmSync(place, { recursive: true })
    context.skip("mounting a small file system needs root on Linux")
  }
  try {
    const store = await FileStore.open(join(place, "store"))
    writeFileSync(join(place, "ballast"), Buffer.alloc(512 * 1024))
    const line = `${"x".repeat(40_000)}\n`
    let lines = 0
    let failure: unknown
    while (failure === undefined && lines < 100) {
      await store.append("/log", line).then(
        () => lines++,
        (error: unknown) => (failure = error),
      )
    }
    expect(failure).toMatchObject({ code: "store_full" })
    await expect(store.write("/page", "y".repeat(300_000))).rejects.toMatchObject({ code: "store_full" })
    expect(await store.size("/log")).toBe(lines * line.length)
    expect(await store.exists("/page")).toBe(false)
    expect(utf8Text((await store.read("/log")) ?? new Uint8Array(0))).toBe(line.repeat(lines))
    rmSync(join(place, "ballast"))
    expect(await store.append("/log", line)).toBe(lines * line.length)
    await store[Symbol.asyncDispose]()
    await using again = await FileStore.open(join(place, "store"))
    expect(await again.size("/log")).toBe((lines + 1) * line.length)
  } finally {
    execFileSync("umount", ["-l", place])
    rmSync(place, { recursive: true })
  }
})

async function contents(store: KnowledgeStore, folder = "/"): Promise<Record<string, string>> {
  const all: Record<string, string> = {}
  for (const name of await store.list(folder)) {
    const path = `${folder}${name}`
    if (name.endsWith("/")) Object.assign(all, await contents(store, path))
    else all[path] = utf8Text((await store.read(path)) ?? new TextEncoder().encode("<none>"))
  }
  return all
}
