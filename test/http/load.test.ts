/** Many readers, and readers that do not read: what they cost. Times are printed and not asserted. */
import { get, type ClientRequest, type IncomingMessage } from "node:http"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { describe, expect, onTestFinished, test } from "vitest"
import { kinds, openWorld } from "./world.ts"

const MIB = 2 ** 20

/** Opens a stream of the tail; one that is stalled never reads. */
function open(url: string, isStalled: boolean, onData: (length: number) => void): Promise<ClientRequest> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: false }, (response: IncomingMessage) => {
      if (isStalled) response.pause()
      else response.on("data", (data: Buffer) => onData(data.length))
      resolve(request)
    })
    request.on("error", reject)
  })
}

setFlagsFromString("--expose-gc")
const collectGarbage = runInNewContext("gc") as () => void

function memory(): number {
  collectGarbage()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

describe("readers", () => {
  test(
    "a thousand of them, half of which never read, cost no more than their sockets",
    { timeout: 120_000 },
    async () => {
      const world = await openWorld({ rate: { perSecond: 1e6, burst: 1e6 } })
      const requests: ClientRequest[] = []
      onTestFinished(async () => {
        for (const request of requests) request.destroy()
        await world.stop()
      })
      const got = new Array<number>(500).fill(0)
      const before = memory()
      for (let i = 0; i < 1_000; i++) {
        const reader = i / 2
        const isStalled = i % 2 === 1
        requests.push(
          await open(
            `${world.url}/v1/tail?from=0`,
            isStalled,
            (length) => void (got[reader] = (got[reader] ?? 0) + length),
          ),
        )
      }
      for (let round = 0; round < 20; round++) await world.log.appendMany(kinds(200))
      let bytes = 0
      for await (const { index, line } of world.log.entries()) {
        bytes += `id: ${index}\nevent: record\ndata: ${line}\n\n`.length
      }
      // Every reader that reads has got everything.
      while (got.some((length) => length < bytes)) await new Promise((resolve) => setTimeout(resolve, 20))
      const grown = memory() - before
      console.info(`1,000 readers, ${Math.round(bytes / 1024)} KiB to each: ${Math.round(grown / MIB)} MiB`)
      // A queue for each that stalls would hold 500 times all of it.
      expect(bytes * 500).toBeGreaterThan(250 * MIB)
      expect(grown).toBeLessThan(150 * MIB)
    },
  )

  test("that do not read do not change how fast is written", async () => {
    const world = await openWorld({ rate: { perSecond: 1e6, burst: 1e6 } })
    const requests: ClientRequest[] = []
    onTestFinished(async () => {
      for (const request of requests) request.destroy()
      await world.stop()
    })
    const rate = async (): Promise<number> => {
      const begun = performance.now()
      for (let round = 0; round < 40; round++)
        await Promise.all(kinds(250).map((record) => world.log.append(record)))
      return 10_000 / (performance.now() - begun)
    }
    await rate()
    const alone = await rate()
    for (let i = 0; i < 50; i++) requests.push(await open(`${world.url}/v1/tail?from=0`, true, () => {}))
    // What the system's own buffers take of the past is not what a stalled reader costs.
    await rate()
    await rate()
    await new Promise((resolve) => setTimeout(resolve, 3_000))
    const watched = await rate()
    console.info(`appending with 50 stalled readers: ${(watched / alone).toFixed(2)} of what it is without`)
    expect(world.log.size).toBe(50_000)
  })
})
