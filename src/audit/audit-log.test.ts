import { describe, expect, test, vi } from "vitest"
import { utf8 } from "../core/bytes.ts"
import type { ChannelMetadata, Envelope, Violation } from "../model/index.ts"
import { makeEnvelope, makePassport, ProtocolError } from "../model/index.ts"
import { MemoryStore } from "../store/memory.ts"
import { FakeTime, settle } from "../../test/support/fake-time.ts"
import { FlakyStore } from "../../test/support/flaky-store.ts"
import { AuditLog } from "./audit-log.ts"
import { LOG_PATH } from "./paths.ts"
import type { AuditRecord, LogObserver } from "./types.ts"

const NOW = "2026-05-05T10:00:00.000Z"
const THEN = "2026-05-05T09:00:00.000Z"

const time = new FakeTime()
const clock = time.clock

async function lines(store: MemoryStore): Promise<string[]> {
  const bytes = await store.read(LOG_PATH)
  return new TextDecoder().decode(bytes).split("\n").slice(0, -1)
}

const metadata: ChannelMetadata = {
  channel_id: "c1",
  manifest: {
    type: "consulting",
    version: 1,
    participants: { min: 2, max: 2, roles: ["initiator", "respondent"] },
    knobs_schema: {},
    default_view_policy: "full_transcript",
    expectations: [],
  },
  creator_id: "a1",
  participants: [
    { agent_id: "a1", role: "initiator", order: 0, joined_at: THEN },
    { agent_id: "a2", role: "respondent", order: 1, joined_at: THEN },
  ],
  state: "pending",
  created_at: THEN,
  expires_at: null,
  closed_at: null,
  close_reason: "",
  parent_channel_id: null,
  knobs: {},
  labels: {},
  required_acks: null,
  pending_acks: ["a2"],
  rejected_by: [],
}

const violation: Violation = {
  expectation: { name: "acks_within", on_violation: "auto_close", params: { seconds: 30 }, applies_to: null },
  violator_ids: ["a2"],
  detail: { elapsed_seconds: 31.5 },
}

describe("what the log records", () => {
  test("standard coverage: exactly the kinds and keys of AG2, byte for byte", async () => {
    const store = new MemoryStore()
    const log = new AuditLog(store, { clock })
    const passport = makePassport({ name: "ana" }, "a1", THEN)
    await log.onAgentEvent("a1", "registered", { passport, at: THEN, actor_id: "a1" })
    await log.onAgentEvent("a1", "unregistered", { name: "ana", at: THEN })
    await log.onAgentEvent("a1", "resume_set", { version: 2, at: THEN })
    await log.onAgentEvent("a1", "observation_recorded", {
      version: 3,
      capability: "research",
      outcome: "completed",
      at: THEN,
    })
    await log.onAgentEvent("a1", "skill_set", { at: THEN })
    await log.onAgentEvent("a1", "skill_set", { removed: true, at: THEN })
    await log.onAgentEvent("a1", "rule_set", { version: 4, at: THEN })
    await log.onChannelEvent("c1", "created", { metadata, participants: ["a1", "a2"], at: THEN })
    await log.onChannelEvent("c1", "closed", { reason: "explicit_close", metadata, at: THEN })
    await log.onChannelEvent("c1", "expired", { reason: "ttl_expired", metadata, at: THEN })
    await log.onExpectationFired("c1", "acks_within", violation)
    await log.onTaskEvent("t1", "failed", {
      owner_id: "a1",
      channel_id: "c1",
      reason: "no luck",
      capability: "research",
      outcome: "failed",
      started_at: THEN,
      at: THEN,
    })
    await log.onTurnFailed("c1", "a2", "e1", new RangeError("too far"))
    expect(await lines(store)).toEqual([
      `{"agent_id": "a1", "at": "${THEN}", "kind": "agent_registered", "name": "ana"}`,
      `{"agent_id": "a1", "at": "${THEN}", "kind": "agent_unregistered", "name": "ana"}`,
      `{"agent_id": "a1", "at": "${THEN}", "kind": "resume_set", "source": "tenant", "version": 2}`,
      `{"agent_id": "a1", "at": "${THEN}", "capability": "research", "kind": "resume_set", "outcome": "completed", "source": "observed", "version": 3}`,
      `{"agent_id": "a1", "at": "${THEN}", "kind": "skill_set", "removed": false}`,
      `{"agent_id": "a1", "at": "${THEN}", "kind": "skill_set", "removed": true}`,
      `{"agent_id": "a1", "at": "${THEN}", "kind": "rule_set", "version": 4}`,
      `{"at": "${THEN}", "channel_id": "c1", "creator_id": "a1", "kind": "channel_created", "manifest_type": "consulting", "manifest_version": 1, "participants": ["a1", "a2"]}`,
      `{"at": "${THEN}", "channel_id": "c1", "kind": "channel_closed", "reason": "explicit_close"}`,
      `{"at": "${THEN}", "channel_id": "c1", "kind": "channel_expired", "reason": "ttl_expired"}`,
      `{"at": "${NOW}", "channel_id": "c1", "detail": {"elapsed_seconds": 31.5}, "expectation": "acks_within", "kind": "expectation_violated", "on_violation": "auto_close", "params": {"seconds": 30}, "violators": ["a2"]}`,
      `{"at": "${THEN}", "capability": "research", "channel_id": "c1", "kind": "task_terminated", "outcome": "failed", "owner_id": "a1", "reason": "no luck", "task_id": "t1"}`,
      `{"agent_id": "a2", "at": "${NOW}", "channel_id": "c1", "envelope_id": "e1", "exc_message": "too far", "exc_type": "RangeError", "kind": "turn_failed"}`,
    ])
  })

  test("falls back: no metadata, participants from the metadata, outcome from the kind, null for the missing", async () => {
    const store = new MemoryStore()
    const log = new AuditLog(store, { clock })
    await log.onChannelEvent("c1", "created", { participants: ["a1"] })
    await log.onChannelEvent("c1", "created", { metadata })
    await log.onTaskEvent("t1", "cancelled", {})
    await log.onAgentEvent("a1", "registered", {})
    await log.onAgentEvent("a1", "rule_set", { rule: { version: 9 }, at: "" })
    expect(await lines(store)).toEqual([
      `{"at": "${NOW}", "channel_id": "c1", "kind": "channel_created", "participants": ["a1"]}`,
      `{"at": "${NOW}", "channel_id": "c1", "creator_id": "a1", "kind": "channel_created", "manifest_type": "consulting", "manifest_version": 1, "participants": ["a1", "a2"]}`,
      `{"at": "${NOW}", "capability": null, "channel_id": null, "kind": "task_terminated", "outcome": "cancelled", "owner_id": null, "reason": null, "task_id": "t1"}`,
      `{"agent_id": "a1", "at": "${NOW}", "kind": "agent_registered", "name": null}`,
      `{"agent_id": "a1", "at": "${NOW}", "kind": "rule_set", "version": 9}`,
    ])
  })

  const envelope: Envelope = makeEnvelope({
    channel_id: "c1",
    sender_id: "a1",
    event_type: "ag2.msg.text",
    event_data: { text: "a secret" },
    envelope_id: "e1",
  })

  async function tellTheRest(log: AuditLog): Promise<void> {
    await log.onHubEvent("started", { version: "1.2.3", at: THEN })
    await log.onChannelEvent("c1", "opened", { metadata, at: THEN, actor_id: "a1" })
    await log.onTaskEvent("t1", "started", { owner_id: "a1", channel_id: null, capability: null, at: THEN })
    await log.onTaskEvent("t1", "progress", {})
    await log.onAgentEvent("a1", "frobnicated", {})
    await log.onEnvelopeRejected(envelope, new ProtocolError("not your turn"))
    await log.onDispatchFailed(envelope, "a2", new Error("gone"))
    await log.onInboxPressure("a2", 8, 10)
    await log.onAuthFailed("ana", "api_key", new ProtocolError("no"))
    await log.onAccessDenied("set_rule", "a2", new ProtocolError("not yours"))
    await log.onHubEvent("quarantined", { path: "/channels/c9", reason: "bad", at: THEN })
    await log.onHubEvent("stopped", { reason: "closed", at: THEN })
  }

  test("standard coverage hears the rest and records none of it", async () => {
    const store = new MemoryStore()
    const log = new AuditLog(store, { clock })
    await tellTheRest(log)
    await log.close()
    expect(await lines(store)).toEqual([])
  })

  test("full coverage records it, with who asked, and never what was said", async () => {
    const store = new MemoryStore()
    const log = new AuditLog(store, { clock, coverage: "full" })
    await tellTheRest(log)
    await log.onAgentEvent("a1", "rule_set", { version: 2, at: THEN, actor_id: "a7" })
    const all = await lines(store)
    expect(all).toEqual([
      `{"at": "${THEN}", "kind": "hub_started", "size": 0, "torn_bytes": 0, "version": "1.2.3"}`,
      `{"actor_id": "a1", "at": "${THEN}", "channel_id": "c1", "kind": "channel_opened"}`,
      `{"at": "${THEN}", "capability": null, "channel_id": null, "kind": "task_started", "owner_id": "a1", "task_id": "t1"}`,
      `{"actor_id": "a1", "at": "${NOW}", "channel_id": "c1", "code": "protocol_error", "event_type": "ag2.msg.text", "kind": "envelope_rejected", "reason": "not your turn", "sender_id": "a1"}`,
      `{"at": "${NOW}", "channel_id": "c1", "envelope_id": "e1", "kind": "dispatch_failed", "reason": "gone", "recipient_id": "a2"}`,
      `{"agent_id": "a2", "at": "${NOW}", "cap": 10, "kind": "inbox_pressure", "pending": 8}`,
      `{"at": "${NOW}", "kind": "auth_failed", "name": "ana", "reason": "no", "scheme": "api_key"}`,
      `{"actor_id": "a2", "agent_id": "a2", "at": "${NOW}", "kind": "access_denied", "op": "set_rule", "reason": "not yours"}`,
      `{"at": "${THEN}", "kind": "quarantined", "path": "/channels/c9", "reason": "bad"}`,
      `{"at": "${THEN}", "kind": "hub_stopped", "reason": "closed"}`,
      `{"actor_id": "a7", "agent_id": "a1", "at": "${THEN}", "kind": "rule_set", "version": 2}`,
    ])
    expect(all.join()).not.toContain("a secret")
  })

  test("a hub event that is too large is cut, not lost", async () => {
    const store = new MemoryStore()
    const log = new AuditLog(store, { clock })
    await log.onTurnFailed("c1", "a1", "e1", new Error("x".repeat(200_000)))
    const [record] = await log.readAll()
    expect(record).toMatchObject({ kind: "turn_failed", channel_id: "c1", exc_type: "Error" })
    expect(String(record?.["exc_message"])).toMatch(/^x+…\[cut \d+ characters\]$/)
  })
})

describe("append", () => {
  test("the constructor does no I/O, and the first append opens", async () => {
    const store = new MemoryStore()
    const spies = (["read", "readRange", "size", "append", "list"] as const).map((name) =>
      vi.spyOn(store, name),
    )
    const log = new AuditLog(store, { clock })
    await settle()
    for (const spy of spies) expect(spy).not.toHaveBeenCalled()
    expect(await log.append({ at: NOW, kind: "deploy_approved", by: "ana" })).toEqual({ index: 0 })
    expect(log.size).toBe(1)
  })

  test("gives indexes in the order of the calls, and counts bytes", async () => {
    const store = new MemoryStore()
    const log = await AuditLog.open(store, { clock })
    const receipts = await Promise.all(
      Array.from({ length: 1000 }, (_, n) => log.append({ at: NOW, kind: "k", n })),
    )
    expect(receipts.map(({ index }) => index)).toEqual(Array.from({ length: 1000 }, (_, n) => n))
    expect((await log.readAll()).map((record) => record["n"])).toEqual(receipts.map(({ index }) => index))
    expect(log.bytesWritten).toBe(await store.size(LOG_PATH))
    await log.close()
    const again = await AuditLog.open(store, { clock })
    expect(again.bytesWritten).toBe(0)
    expect(again.size).toBe(1000)
    expect(await again.append({ kind: "next" })).toEqual({ index: 1000 })
  })

  test("has one batch in flight, and what arrives meanwhile is the next one", async () => {
    const store = new FlakyStore(new MemoryStore())
    const log = await AuditLog.open(store, { clock })
    const first = log.append({ n: 0 })
    await first
    const many = Array.from({ length: 500 }, (_, n) => log.append({ n: n + 1 }))
    await Promise.all(many)
    expect(store.appends).toBe(2)
  })

  test("takes the record as it is at the call", async () => {
    const log = new AuditLog(new MemoryStore(), { clock })
    const record = { kind: "k", list: [1] }
    const done = log.append(record)
    record.list.push(2)
    record.kind = "changed"
    await done
    expect(await log.readAll()).toEqual([{ kind: "k", list: [1] }])
  })

  test("refuses what no line can hold, and writes nothing", async () => {
    const store = new MemoryStore()
    const log = await AuditLog.open(store, { clock })
    const cycle: Record<string, unknown> = {}
    cycle["self"] = cycle
    await expect(log.append(cycle)).rejects.toMatchObject({ code: "invalid_record" })
    await expect(log.append([])).rejects.toMatchObject({ code: "invalid_record" })
    await expect(log.append({ text: "x".repeat(70_000) })).rejects.toMatchObject({ code: "record_too_large" })
    expect(await log.readAll()).toEqual([])
    expect(await store.exists(LOG_PATH)).toBe(false)
  })

  test("tells a direct caller of a failed write, keeps nothing, and works again", async () => {
    const store = new FlakyStore(new MemoryStore())
    const log = await AuditLog.open(store, { clock, timers: time.timers })
    for (const failure of ["not persisted", "persisted"] as const) {
      store.decide = () => failure
      await expect(log.append({ n: "lost" })).rejects.toMatchObject({ code: "store_unavailable" })
      store.decide = () => undefined
      await log.append({ n: "kept" })
    }
    expect((await log.readAll()).map((record) => record["n"])).toEqual(["kept", "kept"])
    expect(log.failures).toBe(0)
  })

  test("notices that somebody else writes to the log", async () => {
    const store = new MemoryStore()
    const log = await AuditLog.open(store, { clock })
    await log.append({ n: 0 })
    await store.append(LOG_PATH, '{"kind": "intruder"}\n')
    await expect(log.append({ n: 1 })).rejects.toMatchObject({ code: "tampered", firstBadIndex: 1 })
    await expect(log.append({ n: 2 })).rejects.toMatchObject({ code: "tampered" })
  })

  test("appendLine keeps the bytes, whatever their form", async () => {
    const store = new MemoryStore()
    const log = await AuditLog.open(store, { clock })
    const foreign = '{"kind":"k","x":NaN,  "é":1}'
    expect(await log.appendLine(foreign)).toEqual({ index: 0 })
    await log.append({ kind: "ours" })
    expect(await lines(store)).toEqual([foreign, '{"kind": "ours"}'])
    for (const bad of ["", "[]", "{", "{}\n{}", `{"a":"${"x".repeat(66_000)}"}`]) {
      await expect(log.appendLine(bad)).rejects.toMatchObject({ code: expect.any(String) as string })
    }
    const again = await AuditLog.open(store, { clock })
    expect(again.size).toBe(2)
    expect((await again.readAll())[1]).toEqual({ kind: "ours" })
  })

  test("after close: refused", async () => {
    const log = new AuditLog(new MemoryStore(), { clock })
    const last = log.append({ n: 1 })
    await log.close()
    expect(await last).toEqual({ index: 0 })
    await log.close()
    await expect(log.append({})).rejects.toMatchObject({ code: "closed" })
    await expect(log.readAll()).rejects.toMatchObject({ code: "closed" })
  })

  test("read-only: refuses to append, sees what the writer adds", async () => {
    const store = new MemoryStore()
    const writer = await AuditLog.open(store, { clock })
    const reader = await AuditLog.open(store, { readOnly: true })
    await writer.append({ n: 1 })
    expect(await reader.readAll()).toEqual([{ n: 1 }])
    expect((await reader.query()).size).toBe(1)
    await expect(reader.append({})).rejects.toMatchObject({ code: "invalid_input" })
  })
})

describe("subscribers", () => {
  test("get every record live, after it is stored, in the order of registration", async () => {
    const store = new MemoryStore()
    const log = new AuditLog(store, { clock })
    const heard: string[] = []
    log.subscribe(async (record) => {
      expect((await lines(store)).length).toBeGreaterThan(Number(record["n"]))
      heard.push(`a${String(record["n"])}`)
    })
    log.subscribe((record) => void heard.push(`b${String(record["n"])}`))
    await Promise.all([log.append({ n: 0 }), log.append({ n: 1 })])
    expect(heard).toEqual(["a0", "b0", "a1", "b1"])
  })

  test("that throw are logged and stop nobody", async () => {
    const error = vi.fn()
    const log = new AuditLog(new MemoryStore(), {
      clock,
      logger: { debug() {}, info() {}, warn() {}, error },
    })
    const heard: AuditRecord[] = []
    log.subscribe(() => {
      throw new Error("sync")
    })
    log.subscribe(() => Promise.reject(new Error("async")))
    log.subscribe((record) => void heard.push(record))
    expect(await log.append({ kind: "k" })).toEqual({ index: 0 })
    expect(heard).toEqual([{ kind: "k" }])
    expect(error).toHaveBeenCalledTimes(2)
    expect(error.mock.calls[0]?.[0]).toMatchObject({ kind: "k" })
  })

  test("unsubscribe: by function or by handle, during a round, unknown ones ignored", async () => {
    const log = new AuditLog(new MemoryStore(), { clock })
    const heard: string[] = []
    const twice = (): void => void heard.push("twice")
    log.subscribe(twice)
    log.subscribe(twice)
    const stop = log.subscribe(() => {
      heard.push("once")
      stop()
    })
    log.subscribe(() => void heard.push("last"))
    log.unsubscribe(() => {})
    await log.append({})
    expect(heard).toEqual(["twice", "twice", "once", "last"])
    heard.length = 0
    log.unsubscribe(twice)
    stop()
    await log.append({})
    expect(heard).toEqual(["twice", "last"])
  })

  test("share one frozen record, not the caller's object", async () => {
    const log = new AuditLog(new MemoryStore(), { clock })
    const seen: AuditRecord[] = []
    log.subscribe((record) => void seen.push(record))
    log.subscribe((record) => void seen.push(record))
    const mine = { kind: "k", nested: { a: 1 } }
    await log.append(mine)
    expect(seen[0]).toBe(seen[1])
    expect(seen[0]).not.toBe(mine)
    expect(Object.isFrozen(seen[0])).toBe(true)
    expect(Object.isFrozen(seen[0]?.["nested"])).toBe(true)
  })

  test("a slow one is waited for at most once, loses nothing, and keeps the order", async () => {
    const fake = new FakeTime()
    const log = await AuditLog.open(new MemoryStore(), {
      clock: fake.clock,
      timers: fake.timers,
      subscriberTimeoutMs: 5_000,
    })
    const slow: number[] = []
    const quick: number[] = []
    let release: () => void = () => {}
    log.subscribe(async (record) => {
      if (record["n"] === 0) await new Promise<void>((resolve) => (release = resolve))
      slow.push(Number(record["n"]))
    })
    log.subscribe((record) => void quick.push(Number(record["n"])))
    const first = log.append({ n: 0 })
    let done = false
    void first.then(() => (done = true))
    await fake.advance(4_999)
    expect(done).toBe(false)
    await fake.advance(1)
    expect(done).toBe(true)
    await Promise.all(Array.from({ length: 50 }, (_, n) => log.append({ n: n + 1 })))
    expect(quick).toEqual(Array.from({ length: 51 }, (_, n) => n))
    expect(slow).toEqual([])
    release()
    await vi.waitFor(() => expect(slow).toEqual(quick))
    await log.append({ n: 51 })
    await vi.waitFor(() => expect(slow).toHaveLength(52))
    expect(fake.waiting).toBe(0)
  })

  test("that append from inside do not deadlock, and the order is the log's", async () => {
    const log = new AuditLog(new MemoryStore(), { clock })
    const heard: unknown[] = []
    log.subscribe((record) => {
      heard.push(record["n"])
      if (record["n"] === 0) void log.append({ n: "inner" })
    })
    await log.append({ n: 0 })
    await log.append({ n: 1 })
    await vi.waitFor(() => expect(heard).toHaveLength(3))
    expect(heard).toEqual((await log.readAll()).map((record) => record["n"]))
  })
})

describe("a store that fails under hub events", () => {
  const event = (log: AuditLog, n: number): Promise<void> =>
    Promise.resolve(log.onAgentEvent(`a${n}`, "rule_set", { version: n, at: THEN }))

  test("required: false: counted, and told in an audit_gap as soon as writing works", async () => {
    const fake = new FakeTime()
    const store = new FlakyStore(new MemoryStore())
    const log = await AuditLog.open(store, { clock: fake.clock, timers: fake.timers, retryMs: 1_000 })
    await event(log, 0)
    store.decide = () => "not persisted"
    await expect(event(log, 1)).rejects.toMatchObject({ code: "store_unavailable" })
    await fake.advance(10)
    await expect(event(log, 2)).rejects.toMatchObject({ code: "store_unavailable" })
    expect(log.failures).toBe(2)
    expect(log.available).toBe(true)
    await fake.advance(5_000)
    store.decide = () => undefined
    await fake.advance(1_000)
    await event(log, 3)
    const records = await log.readAll()
    expect(records.map((record) => record["kind"])).toEqual(["rule_set", "audit_gap", "rule_set"])
    expect(records[1]).toEqual({
      at: "2026-05-05T10:00:06.010Z",
      kind: "audit_gap",
      lost: 2,
      cause: "the test made append fail",
      from: "2026-05-05T10:00:00.000Z",
      to: "2026-05-05T10:00:00.010Z",
    })
    await fake.advance(10_000)
    expect(await log.readAll()).toHaveLength(3)
    expect(fake.waiting).toBe(0)
  })

  test("the gap comes before the next record, without waiting for the timer", async () => {
    const fake = new FakeTime()
    const store = new FlakyStore(new MemoryStore())
    const log = await AuditLog.open(store, { clock: fake.clock, timers: fake.timers })
    store.decide = () => "persisted"
    await expect(event(log, 1)).rejects.toThrow()
    store.decide = () => undefined
    expect(await log.append({ kind: "direct" })).toEqual({ index: 1 })
    expect((await log.readAll()).map((record) => record["kind"])).toEqual(["audit_gap", "direct"])
  })

  test("required: true: kept, refused meanwhile, and written in order without a gap", async () => {
    const fake = new FakeTime()
    const store = new FlakyStore(new MemoryStore())
    const log = await AuditLog.open(store, {
      clock: fake.clock,
      timers: fake.timers,
      required: true,
      retryMs: 1_000,
    })
    const heard: unknown[] = []
    log.subscribe((record) => void heard.push(record["version"]))
    store.decide = () => "not persisted"
    const both = [event(log, 1), event(log, 2)]
    for (const one of both) await expect(one).rejects.toMatchObject({ code: "audit_unavailable" })
    expect(log.available).toBe(false)
    await expect(event(log, 3)).rejects.toMatchObject({ code: "audit_unavailable" })
    await expect(log.append({ version: "direct" })).rejects.toMatchObject({ code: "store_unavailable" })
    expect(log.failures).toBe(3)
    await fake.advance(3_000)
    expect(log.available).toBe(false)
    store.decide = () => undefined
    await fake.advance(1_000)
    expect(log.available).toBe(true)
    await event(log, 4)
    expect((await log.readAll()).map((record) => record["version"])).toEqual([1, 2, 3, 4])
    expect(heard).toEqual([1, 2, 3, 4])
    expect(fake.waiting).toBe(0)
  })

  test("closing while required records wait says how many were lost", async () => {
    const fake = new FakeTime()
    const store = new FlakyStore(new MemoryStore())
    const log = await AuditLog.open(store, { clock: fake.clock, timers: fake.timers, required: true })
    store.decide = () => "not persisted"
    await expect(event(log, 1)).rejects.toThrow()
    await expect(log.close()).rejects.toMatchObject({ code: "audit_unavailable" })
    expect(fake.waiting).toBe(0)
  })
})

test("an observer hears of each batch twice, of a failed one once, and of nothing after it has gone", async () => {
  const fake = new FakeTime()
  const store = new FlakyStore(new MemoryStore())
  const log = await AuditLog.open(store, { clock: fake.clock, timers: fake.timers })
  const heard: unknown[] = []
  const observer: LogObserver = {
    writing: (records, bytes) => void heard.push([records, bytes]),
    durable: () => void heard.push("durable"),
    published: () => void heard.push("published"),
  }
  log.observers.add(observer)
  await Promise.all([log.append({ n: 1 }), log.append({ n: 2 }), log.appendMany([{ n: 3 }, { n: 4 }])])
  expect(heard).toEqual([[4, 4 * 9], "durable"])
  heard.length = 0
  store.decide = () => "not persisted"
  await expect(log.append({ n: 5 })).rejects.toThrow()
  store.decide = () => undefined
  expect(heard).toEqual([[1, 9]])
  log.observers.delete(observer)
  await log.append({ n: 6 })
  expect(heard).toHaveLength(1)
})

test("utf8 of a line is its characters: lines are ASCII", async () => {
  const log = new AuditLog(new MemoryStore(), { clock })
  await log.append({ text: "é\u{1f600}\u007f" })
  const [entry] = (await log.query()).records
  expect(utf8(entry?.line ?? "")).toHaveLength(entry?.line.length ?? -1)
})
