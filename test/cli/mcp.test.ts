/** `hansard mcp` as a program speaks to it: the official client, over standard input and output. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { Client } from "@modelcontextprotocol/client"
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio"
import { beforeAll, describe, expect, onTestFinished, test } from "vitest"
import { checkProofFile, logPolicy, parseProofFile } from "../../src/core/index.ts"
import { utf8 } from "../../src/core/bytes.ts"
import { BIN, build, hansard, tempFolder } from "./run.ts"

beforeAll(build, 120_000)

interface Evidence {
  readonly index: number
  readonly line: string
  readonly proof: string
}

async function open(): Promise<{ readonly client: Client; readonly vkey: string }> {
  const dir = join(tempFolder(), "d")
  const input = [
    { kind: "channel_created", channel_id: "c", participants: ["a", "b"] },
    { kind: "turn_failed", channel_id: "c", agent_id: "a", exc_message: "é" },
    { kind: "noted", n: 1 },
    { kind: "channel_closed", channel_id: "c", reason: "done" },
  ]
  hansard(["append", "--dir", dir], { input: input.map((record) => `${JSON.stringify(record)}\n`).join("") })
  const vkey = hansard(["checkpoint", "--vkey", "--dir", dir]).stdout.trim()
  const client = new Client({ name: "test", version: "1" })
  await client.connect(
    new StdioClientTransport({
      command: process.execPath,
      args: [BIN, "mcp", "--dir", dir],
      stderr: "ignore",
    }),
  )
  onTestFinished(() => client.close())
  return { client, vkey }
}

async function call(
  client: Client,
  name: string,
  args: Record<string, unknown>,
): Promise<{ readonly text: string; readonly isError: boolean }> {
  const { content, isError } = await client.callTool({ name, arguments: args })
  const [first] = content
  return { text: first?.type === "text" ? first.text : "", isError: isError === true }
}

describe("the tools of `hansard mcp`", () => {
  test("are four, read only, and each answer carries index, line and a proof that the key shows", async () => {
    const { client, vkey } = await open()
    const { tools } = await client.listTools()
    expect(tools.map(({ name }) => name)).toEqual(["search", "get", "channel_story", "prove"])
    for (const { annotations, description } of tools) {
      expect(annotations).toMatchObject({ readOnlyHint: true })
      expect(description).not.toBe("")
    }
    const policy = logPolicy([vkey])
    const mustBeShown = (wanted: readonly number[], items: readonly Evidence[]): void => {
      expect(items.map(({ index }) => index)).toEqual(wanted)
      for (const { index, line, proof } of items) {
        const file = parseProofFile(proof)
        expect(file.index).toBe(index)
        expect(checkProofFile(file, utf8(line), policy).size).toBe(4)
        const other = utf8(line.replace("kind", "Kind"))
        expect(() => checkProofFile(file, other, policy)).toThrow()
      }
    }
    const search = JSON.parse((await call(client, "search", { channel: "c", limit: 2 })).text) as {
      records: Evidence[]
      next_cursor: string
    }
    mustBeShown([3, 1], search.records)
    const next = await call(client, "search", { channel: "c", limit: 2, cursor: search.next_cursor })
    mustBeShown([0], (JSON.parse(next.text) as { records: Evidence[] }).records)
    mustBeShown([1], [JSON.parse((await call(client, "get", { index: 1 })).text) as Evidence])
    const story = JSON.parse((await call(client, "channel_story", { channel: "c" })).text) as {
      events: (Evidence & { source: string })[]
    }
    expect(story.events.every(({ source }) => source === "audit")).toBe(true)
    mustBeShown([0, 1, 3], story.events)
    const proved = JSON.parse((await call(client, "prove", { index: 2 })).text) as Evidence
    mustBeShown([2], [proved])
    // And by the command, from files.
    const folder = tempFolder()
    writeFileSync(join(folder, "line"), proved.line)
    writeFileSync(join(folder, "proof"), proved.proof)
    const check = hansard(["check", join(folder, "proof"), "--record", join(folder, "line"), "--key", vkey])
    expect(check).toMatchObject({ status: 0 })
  })

  test.each<[string, Record<string, unknown>, RegExp]>([
    ["get", { index: 99 }, /no record 99.*not_found/],
    ["get", { index: -1 }, /index/],
    ["get", { index: "1" }, /index/],
    ["get", {}, /index/],
    ["search", { knd: "x" }, /knd/],
    ["search", { limit: 1_000 }, /limit/],
    ["search", { from: "yesterday" }, /from.*invalid_input/],
    ["search", { cursor: "nonsense" }, /cursor/],
    ["channel_story", { channel: "nobody's" }, /no channel.*not_found/],
    ["channel_story", {}, /channel/],
    ["prove", { index: 1.5 }, /index/],
  ])(
    "%s %j is an error that says what is wrong, and the next call is answered",
    async (name, args, words) => {
      const { client } = await open()
      const { text, isError } = await call(client, name, args)
      expect(isError).toBe(true)
      expect(text).toMatch(words)
      expect((await call(client, "get", { index: 0 })).isError).toBe(false)
    },
  )
})
