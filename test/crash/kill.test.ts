/**
 * `kill -9` at random moments: every acknowledged record is there once, in order, and nothing else but one tail that
 * was not acknowledged. The log is the same one over all the kills, so recovery is part of what is tested.
 *
 * It rotates every hundred records and compresses what is sealed, so that kills fall between the steps of that too. It keeps a
 * ledger. Every checkpoint that a kill leaves behind is one of the lines that are there at the end.
 *
 * `HANSARD_CRASHES` sets how many (default 12; `.ci/run` asks for 100; 1,000 for a long evening).
 */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { AuditLog, CHECKPOINT_PATH } from "../../src/audit/index.ts"
import { utf8 } from "../../src/core/bytes.ts"
import { openCheckpoint } from "../../src/core/checkpoint.ts"
import type { OpenedCheckpoint } from "../../src/core/checkpoint.ts"
import { TreeFrontier } from "../../src/core/frontier.ts"
import { generateSignerKey } from "../../src/core/key.ts"
import { noteVerifier } from "../../src/core/note.ts"
import { FileStore } from "../../src/store/index.ts"
import { seeded, testSeed } from "../support/fake-time.ts"
import { liveAndDie } from "./killed.ts"

const CRASHES = Number(process.env["HANSARD_CRASHES"] ?? 12)
const signer = generateSignerKey("crash.example/log", "log", (length) => new Uint8Array(length).fill(1))
let dir: string

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "hansard-crash-"))
})
afterAll(async () => {
  await rm(dir, { recursive: true, force: true })
})

interface Life {
  readonly run: string
  /** By `n`: the index that was acknowledged. */
  readonly acknowledged: Map<number, number>
}

/** Starts a writer and kills it `milliseconds` after its log is open. */
async function lifeOf(run: string, inFlight: number, milliseconds: number): Promise<Life> {
  const said = await liveAndDie("writer.ts", [dir, run, inFlight], milliseconds)
  const whole = said.slice(0, said.lastIndexOf("\n") + 1)
  const pairs = [...whole.matchAll(/^(\d+) (\d+)$/gm)].map((match): [number, number] => [
    Number(match[1]),
    Number(match[2]),
  ])
  return { run, acknowledged: new Map(pairs) }
}

test(
  `${CRASHES} kills: nothing acknowledged is lost, repeated or out of order`,
  { timeout: 60_000 + CRASHES * 2_000 },
  async () => {
    const seed = testSeed()
    console.info(`crash test: HANSARD_SEED=${seed}`)
    const random = seeded(seed)
    const lives: Life[] = []
    const checkpoints: OpenedCheckpoint[] = []
    for (let crash = 0; crash < CRASHES; crash++) {
      const inFlight = [1, 3, 64, 500][Math.floor(random() * 4)] ?? 1
      lives.push(await lifeOf(`run-${crash}`, inFlight, random() * 40))
      await using seen = await FileStore.open(dir, { readOnly: true })
      const left = await seen.read(CHECKPOINT_PATH)
      if (left !== undefined) checkpoints.push(openCheckpoint(left, noteVerifier(signer)))
    }

    await using store = await FileStore.open(dir)
    await using log = await AuditLog.open(store, { ledger: { signer } })
    const next = new Map(lives.map(({ run }) => [run, 0]))
    const acknowledged = new Map(lives.map((life) => [life.run, life.acknowledged]))
    let checked = 0
    let newestRun = -1
    let unacknowledged = 0
    const tree = new TreeFrontier()
    const roots = new Map<number, Uint8Array>()
    for await (const { index, line, record } of log.entries()) {
      tree.appendRecord(utf8(line))
      if (checkpoints.some(({ size }) => size === tree.size)) roots.set(tree.size, tree.root())
      if (record["kind"] === "audit_recovered") continue
      const run = String(record["run"])
      const n = Number(record["n"])
      // Runs follow one another, and inside a run the records are 0, 1, 2, … : in order, each once.
      const number = Number(run.slice("run-".length))
      expect(number).toBeGreaterThanOrEqual(newestRun)
      newestRun = number
      expect(n, `${run} at ${index}`).toBe(next.get(run))
      next.set(run, n + 1)
      const told = acknowledged.get(run)?.get(n)
      if (told === undefined) unacknowledged++
      else {
        expect(told).toBe(index)
        checked++
      }
    }
    for (const { run, acknowledged } of lives) {
      const last = Math.max(-1, ...acknowledged.keys())
      expect(next.get(run), `${run}: acknowledged up to ${last}`).toBeGreaterThan(last)
    }
    const total = lives.reduce((sum, life) => sum + life.acknowledged.size, 0)
    expect(checked).toBe(total)
    expect(total).toBeGreaterThan(CRASHES)
    expect(checkpoints.length).toBeGreaterThan(0)
    for (const { size, root } of checkpoints) {
      if (size > 0) expect(roots.get(size), `the checkpoint of size ${size}`).toEqual(root)
    }
    console.info(`${checkpoints.length} checkpoints were left behind, all of them of this log`)
    console.info(
      `${CRASHES} kills, ${total} acknowledged records there, ${unacknowledged} more in unacknowledged tails`,
    )
  },
)
