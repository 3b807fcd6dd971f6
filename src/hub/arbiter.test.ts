import { describe, expect, test } from "vitest"
import {
  AccessDeniedError,
  InboxFullError,
  makeEnvelope,
  makeRule,
  RateLimitedError,
} from "../model/index.ts"
import type { Envelope, RuleRequest } from "../model/index.ts"
import { ALLOW, BaseArbiter, deny, enforce, RuleArbiter } from "./arbiter.ts"
import type { Decision } from "./arbiter.ts"

/** Ids are `id-NAME`. Everybody has 2 open channels and 3 open tasks. */
function arbiter(rules: Readonly<Record<string, RuleRequest>>): RuleArbiter {
  const known = new Map(
    Object.entries(rules).map(([name, rule]) => [`id-${name}`, { name, rule: makeRule(rule) }]),
  )
  return new RuleArbiter({
    ruleOf: (id) => known.get(id)?.rule,
    nameOf: (id) => known.get(id)?.name,
    openChannelCount: () => 2,
    openTaskCount: () => 3,
  })
}

function from(sender_id: string, depth = 0): Envelope {
  return makeEnvelope({ channel_id: "c1", sender_id, event_type: "ag2.msg.text", event_data: {}, depth })
}

function reasonOf(decision: Decision): string | undefined {
  return decision.allowed ? undefined : decision.reason
}

const alice = "id-alice"
const bob = "id-bob"
const carol = "id-carol"

describe("decisions", () => {
  test("are enforced with their own error, or AccessDeniedError with the reason", () => {
    enforce(ALLOW)
    expect(() => enforce(deny("not today"))).toThrow(AccessDeniedError)
    expect(() => enforce(deny("not today"))).toThrow("not today")
    const error = new RateLimitedError("too many")
    expect(() => enforce(deny("not today", error))).toThrow(error)
    expect(deny("x")).toEqual({ allowed: false, reason: "x" })
  })
})

test("the base arbiter allows everything and resolves nobody", async () => {
  const base = new BaseArbiter()
  expect(await base.authorizeRegister({ name: "alice" })).toEqual(ALLOW)
  expect(await base.authorizeChannelOpen(alice, [bob], "consulting")).toEqual(ALLOW)
  expect(await base.authorizeSend(from(alice, 999), [bob])).toEqual(ALLOW)
  expect(await base.authorizeInbox(bob, 9999, from(alice))).toEqual(ALLOW)
  expect(await base.authorizeDispatch(from(alice), bob)).toEqual(ALLOW)
  expect(await base.authorizeTask(alice)).toEqual(ALLOW)
  expect(await base.resolveUnknownAudience(from(alice), "nobody")).toBeNull()
})

test("default rules allow what is not excessive", async () => {
  const rules = arbiter({ alice: {}, bob: {} })
  expect(await rules.authorizeRegister({ name: "x" })).toEqual(ALLOW)
  expect(await rules.authorizeChannelOpen(alice, [bob], "consulting")).toEqual(ALLOW)
  expect(await rules.authorizeSend(from(alice, 5), [bob])).toEqual(ALLOW)
  expect(await rules.authorizeInbox(bob, 999, from(alice))).toEqual(ALLOW)
  expect(await rules.authorizeDispatch(from(alice), bob)).toEqual(ALLOW)
  expect(await rules.authorizeTask(alice)).toEqual(ALLOW)
  expect(await rules.resolveUnknownAudience(from(alice), "nobody")).toBeNull()
})

describe("opening a channel", () => {
  test("needs every invitee's inbound_from, by the creator's name", async () => {
    const rules = arbiter({
      alice: {},
      bob: { access: { inbound_from: ["al*"] } },
      carol: { access: { inbound_from: ["bob", "id-*"] } },
    })
    expect(await rules.authorizeChannelOpen(alice, [bob], "consulting")).toEqual(ALLOW)
    expect(reasonOf(await rules.authorizeChannelOpen(alice, [bob, carol], "consulting"))).toBe(
      "carol takes nothing from alice (its access.inbound_from)",
    )
    expect(await rules.authorizeChannelOpen(bob, [carol], "consulting")).toEqual(ALLOW)
  })

  test("needs the creator to initiate and the invitees to accept the type", async () => {
    const rules = arbiter({
      alice: { access: { channel_types: { initiate: ["con*"] } } },
      bob: { access: { channel_types: { accept: ["consulting"] } } },
      carol: { access: { channel_types: { initiate: [] } } },
    })
    expect(await rules.authorizeChannelOpen(alice, [bob], "consulting")).toEqual(ALLOW)
    expect(reasonOf(await rules.authorizeChannelOpen(alice, [carol, bob], "conversation"))).toBe(
      "bob joins no conversation channels (its access.channel_types.accept)",
    )
    expect(reasonOf(await rules.authorizeChannelOpen(alice, [carol], "workflow"))).toBe(
      "alice may not open workflow channels (its access.channel_types.initiate)",
    )
    expect(reasonOf(await rules.authorizeChannelOpen(carol, [bob], "consulting"))).toContain("initiate")
    expect(await rules.authorizeChannelOpen(bob, [alice], "workflow")).toEqual(ALLOW)
  })

  test("does not hold the creator to its own inbound rule", async () => {
    const rules = arbiter({ alice: { access: { inbound_from: [], channel_types: { accept: [] } } } })
    expect(await rules.authorizeChannelOpen(alice, [alice], "consulting")).toEqual(ALLOW)
  })

  test("stops at max_concurrent_channels", async () => {
    const open = async (cap: number) => {
      const rules = arbiter({ alice: { limits: { max_concurrent_channels: cap } }, bob: {} })
      return reasonOf(await rules.authorizeChannelOpen(alice, [bob], "consulting"))
    }
    expect(await open(0)).toBeUndefined()
    expect(await open(3)).toBeUndefined()
    expect(await open(2)).toBe("alice has 2 open channels already (its limits.max_concurrent_channels)")
    expect(await open(1)).toContain("max_concurrent_channels")
  })
})

describe("sending", () => {
  test("needs outbound_to for each recipient named, by name", async () => {
    const rules = arbiter({ alice: { access: { outbound_to: ["bob"] } }, bob: {}, carol: {} })
    expect(await rules.authorizeSend(from(alice), [])).toEqual(ALLOW)
    expect(await rules.authorizeSend(from(alice), [bob, alice])).toEqual(ALLOW)
    expect(reasonOf(await rules.authorizeSend(from(alice), [bob, carol]))).toBe(
      "alice may not address carol (its access.outbound_to)",
    )
    expect(await rules.authorizeSend(from(bob), [carol])).toEqual(ALLOW)
  })

  test("stops above delegation_depth: of 2 it takes 2 and not 3, and 0 is off", async () => {
    const send = async (cap: number, depth: number) => {
      const rules = arbiter({ alice: { limits: { delegation_depth: cap } } })
      return reasonOf(await rules.authorizeSend(from(alice, depth), []))
    }
    expect(await send(2, 2)).toBeUndefined()
    expect(await send(2, 3)).toBe("alice works 3 delegations deep, at most 2 (its limits.delegation_depth)")
    expect(await send(0, 999)).toBeUndefined()
  })

  test("stops at a full inbox with InboxFullError", async () => {
    const inbox = async (max_pending: number, pending: number) =>
      await arbiter({ bob: { limits: { inbox: { max_pending } } } }).authorizeInbox(bob, pending, from(alice))
    expect(await inbox(2, 1)).toEqual(ALLOW)
    expect(await inbox(0, 99999)).toEqual(ALLOW)
    for (const pending of [2, 3]) {
      const decision = await inbox(2, pending)
      expect(reasonOf(decision)).toBe(
        `bob has ${pending} unacknowledged envelopes, at most 2 (its limits.inbox)`,
      )
      expect(() => enforce(decision)).toThrow(InboxFullError)
      expect(() => enforce(decision)).toThrow(reasonOf(decision))
    }
  })

  test("reaches whom inbound_from lets it, and always oneself", async () => {
    const rules = arbiter({
      alice: { access: { inbound_from: [] } },
      bob: { access: { inbound_from: ["[!a]*"] } },
      carol: {},
    })
    expect(await rules.authorizeDispatch(from(alice), alice)).toEqual(ALLOW)
    expect(await rules.authorizeDispatch(from(carol), bob)).toEqual(ALLOW)
    expect(await rules.authorizeDispatch(from(alice), carol)).toEqual(ALLOW)
    expect(reasonOf(await rules.authorizeDispatch(from(alice), bob))).toBe(
      "bob takes nothing from alice (its access.inbound_from)",
    )
  })
})

test("a task stops at max_concurrent_tasks", async () => {
  const start = async (cap: number) =>
    reasonOf(await arbiter({ alice: { limits: { max_concurrent_tasks: cap } } }).authorizeTask(alice))
  expect(await start(0)).toBeUndefined()
  expect(await start(4)).toBeUndefined()
  expect(await start(3)).toBe("alice has 3 open tasks already (its limits.max_concurrent_tasks)")
})

test("the unregistered have no rule, and go by their ids in the rules of others", async () => {
  const rules = arbiter({ bob: { access: { inbound_from: ["alice"], outbound_to: ["alice"] } } })
  expect(await rules.authorizeSend(from("id-x", 99), [bob])).toEqual(ALLOW)
  expect(await rules.authorizeChannelOpen(bob, ["id-x"], "consulting")).toEqual(ALLOW)
  expect(await rules.authorizeInbox("id-x", 9999, from(bob))).toEqual(ALLOW)
  expect(await rules.authorizeDispatch(from(bob), "id-x")).toEqual(ALLOW)
  expect(await rules.authorizeTask("id-x")).toEqual(ALLOW)
  expect(reasonOf(await rules.authorizeDispatch(from("id-x"), bob))).toBe(
    "bob takes nothing from id-x (its access.inbound_from)",
  )
  expect(reasonOf(await rules.authorizeSend(from(bob), ["id-x"]))).toContain("may not address id-x")
})
