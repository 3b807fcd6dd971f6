/**
 * `kill -9` of a hub at random moments: every envelope that was acknowledged is in its channel's log once and in order. One
 * folder over all the kills, so that each start recovers what the kill before has left.
 *
 * `HANSARD_CRASHES` as in kill.test.ts.
 */
import { spawn } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { Hub } from "../../src/hub/index.ts"
import { FileStore } from "../../src/store/index.ts"
import { seeded, testSeed } from "../support/fake-time.ts"

const CRASHES = Math.max(1, Math.ceil(Number(process.env["HANSARD_CRASHES"] ?? 12) / 4))
let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "hansard-hub-crash-"))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

/** @returns by channel: the ids that were acknowledged. */
async function liveAndDie(
  run: number,
  channels: number,
  milliseconds: number,
): Promise<Map<string, string[]>> {
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, "hub-writer.ts"), dir, String(run), String(channels), "48"],
    { stdio: ["ignore", "pipe", "pipe"] },
  )
  let [said, complaints, armed] = ["", "", false]
  child.stderr.on("data", (chunk: Buffer) => (complaints += chunk.toString()))
  child.stdout.on("data", (chunk: Buffer) => {
    said += chunk.toString()
    if (armed) return
    armed = true
    setTimeout(() => child.kill("SIGKILL"), milliseconds)
  })
  const signal = await new Promise<string | null>((resolve) => child.on("close", (_code, by) => resolve(by)))
  expect(signal, complaints).toBe("SIGKILL")
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
      for (const [channel, ids] of await liveAndDie(run, channels, 100 + random() * 600))
        all.set(channel, ids)
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
