import { spawnSync } from "node:child_process"
import { appendFileSync, existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { BIN, build, hansard, jsonLines, logText, records, Running, tempFolder } from "./run.ts"

/** Made once, for the tests that only read it. */
let shared = ""

beforeAll(() => {
  build()
  shared = mkdtempSync(join(tmpdir(), "hansard-cli-"))
  fill(shared)
})

afterAll(() => rmSync(shared, { recursive: true, force: true }))

/** A log of records with all that can be filtered for. */
function fill(dir: string): void {
  const ana = "0".repeat(31) + "a"
  const ben = "0".repeat(31) + "b"
  const all = [
    { at: "2026-05-05T10:00:00Z", kind: "agent_registered", agent_id: ana, name: "ana" },
    { at: "2026-05-05T10:00:01Z", kind: "agent_registered", agent_id: ben, name: "ben \u001b[31m" },
    {
      at: "2026-05-05T10:00:02Z",
      kind: "channel_created",
      channel_id: "c1",
      creator_id: ana,
      participants: [ana, ben],
    },
    { at: "2026-05-05T10:00:03Z", kind: "task_terminated", task_id: "t1", owner_id: ben, outcome: "failed" },
    {
      at: "2026-05-05T10:00:04Z",
      kind: "task_terminated",
      task_id: "t2",
      owner_id: ben,
      outcome: "completed",
    },
    { at: "2026-05-05T10:00:05Z", kind: "channel_closed", channel_id: "c1", reason: "done" },
  ]
  const input = all.map((record) => `${JSON.stringify(record)}\n`).join("")
  expect(hansard(["append", "--dir", dir], { input }).status).toBe(0)
}

/** The same log, for a test that changes it. */
function filled(): string {
  const dir = tempFolder()
  fill(dir)
  return dir
}

function indexes(stdout: string): number[] {
  return (jsonLines(stdout) as { index: number }[]).map(({ index }) => index)
}

describe("tail", () => {
  test("prints the last ten lines as they are", () => {
    const dir = tempFolder()
    hansard(["append", "--dir", dir], { input: records(25) })
    const lines = logText(dir).split("\n").slice(15)
    expect(hansard(["tail", "--dir", dir])).toEqual({ status: 0, stdout: lines.join("\n"), stderr: "" })
    expect(hansard(["tail", "--dir", dir, "--last", "2"]).stdout).toBe(lines.slice(8).join("\n"))
    expect(hansard(["tail", "--dir", dir, "--last", "0"]).stdout).toBe("")
    expect(hansard(["tail", "--dir", dir, "--last", "99"]).stdout).toBe(logText(dir))
    expect(hansard(["tail", "--dir", dir, "--from", "23"]).stdout).toBe(lines.slice(8).join("\n"))
    expect(hansard(["tail", "--dir", dir, "--from", "99"])).toEqual({ status: 0, stdout: "", stderr: "" })
  })

  test("--json gives the index and the record", () => {
    const { stdout } = hansard(["tail", "--dir", shared, "--json", "--last", "1"])
    expect(JSON.parse(stdout)).toEqual({
      index: 5,
      record: { at: "2026-05-05T10:00:05Z", kind: "channel_closed", channel_id: "c1", reason: "done" },
    })
  })

  test.each([
    [
      ["--kind", "agent_registered,channel_closed"],
      [0, 1, 5],
    ],
    [
      ["--kind", "agent_registered", "--kind", "channel_closed"],
      [0, 1, 5],
    ],
    [
      ["--agent", "0".repeat(31) + "a"],
      [0, 2],
    ],
    [
      ["--agent", "ana"],
      [0, 2],
    ],
    [
      ["--channel", "c1"],
      [2, 5],
    ],
    [["--task", "t2"], [4]],
    [["--outcome", "failed"], [3]],
    [
      ["--since", "2026-05-05T10:00:03Z", "--until", "2026-05-05T10:00:05Z"],
      [3, 4],
    ],
    [["--text", '"done"'], [5]],
    [["--kind", "task_terminated", "--last", "1"], [4]],
    [["--kind", "task_terminated", "--from", "4"], [4]],
    [["--kind", "no_such_kind"], []],
  ])("filters: %j", (args, wanted) => {
    const dir = shared
    expect(indexes(hansard(["tail", "--dir", dir, "--json", ...args]).stdout)).toEqual(wanted)
    if (args.includes("--last") || args.includes("--from")) return
    const { records: found } = JSON.parse(hansard(["query", "--dir", dir, "--json", ...args]).stdout) as {
      records: { index: number }[]
    }
    expect(found.map(({ index }) => index)).toEqual(wanted)
  })

  test("--follow goes on with what another process writes, and ends with 0 on SIGINT", async () => {
    const dir = filled()
    const tail = new Running(["tail", "--dir", dir, "--follow", "--last", "1", "--json"])
    await tail.until(/"index":5/)
    hansard(["append", "--dir", dir], { input: records(3) })
    await tail.until(/"index":8/)
    hansard(["append", "--dir", dir], { input: records(1) })
    await tail.until(/"index":9/)
    tail.child.kill("SIGINT")
    expect(await tail.ended).toBe(0)
    expect(indexes(tail.stdout)).toEqual([5, 6, 7, 8, 9])
    expect(tail.stderr).toBe("")
  })

  test("--follow with filters shows only what passes", async () => {
    const dir = filled()
    const tail = new Running(["tail", "--dir", dir, "--follow", "--kind", "wanted", "--json"])
    // Nothing passes yet, so there is nothing to see; the first record must not be missed whenever it comes.
    hansard(["append", "--dir", dir], { input: records(2, "other") + records(1, "wanted") })
    await tail.until(/"index":8/)
    tail.child.kill("SIGTERM")
    expect(await tail.ended).toBe(0)
    expect(indexes(tail.stdout)).toEqual([8])
  })

  test("ends quietly when its reader has what it wants", () => {
    const dir = tempFolder()
    hansard(["append", "--dir", dir], { input: records(50_000) })
    const script = `"${process.execPath}" "${BIN}" tail --dir "${dir}" --from 0 --follow | head -n 1`
    const { stdout, stderr } = spawnSync("sh", ["-c", script], { encoding: "utf8", timeout: 30_000 })
    expect({ stdout, stderr }).toEqual({ stdout: `${logText(dir).split("\n")[0]}\n`, stderr: "" })
  })

  test("shows a line that is no record where it is, after everything before it, and exits 1", () => {
    const dir = filled()
    appendFileSync(join(dir, "store/audit/audit.jsonl"), "garbage\n")
    const { status, stdout, stderr } = hansard(["tail", "--dir", dir, "--from", "4"])
    expect(status).toBe(1)
    expect(jsonLines(stdout)).toHaveLength(2)
    expect(stderr).toMatch(
      /^hansard: record 6, at byte \d+, is not a JSON object: "garbage" \(tampered\)\n {2}hint: /,
    )
  })
})

describe("query", () => {
  test("gives a page, and where the next one starts", () => {
    const dir = shared
    const page = hansard(["query", "--dir", dir, "--limit", "2", "--json"])
    expect(JSON.parse(page.stdout)).toMatchObject({
      records: [{ index: 0 }, { index: 1 }],
      next_cursor: "2",
      size: 6,
    })
    const plain = hansard(["query", "--dir", dir, "--limit", "2", "--cursor", "2"])
    expect(plain.stdout).toBe(logText(dir).split("\n").slice(2, 4).join("\n") + "\n")
    expect(plain.stderr).toBe("hansard: there is more: --cursor 4\n")
    const last = hansard(["query", "--dir", dir, "--order", "desc", "--limit", "1", "--json"])
    expect(JSON.parse(last.stdout)).toMatchObject({ records: [{ index: 5 }], next_cursor: "5" })
  })

  test("knows --from and --to as --since and --until", () => {
    const args = ["query", "--dir", shared, "--json", "--from", "2026-05-05T10:00:05Z"]
    expect(JSON.parse(hansard(args).stdout)).toMatchObject({ records: [{ index: 5 }], next_cursor: null })
    expect(hansard([...args, "--since", "2026-05-05"]).status).toBe(2)
  })

  test.each([
    ["--limit", "0"],
    ["--limit", "10001"],
    ["--cursor", "x"],
    ["--order", "up"],
  ])("refuses %s %s", (flag, value) => {
    const { status, stdout, stderr } = hansard(["query", "--dir", shared, flag, value])
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" })
    expect(stderr).toContain("(invalid_input)\n  hint: ")
  })
})

describe("stats", () => {
  test("counts, for people and for programs", () => {
    const dir = shared
    expect(
      JSON.parse(hansard(["stats", "--dir", dir, "--json", "--kind", "task_terminated"]).stdout),
    ).toMatchObject({
      total: 2,
      by_kind: { task_terminated: 2 },
      by_outcome: { completed: 1, failed: 1 },
      by_agent: { ["0".repeat(31) + "b"]: 2 },
      first_at: "2026-05-05T10:00:03Z",
      last_at: "2026-05-05T10:00:04Z",
    })
    const { stdout } = hansard(["stats", "--dir", dir])
    expect(stdout).toContain("6 records\nfrom 2026-05-05T10:00:00Z to 2026-05-05T10:00:05Z\n\nby kind\n")
    expect(stdout).toContain("       2  agent_registered\n")
  })

  test("by any of five fields and over time", () => {
    const dir = shared
    const args = ["stats", "--dir", dir, "--by", "channel", "--interval", "2s", "--where", "channel_id=c1"]
    expect(JSON.parse(hansard([...args, "--json"]).stdout)).toMatchObject({
      by: "channel",
      counts: { c1: 2 },
      histogram: [
        { from: "2026-05-05T10:00:02.000Z", counts: { c1: 1 } },
        { from: "2026-05-05T10:00:04.000Z", counts: { c1: 1 } },
      ],
    })
    expect(hansard(args).stdout).toMatch(/over time\n +1 {2}2026-05-05T10:00:02.000Z {2}#{40}\n/)
    expect(hansard(["stats", "--dir", dir, "--interval", "0s"]).status).toBe(2)
    expect(hansard(["stats", "--dir", dir, "--where", "c1"]).status).toBe(2)
    expect(hansard(["stats", "--dir", dir, "--where", "a=1", "--where", "a=2"]).status).toBe(2)
  })

  test("of an empty log are zeros", () => {
    const dir = tempFolder()
    hansard(["append", "--dir", dir])
    expect(hansard(["stats", "--dir", dir])).toEqual({ status: 0, stdout: "0 records\n", stderr: "" })
    expect(hansard(["query", "--dir", dir, "--json"]).stdout).toBe(
      '{"records":[],"next_cursor":null,"size":0}\n',
    )
    expect(hansard(["tail", "--dir", dir]).stdout).toBe("")
  })
})

test.skipIf(!existsSync("/dev/full"))("an output that cannot be written is an error", () => {
  const script = `"${process.execPath}" "${BIN}" stats --dir "${shared}" > /dev/full`
  const { status, stderr } = spawnSync("sh", ["-c", script], { encoding: "utf8" })
  expect(status).toBe(2)
  expect(stderr).toMatch(/^hansard: cannot write the output: there is no room left \(store_unavailable\)\n/)
})

describe("on a terminal", () => {
  const onTerminal = (args: readonly string[], env: Record<string, string> = {}): string => {
    const command = [process.execPath, BIN, ...args].map((word) => `'${word}'`).join(" ")
    const { stdout } = spawnSync("script", ["-qec", command, "/dev/null"], {
      encoding: "utf8",
      env: { PATH: process.env["PATH"] ?? "", TERM: "xterm", ...env },
    })
    return stdout
  }
  const canRun = spawnSync("script", ["-qec", "true", "/dev/null"]).status === 0

  test.skipIf(!canRun)(
    "records are told in coloured sentences, with names, and nothing in them is obeyed",
    () => {
      const dir = shared
      const shown = onTerminal(["tail", "--dir", dir])
      expect(shown).toContain("\u001b[")
      const text = shown.replace(/\u001b\[\d+m/g, "")
      expect(text).toContain("ana invites to (not said) channel c1: ana, ben \\u001b[31m")
      expect(text).toMatch(/task_terminated\s+task t1 of ben .*: failed/)
      expect(onTerminal(["tail", "--dir", dir], { NO_COLOR: "1" })).not.toContain("\u001b[")
      expect(onTerminal(["tail", "--dir", dir, "--json", "--last", "1"])).toContain('{"index":5,"record":{')
    },
  )
})
