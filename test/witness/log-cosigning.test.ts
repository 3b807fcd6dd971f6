/** A log that has its checkpoints cosigned: real witnesses, and others. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { expect, onTestFinished, test, vi } from "vitest"
import { AuditLog, CHECKPOINT_PATH, type Cosign } from "../../src/audit/index.ts"
import { utf8Text } from "../../src/core/bytes.ts"
import { openCheckpoint } from "../../src/core/checkpoint.ts"
import { formatVerifierKey, generateSignerKey } from "../../src/core/key.ts"
import { formatNote, noteVerifier, parseNote, signNote, noteSigner } from "../../src/core/note.ts"
import { openCheckpointBy, parsePolicy, type Policy } from "../../src/core/policy.ts"
import { MemoryStore } from "../../src/store/memory.ts"
import { createCosigner, createWitness, type WitnessOutcome } from "../../src/witness/index.ts"
import { FakeTime, seededBytes, settle } from "../support/fake-time.ts"

const signer = generateSignerKey("test.example/log", "log", seededBytes(1))
const vkey = formatVerifierKey(signer)
const witnessKeys = [1, 2, 3].map((n) =>
  generateSignerKey(`witness${n}.example`, "cosigner", seededBytes(n + 10)),
)

/** A busy machine is no failure. */
const PATIENTLY = { timeout: 20_000 }

/** @returns its URL */
async function serve(handle: (request: Request) => Promise<Response>): Promise<string> {
  const server = createServer((incoming, outgoing) => {
    const parts: Buffer[] = []
    incoming.on("data", (part: Buffer) => parts.push(part))
    incoming.on("end", () => {
      const request = new Request(`http://w${incoming.url ?? ""}`, {
        method: "POST",
        body: Buffer.concat(parts),
      })
      void handle(request).then(async (response) => {
        outgoing.writeHead(response.status, Object.fromEntries(response.headers))
        outgoing.end(Buffer.from(await response.arrayBuffer()))
      })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function policyOf(urls: readonly string[], quorum: number): Policy {
  const witnesses = urls.map(
    (url, n) => `witness w${n} ${formatVerifierKey(witnessKeys[n] ?? signer)} ${url}`,
  )
  const names = urls.map((_, n) => `w${n}`).join(" ")
  return parsePolicy(`log ${vkey}\n${witnesses.join("\n")}\ngroup all ${quorum} ${names}\nquorum all\n`)
}

async function stored(store: MemoryStore): Promise<string> {
  return utf8Text((await store.read(CHECKPOINT_PATH)) ?? new Uint8Array())
}

test("real witnesses: the stored checkpoint and the proofs satisfy the policy, over restarts; a dead and a lying one hold nobody back", async () => {
  const [good, better, ...others] = witnessKeys
  if (good === undefined || better === undefined) throw new Error("there are keys")
  const logs = [{ origin: signer.name, vkey }]
  const own = new MemoryStore()
  let requests = 0
  const witness = createWitness({ store: own, key: good, logs })
  const counted = (request: Request): Promise<Response> => {
    requests++
    return witness(request)
  }
  const urls = [
    await serve(counted),
    await serve(createWitness({ store: new MemoryStore(), key: better, logs })),
    await serve(async () => new Response("— nobody AAAA\n")),
  ]
  expect(others).toHaveLength(1)
  const policy = policyOf(urls, 2)
  const outcomes: WitnessOutcome[] = []
  const cosign = createCosigner({ policy, onOutcomes: (all) => void outcomes.push(...all) })
  const store = new MemoryStore()
  const ledger = { signer, cosign, checkpointIntervalMs: 20 }
  const log = await AuditLog.open(store, { ledger })
  for (let round = 0; round < 3; round++) {
    await log.appendMany(Array.from({ length: 100 + round }, (_, n) => ({ kind: "k", n })))
    const { size, root } = openCheckpoint(await log.checkpoint(), noteVerifier(vkey))
    await vi.waitFor(async () => {
      const trusted = openCheckpointBy(policy, await stored(store))
      expect(trusted).toMatchObject({ size, root })
      expect([...trusted.witnesses.keys()]).toEqual(["w0", "w1"])
    }, PATIENTLY)
    await vi.waitFor(async () => expect(log.checkpointed?.text).toBe(await stored(store)), PATIENTLY)
    expect(await log.prove(5)).toContain(good.name)
  }
  expect(outcomes.filter(({ status }) => status === "false_answer").length).toBeGreaterThan(0)
  // What it cosigned last is remembered: one request for each.
  expect(requests).toBe(3)
  await log.append({ kind: "last" })
  await log.close()
  expect(openCheckpointBy(policy, await stored(store)).size).toBe(304)
  await using again = await AuditLog.open(store, { ledger })
  await again.append({ kind: "more" })
  await again.checkpoint()
  await vi.waitFor(
    async () => expect(openCheckpointBy(policy, await stored(store)).size).toBe(305),
    PATIENTLY,
  )
})

const stranger = generateSignerKey(signer.name, "log", seededBytes(77))
const time = new FakeTime()
const open = (store: MemoryStore, cosign: Cosign, more: object = {}): Promise<AuditLog> =>
  AuditLog.open(store, { clock: time.clock, timers: time.timers, ledger: { signer, cosign }, ...more })

test("what is no cosigned form of that very checkpoint is not stored", async () => {
  const warned: unknown[] = []
  const logger = { debug() {}, info() {}, error() {}, warn: (details: object) => void warned.push(details) }
  const other = signNote("test.example/log\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", [
    noteSigner(signer),
  ])
  const answers: ((note: string) => Promise<string>)[] = [
    async () => "nonsense",
    async () => other,
    async (note) => signNote(parseNote(note).text, [noteSigner(stranger)]),
    async () => {
      throw new Error("on purpose")
    },
    () => {
      throw new Error("at once, on purpose")
    },
  ]
  for (const answer of answers) {
    const store = new MemoryStore()
    warned.length = 0
    const log = await open(store, answer, { logger })
    await log.append({ kind: "k" })
    const note = await log.checkpoint()
    await settle()
    expect(await stored(store)).toBe(note)
    expect(warned).toHaveLength(1)
    await log.append({ kind: "k" })
    expect(openCheckpoint(await log.checkpoint(), noteVerifier(vkey)).size).toBe(2)
    await log.close()
  }
})

const witness = noteSigner(generateSignerKey("w", "log", seededBytes(5)))
function cosigned(note: string): string {
  const { text, signatures } = parseNote(note)
  return formatNote({ text, signatures: [...signatures, ...parseNote(signNote(text, [witness])).signatures] })
}

test("a log that closes has its last checkpoint cosigned too, if there is time, and asks for nothing after that", async () => {
  for (const isInTime of [true, false]) {
    const store = new MemoryStore()
    const asked: { size: number; answer: () => void; note: string }[] = []
    const log = await open(store, (note) => {
      const { size } = openCheckpoint(note, noteVerifier(vkey))
      return new Promise((resolve) => asked.push({ size, answer: () => resolve(cosigned(note)), note }))
    })
    await log.append({ kind: "k" })
    await log.checkpoint()
    await log.append({ kind: "k" })
    const closing = log.close()
    await settle()
    expect(asked.map(({ size }) => size)).toEqual([1])
    if (isInTime) {
      asked[0]?.answer()
      await settle()
      expect(asked.map(({ size }) => size)).toEqual([1, 2])
      asked[1]?.answer()
      await closing
      expect(await stored(store)).toBe(cosigned(asked[1]?.note ?? ""))
    } else {
      await time.advance(1_000)
      await time.advance(1_000)
      await closing
      await settle()
      expect(asked.map(({ size }) => size)).toEqual([1])
      expect(openCheckpoint(await stored(store), noteVerifier(vkey)).size).toBe(2)
    }
  }
})

test("one that never answers holds nobody back; the newest is asked for when an old one has come", async () => {
  const store = new MemoryStore()
  const asked: { size: number; answer: (note: string) => void; note: string; signal: AbortSignal }[] = []
  const log = await open(store, (note, _proofFrom, signal) => {
    const { size } = openCheckpoint(note, noteVerifier(vkey))
    return new Promise((answer) => asked.push({ size, answer, note, signal }))
  })
  for (let n = 1; n <= 3; n++) {
    await log.append({ kind: "k", n })
    await log.checkpoint()
  }
  expect(asked.map(({ size }) => size)).toEqual([1])
  // Overtaken: it is dropped, and the newest is asked for.
  asked[0]?.answer(cosigned(asked[0].note))
  await settle()
  expect(asked.map(({ size }) => size)).toEqual([1, 3])
  expect(openCheckpoint(await stored(store), noteVerifier(vkey)).size).toBe(3)
  expect(await stored(store)).not.toContain("— w ")
  asked[1]?.answer(cosigned(asked[1].note))
  await settle()
  expect(await stored(store)).toBe(cosigned(asked[1]?.note ?? ""))
  expect(log.checkpointed).toMatchObject({ size: 3, text: await stored(store) })
  // A checkpoint is published over a cosigned one.
  await log.append({ kind: "k" })
  await log.checkpoint()
  expect(openCheckpoint(await stored(store), noteVerifier(vkey)).size).toBe(4)
  const closing = log.close()
  await settle()
  expect(asked[2]?.signal.aborted).toBe(false)
  await time.advance(1_000)
  expect(asked[2]?.signal.aborted).toBe(true)
  await time.advance(1_000)
  await closing
})
