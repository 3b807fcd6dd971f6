import fc from "fast-check"
import { expect, test } from "vitest"
import { freshSeed } from "../testing/random.ts"
import { InboxCounter } from "./inbox.ts"

test("starts with nothing, and no depth at all", () => {
  const inbox = new InboxCounter()
  expect(inbox.count("bob")).toBe(0)
  expect(inbox.total).toBe(0)
  expect(inbox.maxDepth).toBeNull()
  expect(inbox.acknowledge("bob", "c1", "e9")).toBe(0)
  inbox.forget("bob")
  inbox.forgetChannel("c1")
  expect(inbox.maxDepth).toBeNull()
})

test("counts up with each envelope and down with each acknowledgement", () => {
  const inbox = new InboxCounter()
  expect(inbox.add("bob", "c1", "e1")).toBe(1)
  expect(inbox.add("bob", "c2", "e2")).toBe(2)
  expect(inbox.add("bob", "c1", "e3")).toBe(3)
  expect(inbox.add("carol", "c1", "e3")).toBe(1)
  expect([inbox.total, inbox.maxDepth]).toEqual([4, 3])
  expect(inbox.acknowledge("bob", "c1", "e0")).toBe(3)
  expect(inbox.acknowledge("bob", "c1", "e2")).toBe(2)
  expect(inbox.acknowledge("bob", "c1", "e2")).toBe(2)
  expect(inbox.acknowledge("bob", "c1", "e3")).toBe(1)
  expect([inbox.count("bob"), inbox.count("carol"), inbox.total, inbox.maxDepth]).toEqual([1, 1, 2, 1])
  expect(inbox.acknowledge("bob", "c2", "e9")).toBe(0)
  expect(inbox.acknowledge("carol", "c1", "e9")).toBe(0)
  expect([inbox.total, inbox.maxDepth]).toEqual([0, 0])
})

test("counts an envelope that is delivered again once", () => {
  const inbox = new InboxCounter()
  inbox.add("bob", "c1", "e1")
  inbox.add("bob", "c1", "e2")
  expect(inbox.add("bob", "c1", "e2")).toBe(2)
  expect(inbox.add("bob", "c1", "e1")).toBe(2)
  expect(inbox.total).toBe(2)
})

test("forgets an agent, and a channel", () => {
  const inbox = new InboxCounter()
  for (const agent of ["bob", "carol"]) {
    for (const channel of ["c1", "c2"]) for (const id of ["e1", "e2"]) inbox.add(agent, channel, id)
  }
  inbox.forgetChannel("c1")
  expect([inbox.count("bob"), inbox.count("carol"), inbox.total]).toEqual([2, 2, 4])
  expect(inbox.acknowledge("bob", "c1", "e9")).toBe(2)
  inbox.forget("bob")
  expect([inbox.count("bob"), inbox.count("carol"), inbox.total, inbox.maxDepth]).toEqual([0, 2, 2, 2])
  expect(inbox.add("bob", "c1", "e1")).toBe(1)
  expect(inbox.acknowledge("carol", "c2", "e1")).toBe(1)
})

test("counts a hundred thousand in one inbox in no time", () => {
  const inbox = new InboxCounter()
  const ids = Array.from({ length: 100_000 }, (_, n) => String(n).padStart(6, "0"))
  for (const id of ids) inbox.add("bob", "c1", id)
  for (const id of ids) inbox.acknowledge("bob", "c1", id)
  expect(inbox.total).toBe(0)
})

test("agrees with a list of what is pending, whatever happens", () => {
  const seed = freshSeed()
  console.info(`inbox property: HANSARD_SEED=${seed}`)
  const agent = fc.constantFrom("a", "b", "c")
  const channel = fc.constantFrom("c1", "c2", "c3")
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.tuple(fc.constant("add" as const), agent, channel, fc.nat(0)) },
    { weight: 3, arbitrary: fc.tuple(fc.constant("acknowledge" as const), agent, channel, fc.nat(60)) },
    {
      weight: 1,
      arbitrary: fc.tuple(
        fc.constantFrom("forget" as const, "forgetChannel" as const),
        agent,
        channel,
        fc.nat(0),
      ),
    },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const inbox = new InboxCounter()
      let pending: { agent: string; channel: string; id: string }[] = []
      let minted = 0
      let counted = false
      const idOf = (n: number) => String(n).padStart(4, "0")
      for (const [kind, who, where, n] of steps) {
        const count = () => pending.filter((each) => each.agent === who).length
        if (kind === "add") {
          counted = true
          const id = idOf(minted++)
          pending.push({ agent: who, channel: where, id })
          expect(inbox.add(who, where, id)).toBe(count())
        } else if (kind === "acknowledge") {
          pending = pending.filter(
            (each) => each.agent !== who || each.channel !== where || each.id > idOf(n),
          )
          expect(inbox.acknowledge(who, where, idOf(n))).toBe(count())
        } else if (kind === "forget") {
          pending = pending.filter((each) => each.agent !== who)
          inbox.forget(who)
        } else {
          pending = pending.filter((each) => each.channel !== where)
          inbox.forgetChannel(where)
        }
        const counts = ["a", "b", "c"].map((name) => pending.filter((each) => each.agent === name).length)
        expect(["a", "b", "c"].map((name) => inbox.count(name))).toEqual(counts)
        expect(inbox.total).toBe(pending.length)
        expect(inbox.maxDepth).toBe(counted ? Math.max(...counts) : null)
      }
    }),
    { seed, numRuns: 300 },
  )
})
