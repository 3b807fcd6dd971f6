import { createHash } from "node:crypto"
import { describe, expect, test } from "vitest"
import { parseCheckpoint, type Checkpoint } from "../../src/core/checkpoint.ts"
import { cosignatureTime, cosignatureVerifier } from "../../src/core/cosignature.ts"
import { formatVerifierKey } from "../../src/core/key.ts"
import {
  formatNote,
  noteSigner,
  noteVerifier,
  openNote,
  parseNote,
  parseSignatureLine,
  signNote,
} from "../../src/core/note.ts"
import { MemoryStore } from "../../src/store/memory.ts"
import { readText } from "../../src/store/text.ts"
import type { RequestHandler } from "../../src/witness/index.ts"
import { createWitness, MAX_REQUEST_BYTES, witnessPath } from "../../src/witness/index.ts"
import { parseAddCheckpoint } from "../../src/witness/messages.ts"
import { FakeTime, seeded, settle, testSeed } from "../support/fake-time.ts"
import { FlakyStore } from "../support/flaky-store.ts"
import { logKey, ModelLog, ORIGIN, post, stalling, URL_OF_WITNESS, witnessKey } from "./world.ts"

const key = witnessKey()
const log = new ModelLog()
const logs = [{ origin: ORIGIN, vkey: log.key }]
const EMPTY_ROOT = createHash("sha256").digest("base64")

function witness(store: MemoryStore | FlakyStore = new MemoryStore(), time = new FakeTime()): RequestHandler {
  return createWitness({ store, key, logs, clock: time.clock })
}

async function send(
  handle: RequestHandler,
  body: string,
): Promise<{ status: number; body: string; type: string | null }> {
  const response = await handle(post(body))
  return { status: response.status, body: await response.text(), type: response.headers.get("content-type") }
}

async function statusOf(handle: RequestHandler, body: string): Promise<number> {
  return (await send(handle, body)).status
}

/** The time of the good cosignature of that checkpoint that an answer is. */
function cosignedAt(answer: string, checkpoint: string): number {
  const line = parseSignatureLine(answer)
  const verifier = cosignatureVerifier(key)
  expect(line).toMatchObject({ name: key.name, keyId: key.keyId })
  expect(verifier.verify(parseNote(checkpoint).text, line.signature)).toBe(true)
  return cosignatureTime(line)
}

describe("add-checkpoint", () => {
  test("200: a first checkpoint, a larger one, and the same again", async () => {
    const time = new FakeTime()
    const store = new MemoryStore()
    const handle = witness(store, time)
    for (const [old, size] of [
      [0, 3],
      [3, 8],
      [8, 8],
      [8, 33],
    ] as const) {
      await time.advance(1_500)
      const answer = await send(handle, log.body(old, size))
      expect(answer).toMatchObject({ status: 200, type: "text/plain; charset=utf-8" })
      expect(cosignedAt(answer.body, log.checkpoint(size))).toBe(Math.floor(time.clock() / 1000))
    }
    const kept = (await readText(store, witnessPath(ORIGIN))) ?? ""
    const { text, verified } = openNote(kept, [noteVerifier(log.key), cosignatureVerifier(key)])
    expect(parseCheckpoint(text).size).toBe(33)
    expect(verified.map(({ name }) => name)).toEqual([ORIGIN, key.name])
    expect(witnessPath(ORIGIN)).toBe(
      `/witness/${createHash("sha256").update(ORIGIN).digest("hex")}/checkpoint`,
    )
  })

  test("200: a checkpoint of size 0, again, and then a larger one", async () => {
    const handle = witness()
    expect(await statusOf(handle, log.body(0, 0))).toBe(200)
    expect(await statusOf(handle, log.body(0, 0))).toBe(200)
    expect(await statusOf(handle, log.body(0, 5))).toBe(200)
    expect(await send(handle, log.body(0, 0))).toMatchObject({ status: 409, body: "5\n" })
  })

  test("400: an old size larger than the checkpoint's, even if it is the known one", async () => {
    const handle = witness()
    await send(handle, log.body(0, 5))
    expect(await statusOf(handle, `old 5\n\n${log.checkpoint(3)}`)).toBe(400)
    expect(await statusOf(handle, `old 9\n\n${log.checkpoint(5)}`)).toBe(400)
  })

  test("403: signed by nobody that we know, or badly by somebody that we do", async () => {
    const store = new MemoryStore()
    const handle = witness(store)
    const text = parseNote(log.checkpoint(5)).text
    const stranger = noteSigner(logKey(2))
    expect(await statusOf(handle, `old 0\n\n${signNote(text, [stranger])}`)).toBe(403)
    const bad = formatNote({
      text,
      signatures: [
        ...parseNote(log.checkpoint(5)).signatures,
        { name: ORIGIN, keyId: log.key.keyId, signature: new Uint8Array(64) },
      ],
    })
    expect(await statusOf(handle, `old 0\n\n${bad}`)).toBe(403)
    expect(await store.read(witnessPath(ORIGIN))).toBeUndefined()
    const both = signNote(text, [stranger, noteSigner(log.key)])
    expect(await statusOf(handle, `old 0\n\n${both}`)).toBe(200)
    // A stranger's signature may be anything: it is not kept.
    const kept = parseNote((await store.read(witnessPath(ORIGIN))) ?? "")
    expect(kept.signatures.map(({ keyId }) => keyId)).toEqual([log.key.keyId, key.keyId])
  })

  test("a second key of an origin, under another name, counts as the first", async () => {
    const second = logKey(7, "other-name")
    const handle = createWitness({
      store: new MemoryStore(),
      key,
      logs: [...logs, { origin: ORIGIN, vkey: formatVerifierKey(second) }],
    })
    expect(await statusOf(handle, log.body(0, 3))).toBe(200)
    const text = parseNote(log.checkpoint(3)).text
    expect(await statusOf(handle, `old 3\n\n${signNote(text, [noteSigner(second)])}`)).toBe(200)
  })

  test("404: a log that is not ours", async () => {
    expect(await statusOf(witness(), new ModelLog(logKey(3, "log.example/two")).body(0, 3))).toBe(404)
  })

  test("409: another size than the known one, with that size", async () => {
    const handle = witness()
    expect(await send(handle, log.body(3, 5))).toEqual({ status: 409, body: "0\n", type: "text/x.tlog.size" })
    await send(handle, log.body(0, 5))
    for (const old of [0, 4, 6]) {
      expect(await send(handle, log.body(old, 9))).toEqual({
        status: 409,
        body: "5\n",
        type: "text/x.tlog.size",
      })
    }
    // Smaller than what was cosigned, whatever it says.
    expect(await statusOf(handle, log.body(3, 4))).toBe(409)
  })

  test("422: no proof, another's, a proof from nothing, another root of the same size, or of size 0", async () => {
    const store = new MemoryStore()
    const handle = witness(store)
    const text = `${ORIGIN}\n0\n${Buffer.from(log.root(1)).toString("base64")}\n`
    expect(await statusOf(handle, `old 0\n\n${signNote(text, [noteSigner(log.key)])}`)).toBe(422)
    const hash = EMPTY_ROOT
    expect(await statusOf(handle, `old 0\n${hash}\n\n${log.checkpoint(5)}`)).toBe(422)
    expect(await statusOf(handle, `old 0\n${hash}\n\n${log.checkpoint(0)}`)).toBe(422)
    expect(await store.list("/")).toEqual([])
    await send(handle, log.body(0, 5))
    const before = await store.read(witnessPath(ORIGIN))
    expect(await statusOf(handle, `old 5\n\n${log.checkpoint(9)}`)).toBe(422)
    expect(await statusOf(handle, `old 5\n${hash}\n\n${log.checkpoint(5)}`)).toBe(422)
    expect(await statusOf(handle, log.body(4, 9).replace("old 4", "old 5"))).toBe(422)
    for (const forkAt of [0, 4, 5]) {
      const fork = new ModelLog(log.key, forkAt)
      const expected = forkAt < 5 ? 422 : 200
      expect(await statusOf(handle, `old 5\n\n${fork.checkpoint(5)}`)).toBe(expected)
      if (forkAt < 5) {
        expect(await statusOf(handle, fork.body(5, 9))).toBe(422)
        expect(await store.read(witnessPath(ORIGIN))).toEqual(before)
      }
    }
    expect(await statusOf(handle, log.body(5, 9))).toBe(200)
  })

  test("tells the operator of two trees of one size, with the note as evidence", async () => {
    const heard: [string, object, string][] = []
    const logger = {
      debug: () => {},
      info: () => {},
      warn: (fields: object, message: string) => void heard.push(["warn", fields, message]),
      error: (fields: object, message: string) => void heard.push(["error", fields, message]),
    }
    const handle = createWitness({ store: new MemoryStore(), key, logs, logger })
    await send(handle, log.body(0, 5))
    const fork = new ModelLog(log.key, 2)
    await send(handle, `old 5\n\n${fork.checkpoint(5)}`)
    await send(handle, fork.body(5, 9))
    expect(heard).toMatchObject([
      [
        "error",
        { origin: ORIGIN, size: 5, note: fork.checkpoint(5) },
        expect.stringContaining("two different"),
      ],
      [
        "warn",
        { origin: ORIGIN, size: 9, old: 5, note: fork.checkpoint(9) },
        expect.stringContaining("proof"),
      ],
    ])
  })

  test("remembers across restarts", async () => {
    const store = new MemoryStore()
    await send(witness(store), log.body(0, 5))
    const later = witness(MemoryStore.from(store))
    expect(await send(later, log.body(0, 9))).toMatchObject({ status: 409, body: "5\n" })
    expect(await statusOf(later, new ModelLog(log.key, 1).body(5, 9))).toBe(422)
    expect(await statusOf(later, log.body(5, 9))).toBe(200)
  })

  test("keeps the logs apart", async () => {
    const other = new ModelLog(logKey(3, "log.example/two"), 0, "else")
    const handle = createWitness({
      store: new MemoryStore(),
      key,
      logs: [...logs, { origin: other.key.name, vkey: other.key }],
    })
    expect(await statusOf(handle, log.body(0, 5))).toBe(200)
    expect(await statusOf(handle, other.body(0, 7))).toBe(200)
    expect(await statusOf(handle, log.body(5, 6))).toBe(200)
    expect(await statusOf(handle, other.body(7, 8))).toBe(200)
  })

  test("refuses keys that it cannot use, at once", () => {
    const store = new MemoryStore()
    const error = expect.objectContaining({ code: "invalid_input" }) as Error
    expect(() => createWitness({ store, key: log.key, logs })).toThrow(error)
    expect(() => createWitness({ store, key, logs: [{ origin: ORIGIN, vkey: key }] })).toThrow(error)
    expect(() => createWitness({ store, key, logs: [...logs, ...logs] })).toThrow(error)
  })
})

describe("the race", () => {
  test("of two requests that were both found consistent, one is cosigned", async () => {
    // The specification's own: N and N+K; and two that contradict each other.
    for (const rivals of [
      [log.body(3, 5), log.body(3, 8)],
      [log.body(3, 8), new ModelLog(log.key, 3).body(3, 8)],
    ] as const) {
      const memory = new MemoryStore()
      await send(witness(memory), log.body(0, 3))
      const gate = stalling(memory)
      // Two objects, as two processes would be.
      const handles = [0, 1].map(() => createWitness({ store: gate.store, key, logs }))
      const answers = handles.map((handle, n) => send(handle, rivals[n] ?? ""))
      await settle()
      expect(gate.waiting()).toBe(2)
      gate.open()
      const done = await Promise.all(answers)
      const won = done.findIndex(({ status }) => status === 200)
      const lost = done[1 - won]
      expect(lost).toMatchObject({ status: 409, body: `${(await cosignedIn(memory))?.size}\n` })
      expect(await readText(memory, witnessPath(ORIGIN))).toContain(
        parseAddCheckpoint(rivals[won] ?? "").note,
      )
    }
  })

  test("of many first checkpoints that contradict each other, one is cosigned", async () => {
    const handle = witness()
    const statuses = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        statusOf(handle, new ModelLog(log.key, 0, `b${n}`).body(0, n + 1)),
      ),
    )
    expect(statuses.toSorted()).toEqual([200, ...Array.from({ length: 19 }, () => 409)])
  })

  test("the same checkpoint from many is cosigned for each, across a change of the second", async () => {
    let now = 0
    const handle = createWitness({ store: new MemoryStore(), key, logs, clock: () => (now += 250) })
    await send(handle, log.body(0, 5))
    const statuses = await Promise.all(Array.from({ length: 10 }, () => statusOf(handle, log.body(5, 5))))
    expect(new Set(statuses)).toEqual(new Set([200]))
  })
})

describe("a store that fails", () => {
  test("503 and no cosignature; afterwards it works, whether or not the write had happened", async () => {
    for (const failure of ["not persisted", "persisted"] as const) {
      const store = new FlakyStore(new MemoryStore())
      const handle = witness(store)
      await send(handle, log.body(0, 3))
      store.decide = () => failure
      const answer = await send(handle, log.body(3, 5))
      expect(answer.status).toBe(503)
      expect(answer.body).not.toContain("—")
      store.decide = () => undefined
      expect(await send(handle, new ModelLog(log.key, 3).body(3, 5))).toMatchObject(
        failure === "persisted" ? { status: 409, body: "5\n" } : { status: 200 },
      )
      if (failure === "persisted") expect(await statusOf(handle, log.body(5, 8))).toBe(200)
    }
  })

  test("500 for a memory that it has not written, and nothing is signed or changed", async () => {
    for (const content of ["", "nonsense", new ModelLog(logKey(3, "log.example/two")).checkpoint(5)]) {
      const store = new MemoryStore()
      await store.write(witnessPath(ORIGIN), content)
      expect(await statusOf(witness(store), log.body(0, 5))).toBe(500)
      expect(await readText(store, witnessPath(ORIGIN))).toBe(content)
    }
  })
})

describe("HTTP", () => {
  test("only POST to add-checkpoint, below the prefix", async () => {
    const handle = createWitness({ store: new MemoryStore(), key, logs, prefix: "/w" })
    const ask = async (method: string, path: string): Promise<number> => {
      const body = method === "POST" ? log.body(0, 3) : null
      return (await handle(new Request(`${URL_OF_WITNESS}${path}`, { method, body }))).status
    }
    expect(await ask("POST", "/add-checkpoint")).toBe(404)
    expect(await ask("POST", "/w/other")).toBe(404)
    expect(await ask("POST", "/w")).toBe(404)
    expect(await ask("GET", "/w/add-checkpoint")).toBe(405)
    expect(await ask("POST", "/w/add-checkpoint")).toBe(200)
  })

  test("monitors read the last cosigned checkpoint", async () => {
    const handle = witness()
    const path = witnessPath(ORIGIN).slice("/witness".length)
    const read = async (): Promise<Response> => await handle(new Request(`${URL_OF_WITNESS}${path}`))
    expect((await read()).status).toBe(404)
    await send(handle, log.body(0, 5))
    const response = await read()
    expect(response.status).toBe(200)
    const note = await response.text()
    expect(note.startsWith(log.checkpoint(5))).toBe(true)
    expect(openNote(note, [cosignatureVerifier(key)]).verified).toHaveLength(1)
    const other = await handle(new Request(`${URL_OF_WITNESS}/${"0".repeat(64)}/checkpoint`))
    expect(other.status).toBe(404)
    expect((await handle(new Request(`${URL_OF_WITNESS}${path}`, { method: "POST" }))).status).toBe(405)
  })

  test("413 for a body over the limit, of which no more is read", async () => {
    const handle = witness()
    expect((await handle(post("x".repeat(MAX_REQUEST_BYTES + 1)))).status).toBe(413)
    let pulled = 0
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled++
        controller.enqueue(new Uint8Array(1_024))
      },
    })
    expect((await handle(post(endless))).status).toBe(413)
    expect(pulled).toBeLessThan(MAX_REQUEST_BYTES / 1_024 + 4)
    const small = createWitness({ store: new MemoryStore(), key, logs, maxBodyBytes: 100 })
    expect(await statusOf(small, log.body(0, 3))).toBe(413)
  })

  test("400 for a body that breaks off", async () => {
    const broken = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.error(new Error("gone")),
    })
    expect((await witness()(post(broken))).status).toBe(400)
  })
})

describe("malformed bodies", () => {
  const good = log.body(3, 8)

  test("each kind of damage is 400", async () => {
    const handle = witness()
    await send(handle, log.body(0, 3))
    const [head = "", note = ""] = [good.slice(0, good.indexOf("\n\n")), log.checkpoint(8)]
    const hash = head.split("\n")[1] ?? ""
    for (const body of [
      "",
      "\n",
      "\n\n",
      head,
      `${head}\n\n`,
      `${head}\n${note}`,
      `\n${good}`,
      `\ufeff${good}`,
      good.slice(0, -1),
      good.replaceAll("\n", "\r\n"),
      good.replace("old 3", "old  3"),
      good.replace("old 3", "old 03"),
      good.replace("old 3", "old +3"),
      good.replace("old 3", "old 3 "),
      good.replace("old 3", "old -0"),
      good.replace("old 3", "old 0x3"),
      good.replace("old 3", "old 3.0"),
      good.replace("old 3", "old "),
      good.replace("old 3", "Old 3"),
      good.replace("old 3", "old 9007199254740993"),
      good.replace("old 3", `old 1${"0".repeat(40)}`),
      good.replace(hash, hash.slice(0, -1)),
      good.replace(hash, ` ${hash}`),
      good.replace(hash, `${hash.slice(0, -2)}==`),
      good.replace(hash, "AAAA"),
      `old 3\n${`${hash}\n`.repeat(64)}\n${note}`,
      good.replace(`${ORIGIN}\n8\n`, `${ORIGIN}\n08\n`),
      good.replace(`${ORIGIN}\n8\n`, `\n8\n`),
      good.replace("—", "-"),
    ]) {
      expect([await statusOf(handle, body), body]).toEqual([400, body])
    }
    expect(await statusOf(handle, `old 3\n${`${hash}\n`.repeat(63)}\n${note}`)).toBe(422)
    expect(await statusOf(handle, good)).toBe(200)
  })

  test("whatever the damage, 4xx and never a cosignature", async () => {
    const seed = testSeed()
    const random = seeded(seed)
    const below = (n: number): number => Math.floor(random() * n)
    const store = new MemoryStore()
    const handle = witness(store)
    await send(handle, log.body(0, 3))
    const before = await store.read(witnessPath(ORIGIN))
    const original = Buffer.from(good)
    // The log's own signature must stay as it is; what follows it is nobody's.
    for (let i = 0; i < 3_000; i++) {
      let bytes = Buffer.from(original)
      for (let n = 1 + below(3); n > 0; n--) {
        const at = below(bytes.length)
        const kind = below(4)
        if (kind === 0) bytes[at] = below(256)
        else if (kind === 1) bytes = bytes.subarray(0, at)
        else if (kind === 2)
          bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + below(40))])
        else
          bytes = Buffer.concat([
            bytes.subarray(0, at),
            bytes.subarray(below(bytes.length)),
            bytes.subarray(at),
          ])
        if (bytes.length === 0) break
      }
      if (bytes.equals(original)) continue
      const response = await handle(post(new Uint8Array(bytes)))
      const text = await response.text()
      const told = `HANSARD_SEED=${seed}, case ${i}: ${bytes.toString("base64")}`
      expect(response.status, told).toBeGreaterThanOrEqual(400)
      expect(response.status, told).toBeLessThan(500)
      expect(text, told).not.toContain("—")
    }
    expect(await store.read(witnessPath(ORIGIN))).toEqual(before)
  })
})

describe("random histories", () => {
  test("all checkpoints that it ever cosigned are pairwise consistent, across restarts and two processes", async () => {
    const seed = testSeed()
    const random = seeded(seed)
    const below = (n: number): number => Math.floor(random() * n)
    let cosigned = 0
    let refused = 0
    for (let run = 0; run < 40; run++) {
      // Branches of one log, under one key: the witness must never help two of them.
      const branches = [
        log,
        ...[1, 4, 9, 20].map((at) => new ModelLog(log.key, at, `run ${run} branch ${at}`)),
      ]
      let store = new MemoryStore()
      const flakyOver = (inner: MemoryStore): FlakyStore => {
        const flaky = new FlakyStore(inner)
        flaky.decide = () => (below(10) > 0 ? undefined : below(2) === 0 ? "persisted" : "not persisted")
        return flaky
      }
      let flaky = flakyOver(store)
      const roots = new Map<number, string>()
      const isPrefixOf = (branch: ModelLog): boolean =>
        [...roots].every(([size, root]) => hex(branch.root(size)) === root)
      for (let step = 0; step < 12; step++) {
        const told = `HANSARD_SEED=${seed}, run ${run}, step ${step}`
        if (below(5) === 0) {
          store = MemoryStore.from(store)
          flaky = flakyOver(store)
        }
        const known = (await cosignedIn(store))?.size ?? 0
        const requests = Array.from({ length: 1 + below(4) }, () => {
          const branch = branches[below(branches.length)] ?? log
          const old = below(4) === 0 ? below(40) : known
          return { branch, old, size: old + below(6) }
        })
        const answers = await Promise.all(
          requests.map(async (request) => {
            const status = await statusOf(witness(flaky), request.branch.body(request.old, request.size))
            return { ...request, status }
          }),
        )
        const seen: { size: number; root: string }[] = []
        for (const { branch, size, status } of answers) {
          if (status === 200) seen.push({ size, root: hex(branch.root(size)) })
        }
        // One that was stored, and whose answer failed, is cosigned as well: monitors can read it.
        const stored = await cosignedIn(store)
        if (stored !== undefined) seen.push({ size: stored.size, root: hex(stored.root) })
        expect(stored?.size ?? 0, told).toBeGreaterThanOrEqual(
          Math.max(known, ...seen.map(({ size }) => size)),
        )
        for (const { size, root } of seen) {
          expect(roots.get(size) ?? root, told).toBe(root)
          roots.set(size, root)
        }
        cosigned += answers.filter(({ status }) => status === 200).length
        refused += answers.filter(({ status }) => status !== 200).length
        // Some one log begins with all of them: that is what consistent means.
        expect(branches.some(isPrefixOf), told).toBe(true)
      }
    }
    expect(cosigned).toBeGreaterThan(100)
    expect(refused).toBeGreaterThan(100)
  })
})

async function cosignedIn(store: MemoryStore): Promise<Checkpoint | undefined> {
  const note = await store.read(witnessPath(ORIGIN))
  return note === undefined ? undefined : parseCheckpoint(parseNote(note).text)
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex")
}
