/** A log in many files is one log to every command. */
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, expect, test } from "vitest"
import { build, hansard, records, Running, tempFolder } from "./run.ts"

beforeAll(build, 120_000)

const segmentsOf = (dir: string): string[] => readdirSync(join(dir, "store/audit/segments"))
/** `n` of each record: what else is printed has none. */
const numbers = (text: string): unknown[] =>
  [...text.matchAll(/"n": ?(\d+)/g)].map((match) => Number(match[1]))

/** As many processes as there are parts: each goes on where the one before ended. */
function appendParts(dir: string, count: number, parts: number, ...options: string[]): void {
  const lines = records(count).split("\n").slice(0, -1)
  for (let part = 0; part < parts; part++) {
    const input = lines.slice((part * count) / parts, ((part + 1) * count) / parts).join("\n") + "\n"
    const done = hansard(["append", "--dir", dir, ...options], { input })
    expect(done).toMatchObject({ status: 0, stderr: "" })
  }
}

test("append --rotate, and what every command makes of it", () => {
  const folder = tempFolder()
  const dir = join(folder, "data")
  appendParts(dir, 50, 5, "--rotate", "10")
  expect(segmentsOf(dir)).toEqual([0, 10, 20, 30].map((n) => `${String(n).padStart(12, "0")}.jsonl`))
  for (const name of segmentsOf(dir)) {
    expect(statSync(join(dir, "store/audit/segments", name)).mode & 0o777).toBe(0o444)
  }

  const all = hansard(["query", "--dir", dir, "--json", "--limit", "100"])
  expect(numbers(all.stdout)).toEqual(Array.from({ length: 50 }, (_, n) => n))
  expect(numbers(hansard(["tail", "--dir", dir, "--json", "--last", "15"]).stdout)).toEqual(
    Array.from({ length: 15 }, (_, n) => 35 + n),
  )
  const exported = hansard(["export", "--dir", dir, "--format", "jsonl"])
  expect(exported.stdout.split("\n")).toHaveLength(51)
  expect(hansard(["verify", "--dir", dir, "--state", join(folder, "state")]).status).toBe(0)
  expect(hansard(["fsck", "--dir", dir]).stdout).toContain(
    "50 records; the checkpoint covers 50; nothing is wrong",
  )

  // Proved with three files and nothing else.
  const proof = join(folder, "proof")
  writeFileSync(proof, hansard(["prove", "17", "--dir", dir]).stdout)
  const record = join(folder, "record")
  writeFileSync(record, exported.stdout.split("\n")[17] ?? "")
  const vkey = hansard(["checkpoint", "--dir", dir, "--vkey"]).stdout.trim()
  expect(hansard(["check", proof, "--record", record, "--key", vkey]).status).toBe(0)

  // The files of the log in their order are the log.
  const audit = join(dir, "store/audit")
  const files = [...segmentsOf(dir).map((name) => join(audit, "segments", name)), join(audit, "audit.jsonl")]
  const evidence = ["--checkpoint", join(audit, "checkpoint"), "--tiles", audit, "--key", vkey]
  expect(hansard(["verify", ...files, ...evidence, "--state", join(folder, "state")]).status).toBe(0)

  // Other people's log, ours: another folder, another rotation, the same bytes.
  const copy = join(folder, "copy")
  writeFileSync(join(folder, "all.jsonl"), files.map((file) => readFileSync(file, "utf8")).join(""))
  expect(hansard(["import", join(folder, "all.jsonl"), "--dir", copy, "--no-rotate"]).status).toBe(0)
  expect(hansard(["export", "--dir", copy, "--format", "jsonl"]).stdout).toBe(exported.stdout)

  // A false line is named with the file that it lies in, and with the place in that file.
  const third = join(audit, "segments/000000000020.jsonl")
  const text = readFileSync(third, "utf8")
  chmodSync(third, 0o600)
  writeFileSync(third, text.replace('"n": 23', '"n": 32'))
  const bad = hansard(["fsck", "--dir", dir, "--json"])
  expect(bad.status).toBe(1)
  const { problems } = JSON.parse(bad.stdout) as { problems: unknown[] }
  expect(problems[0]).toMatchObject({
    path: "audit/segments/000000000020.jsonl",
    byte_offset: (text.indexOf("\n") + 1) * 3,
  })
  expect(hansard(["append", "--dir", dir, "--rotate", "0"])).toMatchObject({ status: 2 })
})

test("tail --follow goes on over rotations of another process", async () => {
  const dir = join(tempFolder(), "data")
  appendParts(dir, 5, 1, "--rotate", "5")
  const tail = new Running(["tail", "--dir", dir, "--json", "--from", "0", "--follow"])
  await tail.until(/"n":4|"n": 4/)
  for (let n = 5; n < 30; n += 5) {
    const input =
      records(n + 5)
        .split("\n")
        .slice(n, n + 5)
        .join("\n") + "\n"
    expect(hansard(["append", "--dir", dir, "--rotate", "5"], { input }).status).toBe(0)
  }
  await tail.until(/"n": ?29/)
  tail.child.kill("SIGINT")
  await tail.ended
  expect(numbers(tail.stdout)).toEqual(Array.from({ length: 30 }, (_, n) => n))
  expect(segmentsOf(dir)).toHaveLength(5)
})
