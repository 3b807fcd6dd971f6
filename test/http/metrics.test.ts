/** `/metrics`, as a scraper reads it. */
import { describe, expect, test } from "vitest"
import { cosigner } from "../../src/core/cosignature.ts"
import { formatNote, parseNote, signNote } from "../../src/core/note.ts"
import { generateSignerKey } from "../../src/core/index.ts"
import { seededBytes } from "../support/fake-time.ts"
import { AccessDeniedError } from "../../src/model/index.ts"
import { everybody } from "../../src/server/index.ts"
import { fill, logKey, openWorld, readEvents } from "./world.ts"

async function scrape(url: string): Promise<Map<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text()
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"))
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  )
}

describe("metrics", () => {
  test("batches and syncs, as they were written", async () => {
    let milliseconds = 0
    await using world = await openWorld({ stopwatch: () => (milliseconds += 2) })
    await fill(world.log, 20)
    await world.log.append({ kind: "one" })
    const metrics = await scrape(world.url)
    expect(metrics.get("hansard_appended_records_total")).toBe(21)
    expect(metrics.get("hansard_batch_records_sum")).toBe(21)
    const batches = metrics.get("hansard_batch_records_count") ?? 0
    expect(batches).toBeGreaterThanOrEqual(2)
    expect(metrics.get("hansard_batch_bytes_sum")).toBe(world.log.bytesWritten)
    expect(metrics.get("hansard_sync_seconds_count")).toBe(batches)
    // Each was 2 ms by this watch.
    expect(metrics.get("hansard_sync_seconds_sum")).toBeCloseTo(batches * 0.002)
    expect(metrics.get('hansard_sync_seconds_bucket{le="0.001"}')).toBe(0)
    expect(metrics.get('hansard_sync_seconds_bucket{le="0.003"}')).toBe(batches)
  })

  test("the age of checkpoints, and of each witness's newest cosignature", async () => {
    const witness = cosigner(generateSignerKey("w.example", "cosigner", seededBytes(7)), () => 1_000)
    let now = 1_060_000
    const cosign = async (note: string): Promise<string> => {
      const { text, signatures } = parseNote(note)
      return formatNote({
        text,
        signatures: [...signatures, ...parseNote(signNote(text, [witness])).signatures],
      })
    }
    await using world = await openWorld({
      clock: () => now,
      audit: { clock: () => now, ledger: { signer: logKey(), checkpointIntervalMs: 5, cosign } },
    })
    expect([...(await scrape(world.url)).keys()].filter((name) => name.includes("witness"))).toEqual([])
    await fill(world.log, 3)
    await expect
      .poll(() => parseNote(world.log.checkpointed?.text ?? "x\n\n— a b\n").signatures.length)
      .toBe(2)
    now += 30_000
    const metrics = await scrape(world.url)
    expect(metrics.get('hansard_witness_age_seconds{witness="w.example"}')).toBe(90)
    expect(metrics.get("hansard_checkpoint_age_seconds")).toBe(30)
  })

  test("readers of the tail, how far they are behind, and requests that were refused", async () => {
    let refuses = false
    await using world = await openWorld({
      authorize: (request, info) => {
        if (refuses && request.url.endsWith("/v1/stats")) throw new AccessDeniedError("not you")
        return everybody(request, info)
      },
    })
    await fill(world.log, 10)
    const reading = readEvents(`${world.url}/v1/tail?from=0`, (events) => {
      return events.some(({ data }) => data.includes('"last"'))
    })
    const shown = async (name: string): Promise<number | undefined> => (await scrape(world.url)).get(name)
    await expect.poll(() => shown("hansard_tail_readers")).toBe(1)
    await expect.poll(() => shown("hansard_tail_lag_records")).toBe(0)
    expect(await shown("hansard_tail_behind_readers")).toBe(0)
    await world.log.append({ kind: "last" })
    await reading
    await expect.poll(() => shown("hansard_tail_readers")).toBe(0)
    refuses = true
    expect((await fetch(`${world.url}/v1/stats`)).status).toBe(403)
    expect(await shown('hansard_http_refused_total{status="403"}')).toBe(1)
  })
})
