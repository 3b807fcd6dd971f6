/** `hansard serve` and `hansard agent`, as processes. */
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { beforeAll, describe, expect, onTestFinished, test } from "vitest"
import { HubClient, remoteHub } from "../../src/client/index.ts"
import { textOf } from "../../src/model/index.ts"
import { BIN, build, hansard, tempFolder } from "../cli/run.ts"
import { Serving } from "./serving.ts"

beforeAll(build, 120_000)

/** Answers in capitals; crashes, refuses and talks nonsense when it is asked to. */
const PROGRAM = `
require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const { turn, text, sender } = JSON.parse(line)
  if (text === "crash") process.exit(3)
  if (text === "nonsense") console.log("not an answer")
  if (text === "refuse") return console.log(JSON.stringify({ turn, error: "I would rather not" }))
  if (text === "silence") return console.log(JSON.stringify({ turn }))
  console.log(JSON.stringify({ turn, text: sender + ": " + text.toUpperCase() }))
})`

interface Agent {
  readonly id: string
  readonly child: ChildProcess
  stderr(): string
}

async function startAgent(hubUrl: string, folder: string, ...args: string[]): Promise<Agent> {
  const program = join(folder, "program.cjs")
  writeFileSync(program, PROGRAM)
  const exec = `'${process.execPath}' '${program}'`
  const all = ["agent", "--json", "--name", "shouter", "--exec", exec, "--url", hubUrl, ...args]
  const child = spawn(process.execPath, [BIN, ...all], { stdio: ["ignore", "pipe", "pipe"] })
  onTestFinished(() => void child.kill("SIGTERM"))
  let stderr = ""
  child.stderr.on("data", (text) => (stderr += String(text)))
  for await (const line of createInterface(child.stdout)) {
    return { id: (JSON.parse(line) as { agent_id: string }).agent_id, child, stderr: () => stderr }
  }
  throw new Error(`the agent ended:\n${stderr}`)
}

function recordsIn(dir: string): readonly { readonly kind: string }[] {
  const text = readFileSync(join(dir, "store/audit/audit.jsonl"), "utf8").trimEnd()
  return text.split("\n").map((line) => JSON.parse(line) as { kind: string })
}

async function connect(hubUrl: string): Promise<HubClient> {
  const client = await HubClient.connect(remoteHub(hubUrl, { backoffMs: 20 }))
  onTestFinished(() => client.close())
  return client
}

describe("hansard agent", () => {
  test("makes a program an agent, starts it again when it crashes, and tells its failures", async () => {
    const dir = tempFolder()
    const serving = await Serving.start(dir)
    const agent = await startAgent(serving.hubUrl, dir, "--capability", "shouting")
    const client = await connect(serving.hubUrl)
    const ana = await client.register({ name: "ana" })
    expect(await client.hub.listAgents({ capability: "shouting" })).toMatchObject([{ name: "shouter" }])

    const channel = await ana.open({ target: "shouter" })
    const ask = async (text: string): Promise<string | undefined> => {
      const sent = await channel.send(text)
      return textOf(await channel.waitFor(({ causation_id }) => causation_id === sent, { after: sent }))
    }
    expect(await ask("hello")).toBe("ana: HELLO")
    expect(await ask("nonsense")).toBe("ana: NONSENSE")
    await channel.send("silence")
    await channel.send("refuse")
    await channel.send("crash")
    expect(await ask("again")).toBe("ana: AGAIN")
    expect(agent.stderr()).toContain("answers no turn: not an answer")
    expect(agent.stderr()).toContain("ended with status 3; it is started again")

    const ended = once(agent.child, "exit")
    agent.child.kill("SIGTERM")
    expect(await ended).toEqual([0, null])
    expect(await client.hub.getAgent("shouter")).toMatchObject({ agent_id: agent.id })
    await client.close()
    expect(await serving.stop()).toBe(0)
    expect(recordsIn(dir).filter(({ kind }) => kind === "turn_failed")).toMatchObject([
      { exc_type: "ProgramRefusal", exc_message: "I would rather not" },
      { exc_type: "ProtocolError", exc_message: "the program ended with status 3" },
    ])
  })

  test("proves its name by a key that it makes, and nobody else can take it", async () => {
    const dir = tempFolder()
    const serving = await Serving.start(dir)
    const key = join(dir, "agent.key")
    const agent = await startAgent(serving.hubUrl, dir, "--key", key)
    expect(statSync(key).mode & 0o777).toBe(0o600)
    const client = await connect(serving.hubUrl)
    await expect(client.attach("shouter")).rejects.toMatchObject({ code: "auth_failed" })
    const ended = once(agent.child, "exit")
    agent.child.kill("SIGTERM")
    await ended
    // The same identity, by the same key.
    const again = await startAgent(serving.hubUrl, dir, "--key", key, "--leave")
    expect(again.id).toBe(agent.id)
    const left = once(again.child, "exit")
    again.child.kill("SIGTERM")
    await left
    await expect(client.hub.getAgent("shouter")).rejects.toMatchObject({ code: "not_found" })
    expect(readFileSync(join(dir, "store/audit/audit.jsonl"), "utf8")).not.toContain(
      readFileSync(key, "utf8").trim(),
    )
  })
})

describe("hansard serve", () => {
  test("stops in order: requests end, agents are told, the log ends with hub_stopped and a checkpoint over all", async () => {
    const dir = tempFolder()
    const serving = await Serving.start(dir)
    const client = await connect(serving.hubUrl)
    await client.register({ name: "ana" })
    expect(await serving.stop()).toBe(0)
    expect(recordsIn(dir).map(({ kind }) => kind)).toEqual(["hub_started", "agent_registered", "hub_stopped"])
    const verified = hansard(["verify", "--dir", dir, "--json"])
    expect(verified.status).toBe(0)
    const [, size] = readFileSync(join(dir, "store/audit/checkpoint"), "utf8").split("\n")
    expect(size).toBe("3")
  })

  test("killed and started again on its port: agents come back by themselves, and nothing acknowledged is lost", async () => {
    const dir = tempFolder()
    const first = await Serving.start(dir)
    const port = new URL(first.url).port
    const client = await connect(first.hubUrl)
    const heard: string[] = []
    const ana = await client.register({ name: "ana" })
    await client.register({ name: "bob" }, { onTurn: ({ text }) => void heard.push(text) })
    const channel = await ana.open({ target: "bob" })
    await channel.send("before")
    await expect.poll(() => heard).toEqual(["before"])
    await first.kill()
    const meanwhile = channel.send("meanwhile")
    const second = await Serving.start(dir, "--port", port)
    await meanwhile
    await expect.poll(() => heard, { timeout: 10_000 }).toEqual(["before", "meanwhile"])
    const texts = (await channel.envelopes()).map(textOf).filter((text) => text !== undefined)
    expect(texts).toEqual(["before", "meanwhile"])
    await client.close()
    expect(await second.stop()).toBe(0)
  })

  test("whoever proves a token of scope admin administers the hub, until it is revoked, and nobody else", async () => {
    const dir = tempFolder()
    const serving = await Serving.start(dir)
    const newToken = (...args: string[]): { id: string; token: string } =>
      JSON.parse(hansard(["token", "new", "--dir", dir, "--json", ...args]).stdout) as {
        id: string
        token: string
      }
    const client = await connect(serving.hubUrl)
    const ana = await client.register({ name: "ana" })
    const bob = await client.register({ name: "bob" })
    const channel = await ana.open({ target: "bob" })
    const admin = await connect(serving.hubUrl)
    await expect(admin.hub.closeChannel(channel.channelId)).rejects.toMatchObject({ code: "access_denied" })

    // Not with another scope, under another name, or with a secret that is none.
    const reader = newToken("reader", "--scope", "read,append")
    const root = newToken("root", "--scope", "admin")
    const bad: [string, string][] = [
      ["reader", reader.token],
      ["ana", root.token],
      ["root", `${root.token.slice(0, -1)}${root.token.endsWith("A") ? "B" : "A"}`],
    ]
    for (const [name, token] of bad) {
      await expect(admin.proveAdmin(name, token)).rejects.toMatchObject({ code: "auth_failed" })
    }
    await admin.proveAdmin("root", root.token)
    expect(await admin.hub.listChannels()).toMatchObject([{ channel_id: channel.channelId }])
    expect(await admin.hub.closeChannel(channel.channelId, "enough")).toMatchObject({ state: "closed" })
    await admin.hub.setRule(bob.agentId, { limits: { delegation_depth: 1 } })
    await expect(admin.hub.setSkill(bob.agentId, "# not his")).rejects.toMatchObject({
      code: "access_denied",
    })
    await admin.hub.unregister(bob.agentId)

    expect(hansard(["token", "revoke", root.id, "--dir", dir]).status).toBe(0)
    await expect
      .poll(() => admin.hub.listChannels().catch((error: { code: string }) => error.code), {
        timeout: 10_000,
      })
      .toBe("access_denied")
    await client.close()
    await admin.close()
    expect(await serving.stop()).toBe(0)
    const records = recordsIn(dir) as unknown as Record<string, unknown>[]
    expect(records.filter(({ actor_id }) => actor_id === "admin:root")).toMatchObject([
      { kind: "channel_closed", channel_id: channel.channelId, reason: "enough" },
      { kind: "rule_set", agent_id: bob.agentId },
      { kind: "access_denied", op: "set_skill" },
      { kind: "agent_unregistered", agent_id: bob.agentId },
    ])
    expect(records.filter(({ kind }) => kind === "auth_failed")).toMatchObject(
      bad.map(([name]) => ({ name, scheme: "admin" })),
    )
    expect(JSON.stringify(records)).not.toContain(root.token)
  })

  test("from another machine nobody joins without a proof", async () => {
    const dir = tempFolder()
    const serving = await Serving.start(dir, "--host", "0.0.0.0")
    // Not by a name of this machine: then it counts as from elsewhere, as through a proxy.
    const { WebSocket } = await import("ws")
    const socket = new WebSocket(serving.hubUrl.replace("0.0.0.0", "127.0.0.1"), {
      headers: { host: "hub.example" },
    })
    await once(socket, "open")
    socket.send('{"kind":"request","request_id":"r","op":"register","params":{"passport":{"name":"eve"}}}')
    const [data] = (await once(socket, "message")) as [Buffer]
    expect(JSON.parse(String(data))).toMatchObject({ ok: false, error_code: "auth_failed" })
    socket.terminate()
  })
})
