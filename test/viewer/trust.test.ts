/** The badge's logic without a browser: honest logs, and every lie that a service could tell. */
import { describe, expect, test } from "vitest"
import { AuditLog, storedTiles } from "../../src/audit/index.ts"
import {
  checkForkEvidence,
  encodeLine,
  formatVerifierKey,
  generateSignerKey,
  logPolicy,
  checkProofFile,
  NotFoundError,
  StoreUnavailableError,
  parseForkEvidence,
  parseProofFile,
  parseTilePath,
  parseVerifierKey,
  systemRandom,
} from "../../src/core/index.ts"
import type { LogReader } from "../../src/client/audit-client/log-reader.ts"
import type { SignerKey } from "../../src/core/index.ts"
import { cosigner } from "../../src/core/cosignature.ts"
import { formatNote, parseNote } from "../../src/core/note.ts"
import { signKeyChange } from "../../src/core/key-change.ts"
import { MemoryStore, readText } from "../../src/store/index.ts"
import type { TailCheckpoint } from "../../src/wire/http.ts"
import { parseMemory, withSeen } from "../../src/viewer/trust/memory.ts"
import type { SeenCheckpoint, TrustMemory } from "../../src/viewer/trust/memory.ts"
import { Trust } from "../../src/viewer/trust/trust.ts"
import type { TrustPorts } from "../../src/viewer/trust/trust.ts"

const AT = "2026-05-05T10:00:00.000Z"
const signer = generateSignerKey("log.example", "log", systemRandom)

class World {
  readonly store = new MemoryStore()
  readonly log: AuditLog
  memory: TrustMemory | undefined
  readonly lines: string[] = []
  readonly signer: SignerKey

  constructor(key: SignerKey = signer) {
    this.signer = key
    this.log = new AuditLog(this.store, { ledger: { signer: key, checkpointIntervalMs: 3_600_000 } })
  }

  async grow(count: number, word = "step"): Promise<void> {
    for (let i = 0; i < count; i++) {
      const record = { at: "2026-05-05T10:00:00.000Z", kind: "noted", n: this.lines.length, word }
      this.lines.push(encodeLine(record))
      await this.log.append(record)
    }
    await this.log.checkpoint()
  }

  async tile(path: string): Promise<Uint8Array | undefined> {
    return (await storedTiles(this.store)([parseTilePath(path)]))[0]
  }

  /** @param lies what the service says instead. */
  ports(lies: Partial<LogReader> = {}, changes: Partial<TrustPorts> = {}): TrustPorts {
    return {
      reader: {
        checkpoint: async () => await readText(this.store, "/audit/checkpoint"),
        tile: async (path) => {
          const found = await this.tile(path)
          if (found === undefined) throw new NotFoundError(`there is no ${path}`)
          return found
        },
        key: async () => formatVerifierKey(this.signer),
        keyChanges: async () => [],
        covering: () => Promise.reject(new NotFoundError("none")),
        ...lies,
      },
      load: () => this.memory,
      save: (memory) => {
        this.memory = memory
      },
      clock: () => 1_000,
      changed: () => {},
      ...changes,
    }
  }
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

describe("an honest service", () => {
  test("is trusted on first use, and every line is proved with a proof that others can check", async () => {
    const world = new World()
    await world.grow(600)
    const trust = new Trust(world.ports())
    for (const index of [0, 1, 255, 256, 511, 599]) {
      const state = await trust.prove(index, utf8(world.lines[index] ?? ""))
      expect(state.status).toBe("proved")
      if (state.status !== "proved") continue
      checkProofFile(parseProofFile(state.proof), utf8(world.lines[index] ?? ""), logPolicy([signer]))
    }
    expect(trust.state).toMatchObject({ status: "verified", pin: "first_use", continues: undefined })
    expect(world.memory).toMatchObject({ pin: "first_use", seen: [{ size: 600, at: 1_000 }] })
  })

  test("is held to what was verified on an earlier visit", async () => {
    const world = new World()
    await world.grow(5)
    await new Trust(world.ports()).refresh()
    await world.grow(700)
    const next = new Trust(world.ports())
    await next.refresh()
    expect(next.state).toMatchObject({ status: "verified", continues: 5 })
    await world.grow(1)
    await next.refresh()
    expect(next.state).toMatchObject({ status: "verified", continues: 5, head: { size: 706 } })
    const fresh = new Trust(world.ports({}, { load: () => undefined, save: () => {} }))
    await fresh.refresh()
    await world.grow(1)
    await fresh.refresh()
    expect(fresh.state).toMatchObject({ status: "verified", continues: undefined, head: { size: 707 } })
  })

  test("may change its key, when the old key says so, and only then", async () => {
    const world = new World()
    await world.grow(3)
    await new Trust(world.ports()).refresh()
    const next = generateSignerKey("log.example", "log", systemRandom)
    const record = { at: AT, kind: "signing_key_set", ...signKeyChange(signer, next) }
    await world.log.append(record)
    await world.log.close()
    const previousKeys = [formatVerifierKey(signer)]
    const log = new AuditLog(world.store, { ledger: { signer: next, previousKeys } })
    await log.append({ at: AT, kind: "noted" })
    await log.checkpoint()
    const ports = (signature: string): TrustPorts =>
      world.ports({ keyChanges: async () => [{ index: 3, record: { ...record, signature } }] })

    const forged = new Trust(ports(signKeyChange(next, signer).signature))
    await forged.refresh()
    expect(forged.state.status).toBe("refused")
    const followed = new Trust(ports(record.signature))
    await followed.refresh()
    expect(followed.state).toMatchObject({ status: "verified", continues: 3, head: { size: 5 } })
    expect(world.memory).toMatchObject({ vkey: formatVerifierKey(next), pin: "first_use" })
    await log.close()
  })

  test("a line that no checkpoint covers yet is pending", async () => {
    const world = new World()
    await world.grow(3)
    await world.log.append({ at: "2026-05-05T10:00:00.000Z", kind: "noted" })
    expect(await new Trust(world.ports()).prove(3, utf8("{}"))).toEqual({ status: "pending", size: 3 })
  })

  test("that does not answer is neither trusted nor refused, and is believed again when it does", async () => {
    const world = new World()
    await world.grow(3)
    let isThere = true
    const checkpoint = async (): Promise<string | undefined> => {
      if (!isThere) throw new StoreUnavailableError("no answer")
      return await world.ports().reader.checkpoint()
    }
    const trust = new Trust(world.ports({ checkpoint }))
    await trust.refresh()
    isThere = false
    await expect(trust.refresh()).rejects.toThrow("no answer")
    expect(trust.state).toMatchObject({ status: "verified", head: { size: 3 } })
    isThere = true
    await world.grow(2)
    await trust.refresh()
    expect(trust.state).toMatchObject({ status: "verified", head: { size: 5 } })
  })

  test("without a tile is one that cannot prove, not one that lies", async () => {
    const world = new World()
    await world.grow(300)
    const tile = (): Promise<Uint8Array> => Promise.reject(new NotFoundError("no such tile"))
    const state = await new Trust(world.ports({ tile })).prove(17, utf8(world.lines[17] ?? ""))
    expect(state).toEqual({ status: "unprovable", because: "no such tile" })
  })

  test("a checkpoint that the tail told late is no rollback", async () => {
    const world = new World()
    await world.grow(3)
    const early = await world.ports().reader.checkpoint()
    await world.grow(3)
    const trust = new Trust(world.ports())
    await trust.refresh()
    await trust.refresh(early)
    expect(trust.state).toMatchObject({ status: "verified", head: { size: 6 } })
  })
})

describe("a service that lies", () => {
  test("about one byte of a line", async () => {
    const world = new World()
    await world.grow(300)
    const line = (world.lines[17] ?? "").replace("step", "stop")
    expect(await new Trust(world.ports()).prove(17, utf8(line))).toMatchObject({ status: "refused" })
  })

  test("about a line and its tile", async () => {
    const world = new World()
    await world.grow(300)
    const flipped = async (path: string): Promise<Uint8Array> => {
      const bytes = (await world.tile(path)) ?? new Uint8Array()
      return bytes.map((byte, i) => (i === 40 ? byte ^ 1 : byte))
    }
    const trust = new Trust(world.ports({ tile: flipped }))
    expect(await trust.prove(17, utf8(world.lines[17] ?? ""))).toMatchObject({ status: "refused" })
  })

  test("with another key", async () => {
    const world = new World()
    await world.grow(3)
    await new Trust(world.ports()).refresh()
    const other = new World(generateSignerKey("log.example", "log", systemRandom))
    await other.grow(4)
    const trust = new Trust({ ...other.ports(), load: () => world.memory })
    await trust.refresh()
    expect(trust.state).toMatchObject({ status: "refused", because: "no known key has signed the note" })
  })

  test("by rewriting history: the evidence convinces others", async () => {
    const world = new World()
    await world.grow(9)
    await new Trust(world.ports()).refresh()
    const forked = new World()
    await forked.grow(20, "other")
    const trust = new Trust({ ...forked.ports(), load: () => world.memory })
    await trust.refresh()
    expect(trust.state).toMatchObject({ status: "refused" })
    const evidence = trust.state.status === "refused" ? trust.state.evidence : undefined
    const key = parseVerifierKey(formatVerifierKey(signer))
    const fork = checkForkEvidence(parseForkEvidence(evidence ?? new Uint8Array()), [key])
    expect(fork).toMatchObject({ olderSize: 9, newerSize: 20 })
  })

  test("and then tells the truth again: it has still told another story", async () => {
    const world = new World()
    await world.grow(3)
    await new Trust(world.ports()).refresh()
    const forked = new World()
    await forked.grow(4, "other")
    let server = forked
    const trust = new Trust(
      world.ports({
        checkpoint: async () => await server.ports().reader.checkpoint(),
        tile: async (path) => await server.ports().reader.tile(path),
      }),
    )
    await trust.refresh()
    server = world
    await trust.refresh()
    expect(trust.state.status).toBe("refused")
  })

  test("to one window and not to another", async () => {
    const world = new World()
    await world.grow(3)
    const trust = new Trust(world.ports())
    await trust.refresh()
    const forked = new World()
    await forked.grow(3)
    await forked.grow(4, "other")
    // The other window continued the three records that both had in common, and wrote down what it was shown.
    world.memory = undefined
    await new Trust({
      ...forked.ports(),
      load: () => undefined,
      save: (memory) => (world.memory = memory),
    }).refresh()
    await world.grow(2)
    await trust.refresh()
    expect(trust.state).toMatchObject({ status: "refused" })
  })

  test("where the browser stores nothing, by another key in the same visit", async () => {
    const world = new World()
    await world.grow(3)
    const other = new World(generateSignerKey("log.example", "log", systemRandom))
    await other.grow(5)
    let server = world
    const lies: Partial<LogReader> = {
      checkpoint: async () => await server.ports().reader.checkpoint(),
      tile: async (path) => await server.ports().reader.tile(path),
      key: async () => formatVerifierKey(server.signer),
    }
    const trust = new Trust(world.ports(lies, { load: () => undefined, save: () => {} }))
    await trust.refresh()
    server = other
    await trust.refresh()
    expect(trust.state).toMatchObject({ status: "refused", because: "no known key has signed the note" })
  })

  test("by showing an older log, or none", async () => {
    const world = new World()
    await world.grow(3)
    const early = await world.ports().reader.checkpoint()
    await world.grow(3)
    await new Trust(world.ports()).refresh()
    const rolledBack = new Trust(world.ports({ checkpoint: async () => early }))
    await rolledBack.refresh()
    expect(rolledBack.state.status).toBe("refused")
    const silent = new Trust(world.ports({ checkpoint: async () => undefined }))
    await silent.refresh()
    expect(silent.state.status).toBe("refused")
  })
})

describe("a tail that is watched", () => {
  const tailCheckpoint = async (world: World, size: number): Promise<TailCheckpoint> => ({
    checkpoint: (await world.ports().reader.checkpoint()) ?? "",
    size,
    from: null,
    proof: [],
    position: size,
  })

  test("is believed while it is honest, filtered or whole, and where the service does not answer it merely ends", async () => {
    const world = new World()
    await world.grow(5)
    let isThere = true
    const tile = async (path: string): Promise<Uint8Array> => {
      if (!isThere) throw new StoreUnavailableError("no answer")
      return (await world.tile(path)) ?? new Uint8Array()
    }
    const trust = new Trust(world.ports({ tile }))
    expect(trust.watch(0, true)).toBeUndefined()
    await trust.refresh()
    const [whole, filtered] = [trust.watch(5, true), trust.watch(5, false)]
    await world.grow(300)
    for (let i = 5; i < 305; i++) {
      whole?.receive(i, world.lines[i] ?? "")
      if (i % 7 === 0) filtered?.receive(i, world.lines[i] ?? "")
    }
    await whole?.checkpoint(await tailCheckpoint(world, 305))
    await filtered?.checkpoint(await tailCheckpoint(world, 305))
    expect([whole?.isOver, filtered?.isOver, trust.state.status]).toEqual([false, false, "verified"])
    isThere = false
    await world.grow(3)
    filtered?.receive(306, world.lines[306] ?? "")
    await filtered?.checkpoint(await tailCheckpoint(world, 308))
    expect([filtered?.isOver, trust.state.status]).toEqual([true, "verified"])
  })

  test("and is missing a record that was signed makes the head one that is not to be trusted", async () => {
    const world = new World()
    await world.grow(5)
    const trust = new Trust(world.ports())
    await trust.refresh()
    const watch = trust.watch(5, true)
    await world.grow(3)
    watch?.receive(5, world.lines[5] ?? "")
    watch?.receive(6, world.lines[6] ?? "")
    await watch?.checkpoint(await tailCheckpoint(world, 8))
    expect(trust.state).toMatchObject({
      status: "refused",
      because: "record 7 is missing: it is signed and was not sent",
    })
  })
})

describe("witnesses of the reader's policy", () => {
  const witness = generateSignerKey("witness.example/w", "cosigner", systemRandom)
  const other = generateSignerKey("other.example/o", "cosigner", systemRandom)
  const SEEN = 1_778_000_000
  const policyOf = (log: SignerKey): string =>
    `log ${formatVerifierKey(log)}\nwitness wit ${formatVerifierKey(witness)}\nwitness oth ${formatVerifierKey(other)}\ngroup g 1 wit oth\nquorum g\n`

  /** The log's checkpoint, cosigned; `spoil` flips a bit of the cosignature. */
  async function cosigned(world: World, spoil = false): Promise<string> {
    const note = parseNote((await world.ports().reader.checkpoint()) ?? "")
    const signer = cosigner(witness, () => SEEN)
    const signature = signer.sign(note.text)
    if (spoil) signature[20] = (signature[20] ?? 0) ^ 1
    const { name, keyId } = signer
    return formatNote({ ...note, signatures: [...note.signatures, { name, keyId, signature }] })
  }

  test("say how far everybody was shown the same, and keep it while newer heads are not cosigned", async () => {
    const world = new World()
    await world.grow(3)
    let isCosigning = true
    const trust = new Trust(
      world.ports({
        checkpoint: async () =>
          isCosigning ? await cosigned(world) : await world.ports().reader.checkpoint(),
      }),
    )
    await trust.refresh()
    expect(trust.state).toMatchObject({ status: "verified", witnesses: undefined })
    trust.usePolicy(policyOf(signer))
    await trust.refresh()
    const covered = { size: 3, at: SEEN, by: ["wit"] }
    expect(trust.state).toMatchObject({
      status: "verified",
      pin: "given",
      witnesses: {
        quorum: "g",
        each: [
          { name: "wit", at: SEEN },
          { name: "oth", at: undefined },
        ],
        covered,
      },
    })
    isCosigning = false
    await world.grow(4)
    await trust.refresh()
    expect(trust.state).toMatchObject({ head: { size: 7 }, witnesses: { covered } })
    const next = new Trust(world.ports())
    await next.refresh()
    expect(next.state).toMatchObject({ head: { size: 7 }, witnesses: { covered } })
    expect(parseMemory(JSON.stringify(world.memory))).toEqual(world.memory)
    next.usePolicy(undefined)
    await next.refresh()
    expect(next.state).toMatchObject({ status: "verified", witnesses: undefined })
  })

  test("that are forged make the head one that is not to be trusted", async () => {
    const world = new World()
    await world.grow(3)
    const trust = new Trust(world.ports({ checkpoint: async () => await cosigned(world, true) }))
    await trust.refresh()
    expect(trust.state.status).toBe("verified")
    trust.usePolicy(policyOf(signer))
    await trust.refresh()
    expect(trust.state).toMatchObject({ status: "refused", because: "the cosignature by wit is bad" })
  })

  test("of another log, or of no policy at all, are not taken", async () => {
    const world = new World()
    await world.grow(3)
    const trust = new Trust(world.ports())
    await trust.refresh()
    const before = world.memory
    const stranger = generateSignerKey("stranger.example", "log", systemRandom)
    for (const text of ["", "quorum none\n", policyOf(stranger), "log x\nquorum none\n"]) {
      expect(() => trust.usePolicy(text), text).toThrow()
    }
    expect(world.memory).toEqual(before)
    // Another key for the same log: it is believed instead, and has not signed this.
    trust.usePolicy(policyOf(generateSignerKey("log.example", "log", systemRandom)))
    await trust.refresh()
    expect(trust.state.status).toBe("refused")
  })
})

describe("what the browser remembers", () => {
  test("stands any text in the storage", () => {
    for (const text of [undefined, "", "{", "null", "7", "[]", '{"vkey":1}', '{"vkey":"x","pin":"y"}']) {
      expect(parseMemory(text)).toBeUndefined()
    }
    expect(parseMemory('{"vkey":"x","pin":"given","pinned_at":1,"seen":[1,{"size":2,"at":3}]}')).toEqual({
      vkey: "x",
      pin: "given",
      pinned_at: 1,
      seen: [{ size: 2, at: 3 }],
    })
  })

  test("gets coarser with age, and never grows without limit", () => {
    let seen: SeenCheckpoint[] = []
    for (let size = 1; size <= 5_000; size++) seen = withSeen(seen, { size, at: size })
    expect(seen.length).toBeLessThanOrEqual(400)
    expect(seen.at(-1)).toEqual({ size: 5_000, at: 5_000 })
    expect(seen.map(({ size }) => size)).toEqual(seen.map(({ size }) => size).toSorted((a, b) => a - b))
  })
})
