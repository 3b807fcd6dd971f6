import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import { build, hansard, jsonLines, logText, records, tempFolder } from "./run.ts"

beforeAll(build)

describe("import", () => {
  const AG2 =
    '{"agent_id": "18ac2f", "at": "2026-05-05T10:00:00.123456+00:00", "kind": "agent_registered", "name": "alice"}\n' +
    '{"at": "2026-05-05T10:00:01+00:00", "kind": "measured", "ratio": NaN, "seconds": 30.0}\n' +
    '{ "kind":"not canonical" , "at":"x", "unicode":"é"}\n'

  function file(content: string | Buffer): string {
    const path = join(tempFolder(), "audit.jsonl")
    writeFileSync(path, content)
    return path
  }

  test("keeps another log's bytes, whatever their form", () => {
    const dir = tempFolder()
    expect(hansard(["import", file(AG2), "--dir", dir])).toEqual({
      status: 0,
      stdout: '{"imported":3,"first_index":0,"size":3}\n',
      stderr: "",
    })
    expect(logText(dir)).toBe(AG2)
    expect(hansard(["tail", "--dir", dir]).stdout).toBe(AG2)
    const shown = jsonLines(hansard(["tail", "--dir", dir, "--json"]).stdout)
    expect(shown[1]).toMatchObject({ index: 1, record: { ratio: "NaN", seconds: 30 } })
  })

  test("follows what is there, and says so", () => {
    const dir = tempFolder()
    hansard(["append", "--dir", dir], { input: records(6) })
    const { stdout, stderr } = hansard(["import", file(AG2), "--dir", dir])
    expect(stdout).toBe('{"imported":3,"first_index":6,"size":9}\n')
    expect(stderr).toBe(`hansard: the log in ${dir} had 6 records; what was imported follows them\n`)
  })

  test("leaves out a torn last line, and says so", () => {
    const dir = tempFolder()
    const { status, stdout, stderr } = hansard(["import", file(`${AG2}{"at": "2026`), "--dir", dir])
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: '{"imported":3,"first_index":0,"size":3,"torn_bytes":12}\n',
    })
    expect(stderr).toContain("the last line has no newline: its 12 bytes were taken for torn and left out")
    expect(logText(dir)).toBe(AG2)
  })

  test("writes nothing at all when a line is no record; with --keep-going it passes over it", () => {
    const dir = join(tempFolder(), "data")
    const bad = file(`${AG2}nope\n\n${AG2}[]\n${"x".repeat(70_000)}\n`)
    const { status, stdout, stderr } = hansard(["import", bad, "--dir", dir])
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" })
    expect(stderr).toBe(
      "hansard: line 4 is not a JSON object (invalid_record)\n" +
        "  hint: Nothing was imported. Mend that line, or pass over such lines with --keep-going.\n",
    )
    expect(hansard(["tail", "--dir", dir]).status).toBe(2)
    const going = hansard(["import", bad, "--dir", dir, "--keep-going", "--json"])
    expect(going.status).toBe(2)
    expect(JSON.parse(going.stdout)).toEqual({ imported: 6, first_index: 0, size: 6, skipped: 3 })
    expect(jsonLines(going.stderr)).toHaveLength(3)
    expect(logText(dir)).toBe(AG2 + AG2)
  })

  test("needs a file that is there and can be read twice", () => {
    const dir = tempFolder()
    expect(hansard(["import", "/no/such/file", "--dir", dir])).toMatchObject({ status: 2, stdout: "" })
    expect(hansard(["import", dir, "--dir", dir]).stderr).toContain("is not a regular file")
    expect(hansard(["import", "/dev/stdin", "--dir", dir]).stderr).toContain("(invalid_input)")
  })

  test("of an empty file imports nothing", () => {
    expect(hansard(["import", file(""), "--dir", tempFolder()]).stdout).toBe(
      '{"imported":0,"first_index":null,"size":0}\n',
    )
  })
})
