/**
 * `kill -9` of a hub at random moments: every envelope that was acknowledged is in its channel's log once and in order. One
 * folder over all the kills, so that each start recovers what the kill before has left.
 *
 * `HANSARD_CRASHES` as in kill.test.ts.
 */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { Hub } from "../../src/hub/index.ts"
import { FileStore } from "../../src/store/index.ts"
import { seeded, testSeed } from "../support/fake-time.ts"
import { liveAndDie } from "./killed.ts"

const CRASHES = Math.max(1, Math.ceil(Number(process.env["HANSARD_CRASHES"] ?? 12) / 4))
let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "hansard-hub-crash-"))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

/** @returns by channel: the ids that were acknowledged. */
async function lifeOf(run: number, channels: number, milliseconds: number): Promise<Map<string, string[]>> {
  const said = await liveAndDie("hub-writer.ts", [dir, run, channels, 48], milliseconds)
  const acknowledged = new Map<string, string[]>()
  for (const [, channel = "", id = ""] of said.matchAll(/^([0-9a-f]{32}) ([0-9a-f]{32})\n/gm)) {
    acknowledged.set(channel, [...(acknowledged.get(channel) ?? []), id])
  }
  return acknowledged
}

test(
  `I157: ${CRASHES} kills: every envelope that was acknowledged is in its log, once and in order`,
  { timeout: 60_000 + CRASHES * 10_000 },
  async () => {
    const seed = testSeed()
    console.info(`hub crash test: HANSARD_SEED=${seed}`)
    const random = seeded(seed)
    const all = new Map<string, string[]>()
    for (let run = 0; run < CRASHES; run++) {
      const channels = [1, 12, 40][run % 3] ?? 1
      for (const [channel, ids] of await lifeOf(run, channels, 100 + random() * 600)) all.set(channel, ids)
    }
    await using store = await FileStore.open(dir)
    await using hub = await Hub.open(store)
    expect(hub.health().quarantined).toBe(0)
    let found = 0
    for (const [channel, ids] of all) {
      const log = (await hub.readWal(channel)).map(({ envelope_id }) => envelope_id)
      expect(log).toEqual(log.toSorted())
      expect(new Set(log).size).toBe(log.length)
      const there = new Set(log)
      expect(ids.filter((id) => !there.has(id))).toEqual([])
      found += ids.length
    }
    console.info(`${CRASHES} kills, ${found} acknowledged envelopes there`)
    expect(found).toBeGreaterThan(0)
  },
)
