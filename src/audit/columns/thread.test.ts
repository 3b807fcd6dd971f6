import { expect, test } from "vitest"
import { silentLogger } from "../../core/logger.ts"
import { encodeLine } from "../../core/line.ts"
import { BuildSession } from "./session.ts"
import type { Reply } from "./session.ts"
import { LocalMaker, openMaker } from "./thread.ts"
import type { BlockMaker } from "./thread.ts"

const START = { ask: "start", fields: ["region"], blockRecords: 100, firstIndex: 200, start: 5000 } as const

function lines(): Uint8Array {
  const text = Array.from({ length: 130 }, (_, n) =>
    encodeLine({ at: new Date(n * 1000).toISOString(), kind: "k", region: `r${n % 3}`, said: "é".repeat(n) }),
  ).join("\n")
  // Its own buffer: a thread takes it away.
  return Uint8Array.from(new TextEncoder().encode(`${text}\n`))
}

async function made(maker: BlockMaker): Promise<Reply[]> {
  const small = await maker.ask(START).then(() => maker.ask({ ask: "add", lines: lines(), small: true }))
  await maker.ask(START)
  const added = await maker.ask({ ask: "add", lines: lines(), small: false })
  return [small, added, await maker.ask({ ask: "finish" })]
}

test("a thread makes the very bytes that are made here, at once or in slices", async () => {
  await using thread = openMaker(silentLogger)
  await using local = new LocalMaker()
  const session = new BuildSession()
  const here = await made({
    ask: (request) => Promise.resolve(session.answer(request)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  })
  expect(here[0]?.rows).toBe(100)
  expect(here[2]?.file?.length).toBeGreaterThan(1000)
  expect(await made(local)).toEqual(here)
  expect(await made(thread)).toEqual(here)
})

test("lines that are no records are refused, and the thread goes on", async () => {
  await using thread = openMaker(silentLogger)
  await thread.ask(START)
  const bad = Uint8Array.from(new TextEncoder().encode('{"kind": "k"}\nnot json\n'))
  await expect(thread.ask({ ask: "add", lines: bad, small: false })).rejects.toThrow("JSON")
  expect(await made(thread)).toHaveLength(3)
})

test("a thread that is ended answers no more, and the work is done here", async () => {
  const thread = openMaker(silentLogger)
  await thread[Symbol.asyncDispose]()
  expect(await made(thread)).toHaveLength(3)
})
