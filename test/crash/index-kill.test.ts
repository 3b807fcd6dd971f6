/**
 * `kill -9` while blocks of the index are built and written: whatever is left, every answer is that of a plain scan, at once and
 * for a reader beside it, and whoever writes next makes the index whole again.
 *
 * Between the kills some of its files are deleted, which is allowed at any time; so each life begins with building.
 *
 * `HANSARD_CRASHES` sets how many: a quarter of those in kill.test.ts, and at least 12.
 */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { AuditLog } from "../../src/audit/index.ts"
import type { LogFilter } from "../../src/audit/index.ts"
import { INDEX_FOLDER } from "../../src/audit/columns/paths.ts"
import { FileStore } from "../../src/store/index.ts"
import { seeded, testSeed } from "../support/fake-time.ts"
import { liveAndDie } from "./killed.ts"
import { bruteForce, bruteStats, entriesOf, withoutScanned } from "../support/random-log.ts"

const CRASHES = Math.max(12, Math.ceil(Number(process.env["HANSARD_CRASHES"] ?? 12) / 4))
const BLOCK_RECORDS = 64
let dir: string

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "hansard-index-crash-"))
})
afterAll(async () => {
  await rm(dir, { recursive: true, force: true })
})

const FILTERS: readonly LogFilter[] = [
  {},
  { kind: "kind-3", agent: "agent-7" },
  { outcome: "failed", channel: "channel-2" },
  { not: { kind: ["kind-0", "kind-1"] }, from: 1_778_000_050_000 },
  { text: "agent-12" },
]

async function expectRight(log: AuditLog, what: string): Promise<void> {
  const all = await entriesOf(log)
  for (const filter of FILTERS) {
    const said = `${what}: ${JSON.stringify(filter)}`
    const found: number[] = []
    for await (const { index } of log.search(filter)) found.push(index)
    expect(found, said).toEqual(bruteForce(all, filter))
    const options = { ...filter, by: "agent", interval: 20_000 } as const
    expect(withoutScanned(await log.stats(options)), said).toEqual(bruteStats(all, options))
  }
}

test(
  `${CRASHES} kills while the index is made: answers stay right, and it is made again`,
  { timeout: 60_000 + CRASHES * 5_000 },
  async () => {
    const seed = testSeed()
    console.info(`index crash test: HANSARD_SEED=${seed}`)
    const random = seeded(seed)
    let unfinished = 0
    for (let crash = 0; crash < CRASHES; crash++) {
      const inFlight = [1, 64, 500][Math.floor(random() * 3)] ?? 1
      await liveAndDie("index-writer.ts", [dir, `run-${crash}`, inFlight, BLOCK_RECORDS], random() * 60)
      await using store = await FileStore.open(dir)
      const index = { blockRecords: BLOCK_RECORDS }
      {
        await using reader = await AuditLog.open(store, { index, readOnly: true })
        const full = Math.floor(reader.size / BLOCK_RECORDS)
        if ((await store.list(INDEX_FOLDER)).length < full) unfinished++
        await expectRight(reader, `as kill ${crash} left it`)
      }
      await using log = await AuditLog.open(store, { index })
      // What opening it has to say is written with the first batch: after this, the log stands still.
      await log.append({ at: "2026-05-05T20:00:00.000Z", kind: "opened" })
      await expectRight(log, `opened after kill ${crash}`)
      await log.indexed()
      const files = await store.list(INDEX_FOLDER)
      expect(files).toHaveLength(Math.floor(log.size / BLOCK_RECORDS))
      await expectRight(log, `made again after kill ${crash}`)
      await log.close()
      for (const name of files) if (random() < 0.5) await store.delete(`${INDEX_FOLDER}/${name}`)
    }
    // Else no kill came while there was anything left to make.
    expect(unfinished).toBeGreaterThan(0)
  },
)
