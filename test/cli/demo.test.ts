import { readFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import { build, hansard, jsonLines, logText, Running, tempFolder } from "./run.ts"

beforeAll(build)

/** What the demonstration is to show: every kind of standard coverage, and what full coverage adds to it. */
const SHOWN = [
  "hub_started",
  "agent_registered",
  "resume_set",
  "skill_set",
  "rule_set",
  "channel_created",
  "channel_opened",
  "channel_closed",
  "channel_expired",
  "task_started",
  "task_terminated",
  "turn_failed",
  "access_denied",
  "expectation_violated",
  "agent_unregistered",
  "story_published",
  "hub_stopped",
]

describe("demo", () => {
  test("shows the log as it is written, and leaves it behind", () => {
    const dir = join(tempFolder(), "data")
    const { status, stdout, stderr } = hansard(["demo", "--dir", dir])
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" })
    const log = jsonLines(logText(dir)) as { kind: string; outcome?: string; exc_type?: string }[]
    const kinds = new Set(log.map(({ kind }) => kind))
    expect(SHOWN.filter((kind) => !kinds.has(kind))).toEqual([])
    const outcomes = new Set(log.flatMap(({ outcome }) => outcome ?? []))
    expect([...outcomes].sort()).toEqual(["cancelled", "completed", "expired", "failed"])
    expect(log.filter(({ kind }) => kind === "turn_failed")).toMatchObject([{ exc_type: "SyntaxError" }])
    const shown = [...stdout.matchAll(/^ *(\d+) {2}\d\d:\d\d:\d\d\.\d{3} {2}(\w+)/gm)]
    expect(shown.map(([, index, kind]) => [Number(index), kind])).toEqual(
      log.map(({ kind }, index) => [index, kind]),
    )
    expect(stdout).toContain("researcher says By my figures: 42")
    expect(stdout).toContain("audit_log_bytes")
    expect(stdout).toContain(`hansard query --kind turn_failed --dir ${dir}`)
    expect(stdout).not.toContain("\u001b[")
  })

  test("goes on with what is there, and every command works on it", () => {
    const dir = tempFolder()
    expect(hansard(["demo", "--dir", dir]).status).toBe(0)
    const before = logText(dir)
    const again = hansard(["demo", "--dir", dir, "--json"])
    expect({ status: again.status, stderr: again.stderr }).toEqual({ status: 0, stderr: "" })
    expect(logText(dir).startsWith(before)).toBe(true)
    const lines = jsonLines(again.stdout) as { index?: number; health?: object }[]
    expect(lines.pop()?.health).toMatchObject({ active_channels: 0, registered_agents: 4, audit_failures: 0 })
    expect(lines.map(({ index }) => index)).toEqual(
      Array.from({ length: lines.length }, (_, n) => n + before.split("\n").length - 1),
    )
    const failed = hansard(["query", "--dir", dir, "--kind", "turn_failed", "--agent", "reviewer"])
    expect(jsonLines(failed.stdout)).toHaveLength(2)
    expect(hansard(["stats", "--dir", dir]).stdout).toContain("task_terminated")
    expect(hansard(["tail", "--dir", dir, "--last", "1"]).stdout).toContain('"kind": "hub_stopped"')
  })

  test("stops on SIGINT with what was recorded", async () => {
    const dir = tempFolder()
    const running = new Running(["demo", "--dir", dir])
    await running.until(/channel_closed/)
    running.child.kill("SIGINT")
    expect(await running.ended).toBe(0)
    expect(hansard(["tail", "--dir", dir, "--last", "1"]).stdout).toContain('"kind": "hub_stopped"')
  })

  test("refuses a folder that another process holds", async () => {
    const dir = tempFolder()
    const holder = new Running(["append", "--dir", dir, "--ack"])
    holder.child.stdin.write('{"kind":"noted"}\n')
    await holder.until(/"index":0/)
    const { status, stderr } = hansard(["demo", "--dir", dir])
    expect(status).toBe(2)
    expect(stderr).toContain("(log_locked)")
  })
})

test("the package's start script serves the demonstration", () => {
  const manifest = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8")) as {
    scripts: Record<string, string>
  }
  expect(manifest.scripts["start"]).toBe("node dev/run.mjs hansard serve --demo")
})
