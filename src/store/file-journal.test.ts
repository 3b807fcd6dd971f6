/** Appends that share a sync: what was acknowledged is there after a crash at any moment, and nothing else. */
import fc from "fast-check"
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { Faults } from "../../test/store/faulty-file-system.ts"
import { LosablePower, type Image } from "../../test/store/power-loss.ts"
import { seedProperties } from "../../test/support/property.ts"
import { utf8Text } from "../core/bytes.ts"
import type { KnowledgeStore } from "./contract.ts"
import { encodeBatch, readBatches, type JournalEntry } from "./file-journal-format.ts"
import { nodeFileSystem, type FileSystem } from "./file-system.ts"
import { MAX_JOURNAL_BYTES } from "./file-journal.ts"
import { MIN_SHARED } from "./file-sync.ts"
import { FileStore } from "./file.ts"

seedProperties({ numRuns: 12 })

/** Of one run: opening a store takes some milliseconds. */
const MOMENTS = 30

const base = existsSync("/dev/shm") ? "/dev/shm" : tmpdir()
const root = mkdtempSync(join(base, "hansard-journal-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))
let places = 0
const freshPlace = (): string => join(root, `place-${places++}`)

const shared = { shareSync: true }
const NAMES = ["/a", "/b", "/d/c", "/d/d", "/d/e/f", "/g"] as const
const MOVED = "/moved"

/** Together, so that they share a sync when there are enough of them. */
type Step =
  | { readonly kind: "append"; readonly to: readonly string[]; readonly text: string }
  | { readonly kind: "alone" | "write" | "delete" | "move"; readonly path: string }
  | { readonly kind: "truncate"; readonly path: string; readonly size: number }

const name = fc.constantFrom(...NAMES)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("append" as const),
      to: fc.subarray([...NAMES], { minLength: MIN_SHARED - 1 }),
      text: fc.string({ minLength: 1, maxLength: 20 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom("alone" as const, "write" as const), path: name }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom("delete" as const, "move" as const), path: name }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("truncate" as const), path: name, size: fc.nat(30) }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "delete" as const, path: "/d" }) },
)

async function take(store: KnowledgeStore, one: Step): Promise<void> {
  if (one.kind === "append") await Promise.all(one.to.map((path) => store.append(path, one.text, shared)))
  else if (one.kind === "alone") await store.append(one.path, "alone")
  else if (one.kind === "write") await store.write(one.path, "written")
  else if (one.kind === "delete") await store.delete(one.path)
  else if (one.kind === "truncate") await store.truncate(one.path, one.size)
  else if (await store.exists(one.path)) await store.move(one.path, MOVED)
}

/** @returns how many files of a journal were found. */
async function survives(steps: readonly Step[], shift: number, most: number): Promise<number> {
  let journals = 0
  const place = freshPlace()
  // Made first, so that the power that can be lost knows of all that follows.
  await (await FileStore.open(place))[Symbol.asyncDispose]()
  const power = new LosablePower(place)
  const store = await FileStore.open(place, { fs: power.fs })
  const moments: { image: Image; old: Files; then: Files }[] = []
  try {
    let old: Files = {}
    for (const one of steps) {
      const images: Image[] = []
      power.before = () => images.push(power.image())
      await take(store, one)
      power.before = () => {}
      const then = await contents(store)
      moments.push(...images.map((image) => ({ image, old, then })))
      // Once it was acknowledged, the new state alone will do.
      moments.push({ image: power.image(), old: then, then })
      old = then
    }
  } finally {
    await store[Symbol.asyncDispose]()
  }
  moments.push({
    image: power.image(),
    old: moments.at(-1)?.then ?? {},
    then: moments.at(-1)?.then ?? {},
  })
  const every = Math.max(1, Math.ceil(moments.length / most))
  for (const { image, old, then } of moments.filter((_moment, i) => i % every === shift % every)) {
    for (const names of ["synced", "latest"] as const) {
      const found = freshPlace()
      image.write(found, names)
      if (existsSync(join(found, ".hansard/journal"))) {
        journals += readdirSync(join(found, ".hansard/journal")).length
      }
      await using again = await FileStore.open(found)
      const now = await contents(again)
      for (const path of new Set([...Object.keys(old), ...Object.keys(then), ...Object.keys(now)])) {
        const [was = "", is = "", will = ""] = [old[path], now[path], then[path]]
        // Of an append under way there may be a part.
        const isPart = will.startsWith(was) && is.length >= was.length && will.startsWith(is)
        if (!isPart && is !== was && is !== will) {
          expect({ path, is }, `${names}: ${JSON.stringify(steps)}`).toEqual({
            path,
            is: `${was} or ${will}`,
          })
        }
      }
      await again[Symbol.asyncDispose]()
      rmSync(found, { recursive: true })
    }
  }
  rmSync(place, { recursive: true })
  return journals
}

test("I154: after a power loss at any moment, what was acknowledged is there, and nothing else", async () => {
  let journals = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), fc.nat(), async (steps, shift) => {
      journals += await survives(steps, shift, MOMENTS)
    }),
    { endOnFailure: true },
  )
  expect(journals).toBeGreaterThan(0)
})

test.each<Step>([
  { kind: "write", path: "/a" },
  { kind: "truncate", path: "/a", size: 2 },
  { kind: "move", path: "/a" },
  { kind: "delete", path: "/d" },
  { kind: "alone", path: "/a" },
])("I154: nor is anything lost while what shared a sync is changed otherwise: %s", async (change) => {
  const append: Step = { kind: "append", to: NAMES, text: "shared" }
  await survives([append, change, append], 0, Infinity)
})

test("I155: many files share one sync, and a clean close leaves a folder without a journal", async () => {
  const place = freshPlace()
  let syncs = 0
  const fs: FileSystem = { ...nodeFileSystem, fdatasync: (fd) => (syncs++, nodeFileSystem.fdatasync(fd)) }
  const store = await FileStore.open(place, { fs })
  const paths = Array.from({ length: 200 }, (_, i) => `/log/${i}`)
  await Promise.all(paths.map((path) => store.append(path, "one\n", shared)))
  expect(syncs).toBe(1)
  const offsets = await Promise.all(paths.map((path) => store.append(path, "two\n", shared)))
  expect(offsets).toEqual(paths.map(() => 4))
  expect(syncs).toBe(2)
  await Promise.all(paths.slice(0, MIN_SHARED - 1).map((path) => store.append(path, "few\n", shared)))
  expect(syncs).toBe(2 + MIN_SHARED - 1)
  // Who does not say that it may be shared is synced in its own place.
  syncs = 0
  await Promise.all(paths.map((path) => store.append(path, "own\n")))
  expect(syncs).toBe(200)
  await store[Symbol.asyncDispose]()
  expect(readdirSync(join(place, ".hansard/journal"))).toEqual([])
  expect(
    utf8Text((await (await FileStore.open(place, { readOnly: true })).read("/log/0")) ?? new Uint8Array()),
  ).toBe("one\ntwo\nfew\nown\n")
})

test.each(["fails", "fails but persists", "stops short", "ENOSPC"] as const)(
  "I156: each call %s: who was told so has appended nothing, and all others have",
  async (fault) => {
    for (const forGood of [false, true]) {
      let broken = 0
      for (let at = 0; ; at++) {
        const place = freshPlace()
        const faults = new Faults(nodeFileSystem)
        const store = await FileStore.open(place, { fs: faults.fs })
        const paths = ["/a", "/b", "/c", "/d", "/new/e"]
        for (const path of paths.slice(0, 4)) await store.append(path, "old\n")
        const append = (text: string): Promise<PromiseSettledResult<number>[]> =>
          Promise.allSettled(paths.map((path) => store.append(path, text, shared)))
        faults.start(at, fault, forGood)
        const told = await append("one\n")
        const hit = faults.stop()
        const wanted: Files = {}
        for (const [i, path] of paths.entries()) {
          const text = `${i < 4 ? "old\n" : ""}${told[i]?.status === "fulfilled" ? "one\n" : ""}`
          if (text !== "") wanted[path] = text
          if (told[i]?.status === "rejected") {
            broken++
            const code = fault === "ENOSPC" ? "store_full" : "store_unavailable"
            expect(told[i]).toMatchObject({ reason: { code } })
          }
        }
        const what = `${fault}, ${hit ?? "none"}, call ${at}`
        expect(await contents(store), what).toEqual(wanted)
        // It works again, in both ways; what a failed append has left anywhere is not built on.
        for (const path of paths.slice(0, 2)) {
          await store.append(path, "alone\n")
          wanted[path] = `${wanted[path] ?? ""}alone\n`
        }
        expect(
          (await append("two\n")).map(({ status }) => status),
          what,
        ).toEqual(Array(5).fill("fulfilled"))
        for (const path of paths) wanted[path] = `${wanted[path] ?? ""}two\n`
        expect(await contents(store), what).toEqual(wanted)
        // As a kill would leave it, and as a clean end does.
        const killed = freshPlace()
        cpSync(place, killed, { recursive: true, filter: (from) => !/\/(lease|holder)/.test(from) })
        await store[Symbol.asyncDispose]()
        for (const folder of [killed, place]) {
          await using again = await FileStore.open(folder)
          expect(await contents(again), what).toEqual(wanted)
        }
        for (const folder of [killed, place]) rmSync(folder, { recursive: true })
        if (hit === undefined) break
      }
      if (fault !== "stops short") expect(broken).toBeGreaterThan(0)
    }
  },
)

test("a journal whose files were cut by hand is set aside, and told", async () => {
  const place = freshPlace()
  const store = await FileStore.open(place)
  const paths = ["/a", "/b", "/c", "/d"]
  for (const text of ["first\n", "second\n"]) {
    await Promise.all(paths.map((path) => store.append(path, text, shared)))
  }
  const journal = nodeFileSystem.readdirSync(join(place, ".hansard/journal")).map(({ name }) => name)
  expect(journal).toEqual(["0"])
  const kept = join(root, "kept")
  nodeFileSystem.linkSync(join(place, ".hansard/journal/0"), kept)
  await store[Symbol.asyncDispose]()
  // As a crash would have left it, but for /a, of which somebody took a part, and for /b, of which he took all.
  const batches = [...readBatches(0, await readAll(kept))].flat()
  const later = batches.filter((entry) => entry.kind === "append" && entry.offset > 0)
  writeFileSync(join(place, ".hansard/journal/0"), encodeBatch(0, later))
  truncateSync(join(place, "a"), 3)
  rmSync(join(place, "b"))
  const told: unknown[] = []
  const logger = { debug() {}, info() {}, warn() {}, error: (fields: object) => void told.push(fields) }
  await using again = await FileStore.open(place, { logger })
  expect(await contents(again)).toEqual({ "/a": "fir", "/c": "first\nsecond\n", "/d": "first\nsecond\n" })
  expect(told).toEqual([{ paths: ["/a", "/b"] }])
  expect(nodeFileSystem.readdirSync(join(place, ".hansard")).map(({ name: one }) => one)).toContain(
    "journal-0",
  )
})

test("a file of the journal stays while an older one that could not be put in place does", async () => {
  const place = freshPlace()
  await (await FileStore.open(place))[Symbol.asyncDispose]()
  const broken = new Set<number>()
  let isBroken = false
  const fs: FileSystem = {
    ...nodeFileSystem,
    openSync(path, flags, mode) {
      const fd = nodeFileSystem.openSync(path, flags, mode)
      if (isBroken && path.endsWith("/b")) broken.add(fd)
      else broken.delete(fd)
      return fd
    },
    fdatasync: (fd) =>
      broken.has(fd) ? Promise.reject(new Error("the disk is broken there")) : nodeFileSystem.fdatasync(fd),
  }
  const store = await FileStore.open(place, { fs })
  await Promise.all(NAMES.map((path) => store.append(path, "old and long\n", shared)))
  isBroken = true
  const others = Array.from({ length: 64 }, (_, i) => `/log/${i}`)
  const content = new Uint8Array(15 * 1024).fill(0x61)
  const fill = async (): Promise<void> => {
    for (let bytes = 0; bytes < MAX_JOURNAL_BYTES; bytes += others.length * content.length) {
      await Promise.all(others.map((path) => store.append(path, content, shared)))
    }
  }
  await fill()
  // Said to be void in the next file: if that one went, the first would say of /a what holds no more.
  await store.write("/a", "new")
  await fill()
  await Promise.all(others.map((path) => store.append(path, "x", shared)))
  const killed = freshPlace()
  cpSync(place, killed, { recursive: true, filter: (from) => !/\/(lease|holder)/.test(from) })
  await store[Symbol.asyncDispose]()
  for (const folder of [killed, place]) {
    await using again = await FileStore.open(folder)
    expect(utf8Text((await again.read("/a")) ?? new Uint8Array())).toBe("new")
    await again[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  }
})

test("what no journal has put into its folder is left alone", async () => {
  const place = freshPlace()
  await (await FileStore.open(place))[Symbol.asyncDispose]()
  nodeFileSystem.mkdirSync(join(place, ".hansard/journal"), 0o700)
  const stray = join(place, ".hansard/journal/notes.txt")
  writeFileSync(stray, "not ours")
  await using store = await FileStore.open(place)
  await Promise.all(NAMES.map((path) => store.append(path, "text\n", shared)))
  expect(await contents(store)).toEqual(Object.fromEntries(NAMES.map((path) => [path, "text\n"])))
  expect(existsSync(stray)).toBe(true)
})

test("a batch reads back, unless a byte of it is another or is missing", () => {
  const entries = fc.array(
    fc.oneof(
      fc.record({
        kind: fc.constant("append" as const),
        path: fc.string({ unit: "grapheme" }).map((text) => `/${text}`),
        offset: fc.nat(),
        bytes: fc.uint8Array({ maxLength: 50 }),
      }),
      fc.record({ kind: fc.constant("void" as const), path: fc.constantFrom("/x", "/x/ü\n") }),
    ),
    { minLength: 1, maxLength: 4 },
  )
  fc.assert(
    fc.property(
      fc.array(entries, { minLength: 1, maxLength: 3 }),
      fc.nat(),
      fc.nat(7),
      (batches, at, bit) => {
        const bytes = Buffer.concat(batches.map((batch) => encodeBatch(7, batch)))
        const plain = (batch: JournalEntry[]): unknown =>
          batch.map((entry) => (entry.kind === "append" ? { ...entry, bytes: [...entry.bytes] } : entry))
        const read = (file: Uint8Array, number = 7): unknown[] => [...readBatches(number, file)].map(plain)
        expect(read(bytes)).toEqual(batches.map(plain))
        expect(read(bytes, 8)).toEqual([])
        const cut = read(bytes.subarray(0, at % bytes.length))
        expect(cut).toEqual(batches.slice(0, cut.length).map(plain))
        expect(cut.length).toBeLessThan(batches.length)
        bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ (1 << bit)
        const damaged = read(bytes)
        expect(damaged).toEqual(batches.slice(0, damaged.length).map(plain))
        expect(damaged.length).toBeLessThan(batches.length)
      },
    ),
    { numRuns: 300 },
  )
})

type Files = Record<string, string>

async function contents(store: KnowledgeStore, folder = "/"): Promise<Files> {
  const all: Files = {}
  for (const inside of await store.list(folder)) {
    const path = `${folder}${inside}`
    if (inside.endsWith("/")) Object.assign(all, await contents(store, path))
    else all[path] = Buffer.from((await store.read(path)) ?? []).toString("latin1")
  }
  return all
}

async function readAll(place: string): Promise<Uint8Array> {
  const { readFile } = await import("node:fs/promises")
  return await readFile(place)
}
