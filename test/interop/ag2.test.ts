/** AG2's Python network and ours: its client on our hub, its classes on our folder, our hub on its folder. */
import { mkdtempSync } from "node:fs"
import { rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { beforeAll, describe, expect, onTestFinished, test } from "vitest"
import { HubClient, remoteHub } from "../../src/client/index.ts"
import { Hub } from "../../src/hub/index.ts"
import { textOf } from "../../src/model/index.ts"
import type { Envelope, JsonObject } from "../../src/model/index.ts"
import { FileStore } from "../../src/store/index.ts"
import { build, tempFolder } from "../cli/run.ts"
import { PythonProcess, runPython, whyNot } from "./python.ts"
import { Serving } from "../network/serving.ts"

interface StoredChannel {
  readonly channel_id: string
  readonly type: string
  readonly state: string
  readonly reason: string
  readonly wal: readonly Envelope[]
}

interface Stored {
  readonly records: readonly JsonObject[]
  readonly channels: readonly StoredChannel[]
  readonly agents: readonly string[]
}

const reason = whyNot()

describe.skipIf(reason !== undefined)(
  reason === undefined ? "AG2 from PyPI" : `AG2 from PyPI (skipped: ${reason})`,
  { timeout: 120_000 },
  () => {
    beforeAll(build, 120_000)

    test("AG2's client on our hub, with an agent in TypeScript in every type of channel; and AG2 reads what was kept", async () => {
      const dir = tempFolder()
      const serving = await Serving.start(dir)
      const client = await HubClient.connect(remoteHub(serving.hubUrl))
      onTestFinished(() => client.close())
      const ts = await client.register({ name: "ts" }, { onTurn: ({ text }) => `ts heard: ${text}` })
      const script = new PythonProcess("ag2_client.py", serving.hubUrl)
      onTestFinished(() => script.stop())

      const { asker, answerer } = await script.step("register")
      expect(await script.step("consulting")).toMatchObject({
        text: "ts heard: one question",
        reason: "consulting_complete",
      })
      expect(await script.step("conversation")).toMatchObject({
        texts: ["ts heard: hello", "ts heard: grüße 🎉"],
        reason: "enough",
      })
      expect(await script.step("discussion")).toMatchObject({
        speakers: [asker, answerer, ts.agentId],
        last: "ts heard: python says 0",
      })
      expect(await script.step("workflow")).toMatchObject({
        types: [
          "ag2.channel.invite",
          "ag2.channel.invite",
          "ag2.channel.invite.ack",
          "ag2.channel.invite.ack",
          "ag2.channel.opened",
          "ag2.msg.text",
          "ag2.packet",
          "ag2.msg.text",
          "ag2.channel.closed",
        ],
        reason: "sequence_complete",
      })

      await script.step("ready")
      expect(await ts.delegate("py_answerer", "and you, Python?")).toBe("python says 0")
      script.proceed()

      expect(await script.step("tasks")).toMatchObject({
        states: ["completed", "failed"],
        checkpoint: { at: 1 },
        observed: [2, 1, 1],
      })
      const crash = await script.step("crash")
      expect(await script.step("replay")).toMatchObject({ text: "I am back" })
      expect(await script.step("errors")).toMatchObject({ raised: "NotFoundError" })
      await script.step("done")
      await client.close()
      await serving.stop()

      const stored = runPython<Stored>("ag2_read.py", join(dir, "store"))
      expect(stored.agents).toEqual(["ts"])
      expect(stored.channels.map(({ type, state, reason }) => [type, state, reason])).toEqual([
        ["consulting", "closed", "consulting_complete"],
        ["conversation", "closed", "enough"],
        ["discussion", "closed", "discussed"],
        ["workflow", "closed", "sequence_complete"],
        ["consulting", "closed", "consulting_complete"],
        ["conversation", "active", ""],
        ["conversation", "active", ""],
      ])
      const kinds = stored.records.map(({ kind }) => kind)
      expect(kinds.at(0)).toBe("hub_started")
      expect(kinds.at(-1)).toBe("hub_stopped")
      expect(stored.records.filter(({ kind }) => kind === "turn_failed")).toMatchObject([
        { agent_id: crash["crasher"], envelope_id: crash["envelope"], exc_type: "RuntimeError" },
      ])
      const ends = stored.records.filter(({ kind }) => kind === "task_terminated")
      expect(ends.map(({ task_id, outcome }) => [task_id, outcome])).toEqual([
        ["py-task-0", "completed"],
        ["py-task-1", "failed"],
      ])
      const gone = stored.records.filter(({ kind }) => kind === "agent_unregistered")
      expect(gone.map(({ name }) => name).sort()).toEqual([
        "py_answerer",
        "py_asker",
        "py_crasher",
        "py_sleeper",
      ])

      // What AG2 makes of the logs is what we make of them.
      await using store = await FileStore.open(join(dir, "store"))
      await using hub = await Hub.open(store)
      for (const { channel_id, wal } of stored.channels) expect(await hub.readWal(channel_id)).toEqual(wal)
      const ours: JsonObject[] = []
      for await (const { record } of hub.auditLog.entries({ to: stored.records.length })) {
        ours.push(record as JsonObject)
      }
      expect(ours).toEqual(stored.records)
    })

    test("AG2's store folder opens in our hub, and goes on there", async () => {
      const folder = join(mkdtempSync(join(tmpdir(), "hansard-ag2-")), "store")
      onTestFinished(() => rm(join(folder, ".."), { recursive: true, force: true }))
      const made = runPython<{ ids: Record<string, string>; records: JsonObject[] }>("ag2_store.py", folder)
      const { consulting = "", conversation = "", alice = "" } = made.ids

      await using store = await FileStore.open(folder)
      await using hub = await Hub.open(store)
      expect(hub.health()).toMatchObject({ quarantined: 0, registered_agents: 2, active_channels: 1 })
      expect(await hub.getChannel(consulting)).toMatchObject({
        state: "closed",
        close_reason: "consulting_complete",
      })
      expect(await hub.getTask("t1")).toMatchObject({ state: "completed", result: { sum: 42 } })
      const texts = (await hub.readWal(conversation)).map(textOf).filter((text) => text !== undefined)
      expect(texts).toEqual(["how much is it?", "forty-two"])
      const { records } = await hub.auditLog.query({ limit: 100 })
      expect(records.map(({ record }) => record)).toEqual(made.records)

      await using client = await HubClient.connect(hub)
      const agent = await client.attach("alice")
      expect(agent.agentId).toBe(alice)
      await client.attach("bob", { onTurn: () => "forty-four", sinceEnvelopeId: null })
      const channel = await agent.channel(conversation)
      const sent = await channel.send("and now?")
      const answer = await channel.waitFor(({ causation_id }) => causation_id === sent, { after: sent })
      expect(textOf(answer)).toBe("forty-four")
    })
  },
)
