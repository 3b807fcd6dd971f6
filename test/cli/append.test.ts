import { spawn, spawnSync } from "node:child_process"
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, describe, expect, onTestFinished, test } from "vitest"
import { AT, BIN, build, hansard, jsonLines, logText, records, Running, tempFolder } from "./run.ts"

beforeAll(build)

const HINT = "  hint: Mend that line, or pass over such lines with --keep-going.\n"

describe("append", () => {
  test("takes records from standard input or a file, and says what it did", () => {
    const dir = join(tempFolder(), "data")
    expect(hansard(["append", "--dir", dir], { input: records(2) })).toEqual({
      status: 0,
      stdout: '{"appended":2,"first_index":0,"size":2}\n',
      stderr: "",
    })
    const file = join(tempFolder(), "more.jsonl")
    writeFileSync(file, records(1, "more"))
    expect(hansard(["append", file, "--dir", dir]).stdout).toBe('{"appended":1,"first_index":2,"size":3}\n')
    expect(hansard(["append", "-", "--dir", dir]).stdout).toBe('{"appended":0,"first_index":null,"size":3}\n')
    expect(logText(dir)).toBe(
      `{"at": "${AT}", "kind": "noted", "n": 0}\n{"at": "${AT}", "kind": "noted", "n": 1}\n{"at": "${AT}", "kind": "more", "n": 0}\n`,
    )
  })

  test("works in ./hansard-data when no folder is named", () => {
    const cwd = tempFolder()
    expect(hansard(["append"], { input: records(1), cwd }).status).toBe(0)
    expect(existsSync(join(cwd, "hansard-data/store/audit/audit.jsonl"))).toBe(true)
  })

  test("adds `at` when it is missing; keeps large integers; takes CRLF, a BOM, empty lines and no last newline", () => {
    const dir = tempFolder()
    const input = `\ufeff{"kind":"a","id":12345678901234567890}\r\n\n  \n{"kind":"b","at":"${AT}"}`
    expect(hansard(["append", "--dir", dir], { input }).stdout).toBe(
      '{"appended":2,"first_index":0,"size":2}\n',
    )
    const [first, second] = logText(dir).split("\n")
    expect(first).toMatch(/^\{"at": "\d{4}-\d\d-\d\dT[\d:.]+Z", "id": 12345678901234567890, "kind": "a"\}$/)
    expect(second).toBe(`{"at": "${AT}", "kind": "b"}`)
  })

  test("--ack prints the index of each record, in order, and the summary last", () => {
    const { stdout } = hansard(["append", "--dir", tempFolder(), "--ack"], { input: records(10_000) })
    expect(jsonLines(stdout)).toEqual([
      ...Array.from({ length: 10_000 }, (_, index) => ({ index })),
      { appended: 10_000, first_index: 0, size: 10_000 },
    ])
  })

  test("--ack does not wait for more input", async () => {
    const running = new Running(["append", "--dir", tempFolder(), "--ack"])
    running.child.stdin.write(records(1))
    await running.until(/^\{"index":0\}\n$/)
    running.child.stdin.write(records(1))
    await running.until(/\{"index":1\}\n$/)
    running.child.stdin.end()
    expect(await running.ended).toBe(0)
  })
})

describe("a bad line", () => {
  test.each([
    ["is not JSON", "nope", "invalid_record"],
    ["is not a JSON object", "[1]", "invalid_record"],
    ["has no `kind`: a text that says what sort of record it is", '{"at":"2026-01-01"}', "invalid_record"],
    [
      "has an `at` that is not an ISO 8601 time; leave it out to have it set",
      '{"kind":"x","at":5}',
      "invalid_record",
    ],
    [
      "the record's line would take 70038 bytes; a line holds at most 65535",
      `{"at":"2026","kind":"x","s":"${"s".repeat(70_000)}"}`,
      "record_too_large",
    ],
  ])("that %s stops everything after it", (problem, line, code) => {
    const dir = tempFolder()
    const text = code === "record_too_large" ? line.replace("2026", AT.slice(0, 10)) : line
    const told = code === "record_too_large" ? /the record's line would take \d+ bytes/ : problem
    const { status, stdout, stderr } = hansard(["append", "--dir", dir], {
      input: `${records(1)}${text}\n${records(1, "after")}`,
    })
    expect({ status, stdout }).toEqual({ status: 2, stdout: '{"appended":1,"first_index":0,"size":1}\n' })
    expect(stderr).toMatch(told)
    expect(stderr).toMatch(new RegExp(`^hansard: line 2 .*\\(${code}\\)\n`))
    expect(stderr.endsWith(HINT)).toBe(true)
    expect(logText(dir)).toBe(`{"at": "${AT}", "kind": "noted", "n": 0}\n`)
  })

  test("is passed over with --keep-going, and told", () => {
    const dir = tempFolder()
    const { status, stdout, stderr } = hansard(["append", "--dir", dir, "--keep-going"], {
      input: `{}\n${records(1)}nope\n${records(1)}`,
    })
    expect({ status, stdout }).toEqual({
      status: 2,
      stdout: '{"appended":2,"first_index":0,"size":2,"skipped":2}\n',
    })
    expect(stderr).toContain("hansard: line 1 has no `kind`")
    expect(stderr).toContain("hansard: line 3 is not JSON (invalid_record)")
    expect(stderr).toContain("hansard: 2 lines were passed over\n")
  })

  test("of more than a mebibyte is refused without being read into memory, the next one is read", () => {
    const dir = tempFolder()
    const input = Buffer.concat([Buffer.alloc(3_000_000, "x"), Buffer.from(`\n${records(1)}`)])
    const { status, stdout, stderr } = hansard(["append", "--dir", dir, "--keep-going"], { input })
    expect({ status, stdout }).toEqual({
      status: 2,
      stdout: '{"appended":1,"first_index":0,"size":1,"skipped":1}\n',
    })
    expect(stderr).toContain(
      "hansard: line 1 is 3000000 bytes long; at most 1048576 are read (invalid_record)\n",
    )
  })

  test("that is not UTF-8 is refused", () => {
    const input = Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d, 0x0a])
    expect(hansard(["append", "--dir", tempFolder()], { input }).stderr).toContain(
      "hansard: line 1 is not UTF-8",
    )
  })

  test("is told as JSON with --json", () => {
    const { stderr } = hansard(["append", "--dir", tempFolder(), "--json"], { input: "nope\n" })
    expect(JSON.parse(stderr)).toEqual({
      error: { code: "invalid_record", message: "line 1 is not JSON", hint: HINT.slice(8, -1) },
    })
  })
})

describe("a folder that cannot be used", () => {
  test("because another process writes there: its process id is told, and reading works", async () => {
    const dir = tempFolder()
    const holder = new Running(["append", "--dir", dir, "--ack"])
    holder.child.stdin.write(records(1))
    await holder.until(/"index":0/)
    const { status, stdout, stderr } = hansard(["append", "--dir", dir], { input: records(1) })
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" })
    expect(stderr).toContain(
      `is already open for writing by process ${holder.child.pid} (log_locked)\n  hint: `,
    )
    for (const command of ["tail", "query", "stats"]) expect(hansard([command, "--dir", dir]).status).toBe(0)
    holder.child.stdin.end()
    expect(await holder.ended).toBe(0)
    expect(hansard(["append", "--dir", dir], { input: records(1) }).status).toBe(0)
  })

  test("because there is a file in its place, or no folder to make it in", () => {
    const folder = tempFolder()
    const file = join(folder, "file")
    writeFileSync(file, "")
    expect(hansard(["append", "--dir", file])).toEqual({
      status: 2,
      stdout: "",
      stderr: `hansard: ${file} is a file, not a folder (store_unavailable)\n  hint: Name another folder with --dir.\n`,
    })
    for (const missing of [join(folder, "no/where"), join(file, "in")]) {
      const { status, stderr } = hansard(["append", "--dir", missing])
      expect(status).toBe(2)
      expect(stderr).toMatch(/there is no folder .* to make .* in \(not_found\)/)
    }
    expect(readFileSync(file, "utf8")).toBe("")
  })

  // Root may write anywhere, so it runs the command as somebody else.
  test.skipIf(process.getuid?.() !== 0)("because it is not writable", async () => {
    const folder = tempFolder()
    chmodSync(folder, 0o755)
    const running = new Running(["append", "--dir", join(folder, "data")], { uid: 65534, gid: 65534 })
    running.child.stdin.end(records(1))
    expect(await running.ended).toBe(2)
    expect(running.stdout).toBe("")
    expect(running.stderr).toContain(`cannot make the folder ${join(folder, "data")}: permission denied`)
    expect(running.stderr).toContain("  hint: ")
  })

  test("because the input is not there: then no folder is made either", () => {
    const folder = tempFolder()
    const dir = join(folder, "data")
    expect(hansard(["append", join(folder, "no.jsonl"), "--dir", dir])).toEqual({
      status: 2,
      stdout: "",
      stderr: `hansard: cannot read ${join(folder, "no.jsonl")}: there is no such file (invalid_input)\n  hint: Check the path and its permissions.\n`,
    })
    expect(hansard(["append", folder, "--dir", dir]).stderr).toContain("it is a folder")
    expect(existsSync(dir)).toBe(false)
  })

  test("because the disk is full: what is acknowledged is there, and it works again once there is room", (context) => {
    const mount = join(tempFolder(), "small")
    mkdirSync(mount)
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=512k", "tmpfs", mount]).status === 0
    if (!mounted) context.skip("a small file system cannot be mounted here")
    onTestFinished(() => void spawnSync("umount", [mount]))
    const dir = join(mount, "data")
    writeFileSync(join(mount, "filler"), Buffer.alloc(200_000))
    const { status, stdout, stderr } = hansard(["append", "--dir", dir, "--ack"], { input: records(20_000) })
    expect(status).toBe(2)
    expect(stderr).toContain("(store_full)")
    const lines = jsonLines(stdout)
    const summary = lines.pop() as { appended: number; size: number }
    expect(lines).toEqual(Array.from({ length: summary.appended }, (_, index) => ({ index })))
    expect(summary.size).toBe(summary.appended)
    rmSync(join(mount, "filler"))
    const again = hansard(["append", "--dir", dir], { input: records(100) })
    expect(JSON.parse(again.stdout)).toEqual({
      appended: 100,
      first_index: summary.appended,
      size: summary.appended + 100,
    })
  })
})

test("SIGINT finishes what is on its way, says so, and exits 2", async () => {
  const dir = tempFolder()
  const running = new Running(["append", "--dir", dir, "--ack"])
  running.child.stdin.write(records(3))
  await running.until(/"index":2/)
  running.child.kill("SIGINT")
  expect(await running.ended).toBe(2)
  expect(running.stdout).toContain('{"appended":3,"first_index":0,"size":3}\n')
  expect(running.stderr).toContain("hansard: interrupted before the end of the input")
  expect(jsonLines(logText(dir))).toHaveLength(3)
})

test("a reader of its output that goes away stops nothing", async () => {
  const dir = tempFolder()
  const script = `"${process.execPath}" "${BIN}" append --no-ledger --dir "${dir}" --ack | head -n 1`
  const child = spawn("sh", ["-c", script], { stdio: ["pipe", "pipe", "pipe"] })
  let output = ""
  child.stdout.on("data", (data: Buffer) => (output += data.toString()))
  child.stderr.on("data", (data: Buffer) => (output += data.toString()))
  child.stdin.end(records(20_000))
  await new Promise((resolve) => child.on("close", resolve))
  expect(output).toBe('{"index":0}\n')
  expect(jsonLines(logText(dir))).toHaveLength(20_000)
})
