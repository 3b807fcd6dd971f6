import { describe, expect, test } from "vitest"
import { isoTime } from "../../core/system.ts"
import { makeEnvelope, roleOf } from "../../model/index.ts"
import type { ChannelMetadata, Envelope, Expectation, JsonObject } from "../../model/index.ts"
import { consultingAdapter } from "../adapters/index.ts"
import type { ExpectationContext, ExpectationEvaluator } from "./index.ts"
import { DEFAULT_EVALUATORS } from "./index.ts"

const START = Date.UTC(2026, 4, 5, 10)
const IDS = ["alice", "bob", "carol"]

function promise(
  name: string,
  params: JsonObject = {},
  applies_to: readonly string[] | null = null,
): Expectation {
  return { name, on_violation: "audit", params, applies_to }
}

function channel(changes: Partial<ChannelMetadata> = {}): ChannelMetadata {
  return {
    channel_id: "c1",
    manifest: consultingAdapter.manifest,
    creator_id: "alice",
    participants: IDS.map((agent_id, order) => ({
      agent_id,
      role: roleOf(agent_id, "alice", IDS.length),
      order,
      joined_at: isoTime(START),
    })),
    state: "active",
    created_at: isoTime(START),
    expires_at: null,
    closed_at: null,
    close_reason: "",
    parent_channel_id: null,
    knobs: {},
    labels: {},
    required_acks: null,
    pending_acks: [],
    rejected_by: [],
    ...changes,
  }
}

/** `seconds` after the start. */
function said(
  sender_id: string,
  seconds: number,
  event_type = "ag2.msg.text",
  audience: readonly string[] | null = null,
): Envelope {
  const created_at = isoTime(START + seconds * 1000)
  return makeEnvelope({ channel_id: "c1", sender_id, event_type, event_data: {}, audience, created_at })
}

function evaluator(name: string): ExpectationEvaluator {
  const found = DEFAULT_EVALUATORS.find((each) => each.name === name)
  if (found === undefined) throw new Error(`no evaluator ${name}`)
  return found
}

/** `after` in seconds since the start. */
function judge(expectation: Expectation, after: number, context: Partial<ExpectationContext> = {}) {
  return evaluator(expectation.name).evaluate(expectation, {
    metadata: channel(),
    state: {},
    wal: [],
    nowMs: START + after * 1000,
    ...context,
  })
}

const pending = { metadata: channel({ state: "pending", pending_acks: ["bob", "carol"] }) }
const asked = { wal: [said("alice", 0)] }

/** For each evaluator, a context in which its promise is broken from the threshold on, counted from the start. */
const CASES: readonly { name: string; missing: number; context: Partial<ExpectationContext> }[] = [
  { name: "acks_within", missing: 30, context: pending },
  { name: "reply_within", missing: 600, context: asked },
  { name: "max_silence", missing: 3600, context: {} },
  { name: "turn_within", missing: 120, context: {} },
]

test("there is a case for each evaluator", () => {
  expect(CASES.map(({ name }) => name)).toEqual(DEFAULT_EVALUATORS.map(({ name }) => name))
})

describe.each(CASES)("$name", ({ name, missing, context }) => {
  test(`fires at exactly the threshold, ${missing} s by default, and not a millisecond before`, () => {
    expect(judge(promise(name), missing - 0.001, context)).toBeUndefined()
    expect(judge(promise(name), missing, context)?.detail).toMatchObject({ threshold_seconds: missing })
    expect(judge(promise(name, { seconds: 30 }), 29.999, context)).toBeUndefined()
    expect(judge(promise(name, { seconds: 30 }), 30, context)).toBeDefined()
    expect(judge(promise(name, { seconds: 2.007 }), 2.006, context)).toBeUndefined()
    expect(judge(promise(name, { seconds: 2.007 }), 2.007, context)).toBeDefined()
  })

  test("fires at once for 0 seconds, but not while the clock is behind", () => {
    expect(judge(promise(name, { seconds: 0 }), 0, context)).toBeDefined()
    expect(judge(promise(name, { seconds: 0 }), -0.001, context)).toBeUndefined()
  })

  test("carries the expectation as it was given", () => {
    const expectation = promise(name)
    expect(judge(expectation, 9999, context)?.expectation).toBe(expectation)
  })

  test("is judged in its own state alone", () => {
    const own = name === "acks_within" ? "pending" : "active"
    for (const state of ["pending", "active", "closing", "closed", "expired"] as const) {
      const metadata = channel({ state, pending_acks: ["bob"] })
      expect(judge(promise(name), 9999, { ...context, metadata }) !== undefined).toBe(state === own)
    }
  })

  test("reads AG2's times", () => {
    const written = "2026-05-05T12:00:00.000000+02:00"
    const metadata = { ...(context.metadata ?? channel()), created_at: written }
    const wal = (context.wal ?? []).map((envelope) => ({ ...envelope, created_at: written }))
    expect(judge(promise(name), missing - 0.001, { ...context, metadata, wal })).toBeUndefined()
    expect(judge(promise(name), missing, { ...context, metadata, wal })).toBeDefined()
  })

  test("throws for seconds that are none", () => {
    for (const seconds of ["30", -1, null, true, [30], Infinity, NaN]) {
      const params = { seconds } as JsonObject
      expect(() => judge(promise(name, params), 9999, context)).toThrow("seconds must be a number from 0 up")
      expect(() => evaluator(name).checkParams?.(params)).toThrow("seconds must be a number from 0 up")
    }
    evaluator(name).checkParams?.({})
    evaluator(name).checkParams?.({ seconds: 0 })
  })
})

describe("acks_within", () => {
  test("names who is pending, and how long it took", () => {
    expect(judge(promise("acks_within"), 31.5, pending)).toMatchObject({
      violator_ids: ["bob", "carol"],
      detail: { elapsed_seconds: 31.5, threshold_seconds: 30 },
    })
  })

  test("is kept when nobody is pending", () => {
    expect(judge(promise("acks_within"), 99, { metadata: channel({ state: "pending" }) })).toBeUndefined()
  })

  test("binds whom it applies to, by id or role", () => {
    expect(judge(promise("acks_within", {}, ["carol"]), 99, pending)?.violator_ids).toEqual(["carol"])
    expect(judge(promise("acks_within", {}, ["participant"]), 99, pending)?.violator_ids).toEqual([
      "bob",
      "carol",
    ])
    expect(judge(promise("acks_within", {}, ["initiator"]), 99, pending)).toBeUndefined()
    expect(judge(promise("acks_within", {}, []), 99, pending)).toBeUndefined()
  })
})

describe("reply_within", () => {
  const within = promise("reply_within", { seconds: 60 })

  test("names everybody who was addressed and said nothing since", () => {
    const wal = [said("bob", -5), said("carol", 0), said("alice", 0, "own")]
    expect(judge(within, 60, { wal })).toMatchObject({
      violator_ids: ["bob"],
      detail: { threshold_seconds: 60 },
    })
    expect(
      judge(within, 60, { wal: [said("bob", -5), said("alice", 0), said("bob", 1, "own")] })?.violator_ids,
    ).toEqual(["carol"])
    expect(judge(within, 60, { wal: [said("carol", 0)] })?.violator_ids).toEqual(["alice", "bob"])
  })

  test("is kept when nobody was asked", () => {
    expect(judge(within, 999)).toBeUndefined()
    const wal = [
      said("alice", 0, "ag2.context.set"),
      said("alice", 0, "own"),
      said("alice", 0, "ag2.channel.opened"),
    ]
    expect(judge(within, 999, { wal })).toBeUndefined()
  })

  test("binds only the audience", () => {
    const wal = [said("alice", 0, "ag2.msg.text", ["carol", "alice"])]
    expect(judge(within, 60, { wal })?.violator_ids).toEqual(["carol"])
  })

  test("counts the latest question", () => {
    const wal = [said("alice", 0, "ag2.msg.text", ["bob"]), said("alice", 30, "ag2.msg.text", ["bob"])]
    expect(judge(within, 60, { wal })).toBeUndefined()
    expect(judge(within, 90, { wal })?.violator_ids).toEqual(["bob"])
  })

  test("takes a packet as a question", () => {
    const wal = [said("alice", 0, "ag2.packet", ["bob"])]
    expect(judge(within, 60, { wal })?.violator_ids).toEqual(["bob"])
  })

  test("takes any content as an answer, and nothing else", () => {
    const question = said("alice", 0, "ag2.msg.text", ["bob"])
    const answered = (type: string) =>
      judge(within, 99, { wal: [question, said("bob", 1, type, ["nobody"])] }) === undefined
    for (const type of ["ag2.msg.text", "ag2.packet", "ag2.context.set", "own"])
      expect(answered(type)).toBe(true)
    for (const type of ["ag2.channel.invite.ack", "ag2.task.cancelled", "ag2.expectation.violated"]) {
      expect(answered(type)).toBe(false)
    }
  })

  test("takes an answer of the same instant", () => {
    const question = said("alice", 0, "ag2.msg.text", ["bob"])
    const answer = { ...said("bob", 0, "own"), created_at: "2026-05-05T10:00:00+00:00" }
    expect(judge(within, 99, { wal: [question, answer] })).toBeUndefined()
    expect(judge(within, 99, { wal: [answer, question] })).toBeUndefined()
    expect(judge(within, 99, { wal: [said("bob", -0.001, "own"), question] })?.violator_ids).toEqual(["bob"])
  })

  test("takes an answer from a clock that was set back", () => {
    const wal = [said("alice", 0, "ag2.msg.text", ["bob"]), said("bob", -500, "own")]
    expect(judge(within, 99, { wal })).toBeUndefined()
  })

  test("binds whom it applies to, by id or role", () => {
    const wal = [said("alice", 0)]
    const bound = (applies_to: string[]) => judge({ ...within, applies_to }, 99, { wal })?.violator_ids
    expect(bound(["carol"])).toEqual(["carol"])
    expect(bound(["participant"])).toEqual(["bob", "carol"])
    expect(bound(["initiator"])).toBeUndefined()
  })
})

describe("max_silence", () => {
  const within = promise("max_silence", { seconds: 60 })

  test("counts from the latest content, else from the creation", () => {
    const noise = [
      said("alice", 50, "ag2.channel.opened"),
      said("alice", 50, "ag2.task.cancelled"),
      said("alice", 50, "ag2.expectation.violated"),
    ]
    expect(judge(within, 60, { wal: noise })?.detail).toEqual({ elapsed_seconds: 60, threshold_seconds: 60 })
    for (const type of ["ag2.msg.text", "ag2.packet", "ag2.context.set", "own"]) {
      const wal = [said("alice", 2), said("alice", 40, type), ...noise]
      expect(judge(within, 99.9, { wal })).toBeUndefined()
      expect(judge(within, 100, { wal })?.detail).toEqual({ elapsed_seconds: 60, threshold_seconds: 60 })
    }
  })

  test("is broken by the channel as a whole, whomever it applies to", () => {
    expect(judge(within, 60)?.violator_ids).toEqual([])
    expect(judge({ ...within, applies_to: ["bob"] }, 60)?.violator_ids).toEqual([])
  })
})

describe("turn_within", () => {
  const within = promise("turn_within", { seconds: 60 })

  test("names the speaker that the state expects", () => {
    const wal = [said("alice", 10), said("alice", 20, "ag2.channel.opened")]
    const state = { expected_next_speaker: "bob" }
    expect(judge(within, 69.9, { wal, state })).toBeUndefined()
    expect(judge(within, 70, { wal, state })).toMatchObject({
      violator_ids: ["bob"],
      detail: { elapsed_seconds: 60, threshold_seconds: 60, expected_speaker: "bob" },
    })
  })

  test("names nobody when the state does not", () => {
    for (const state of [null, 7, [], {}, { expected_next_speaker: null }, { expected_next_speaker: "" }]) {
      expect(judge(within, 60, { state })).toMatchObject({
        violator_ids: [],
        detail: { expected_speaker: null },
      })
    }
  })

  test("binds whom it applies to", () => {
    const state = { expected_next_speaker: "bob" }
    expect(judge({ ...within, applies_to: ["carol"] }, 60, { state })).toBeUndefined()
    expect(judge({ ...within, applies_to: ["participant"] }, 60, { state })?.violator_ids).toEqual(["bob"])
  })
})
