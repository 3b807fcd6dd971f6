/**
 * A service that lies, played by a proxy before an honest one: `AuditClient` refuses whatever it does to a record or a
 * checkpoint, and names the record.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { describe, expect, test } from "vitest"
import { AuditLog } from "../../src/audit/index.ts"
import { AuditClient, type AuditClientOptions, type ProvedRecord } from "../../src/client/index.ts"
import { formatVerifierKey, TamperedError } from "../../src/core/index.ts"
import { createHandler, everybody, type ServiceHandler } from "../../src/server/index.ts"
import { MemoryStore } from "../../src/store/index.ts"
import type { TailCheckpoint } from "../../src/wire/http.ts"
import { entriesOf, fill, kinds, logKey, openWorld, type World } from "./world.ts"

/** Changes the events of a stream, one at a time: nothing, one or several in place of each. */
type Meddle = (event: string, index: number | undefined) => readonly string[]

/** What the client asks goes to the handler; what comes back by the tail is meddled with. */
function through(
  handler: () => ServiceHandler,
  meddle: Meddle = (event) => [event],
): AuditClientOptions["fetch"] & object {
  return async (url, init) => {
    const response = await handler()(new Request(url, init as RequestInit), {})
    if (!url.includes("/v1/tail") || response.body === null) return response
    let rest = ""
    const meddler = new TransformStream<string, string>({
      transform(text, controller) {
        const events = (rest + text).split("\n\n")
        rest = events.pop() ?? ""
        for (const event of events) {
          const id = /^id: (\d+)$/m.exec(event)?.[1]
          for (const changed of meddle(event, id === undefined ? undefined : Number(id))) {
            controller.enqueue(`${changed}\n\n`)
          }
        }
      },
    })
    const body = response.body
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(meddler)
      .pipeThrough(new TextEncoderStream())
    return new Response(body, { status: response.status, headers: response.headers })
  }
}

async function openLog(): Promise<AuditLog> {
  const ledger = { signer: logKey(), checkpointIntervalMs: 20 }
  return await AuditLog.open(new MemoryStore(), { ledger })
}

/** Reads until there are `count`, or it is refused; appends `more` while it reads. */
async function follow(
  client: AuditClient,
  log: AuditLog,
  { from, count, more }: { readonly from: number; readonly count: number; readonly more: number },
  filter: { readonly kind?: string } = {},
): Promise<readonly ProvedRecord[]> {
  const done = new AbortController()
  const seen: ProvedRecord[] = []
  const writing = (async () => {
    await sleep(60)
    for (const record of kinds(more)) await log.append({ ...record, more: true })
  })()
  try {
    for await (const proved of client.tail({ from, signal: done.signal, ...filter })) {
      seen.push(proved)
      if (seen.length === count) break
    }
  } finally {
    done.abort()
    await writing
  }
  return seen
}

const KEYS = { keys: [formatVerifierKey(logKey())] }

describe("an honest tail", () => {
  test.each([
    ["from the past", 0],
    ["from inside a tile", 300],
    ["from the checkpoint on", 700],
    ["from what is not covered yet", 710],
  ])("%s is every record once, in order, each proved", async (_what, from) => {
    const log = await openLog()
    await fill(log, 700)
    await log.checkpoint()
    const client = new AuditClient("http://log", {
      ...KEYS,
      fetch: through(() => createHandler(log, { authorize: everybody })),
    })
    const seen = await follow(client, log, { from, count: 800 - from, more: 100 })
    const lines = (await entriesOf(log)).slice(from).map(({ line }) => line)
    expect(seen.map(({ line }) => line)).toEqual(lines)
    expect(client.head?.size).toBe(800)
    await log.close()
  })

  test("an empty log is waited for", async () => {
    const log = await openLog()
    const client = new AuditClient("http://log", {
      ...KEYS,
      fetch: through(() => createHandler(log, { authorize: everybody })),
    })
    expect(await follow(client, log, { from: 0, count: 5, more: 5 })).toHaveLength(5)
    await log.close()
  })

  test("with a filter each record is proved, and the stream goes on after it broke", async () => {
    const log = await openLog()
    await fill(log, 30)
    let broken = 0
    const client = new AuditClient("http://log", {
      ...KEYS,
      fetch: through(
        () => createHandler(log, { authorize: everybody }),
        (event, index) => {
          if (index !== 13 || broken++ > 0) return [event]
          throw new Error("the line is cut")
        },
      ),
    })
    const seen = await follow(client, log, { from: 0, count: 20, more: 30 }, { kind: "turn_failed" })
    expect(seen.map(({ index }) => index)).toEqual(Array.from({ length: 20 }, (_, i) => 3 * i + 1))
    expect(broken).toBeGreaterThan(0)
    await log.close()
  })
})

/** The event of record 40 is the first that is meddled with: it is past, or still to come, as the test says. */
const AT = 40
const rewritten = (event: string): string =>
  event.replace('"n": 40', '"n": 41').replace('"more": true', '"more": false')
let held: string | undefined

const LIES: readonly (readonly [string, number, () => Meddle])[] = [
  ["drops a record", AT, () => (event, index) => (index === AT ? [] : [event])],
  [
    "drops a record and renumbers the others",
    AT,
    () => (event, index) =>
      index === undefined || index < AT
        ? [event]
        : index === AT
          ? []
          : [event.replace(`id: ${index}`, `id: ${index - 1}`)],
  ],
  ["rewrites a record", AT, () => (event, index) => [index === AT ? rewritten(event) : event]],
  ["replays a record", AT + 1, () => (event, index) => (index === AT ? [event, event] : [event])],
  [
    "replays one under the next index",
    AT + 1,
    () => (event, index) => (index === AT ? [event, event.replace(`id: ${AT}`, `id: ${AT + 1}`)] : [event]),
  ],
  [
    "swaps two records",
    AT,
    () => (event, index) => {
      if (index === AT) {
        held = event
        return []
      }
      return index === AT + 1 ? [event, held ?? ""] : [event]
    },
  ],
  [
    "swaps two records and their indexes",
    AT,
    () => (event, index) => {
      if (index === AT) {
        held = event
        return []
      }
      if (index !== AT + 1) return [event]
      return [event.replace(`id: ${AT + 1}`, `id: ${AT}`), (held ?? "").replace(`id: ${AT}`, `id: ${AT + 1}`)]
    },
  ],
  [
    "adds a record of its own",
    AT,
    () => (event, index) => {
      if (index === AT)
        return [
          `id: ${AT}\nevent: record\ndata: {"kind": "forged"}`,
          event.replace(`id: ${AT}`, `id: ${AT + 1}`),
        ]
      return [index === undefined || index < AT ? event : event.replace(`id: ${index}`, `id: ${index + 1}`)]
    },
  ],
]

describe("a service that", () => {
  for (const [lie, index, meddle] of LIES) {
    for (const [when, before, more] of [
      ["in the signed past", 60, 0],
      ["as it comes", 10, 60],
    ] as const) {
      test(`${lie} ${when} is refused, by name of the record`, async () => {
        const log = await openLog()
        await fill(log, before)
        await log.checkpoint()
        const client = new AuditClient("http://log", {
          ...KEYS,
          fetch: through(() => createHandler(log, { authorize: everybody }), meddle()),
        })
        const seen: ProvedRecord[] = []
        const refused = await follow(client, log, { from: 0, count: 60, more }).then(
          (records) => void seen.push(...records),
          (error: unknown) => error,
        )
        expect(refused).toBeInstanceOf(TamperedError)
        expect((refused as TamperedError).firstBadIndex).toBe(index)
        await log.close()
      })
    }
  }

  test("rewrites a record that passes a filter is refused", async () => {
    const log = await openLog()
    await fill(log, 60)
    const meddle: Meddle = (event, index) => [index === AT ? rewritten(event) : event]
    const client = new AuditClient("http://log", {
      ...KEYS,
      fetch: through(() => createHandler(log, { authorize: everybody }), meddle),
    })
    const refused = follow(client, log, { from: 0, count: 20, more: 10 }, { kind: "turn_failed" })
    await expect(refused).rejects.toMatchObject({ code: "tampered", firstBadIndex: AT })
    await log.close()
  })

  test("forks the log: shows another one of the same key, with its own tree and proofs", async () => {
    const [honest, forked] = [await openLog(), await openLog()]
    await fill(honest, 30)
    await fill(forked, 29)
    await forked.append({ at: "2026-11-24T12:00:00Z", kind: "another" })
    await fill(forked, 20)
    let current = honest
    const client = new AuditClient("http://log", {
      ...KEYS,
      fetch: through(() => createHandler(current, { authorize: everybody })),
    })
    await honest.checkpoint()
    expect((await client.refresh()).size).toBe(30)
    current = forked
    await forked.checkpoint()
    const refused = follow(client, forked, { from: 30, count: 20, more: 1 })
    await expect(refused).rejects.toMatchObject({ code: "tampered" })
    await expect(client.record(35)).rejects.toMatchObject({ code: "tampered" })
    await honest.close()
    await forked.close()
  })

  test("forks it in the middle of a stream: what differs is named as exactly as the hashes tell", async () => {
    const [honest, forked] = [await openLog(), await openLog()]
    for (const log of [honest, forked]) await fill(log, 34)
    await honest.append({ at: "2026-11-24T12:00:00Z", kind: "one" })
    await forked.append({ at: "2026-11-24T12:00:00Z", kind: "another" })
    for (const log of [honest, forked]) await fill(log, 5)
    await honest.checkpoint()
    await forked.checkpoint()
    let current = honest
    const client = new AuditClient("http://log", {
      ...KEYS,
      fetch: through(
        () => createHandler(current, { authorize: everybody }),
        (event) => {
          if (!event.startsWith("event: checkpoint")) return [event]
          // From the first checkpoint on it is the other log that speaks.
          const sent = JSON.parse(/^data: (.*)$/m.exec(event)?.[1] ?? "") as TailCheckpoint
          const { text = "", size = 0 } = forked.checkpointed ?? {}
          if (sent.size < 41 || size < 41) return [event]
          current = forked
          return [`event: checkpoint\ndata: ${JSON.stringify({ ...sent, checkpoint: text, size })}`]
        },
      ),
    })
    await fill(forked, 1)
    await forked.checkpoint()
    const refused = follow(client, honest, { from: 0, count: 41, more: 1 })
    // They part at record 34. Of the 40 records that were believed the client keeps two subtrees: of 32 and of 8.
    await expect(refused).rejects.toMatchObject({ code: "tampered", firstBadIndex: 32 })
    await honest.close()
    await forked.close()
  })

  test("goes back to an older checkpoint is refused", async () => {
    const log = await openLog()
    await fill(log, 20)
    const known = await log.checkpoint()
    await fill(log, 20)
    await log.checkpoint()
    const handler = createHandler(log, { authorize: everybody })
    const client = new AuditClient("http://log", { ...KEYS, fetch: through(() => handler) })
    await client.refresh()
    let isOld = false
    const old = new AuditClient("http://log", {
      ...KEYS,
      known: client.head?.checkpoint ?? "",
      fetch: async (url, init) =>
        url.endsWith("/checkpoint") && isOld ? new Response(known) : await through(() => handler)(url, init),
    })
    expect((await old.refresh()).size).toBe(40)
    isOld = true
    await expect(old.refresh()).rejects.toMatchObject({ code: "tampered", firstBadIndex: 20 })
    await log.close()
  })

  test("signs with another key is refused", async () => {
    const log = await openLog()
    await fill(log, 3)
    await log.checkpoint()
    const client = new AuditClient("http://log", {
      keys: [formatVerifierKey(logKey(2))],
      fetch: through(() => createHandler(log, { authorize: everybody })),
    })
    await expect(client.refresh()).rejects.toMatchObject({ code: "bad_signature" })
    await log.close()
  })

  test("never signs is refused once there is too much that nothing proves", async () => {
    const log = await openLog()
    await fill(log, 3)
    const client = new AuditClient("http://log", {
      ...KEYS,
      fetch: through(
        () => createHandler(log, { authorize: everybody }),
        (event) => {
          if (event.startsWith("event: checkpoint")) return []
          if (!event.startsWith("id: 3\n")) return [event]
          const at = (i: number): string => event.replace("id: 3", `id: ${i}`)
          return Array.from({ length: 200_100 }, (_, i) => at(3 + i))
        },
      ),
    })
    await log.checkpoint()
    await expect(follow(client, log, { from: 0, count: 10, more: 2 })).rejects.toMatchObject({
      code: "bad_proof",
    })
    await log.close()
  })
})

describe("a page of records", () => {
  const open = async (change: (text: string) => string): Promise<{ client: AuditClient; world: World }> => {
    const world = await openWorld()
    await fill(world.log, 50)
    const client = new AuditClient(world.url, {
      keys: [world.vkey],
      fetch: async (url, init) => {
        const response = await fetch(url, init)
        if (!url.includes("/v1/records?")) return response
        return new Response(change(await response.text()))
      },
    })
    return { client, world }
  }

  test("is proved line by line, over a real socket", async () => {
    const { client, world } = await open((text) => text)
    const { records, size } = await client.records({
      kind: ["turn_failed", "task_terminated"],
      order: "desc",
      limit: 7,
    })
    expect(size).toBe(50)
    const lines = (await entriesOf(world.log)).filter(({ record }) => record["kind"] !== "agent_registered")
    expect(records.map(({ line }) => line)).toEqual(
      lines
        .slice(-7)
        .reverse()
        .map(({ line }) => line),
    )
    expect((await client.record(49)).record).toMatchObject({ n: 49 })
    await expect(client.record(50)).rejects.toMatchObject({ code: "not_found" })
    await world.stop()
  })

  test("with one character changed is refused", async () => {
    const { client, world } = await open((text) => text.replace("agent-1", "agent-0"))
    await expect(client.records({ from: "2026-11-24T10:00:10Z" })).rejects.toMatchObject({
      code: "tampered",
      firstBadIndex: 11,
    })
    await world.stop()
  })
})
