import { describe, expect, test } from "vitest"
import { InvalidInputError } from "../../core/errors.ts"
import { ProtocolError } from "../../model/index.ts"
import type { ChannelMetadata, ChannelState, Violation } from "../../model/index.ts"
import { consultingAdapter, DEFAULT_ADAPTERS } from "../adapters/index.ts"
import type { ViolationActions } from "./index.ts"
import { checkExpectation, DEFAULT_EVALUATORS, DEFAULT_HANDLERS, splitByViolator } from "./index.ts"

const AT = "2026-05-05T10:00:00.000Z"
const evaluators = new Map(DEFAULT_EVALUATORS.map((each) => [each.name, each]))
const handlers = new Map(DEFAULT_HANDLERS.map((each) => [each.name, each]))

const violation: Violation = {
  expectation: { name: "reply_within", on_violation: "audit", params: {}, applies_to: null },
  violator_ids: ["bob"],
  detail: { threshold_seconds: 600 },
}

function channel(state: ChannelState): ChannelMetadata {
  return {
    channel_id: "c1",
    manifest: consultingAdapter.manifest,
    creator_id: "alice",
    participants: [
      { agent_id: "alice", role: "initiator", order: 0, joined_at: AT },
      { agent_id: "bob", role: "respondent", order: 1, joined_at: AT },
    ],
    state,
    created_at: AT,
    expires_at: null,
    closed_at: null,
    close_reason: "",
    parent_channel_id: null,
    knobs: {},
    labels: {},
    required_acks: null,
    pending_acks: [],
    rejected_by: [],
  }
}

/** What the handler of that name asks of the hub. */
async function handle(name: string, state: ChannelState = "active"): Promise<unknown[]> {
  const calls: unknown[] = []
  const actions: ViolationActions = {
    async post(...args) {
      calls.push(["post", ...args])
    },
    async close(...args) {
      calls.push(["close", ...args])
    },
  }
  await handlers.get(name)?.handle(channel(state), violation, actions)
  return calls
}

describe("handlers", () => {
  test("are five, of which auto_close alone ends the tick", () => {
    expect(DEFAULT_HANDLERS.map(({ name, endsTick }) => [name, endsTick ?? false])).toEqual([
      ["audit", false],
      ["notify_channel", false],
      ["warn", false],
      ["hide", false],
      ["auto_close", true],
    ])
  })

  test("audit does nothing", async () => {
    expect(await handle("audit")).toEqual([])
  })

  test.each(["notify_channel", "warn"])("%s tells everybody, the creator included", async (name) => {
    const notice = { expectation: "reply_within", violators: ["bob"], detail: { threshold_seconds: 600 } }
    expect(await handle(name)).toEqual([["post", "ag2.expectation.violated", notice, ["alice", "bob"]]])
  })

  test("auto_close names the expectation as its reason", async () => {
    expect(await handle("auto_close")).toEqual([["close", "expectation_violated:reply_within"]])
    expect(await handle("auto_close", "pending")).toEqual([["close", "expectation_violated:reply_within"]])
  })

  test("leave a channel that has ended alone", async () => {
    for (const name of handlers.keys()) {
      expect(await handle(name, "closed")).toEqual([])
      expect(await handle(name, "expired")).toEqual([])
    }
  })

  test("that fail reject", async () => {
    const broken: ViolationActions = {
      post: () => Promise.reject(new Error("no post")),
      close: () => Promise.reject(new Error("no close")),
    }
    await expect(handlers.get("warn")?.handle(channel("active"), violation, broken)).rejects.toThrow(
      "no post",
    )
    await expect(handlers.get("auto_close")?.handle(channel("active"), violation, broken)).rejects.toThrow(
      "no close",
    )
  })
})

describe("checkExpectation", () => {
  const { expectation } = violation

  test("takes what the shipped manifests declare", () => {
    const declared = DEFAULT_ADAPTERS.flatMap(({ manifest }) => manifest.expectations)
    expect(declared).toHaveLength(7)
    for (const each of declared) checkExpectation(each, evaluators, handlers)
  })

  test("refuses an unknown evaluator and an unknown handler", () => {
    const unknown = () => checkExpectation({ ...expectation, name: "be_nice" }, evaluators, handlers)
    expect(unknown).toThrow(ProtocolError)
    expect(unknown).toThrow('no evaluator is registered for the expectation "be_nice"')
    const remove = () => checkExpectation({ ...expectation, on_violation: "remove" }, evaluators, handlers)
    expect(remove).toThrow(ProtocolError)
    expect(remove).toThrow('no handler is registered as "remove", which the expectation reply_within names')
  })

  test("refuses parameters that the evaluator cannot use, with its reason as the cause", () => {
    const bad = () => checkExpectation({ ...expectation, params: { seconds: -1 } }, evaluators, handlers)
    expect(bad).toThrow(ProtocolError)
    expect(bad).toThrow(
      "reply_within has bad parameters: an expectation's seconds must be a number from 0 up, not -1",
    )
    expect(bad).toThrow(expect.objectContaining({ cause: expect.any(InvalidInputError) as unknown }))
  })

  test("takes all parameters of an evaluator that checks none, and passes on what another throws", () => {
    const own = (checkParams?: () => void) =>
      new Map([["own", { name: "own", evaluate: () => undefined, ...(checkParams && { checkParams }) }]])
    const ours = { ...expectation, name: "own", params: { seconds: "soon" } }
    checkExpectation(ours, own(), handlers)
    const buggy = own(() => {
      throw new TypeError("bug")
    })
    expect(() => checkExpectation(ours, buggy, handlers)).toThrow(TypeError)
  })
})

describe("splitByViolator", () => {
  test("names each violator alone, once, in order", () => {
    const parts = splitByViolator({ ...violation, violator_ids: ["carol", "bob", "carol"] })
    expect(parts).toEqual([
      { ...violation, violator_ids: ["carol"] },
      { ...violation, violator_ids: ["bob"] },
    ])
  })

  test("keeps a violation of the whole channel", () => {
    const whole = { ...violation, violator_ids: [] }
    expect(splitByViolator(whole)).toEqual([whole])
  })
})
