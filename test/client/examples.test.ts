import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, onTestFinished, test } from "vitest"

test("examples/embed.ts runs as it stands", () => {
  const folder = mkdtempSync(join(tmpdir(), "hansard-example-"))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const example = join(import.meta.dirname, "../../examples/embed.ts")
  const { status, stdout, stderr } = spawnSync(process.execPath, [example, folder], { encoding: "utf8" })
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" })
  const [answer, ...lines] = stdout.trimEnd().split("\n")
  expect(answer).toBe("You said: Is this on the record?")
  expect(lines.map((line) => /"kind": "(\w+)"/.exec(line)?.[1])).toEqual([
    "hub_started",
    "agent_registered",
    "agent_registered",
    "channel_created",
    "channel_opened",
    "channel_closed",
  ])
})
