import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import { FileStore, MemoryStore } from "../store/index.ts"
import type { KnowledgeStore } from "../store/index.ts"
import { AuditLog } from "./audit-log.ts"
import { LOG_PATH, segmentPath } from "./paths.ts"
import type { LogEntry } from "./types.ts"

const folder = mkdtempSync(join(tmpdir(), "hansard-read-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const line = (n: number, text: string): string => JSON.stringify({ kind: "note", n, text })

/** Short ones, one that is longer than any block, some that cannot be parsed together with others. */
const LINES = Array.from({ length: 9000 }, (_, n) => {
  if (n === 4000) return line(n, "long ".repeat(300_000))
  if (n % 1000 === 7) return line(n, "é and 北京")
  if (n % 1000 === 8) return `{"n": ${n}, "list": [{"a": 1}, {"b": 2}]}`
  return line(n, "x".repeat((n * 37) % 400))
})

async function filled(store: KnowledgeStore): Promise<KnowledgeStore> {
  const text = (from: number, to?: number): string => `${LINES.slice(from, to).join("\n")}\n`
  await store.write(segmentPath(0), text(0, 3000))
  await store.write(LOG_PATH, text(3000))
  return store
}

describe.each([
  ["a store that fills our buffers", async () => await FileStore.open(mkdtempSync(join(folder, "store-")))],
  ["a store that does not", async () => new MemoryStore()],
] as const)("read from %s", (_name, open) => {
  test("what is kept stays what it was, whatever is read after it", async () => {
    await using store = await filled(await open())
    await using log = new AuditLog(store, { readOnly: true, index: false })
    const kept: LogEntry[] = []
    for await (const entry of log.entries()) kept.push(entry)
    expect(kept.map((entry) => entry.index)).toEqual(LINES.map((_, n) => n))
    expect(kept.map((entry) => entry.line)).toEqual(LINES)
    expect(kept.map(({ record }) => record)).toEqual(LINES.map((text) => JSON.parse(text) as unknown))
    let offset = 0
    for (const entry of kept) {
      expect(entry.offset).toBe(offset)
      offset += Buffer.byteLength(entry.line) + 1
    }
    expect(await log.readAll()).toEqual(kept.map(({ record }) => record))
  })

  test("any part is that part of the whole", async () => {
    await using store = await filled(await open())
    await using log = new AuditLog(store, { readOnly: true, index: false })
    for (const [from, to] of [[0, 1], [2999, 3001], [3999, 4002], [8990, 9000], [5, 5], [8999, 20_000]] as const) {
      const lines: string[] = []
      for await (const entry of log.entries({ from, to })) lines.push(entry.line)
      expect(lines).toEqual(LINES.slice(from, to))
    }
  }) // prettier-ignore
})
