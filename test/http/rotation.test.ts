/** A log whose key changes: who trusts the first key follows, by what that key has signed and by nothing else. */
import { describe, expect, test } from "vitest"
import { AuditLog } from "../../src/audit/index.ts"
import { AuditClient, type ProvedRecord } from "../../src/client/index.ts"
import { formatVerifierKey, generateSignerKey, type SignerKey } from "../../src/core/index.ts"
import { signKeyChange } from "../../src/core/key-change.ts"
import { createHandler, everybody, type Access, type ServiceHandler } from "../../src/server/index.ts"
import { MemoryStore } from "../../src/store/index.ts"
import { seededBytes } from "../support/fake-time.ts"
import { fill, ORIGIN } from "./world.ts"

const keyOf = (seed: number): SignerKey => generateSignerKey(ORIGIN, "log", seededBytes(seed))
const [first, second, third, stranger] = [keyOf(1), keyOf(2), keyOf(3), keyOf(4)] as const
const AT = "2026-11-24T12:00:00Z"

/** The service is stopped and started again with the next key, as `hansard keygen --rotate` has it. */
class Rotating {
  readonly #store = new MemoryStore()
  readonly #access: Access | undefined
  readonly #used: SignerKey[] = []
  #log: AuditLog | undefined
  #handler: ServiceHandler = () => Promise.reject(new Error("not yet"))

  constructor(access?: Access) {
    this.#access = access
  }

  readonly fetch = (url: string, init: RequestInit): Promise<Response> =>
    this.#handler(new Request(url, init), {})

  get log(): AuditLog {
    if (this.#log === undefined) throw new Error("not open")
    return this.#log
  }

  async use(signer: SignerKey, previous: SignerKey | undefined, signedBy = previous): Promise<void> {
    if (this.#log !== undefined && signedBy !== undefined) {
      const change = {
        ...signKeyChange(signedBy, signer),
        previous_vkey: formatVerifierKey(previous ?? signedBy),
      }
      await this.#log.append({ at: AT, kind: "signing_key_set", ...change })
    }
    await this.#log?.close()
    const previousKeys = this.#used.map(formatVerifierKey)
    this.#used.push(signer)
    this.#log = await AuditLog.open(this.#store, {
      ledger: { signer, previousKeys, checkpointIntervalMs: 10 },
    })
    const access = this.#access
    this.#handler = createHandler(this.#log, {
      authorize: access === undefined ? everybody : () => access,
      vkey: formatVerifierKey(signer),
    })
    await this.#log.checkpoint()
  }
}

const open = (service: Rotating, known?: string): AuditClient =>
  new AuditClient("http://log.example", {
    keys: [formatVerifierKey(first)],
    fetch: service.fetch,
    ...(known === undefined ? {} : { known }),
  })

describe("a log whose key changes", () => {
  test("is read on by who pinned the first key: pages, single records, and what was remembered", async () => {
    const service = new Rotating()
    await service.use(first, undefined)
    await fill(service.log, 5)
    const client = open(service)
    expect((await client.records()).records).toHaveLength(5)
    const known = client.head?.checkpoint
    await service.use(second, first)
    await fill(service.log, 3)
    await service.use(third, second)
    await fill(service.log, 2)
    expect((await client.records()).records).toHaveLength(12)
    expect((await client.record(11)).index).toBe(11)
    // Somebody who comes now, with the first key alone or what it had signed.
    expect((await open(service).record(11)).index).toBe(11)
    expect((await open(service, known).records()).records).toHaveLength(12)
    await service.log.close()
  })

  test("is followed by a tail that goes on over the change", async () => {
    const service = new Rotating()
    await service.use(first, undefined)
    await fill(service.log, 5)
    const seen: ProvedRecord[] = []
    const reading = (async () => {
      for await (const proved of open(service).tail({ from: 0 })) {
        if (seen.push(proved) === 12) return
      }
    })()
    await expect.poll(() => seen.length, { timeout: 20_000 }).toBe(5)
    await service.use(second, first)
    await fill(service.log, 6)
    await reading
    expect(seen.map(({ index }) => index)).toEqual(Array.from({ length: 12 }, (_, i) => i))
    expect(seen[5]?.record).toMatchObject({ kind: "signing_key_set" })
    await service.log.close()
  })

  test.each<[string, SignerKey | undefined]>([
    ["that nobody has signed over to", undefined],
    ["whose change another key has signed", stranger],
    ["that signs for itself", second],
  ])("is refused with a key %s", async (_what, signedBy) => {
    const service = new Rotating()
    await service.use(first, undefined)
    await fill(service.log, 5)
    const client = open(service)
    await client.refresh()
    await service.use(second, signedBy === undefined ? undefined : first, signedBy)
    await fill(service.log, 1)
    await expect(client.records()).rejects.toMatchObject({ code: "bad_signature" })
    await expect(open(service).record(1)).rejects.toMatchObject({ code: "bad_signature" })
    const tailing = (async () => {
      for await (const { index } of open(service).tail({ from: 0 })) expect(index).toBeLessThan(0)
    })()
    await expect(tailing).rejects.toMatchObject({ code: "bad_signature" })
    await service.log.close()
  })

  test("is followed by a reader who sees only some records: a change of key is everybody's", async () => {
    const limits = { agents: ["agent-1"], kinds: ["turn_failed"] }
    const service = new Rotating({ name: "tenant", scopes: ["read"], limits })
    await service.use(first, undefined)
    await fill(service.log, 6)
    await service.use(second, first)
    await fill(service.log, 6)
    const { records } = await open(service).records()
    expect(records.length).toBeGreaterThan(0)
    expect(records.every(({ record }) => record["kind"] === "turn_failed")).toBe(true)
    await service.log.close()
  })
})
