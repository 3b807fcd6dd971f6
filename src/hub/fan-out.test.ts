import { expect, test } from "vitest"
import { settle } from "../../test/support/fake-time.ts"
import { AuditUnavailableError } from "../core/errors.ts"
import { silentLogger } from "../core/logger.ts"
import { BaseHubListener, type HubListener } from "../model/index.ts"
import { FanOut } from "./fan-out.ts"

function fanOut(auditLog: HubListener = {}, hooks: HubListener = {}): FanOut {
  return new FanOut(auditLog, hooks, silentLogger)
}

const at = "2026-05-05T10:00:00.000Z"

test("the audit log is told at once, in the order of the telling; the others one event after another", async () => {
  const recorded: string[] = []
  const heard: string[] = []
  const events = fanOut({ onHubEvent: (kind) => void recorded.push(kind) })
  const slow = Promise.withResolvers<void>()
  events.add({
    async onHubEvent(kind) {
      if (kind === "started") await slow.promise
      heard.push(kind)
    },
  })
  const first = events.announcement()
  first.hubEvent("started", { version: "1", at })
  const second = events.announcement()
  second.hubEvent("stopped", { reason: "", at })
  expect(recorded).toEqual(["started", "stopped"])
  await settle(2)
  expect(heard).toEqual([])
  slow.resolve()
  await second.done()
  expect(heard).toEqual(["started", "stopped"])
})

test("the events of one operation come in their order, whatever they are about", async () => {
  const heard: string[] = []
  const events = fanOut()
  events.add({
    async onAgentEvent(id) {
      await settle(3)
      heard.push(id)
    },
    onTurnFailed: (channelId) => void heard.push(channelId),
  })
  const one = events.announcement()
  one.agentEvent("agent", "skill_set", { removed: true, at })
  one.turnFailed("channel", "agent", "envelope", new Error("x"))
  await one.done()
  expect(heard).toEqual(["agent", "channel"])
})

test("different entities do not wait for one another", async () => {
  const events = fanOut()
  const stuck = Promise.withResolvers<void>()
  events.add({ onAgentEvent: (id) => (id === "slow" ? stuck.promise : undefined) })
  const slow = events.announcement()
  slow.agentEvent("slow", "skill_set", { removed: true, at })
  const quick = events.announcement()
  quick.agentEvent("quick", "skill_set", { removed: true, at })
  await quick.done()
  stuck.resolve()
  await events.idle()
})

test("AuditUnavailableError reaches the operation from the audit log alone, after all others were told", async () => {
  const heard: string[] = []
  const unavailable = new AuditUnavailableError("disk")
  const events = fanOut({
    onHubEvent: () => Promise.reject(unavailable),
    onAgentEvent: () => Promise.reject(new Error("an audit log's bug")),
  })
  events.add({
    onHubEvent() {
      heard.push("first")
      throw new AuditUnavailableError("not mine to say")
    },
  })
  events.add({ onHubEvent: () => void heard.push("second") })
  const one = events.announcement()
  one.hubEvent("stopped", { reason: "", at })
  await expect(one.done()).rejects.toBe(unavailable)
  expect(heard).toEqual(["first", "second"])
  const two = events.announcement()
  two.agentEvent("a", "skill_set", { removed: true, at })
  await two.done()
})

test("what a listener announces is recorded before it goes on, and told after it has returned", async () => {
  const recorded: string[] = []
  const heard: string[] = []
  const events = fanOut({ onHubEvent: (kind) => void recorded.push(kind) })
  events.add({
    async onHubEvent(kind) {
      if (kind !== "started") return
      const inner = events.announcement()
      inner.hubEvent("stopped", { reason: "", at })
      await inner.done()
      expect(recorded).toEqual(["started", "stopped"])
      expect(heard).toEqual([])
    },
  })
  events.add({ onHubEvent: (kind) => void heard.push(kind) })
  const outer = events.announcement()
  outer.hubEvent("started", { version: "1", at })
  await outer.done()
  await events.idle()
  expect(heard).toEqual(["started", "stopped"])
})

test("the same listener twice hears twice; removing takes the first away", async () => {
  let count = 0
  const listener = { onHubEvent: () => void count++ }
  const events = fanOut()
  events.add(listener)
  events.add(listener)
  expect(events.count).toBe(3)
  const tell = async (): Promise<void> => {
    const one = events.announcement()
    one.hubEvent("stopped", { reason: "", at })
    await one.done()
  }
  await tell()
  expect(count).toBe(2)
  events.remove(listener)
  events.remove({})
  await tell()
  expect(count).toBe(3)
})

test("what nobody has an ear for costs nobody anything, and the next event is told", async () => {
  const heard: string[] = []
  const events = fanOut(new BaseHubListener(), new BaseHubListener())
  expect(events.hears("onTurnFailed")).toBe(false)
  const listener: HubListener = { onTurnFailed: (_channel, agent) => void heard.push(agent) }
  events.add(listener)
  expect(events.hears("onTurnFailed")).toBe(true)
  expect(events.hears("onHubEvent")).toBe(false)
  const one = events.announcement()
  one.hubEvent("started", { version: "1", at })
  one.turnFailed("channel", "ann", "envelope", new Error("x"))
  await one.done()
  events.remove(listener)
  one.turnFailed("channel", "bob", "envelope", new Error("x"))
  await one.done()
  expect(heard).toEqual(["ann"])
})
