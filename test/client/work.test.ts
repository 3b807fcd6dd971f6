import { describe, expect, test } from "vitest"
import { NotFoundError } from "../../src/core/errors.ts"
import { AccessDeniedError } from "../../src/model/errors.ts"
import { settle } from "./fake-hub.ts"
import { setUp } from "./set-up.ts"

describe("waiting", () => {
  test("takes the first match; it starts no turn, and is acknowledged in its place", async () => {
    let turns = 0
    const { fake, agent, id, timers } = await setUp({ onTurn: () => void turns++ })
    const waiting = agent.waitFor("c1", ({ event_data }) => event_data["text"] === "yes")
    await settle()
    fake.deliver(id, { event_data: { text: "no" } })
    const wanted = fake.deliver(id, { event_data: { text: "yes" } })
    expect((await waiting).envelope_id).toBe(wanted.envelope_id)
    await settle()
    expect(turns).toBe(1)
    expect(fake.receipts.map(({ envelope_id }) => envelope_id)).toEqual(["e000001", "e000002"])
    expect(timers.pending).toBe(0)
  })

  test("finds what came between the send and the wait, once it is told what was sent", async () => {
    const { fake, agent, id } = await setUp()
    fake.log({ event_data: { text: "old" } })
    const channel = await agent.channel("c1")
    const sent = await channel.send("question")
    fake.log({ event_data: { text: "for others" }, audience: ["somebody"] })
    fake.log({ event_data: { text: "answer" } })
    const found = await channel.waitFor(({ sender_id }) => sender_id !== id, { after: sent })
    expect(found.event_data).toEqual({ text: "answer" })
  })

  test("ends with the channel, and with one that had ended already", async () => {
    const { fake, agent, id } = await setUp()
    const waiting = agent.waitFor("c1", () => false)
    await settle()
    fake.deliver(id, { event_type: "ag2.channel.expired", event_data: { reason: "ttl_expired" } })
    await expect(waiting).rejects.toMatchObject({
      code: "protocol_error",
      message: "channel c1 expired before anything that was waited for came: ttl_expired",
    })
    await expect(agent.waitFor("c1", () => false)).rejects.toThrow("expired")
  })

  test("ends with its timeout, its signal, its own mistakes, and the client", async () => {
    const { fake, agent, client, id, timers } = await setUp()
    const late = agent.waitFor("c1", () => false, { timeoutMs: 50 })
    timers.advance(50)
    await expect(late).rejects.toMatchObject({ name: "TimeoutError" })
    const controller = new AbortController()
    const stopped = agent.waitFor("c1", () => false, { signal: controller.signal })
    controller.abort(new Error("enough"))
    await expect(stopped).rejects.toThrow("enough")
    await expect(agent.waitFor("c1", () => true, { signal: controller.signal })).rejects.toThrow("enough")
    const wrong = agent.waitFor("c1", () => {
      throw new Error("a mistake")
    })
    fake.deliver(id)
    await expect(wrong).rejects.toThrow("a mistake")
    const closed = agent.waitFor("c1", () => false)
    await client.close()
    await expect(closed).rejects.toMatchObject({ code: "closed" })
    expect(timers.pending).toBe(0)
  })
})

describe("opening", () => {
  test("resolves names, and refuses a channel with oneself alone before the hub is asked", async () => {
    const { fake, agent, id } = await setUp()
    await agent.open({ target: ["ana", "ben"], intent: "talk", ttl: "5m" })
    expect(fake.of("createChannel")).toEqual([
      [
        {
          creator_id: id,
          manifest_type: "conversation",
          participants: ["id-of-ana", "id-of-ben"],
          intent: "talk",
          ttl: "5m",
        },
      ],
    ])
    fake.answers.getAgent = () => agent.passport
    await expect(agent.open({ target: "clerk" })).rejects.toMatchObject({ code: "protocol_error" })
    expect(fake.of("createChannel")).toHaveLength(1)
  })

  test("that is aborted closes the channel when it opens all the same", async () => {
    const { fake, agent } = await setUp()
    let opened = (_metadata: unknown): void => {}
    fake.answers.createChannel = () => new Promise((resolve) => (opened = resolve))
    const controller = new AbortController()
    const opening = agent.open({ target: "ana", signal: controller.signal })
    await settle()
    controller.abort(new Error("changed my mind"))
    await expect(opening).rejects.toThrow("changed my mind")
    opened({ channel_id: "c9" })
    await settle()
    expect(fake.of("closeChannel")).toEqual([["c9", "opener_aborted"]])
  })
})

describe("delegating", () => {
  test("asks one level down, and returns the text of the answer", async () => {
    const { fake, agent, id } = await setUp({ onTurn: () => "must not be asked" })
    const asking = agent.delegate("ana", "how many?", { capability: "counting" })
    await settle()
    expect(fake.posted).toMatchObject([{ event_data: { text: "how many?" }, depth: 1 }])
    expect(fake.of("createChannel")[0]?.[0]).toMatchObject({
      manifest_type: "consulting",
      labels: { capability: "counting" },
    })
    fake.deliver(id, { event_data: { text: "three" } })
    expect(await asking).toBe("three")
    expect(fake.posted).toHaveLength(1)
  })

  test("from a turn counts the depth on", async () => {
    const { fake, id } = await setUp({
      onTurn: async (turn) => {
        if (turn.channel.channelId === "c1") await turn.delegate("ana", "and?", { timeoutMs: 10 })
      },
    })
    fake.answers.createChannel = () => ({ channel_id: "c2", state: "active" })
    fake.deliver(id, { depth: 2 })
    await settle()
    expect(fake.posted).toMatchObject([{ channel_id: "c2", depth: 3 }])
  })

  test("closes its channel when no answer comes", async () => {
    const { fake, agent, timers } = await setUp()
    const asking = agent.delegate("ana", "hello?", { timeoutMs: 1000 })
    await settle()
    timers.advance(1000)
    await expect(asking).rejects.toMatchObject({ name: "TimeoutError" })
    expect(fake.of("closeChannel")).toEqual([["c1", "delegation_failed: TimeoutError"]])
  })
})

describe("tasks", () => {
  const SPEC = { title: "count", capability: "counting" }

  test("are mirrored from start to observation, in order", async () => {
    const { fake, agent, id, timers } = await setUp()
    const result = await agent.runTask(
      SPEC,
      async (task) => {
        void task.progress({ done: 1 })
        void task.checkpoint({ at: 1 })
        timers.now += 250
        return { total: 3 }
      },
      { channelId: "c1", ttlSeconds: 60 },
    )
    expect(result).toEqual({ total: 3 })
    const task_id = (fake.of("observeTask")[0]?.[0] as { task_id: string }).task_id
    expect(fake.calls.slice(1)).toEqual([
      [
        "observeTask",
        {
          task_id,
          owner_id: id,
          spec: SPEC,
          state: "running",
          started_at: "1970-01-01T00:16:40.000Z",
          expires_at: "1970-01-01T00:17:40.000Z",
          channel_id: "c1",
        },
      ],
      ["updateTask", task_id, { progress: { done: 1 } }],
      ["checkpointTask", task_id, { at: 1 }],
      ["updateTask", task_id, { state: "completed", result: { total: 3 } }],
      [
        "recordObservation",
        { owner_id: id, capability: "counting", outcome: "completed", latency_ms: 250, task_id },
      ],
    ])
    expect(timers.pending).toBe(0)
  })

  test("W-15: that the hub has let expire meanwhile are observed as expired, whatever came of them", async () => {
    const { fake, agent } = await setUp()
    fake.answers.updateTask = () => ({ state: "expired" })
    const state = await agent.runTask(SPEC, async (task) => {
      await task.complete("done all the same")
      return task.state
    })
    expect(state).toBe("expired")
    expect(fake.of("recordObservation")).toMatchObject([[{ outcome: "expired" }]])
  })

  test("that throw fail, and throw on; without a capability nothing is observed", async () => {
    const { fake, agent } = await setUp()
    const work = agent.runTask({ title: "x" }, () => {
      throw new TypeError("wrong")
    })
    await expect(work).rejects.toThrow(TypeError)
    expect(fake.of("updateTask").map(([, update]) => update)).toEqual([{ state: "failed", error: "wrong" }])
    expect(fake.of("recordObservation")).toEqual([])
  })

  test("end once: as they say themselves, by cancel, or when their time is over", async () => {
    const { fake, agent, timers } = await setUp()
    await agent.runTask({ title: "a" }, async (task) => {
      await task.complete(1)
      await task.fail("too late")
      await task.progress({ too: "late" })
    })
    await agent.runTask({ title: "b" }, async (task) => {
      await task.cancel("not needed")
      expect(task.signal.aborted).toBe(true)
    })
    await agent.runTask(
      { title: "c" },
      async (task) => {
        timers.advance(2000)
        expect(task.signal.reason).toMatchObject({ name: "TimeoutError" })
        expect(task.state).toBe("expired")
      },
      { ttlSeconds: 2 },
    )
    expect(fake.of("updateTask").map(([, update]) => update)).toEqual([
      { state: "completed", result: 1 },
      { state: "cancelled", error: "not needed" },
      { state: "expired", error: "not done within 2 s" },
    ])
  })

  test("go on when the hub cannot be told; that is reported, and what follows from it is not", async () => {
    const { fake, agent, id } = await setUp()
    fake.answers.observeTask = () => {
      throw new AccessDeniedError("too many tasks")
    }
    fake.answers.updateTask = () => {
      throw new NotFoundError("no such task")
    }
    fake.answers.fireTaskEvent = () => {
      throw new Error("not even that")
    }
    expect(await agent.runTask(SPEC, () => 7)).toBe(7)
    expect(fake.of("fireTaskEvent").map(([, ...rest]) => rest)).toEqual([
      [
        "mirror_failed",
        {
          op: "started",
          owner_id: id,
          channel_id: null,
          exc_type: "AccessDeniedError",
          exc_message: "too many tasks",
        },
      ],
    ])
    expect(fake.of("recordObservation")).toHaveLength(1)
  })
})
