import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import { BIN, build, hansard, ROOT } from "./run.ts"

beforeAll(build)

describe("wrong usage exits 2 with one line and a hint, and writes nothing to standard output", () => {
  test.each([
    ["an unknown flag", ["tail", "--folow"], "unknown option '--folow' (Did you mean --follow?)"],
    ["an unknown command", ["tial"], "unknown command 'tial' (Did you mean tail?)"],
    [
      "too many arguments",
      ["import", "a", "b"],
      "too many arguments for 'import'. Expected 1 argument but got 2: a, b.",
    ],
    ["a missing argument", ["import"], "missing required argument 'file'"],
    ["a missing value", ["query", "--kind"], "option '--kind <kinds>' argument missing"],
    [
      "a number that is none",
      ["tail", "--from", "-1"],
      "option '--from <index>' argument '-1' is invalid. It must be a whole number from 0.",
    ],
    [
      "a time that is none",
      ["query", "--since", "yesterday"],
      "option '--since <time>' argument 'yesterday' is invalid. It must be an ISO 8601 time, such as 2026-05-05 or 2026-05-05T10:00:00Z.",
    ],
    [
      "options that exclude each other",
      ["tail", "--from", "1", "--last", "2"],
      "option '--last <n>' cannot be used with option '--from <index>'",
    ],
  ])("%s", (_what, args, message) => {
    const { status, stdout, stderr } = hansard(args)
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" })
    expect(stderr).toBe(
      `hansard: ${message} (invalid_input)\n  hint: \`hansard --help\` and \`hansard COMMAND --help\` list what there is.\n`,
    )
  })

  test("with --json the error is JSON", () => {
    const { status, stderr } = hansard(["stats", "--bogus", "--json"])
    expect(status).toBe(2)
    expect(JSON.parse(stderr)).toEqual({
      error: {
        code: "invalid_input",
        message: "unknown option '--bogus'",
        hint: expect.stringContaining("--help"),
      },
    })
  })

  test("no command at all shows the help", () => {
    const { status, stdout, stderr } = hansard([])
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" })
    expect(stderr).toContain("Usage: hansard [options] [command]")
  })
})

test("help and version exit 0", () => {
  expect(hansard(["--help"])).toMatchObject({ status: 0, stdout: expect.stringContaining("Commands:") })
  for (const command of ["demo", "append", "tail", "query", "stats", "import"]) {
    const { status, stdout } = hansard([command, "--help"])
    expect(status).toBe(0)
    expect(stdout).toContain("--dir <folder>")
    expect(stdout).toContain("--json")
  }
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string }
  expect(hansard(["--version"]).stdout).toBe(`${version}\n`)
})

test.each(["tail", "query", "stats"])("%s without a log exits 2 and makes none", (command) => {
  const { status, stderr } = hansard([command, "--dir", "/nowhere/at/all"])
  expect(status).toBe(2)
  expect(stderr).toBe(
    "hansard: there is no log in /nowhere/at/all (not_found)\n" +
      "  hint: Name its folder with --dir, or make one: `hansard append`, `hansard demo`.\n",
  )
})

describe("a Node that is too old", () => {
  const old = ["/usr/bin/node", "/usr/local/bin/node"].find((path) => isOld(path))

  test.skipIf(old === undefined)(
    old === undefined
      ? "is told so (skipped: no Node below 22.15 on this machine)"
      : "is told so in one line",
    () => {
      const { status, stdout, stderr } = spawnSync(old ?? "", [BIN, "tail"], { encoding: "utf8" })
      expect({ status, stdout }).toEqual({ status: 2, stdout: "" })
      expect(stderr).toMatch(/^hansard: this is Node \d+\.\d+\.\d+; it needs Node 22\.15 or newer\n$/)
    },
  )

  test("could read the file that says so: it imports nothing and uses nothing newer than Node 14", () => {
    const code = readFileSync(BIN, "utf8").replace(/\/\/.*/g, "")
    expect(code).not.toMatch(/^import\s[^(]/m)
    expect(code).not.toMatch(/\?\?=|\|\|=|&&=|\bawait\b|#\w+\s*[=(;]|node:/)
  })
})

function isOld(path: string): boolean {
  const { status, stdout } = spawnSync(path, ["--version"], { encoding: "utf8" })
  const [major = 0, minor = 0] = (stdout ?? "").slice(1).split(".").map(Number)
  return status === 0 && (major < 22 || (major === 22 && minor < 15))
}
