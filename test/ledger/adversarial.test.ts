/** The remote verifier against servers that lie: stale, forked, reordered and partial answers. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { expect, onTestFinished, test } from "vitest"
import { storeLogSource, urlLogSource } from "../../src/audit/log-source.ts"
import { formatEntryBundle } from "../../src/core/entry-bundle.ts"
import { checkForkEvidence, parseForkEvidence } from "../../src/core/fork-evidence.ts"
import { logSize } from "../../src/core/hash-types.ts"
import { parseVerifierKey } from "../../src/core/key.ts"
import { formatEntriesPath, newEntryBundles } from "../../src/core/tile.ts"
import { isGood, type LogVerdict } from "../../src/core/verdict.ts"
import { verifyLog, type VerifyOptions } from "../../src/core/verify.ts"
import { makeLog, recordLine, recordLines, storeOf, VKEY } from "./make-log.ts"

const lines = recordLines(700)
const pinned: VerifyOptions = { keys: [VKEY], tiles: true }

type Answers = Map<string, Uint8Array>

/** A static tree, as `hansard export --tiles` lays it out. */
function treeOf(records: readonly string[]): Answers {
  const { checkpoint, tiles } = makeLog(records)
  const answers: Answers = new Map([["checkpoint", checkpoint], ...tiles])
  for (const bundle of newEntryBundles(logSize(0), logSize(records.length))) {
    const entries = records.slice(bundle.index * 256, bundle.index * 256 + bundle.width)
    answers.set(formatEntriesPath(bundle), formatEntryBundle(entries.map((entry) => Buffer.from(entry))))
  }
  return answers
}

async function serve(answers: Answers, status = 404): Promise<string> {
  const server = createServer((request, response) => {
    const bytes = answers.get((request.url ?? "").replace("/log/", ""))
    if (bytes === undefined) response.writeHead(status).end()
    else response.end(bytes)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/log`
}

const verifyServed = async (answers: Answers, options: VerifyOptions = pinned): Promise<LogVerdict> =>
  await verifyLog(urlLogSource(await serve(answers)), options)

const honest = treeOf(lines)
const bundle = (path: string): Uint8Array => honest.get(path) ?? new Uint8Array()
const LAST_BUNDLE = "tile/entries/002.p/188"

async function remembered(): Promise<{ remembered: NonNullable<LogVerdict["accepted"]> }> {
  const { accepted } = await verifyServed(honest)
  if (accepted === undefined) throw new Error("the honest log was not accepted")
  return { remembered: accepted }
}

test("an honest server is believed as far as it can be", async () => {
  const verdict = await verifyServed(honest)
  expect(isGood(verdict)).toBe(true)
  expect(verdict.claims).toMatchObject({
    integrity: { status: "proved" },
    order_and_gaps: { status: "proved" },
    tiles: { status: "proved" },
  })
  expect(verdict).toMatchObject({ records: 700, bytes: makeLog(lines).lines.length })
})

test("full tiles and bundles stand in for partial ones", async () => {
  const answers = new Map([...treeOf(recordLines(1_000)), ["checkpoint", bundle("checkpoint")] as const])
  const verdict = await verifyServed(answers)
  expect(verdict.claims).toMatchObject({ integrity: { status: "proved" } })
})

test("a stale server shows a state that was overtaken", async () => {
  const verdict = await verifyServed(treeOf(lines.slice(0, 600)), { ...pinned, ...(await remembered()) })
  expect(verdict.claims).toMatchObject({
    no_truncation: { status: "false" },
    integrity: { status: "proved" },
  })
  expect(verdict.accepted).toBeUndefined()
})

test("a stale server that nobody remembers better is believed, and the claim says on what condition", async () => {
  const verdict = await verifyServed(treeOf(lines.slice(0, 600)))
  expect(verdict.claims.no_truncation).toMatchObject({
    status: "conditional",
    on: expect.stringContaining("newest"),
  })
})

test.each([700, 900])("a forked server of size %d is convicted by its own signatures", async (size) => {
  const forked = recordLines(size).with(650, recordLine(650, { exc_type: "Other" }))
  const verdict = await verifyServed(treeOf(forked), { ...pinned, ...(await remembered()) })
  expect(verdict.claims).toMatchObject({
    no_truncation: { status: "false" },
    no_split_view: { status: "false" },
  })
  const evidence = parseForkEvidence(verdict.forkEvidence ?? new Uint8Array())
  expect(checkForkEvidence(evidence, [parseVerifierKey(VKEY)])).toMatchObject({
    olderSize: 700,
    newerSize: size,
  })
})

test("reordered bundles are found where they begin", async () => {
  const answers = new Map(honest)
    .set("tile/entries/000", bundle("tile/entries/001"))
    .set("tile/entries/001", bundle("tile/entries/000"))
  const { claims } = await verifyServed(answers)
  expect(claims.integrity).toMatchObject({ status: "false", firstBadIndex: 0, byteOffset: 0 })
  expect(claims.order_and_gaps).toMatchObject({ status: "false", firstBadIndex: 0 })
})

test("reordered tiles vouch for nothing", async () => {
  const answers = new Map(honest)
    .set("tile/0/000", bundle("tile/0/001"))
    .set("tile/0/001", bundle("tile/0/000"))
  const { claims } = await verifyServed(answers)
  expect(claims).toMatchObject({ tiles: { status: "false" }, integrity: { status: "proved" } })
})

test("a bundle that is missing, cut, too long or swollen is found at its first record", async () => {
  const missing = new Map(honest)
  missing.delete("tile/entries/001")
  const start = makeLog(lines.slice(0, 256)).lines.length
  expect((await verifyServed(missing)).claims.no_truncation).toMatchObject({
    status: "false",
    firstBadIndex: 256,
    byteOffset: start,
  })
  const cut = bundle("tile/entries/001").subarray(0, 5_000)
  for (const broken of [cut, new Uint8Array(0)]) {
    const { claims } = await verifyServed(new Map(honest).set("tile/entries/001", broken))
    expect(claims.integrity).toMatchObject({ status: "false", firstBadIndex: 256, byteOffset: start })
    expect(claims.no_truncation.status).toBe("unprovable")
  }
})

test("an entry that would read as two lines is refused", async () => {
  const entries = lines.slice(512).map((line) => Buffer.from(line))
  entries[3] = Buffer.from('{"a":1}\n{"b":2}')
  const { claims } = await verifyServed(new Map(honest).set(LAST_BUNDLE, formatEntryBundle(entries)))
  expect(claims.integrity).toMatchObject({ status: "false", firstBadIndex: 515 })
  expect(claims.integrity.because).toContain("newline")
})

test("endless answers are read no further than they may be long", async () => {
  const huge = new Uint8Array(20 * 2 ** 20).fill(0x41)
  for (const path of ["checkpoint", "tile/0/000", "tile/entries/000"]) {
    expect(isGood(await verifyServed(new Map(honest).set(path, huge))), path).toBe(false)
  }
  const source = urlLogSource(await serve(new Map([["checkpoint", huge]])))
  expect((await source.checkpoint())?.length).toBe(2 ** 20 + 1)
})

test("a server without a checkpoint proves nothing; to who remembers one, it lies", async () => {
  expect((await verifyServed(new Map())).claims.integrity.status).toBe("unprovable")
  const { claims } = await verifyServed(new Map(), { ...pinned, ...(await remembered()) })
  expect(claims.no_truncation.status).toBe("false")
})

test("a server that fails, hangs or hangs up is no verdict", async () => {
  await expect(verifyLog(urlLogSource(await serve(new Map(), 503)), pinned)).rejects.toMatchObject({
    code: "store_unavailable",
    message: expect.stringContaining("503"),
  })
  await expect(verifyLog(urlLogSource("http://127.0.0.1:1/"), pinned)).rejects.toMatchObject({
    code: "store_unavailable",
  })
  const hanging = createServer(() => {})
  await new Promise<void>((resolve) => hanging.listen(0, "127.0.0.1", resolve))
  onTestFinished(() => {
    hanging.closeAllConnections()
    hanging.close()
  })
  const { port } = hanging.address() as AddressInfo
  const source = urlLogSource(`http://127.0.0.1:${port}/`, { timeoutMs: 50 })
  await expect(verifyLog(source, pinned)).rejects.toMatchObject({
    code: "store_unavailable",
    message: expect.stringContaining("50 ms"),
  })
})

test("a checkpoint of an enormous size costs nothing but its requests", async () => {
  const enormous = Buffer.from(bundle("checkpoint").toString())
    .toString()
    .replace("\n700\n", "\n4503599627370496\n")
  const verdict = await verifyServed(new Map(honest).set("checkpoint", Buffer.from(enormous)))
  expect(isGood(verdict)).toBe(false)
})

test("a store is read like a server", async () => {
  await using store = await storeOf(makeLog(lines))
  expect((await verifyLog(storeLogSource(store), pinned)).claims.tiles.status).toBe("proved")
  await store.write("/audit/checkpoint", new Uint8Array(2 ** 21))
  expect((await storeLogSource(store).checkpoint())?.length).toBe(2 ** 20 + 1)
  await store.delete("/audit/tree/0")
  expect((await verifyLog(storeLogSource(store), pinned)).claims.authorship.status).toBe("false")
})
