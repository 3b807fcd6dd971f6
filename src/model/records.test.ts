import { describe, expect, test } from "vitest"
import { HansardError, InvalidInputError } from "../core/errors.ts"
import {
  AccessDeniedError,
  addObservation,
  AGENT_KINDS,
  AuthError,
  BaseHubListener,
  capabilitiesOf,
  DEFAULT_RULE,
  effectiveKind,
  EMPTY_RESUME,
  highWaterMark,
  InboxFullError,
  isEvent,
  isParticipant,
  isProtocolEvent,
  isTaskOutcome,
  isTerminalChannel,
  isVisibleTo,
  makeEnvelope,
  makePassport,
  makeRule,
  makeTask,
  MAX_NAME_LENGTH,
  participantIds,
  ProtocolError,
  RateLimitedError,
  roleOf,
  textOf,
} from "./index.ts"
import type { AgentEvents, PassportRequest } from "./index.ts"

const AT = "2026-05-05T10:00:00.000Z"

describe("passports", () => {
  test("have all fields, the hub's stamps and no claim", () => {
    const request: PassportRequest = {
      name: "alice",
      auth: { scheme: "api_key", claim: { token: "sk-1" } },
      agent_id: "mine",
      created_at: "then",
    }
    expect(makePassport(request, "id1", AT)).toEqual({
      name: "alice",
      owner: "",
      provider: null,
      model: null,
      cost: null,
      region: null,
      auth: { scheme: "api_key", issuer: null, audience: null, key_fingerprint: null },
      kind: null,
      hub_id: null,
      version: 1,
      agent_id: "id1",
      created_at: AT,
    })
    expect(makePassport({ name: "bob" }, "id2", AT).auth.scheme).toBe("none")
  })

  test("keep what is given", () => {
    const passport = makePassport(
      { name: "alice", owner: "o", kind: "human", version: 4, region: "eu" },
      "id1",
      AT,
    )
    expect(makePassport(passport, "id1", AT)).toEqual(passport)
    expect(passport).toMatchObject({ owner: "o", kind: "human", version: 4, region: "eu" })
  })

  test("need a name and a kind that exists", () => {
    for (const name of ["", "  ", undefined, null, 7, "x".repeat(MAX_NAME_LENGTH + 1)]) {
      expect(() => makePassport({ name } as PassportRequest, "id1", AT)).toThrow(InvalidInputError)
    }
    makePassport({ name: "x".repeat(MAX_NAME_LENGTH) }, "id1", AT)
    for (const kind of AGENT_KINDS) expect(makePassport({ name: "a", kind }, "id1", AT).kind).toBe(kind)
    const robot = { name: "a", kind: "robot" } as unknown as PassportRequest
    expect(() => makePassport(robot, "id1", AT)).toThrow("agent, human, remote_agent")
  })

  test("without a kind are agents", () => {
    expect(effectiveKind({ kind: null })).toBe("agent")
    expect(effectiveKind({ kind: "human" })).toBe("human")
  })
})

describe("rules", () => {
  test("are the default where nothing is said, at every depth", () => {
    expect(makeRule()).toEqual(DEFAULT_RULE)
    const rule = makeRule({
      access: { inbound_from: [], channel_types: { accept: ["consulting"] } },
      limits: { rate: { burst: 3 }, inbox: { max_pending: 5 }, delegation_depth: 0 },
    })
    expect(rule.access).toEqual({
      inbound_from: [],
      outbound_to: ["*"],
      channel_types: { initiate: ["*"], accept: ["consulting"] },
    })
    expect(rule.limits).toEqual({
      ...DEFAULT_RULE.limits,
      rate: { per_minute: 0, burst: 3 },
      inbox: { max_pending: 5, overflow: "reject", high_water: null },
      delegation_depth: 0,
    })
    expect(makeRule(rule)).toEqual(rule)
  })

  test.each([
    [1000, null, 800],
    [5, null, 4],
    [1, null, 1],
    [0, null, undefined],
    [0, 10, undefined],
    [-1, 10, undefined],
    [10, 3, 3],
    [10, 99, 99],
    [10, 0, undefined],
    [10, -1, undefined],
  ])("with max_pending %j and high_water %j signal at %j", (max_pending, high_water, mark) => {
    expect(highWaterMark(makeRule({ limits: { inbox: { max_pending, high_water } } }))).toBe(mark)
  })
})

describe("resumes", () => {
  test("count each outcome, and a cancelled task only in n", () => {
    let stat = addObservation(undefined, "completed", 120)
    expect(stat).toEqual({ n: 1, completed: 1, failed: 0, expired: 0, p50_latency_ms: 120 })
    stat = addObservation(stat, "failed", null)
    stat = addObservation(stat, "expired", 0)
    stat = addObservation(stat, "cancelled", null)
    expect(stat).toEqual({ n: 4, completed: 1, failed: 1, expired: 1, p50_latency_ms: 0 })
  })

  test("list claimed and observed capabilities once", () => {
    const stat = addObservation(undefined, "failed", null)
    const resume = { ...EMPTY_RESUME, claimed_capabilities: ["b", "a", "b"], observed: { a: stat, c: stat } }
    expect(capabilitiesOf(resume)).toEqual(["b", "a", "c"])
  })
})

describe("channels", () => {
  test("know who takes part and how", () => {
    const metadata = {
      participants: [{ agent_id: "a", role: "initiator" as const, order: 0, joined_at: AT }],
    }
    expect(participantIds(metadata)).toEqual(["a"])
    expect([isParticipant(metadata, "a"), isParticipant(metadata, "b")]).toEqual([true, false])
    expect([roleOf("a", "a", 2), roleOf("b", "a", 2), roleOf("b", "a", 3), roleOf("a", "a", 1)]).toEqual([
      "initiator",
      "respondent",
      "participant",
      "initiator",
    ])
  })

  test("end when closed or expired", () => {
    const states = ["pending", "active", "closing", "closed", "expired"] as const
    expect(states.filter(isTerminalChannel)).toEqual(["closed", "expired"])
  })
})

describe("envelopes", () => {
  const request = { channel_id: "c", sender_id: "a", event_type: "ag2.msg.text", event_data: { text: "hi" } }

  test("have fourteen keys", () => {
    const envelope = makeEnvelope(request)
    expect(envelope).toEqual({
      ...request,
      audience: null,
      envelope_id: "",
      task_id: null,
      causation_id: null,
      trace_id: null,
      priority: "normal",
      depth: 0,
      idempotency_key: null,
      created_at: "",
      ttl_seconds: null,
    })
    expect(Object.keys(envelope)).toHaveLength(14)
    const full = makeEnvelope({
      ...request,
      audience: [],
      depth: 3,
      priority: "urgent",
      ttl_seconds: 0,
      trace_id: "t",
    })
    expect(full).toMatchObject({ audience: [], depth: 3, priority: "urgent", ttl_seconds: 0, trace_id: "t" })
    expect(makeEnvelope(full)).toEqual(full)
  })

  test("are protocol by their prefix", () => {
    for (const type of ["ag2.channel.invite", "ag2.channel.closed", "ag2.task.cancelled"]) {
      expect(isProtocolEvent(type)).toBe(true)
    }
    for (const type of [
      "ag2.msg.text",
      "ag2.packet",
      "ag2.context.set",
      "ag2.expectation.violated",
      "ag2.channels",
      "x",
    ]) {
      expect(isProtocolEvent(type)).toBe(false)
    }
  })

  test("are seen by sender and audience", () => {
    const seen = (audience: readonly string[] | null) =>
      ["a", "b", "c"].filter((id) => isVisibleTo({ sender_id: "a", audience }, id))
    expect(seen(null)).toEqual(["a", "b", "c"])
    expect(seen(["b"])).toEqual(["a", "b"])
    expect(seen([])).toEqual(["a"])
  })

  test("have a text only when they are texts", () => {
    expect(textOf(request)).toBe("hi")
    expect(textOf({ ...request, event_data: { text: "" } })).toBe("")
    expect(textOf({ ...request, event_type: "ag2.packet" })).toBeUndefined()
    expect(textOf({ ...request, event_data: { text: 7 } })).toBeUndefined()
  })
})

describe("tasks", () => {
  test("have all fields", () => {
    const task = makeTask({ task_id: "t", owner_id: "a", spec: { title: "dig" } }, AT)
    expect(task).toEqual({
      task_id: "t",
      owner_id: "a",
      spec: { title: "dig", description: "", payload: {}, capability: null },
      state: "created",
      created_at: AT,
      started_at: null,
      completed_at: null,
      expires_at: null,
      last_progress_at: null,
      progress: {},
      result: null,
      error: "",
      channel_id: null,
    })
    const running = {
      ...task,
      state: "running" as const,
      created_at: "2026-01-01",
      result: 0,
      channel_id: "c",
    }
    expect(makeTask(running, AT)).toEqual(running)
  })

  test("end in four ways", () => {
    const states = ["created", "running", "completed", "failed", "expired", "cancelled", "constructor"]
    expect(states.filter(isTaskOutcome)).toEqual(["completed", "failed", "expired", "cancelled"])
  })
})

test("the network's errors have their codes and hints", () => {
  const errors = [
    new AccessDeniedError("m"),
    new AuthError("m"),
    new ProtocolError("m"),
    new InboxFullError("m"),
    new RateLimitedError("m"),
  ]
  expect(errors.map(({ code, name }) => [code, name])).toEqual([
    ["access_denied", "AccessDeniedError"],
    ["auth_failed", "AuthError"],
    ["protocol_error", "ProtocolError"],
    ["inbox_full", "InboxFullError"],
    ["rate_limited", "RateLimitedError"],
  ])
  for (const error of errors) {
    expect(error).toBeInstanceOf(HansardError)
    expect(error.hint).toMatch(/^[A-Z].*\.$/)
  }
})

describe("listeners", () => {
  test("narrow payloads by kind", () => {
    const payload: object = { name: "alice", at: AT }
    expect(
      isEvent<AgentEvents, "unregistered">("unregistered", "unregistered", payload) && payload.name,
    ).toBe("alice")
    expect(isEvent<AgentEvents, "registered">("registered", "unregistered", payload)).toBe(false)
  })

  test("may be the base one, which hears everything and does nothing", () => {
    const names = Object.getOwnPropertyNames(BaseHubListener.prototype).filter(
      (name) => name !== "constructor",
    )
    expect(names).toHaveLength(13)
    expect(names.every((name) => name.startsWith("on"))).toBe(true)
  })
})
