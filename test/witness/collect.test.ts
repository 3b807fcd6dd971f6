import { describe, expect, test } from "vitest"
import { concatBytes, utf8 } from "../../src/core/bytes.ts"
import { cosignatureVerifier, cosigner } from "../../src/core/cosignature.ts"
import { ed25519Sign } from "../../src/core/ed25519-node.ts"
import { logSize, type LogSize } from "../../src/core/hash-types.ts"
import { formatVerifierKey, type SignerKey } from "../../src/core/key.ts"
import { formatSignatureLine, parseNote } from "../../src/core/note.ts"
import { openCheckpointBy, parsePolicy, type PolicyWitness } from "../../src/core/policy.ts"
import { MemoryStore } from "../../src/store/memory.ts"
import {
  collectCosignatures,
  createWitness,
  type Collected,
  type CollectOptions,
  type RequestHandler,
} from "../../src/witness/index.ts"
import { FakeTime, settle } from "../support/fake-time.ts"
import { ModelLog, ORIGIN, policyWitness, witnessKey } from "./world.ts"

const log = new ModelLog()
const NOW = 1_700_000_000
const logs = [{ origin: ORIGIN, vkey: log.key }]

/** Witnesses by the host of their URLs, and what they were asked. */
class Network {
  readonly requests: string[] = []
  readonly witnesses: PolicyWitness[] = []
  readonly #hosts = new Map<string, RequestHandler>()

  add(name: string, key: SignerKey, handle: RequestHandler): this {
    this.witnesses.push(policyWitness(name, key))
    this.#hosts.set(`${name}.example`, handle)
    return this
  }

  /** Behaves. */
  addGood(name: string, seed: number): this {
    const key = witnessKey(seed, name)
    return this.add(
      name,
      key,
      createWitness({ store: new MemoryStore(), key, logs, prefix: "/prefix", clock: () => NOW * 1000 }),
    )
  }

  addAnswering(name: string, answer: (body: string, key: SignerKey) => Response): this {
    const key = witnessKey(name.length + 500, name)
    return this.add(name, key, async (request) => answer(await request.text(), key))
  }

  readonly fetch = async (request: Request): Promise<Response> => {
    const { host } = new URL(request.url)
    this.requests.push(host)
    const handle = this.#hosts.get(host)
    if (handle === undefined) throw new TypeError("fetch failed")
    return await handle(request)
  }

  async collect(size: number, options: Partial<CollectOptions> = {}): Promise<Collected> {
    return await collectCosignatures(log.checkpoint(size), this.witnesses, {
      fetch: this.fetch,
      proofFrom: log.proofFrom,
      ...options,
    })
  }

  policy(quorum: string): ReturnType<typeof parsePolicy> {
    const lines = this.witnesses.map(({ name, key }) => `witness ${name} ${formatVerifierKey(key)}`)
    const names = this.witnesses.map(({ name }) => name).join(" ")
    return parsePolicy(
      `log ${formatVerifierKey(log.key)}\n${lines.join("\n")}\ngroup enough ${quorum} ${names}\nquorum enough\n`,
    )
  }
}

/** The cosignature line of that key over a checkpoint. */
function line(key: SignerKey, checkpoint: string, time = NOW): string {
  const { name, keyId, sign } = cosigner(key, () => time)
  return formatSignatureLine({ name, keyId, signature: sign(parseNote(checkpoint).text) })
}

const never = (): Promise<Response> => new Promise(() => {})

describe("collectCosignatures", () => {
  test("two good witnesses of five: their cosignatures, and why the others have none", async () => {
    const time = new FakeTime()
    const network = new Network()
      .add("slow", witnessKey(1, "slow"), never)
      .addGood("good", 2)
      .addAnswering("wrong-key", (_, key) => new Response(line(witnessKey(9, key.name), log.checkpoint(8))))
      .addAnswering("lying", (_, key) => new Response(line(key, log.checkpoint(7))))
      .addGood("fine", 3)
    const policy = network.policy("2")
    let done: Collected | undefined
    const collecting = network
      .collect(8, { timers: time.timers, deadlineMs: 400, policy })
      .then((value) => (done = value))
    await settle()
    await time.advance(399)
    expect(done).toBeUndefined()
    await time.advance(1)
    expect(done).toBeDefined()
    const { note, outcomes, isQuorum } = await collecting
    expect(outcomes).toEqual([
      { witness: "slow", status: "late", reason: "no answer within 400 ms" },
      { witness: "good", status: "cosigned", time: NOW },
      {
        witness: "wrong-key",
        status: "false_answer",
        httpStatus: 200,
        reason: "it has not signed with its key",
      },
      { witness: "lying", status: "false_answer", httpStatus: 200, reason: "its signature is bad" },
      { witness: "fine", status: "cosigned", time: NOW },
    ])
    expect(isQuorum).toBe(true)
    expect(note.startsWith(log.checkpoint(8))).toBe(true)
    expect([...openCheckpointBy(policy, note).witnesses]).toEqual([
      ["good", NOW],
      ["fine", NOW],
    ])
    expect(parseNote(note).signatures).toHaveLength(3)
    expect(time.waiting).toBe(0)
  })

  test("a quorum that is not met is told, with what there is", async () => {
    const network = new Network()
      .addGood("good", 2)
      .addAnswering("no", () => new Response("no", { status: 403 }))
    const { note, isQuorum, outcomes } = await network.collect(8, { policy: network.policy("all") })
    expect(isQuorum).toBe(false)
    expect(parseNote(note).signatures).toHaveLength(2)
    expect(outcomes[1]).toEqual({
      witness: "no",
      status: "refused",
      httpStatus: 403,
      reason: "it answered 403: no",
    })
    expect((await network.collect(8, { policy: network.policy("any") })).isQuorum).toBe(true)
  })

  test("once the quorum is met, the others have the grace", async () => {
    const time = new FakeTime()
    const network = new Network().addGood("good", 2).add("slow", witnessKey(1, "slow"), never)
    let done: Collected | undefined
    const options = { timers: time.timers, deadlineMs: 60_000, graceMs: 50, policy: network.policy("any") }
    void network.collect(8, options).then((value) => (done = value))
    await time.advance(49)
    expect(done).toBeUndefined()
    await time.advance(1)
    expect(done).toMatchObject({
      isQuorum: true,
      outcomes: [{ status: "cosigned" }, { status: "late", reason: "the quorum was met without it" }],
    })
    expect(time.waiting).toBe(0)
  })

  test("no timer is left when all have answered before the grace is over", async () => {
    const time = new FakeTime()
    const network = new Network().addGood("good", 2).addGood("fine", 3)
    const options = { timers: time.timers, graceMs: 50, policy: network.policy("any") }
    expect((await network.collect(8, options)).outcomes).toMatchObject([
      { status: "cosigned" },
      { status: "cosigned" },
    ])
    expect(time.waiting).toBe(0)
  })

  test("of a long refusal only the beginning is kept", async () => {
    const network = new Network().addAnswering("no", () => new Response("x".repeat(9_000), { status: 500 }))
    const [outcome] = (await network.collect(8)).outcomes
    expect(outcome).toMatchObject({ status: "refused", httpStatus: 500 })
    expect(JSON.stringify(outcome).length).toBeLessThan(400)
  })

  test("learns the size that a witness knows, once, and proves from there", async () => {
    const network = new Network().addGood("good", 2)
    const asked: [number, number][] = []
    const proofFrom = async (from: LogSize, to: LogSize): ReturnType<typeof log.proofFrom> => {
      asked.push([from, to])
      return await log.proofFrom(from, to)
    }
    await network.collect(3)
    network.requests.length = 0
    expect((await network.collect(8, { proofFrom })).outcomes).toMatchObject([{ status: "cosigned" }])
    expect(network.requests).toHaveLength(2)
    expect(asked).toEqual([[3, 8]])
    network.requests.length = 0
    const oldSizeOf = (): LogSize => logSize(8)
    expect((await network.collect(9, { oldSizeOf })).outcomes).toMatchObject([{ status: "cosigned" }])
    expect(network.requests).toHaveLength(1)
    // The same again needs no proof, and a belief that cannot be is not sent.
    expect((await network.collect(9, { oldSizeOf: () => logSize(50) })).outcomes[0]?.status).toBe("cosigned")
  })

  test("a witness that always names another size is asked twice, and one that is ahead is told", async () => {
    let size = 0
    const network = new Network()
      .addAnswering("fickle", () => new Response(`${++size}\n`, { status: 409 }))
      .addAnswering("ahead-of-us", () => new Response("99\n", { status: 409 }))
      .addAnswering("old-style", () => new Response("root mismatch", { status: 409 }))
      .addAnswering("stubborn-one", () => new Response("0\n", { status: 409 }))
    const { outcomes } = await network.collect(8)
    expect(outcomes).toMatchObject([
      { status: "refused", httpStatus: 409, knownSize: 2 },
      { status: "refused", httpStatus: 409, knownSize: 99 },
      { status: "refused", httpStatus: 409, reason: "it answered 409: root mismatch" },
      { status: "refused", httpStatus: 409, knownSize: 0 },
    ])
    expect(outcomes[2]).not.toHaveProperty("knownSize")
    expect(network.requests).toHaveLength(5)
  })

  test("a fork is refused by the witness, and no other", async () => {
    const network = new Network().addGood("good", 2)
    await network.collect(5)
    const fork = new ModelLog(log.key, 2)
    const options = { fetch: network.fetch, proofFrom: fork.proofFrom }
    const { outcomes, note } = await collectCosignatures(fork.checkpoint(8), network.witnesses, options)
    expect(outcomes).toMatchObject([{ status: "refused", httpStatus: 422 }])
    expect(note).toBe(fork.checkpoint(8))
  })

  test("no answer that a witness could invent gets in", async () => {
    const body = log.checkpoint(8)
    const good = (key: SignerKey): string => line(key, body)
    const answers: Record<string, (_: string, key: SignerKey) => Response> = {
      empty: () => new Response(""),
      "no-newline": (_, key) => new Response(good(key).trimEnd()),
      "with-text": (_, key) => new Response(`${body}${good(key)}`),
      "not-utf-8": () => new Response(new Uint8Array([0xe2, 0x80, 0x0a])),
      "good-and-bad-x": (_, key) => new Response(good(key) + line(key, log.checkpoint(7))),
      "bad-and-good-yy": (_, key) => new Response(line(key, log.checkpoint(7)) + good(key)),
      "beyond-all-times": (_, key) => new Response(beyondAllTimes(key, body)),
      "plain-signature-": (_, key) =>
        new Response(
          formatSignatureLine({ name: key.name, keyId: key.keyId, signature: new Uint8Array(64) }),
        ),
      "endless-answers-": () =>
        new Response(new ReadableStream({ pull: (c) => c.enqueue(new Uint8Array(10_000)) })),
      "broken-off-there": () => new Response(new ReadableStream({ pull: (c) => c.error(new Error("gone")) })),
    }
    const network = new Network()
    for (const [name, answer] of Object.entries(answers)) network.addAnswering(name, answer)
    const { outcomes, note } = await network.collect(8)
    expect(outcomes.map(({ witness, status }) => [witness, status])).toEqual(
      Object.keys(answers).map((name) => [name, "false_answer"]),
    )
    expect(note).toBe(body)
  })

  test("an answer may have signatures of others, which are left out", async () => {
    const network = new Network().addAnswering(
      "several",
      (_, key) =>
        new Response(line(witnessKey(77, "other"), log.checkpoint(8)) + line(key, log.checkpoint(8))),
    )
    const { outcomes, note } = await network.collect(8)
    expect(outcomes).toEqual([{ witness: "several", status: "cosigned", time: NOW }])
    expect(parseNote(note).signatures.map(({ name }) => name)).toEqual([ORIGIN, "several"])
  })

  test("a newer cosignature takes the place of the older one", async () => {
    const network = new Network().addGood("good", 2)
    const { note: old } = await network.collect(8)
    const later = new Network()
    const key = witnessKey(2, "good")
    later.add("good", key, async () => new Response(line(key, log.checkpoint(8), NOW + 60)))
    const { note } = await collectCosignatures(old, later.witnesses, { ...later, proofFrom: log.proofFrom })
    expect(note).toBe(log.checkpoint(8) + line(key, log.checkpoint(8), NOW + 60))
    expect((await later.collect(8)).isQuorum).toBeUndefined()
  })

  test("unreachable, without a URL, or with a proof that fails: told for each", async () => {
    const network = new Network().addGood("good", 2)
    await network.collect(3)
    network.witnesses.push(policyWitness("gone", witnessKey(8)), {
      ...policyWitness("nowhere", witnessKey(9)),
      url: undefined,
    })
    const { outcomes, note } = await network.collect(8, {
      proofFrom: () => Promise.reject(new Error("the tile is missing")),
    })
    expect(outcomes).toEqual([
      { witness: "good", status: "no_proof", reason: "the tile is missing" },
      { witness: "gone", status: "unreachable", reason: "fetch failed" },
      { witness: "nowhere", status: "unreachable", reason: "it has no URL" },
    ])
    expect(note).toBe(log.checkpoint(8))
  })

  test("a proof or an answer that never ends is late as well; the request is told to stop", async () => {
    const time = new FakeTime()
    const network = new Network().addGood("good", 2)
    await network.collect(3)
    // Held, as `fetch` holds it: Node's requests relay an abort through a weak reference.
    const asked = Promise.withResolvers<Request>()
    network.add("silent", witnessKey(5), async (request) => {
      asked.resolve(request)
      return new Response(new ReadableStream())
    })
    const collecting = network.collect(8, { timers: time.timers, deadlineMs: 10, proofFrom: never as never })
    const request = await asked.promise
    await time.advance(10)
    expect((await collecting).outcomes).toMatchObject([{ status: "late" }, { status: "late" }])
    expect(request.signal.aborted).toBe(true)
  })

  test("the caller's signal ends it, and keeps what has come", async () => {
    const network = new Network().addGood("good", 2).add("slow", witnessKey(1, "slow"), never)
    const stop = new AbortController()
    const collecting = network.collect(8, { signal: stop.signal })
    await settle()
    stop.abort(new Error("closing"))
    expect((await collecting).outcomes).toEqual([
      { witness: "good", status: "cosigned", time: NOW },
      { witness: "slow", status: "late", reason: "closing" },
    ])
    expect((await network.collect(8, { signal: AbortSignal.abort() })).outcomes).toMatchObject([
      { status: "late" },
      { status: "late" },
    ])
  })

  test("what is no checkpoint is refused before anybody is asked", async () => {
    const network = new Network().addGood("good", 2)
    const options = { fetch: network.fetch, proofFrom: log.proofFrom }
    for (const note of ["", "text\n\n", log.checkpoint(8).replace("\n8\n", "\n08\n")]) {
      await expect(collectCosignatures(note, network.witnesses, options)).rejects.toMatchObject({
        code: "invalid_input",
      })
    }
    expect(network.requests).toEqual([])
  })
})

/** A good cosignature at a time that no number holds. */
function beyondAllTimes(key: SignerKey, checkpoint: string): string {
  const time = 2n ** 62n + 1n
  const message = utf8(`cosignature/v1\ntime ${time}\n${parseNote(checkpoint).text}`)
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, time)
  const signature = concatBytes([bytes, ed25519Sign(key.seed, message)])
  expect(cosignatureVerifier(key).verify(parseNote(checkpoint).text, signature)).toBe(true)
  return formatSignatureLine({ name: key.name, keyId: key.keyId, signature })
}
