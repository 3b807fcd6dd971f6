import { mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, expect, test } from "vitest"
import { build, hansard, tempFolder } from "./run.ts"

beforeAll(build, 120_000)

test("bench: figures of the disk that a folder lies on, and nothing left there", () => {
  const folder = tempFolder()
  mkdirSync(join(folder, "store"))
  const done = hansard(["bench", "--dir", folder, "--seconds", "0.05", "--json"])
  expect(done).toMatchObject({ status: 0, stderr: "" })
  const { figures } = JSON.parse(done.stdout) as { figures: Record<string, number>[] }
  expect(figures).toHaveLength(6)
  for (const figure of figures) {
    expect(figure["records_per_second"]).toBeGreaterThan(0)
    expect(figure["p99_ms"]).toBeGreaterThanOrEqual(figure["p50_ms"] ?? Infinity)
  }
  expect(readdirSync(folder)).toEqual(["store"])
  const told = hansard(["bench", "--dir", join(folder, "new"), "--seconds", "0.05"])
  expect(told.status).toBe(0)
  expect(told.stdout.trim().split("\n")).toHaveLength(6)
})

test("bench: wrong use is status 2", () => {
  const folder = tempFolder()
  for (const seconds of ["0", "-1", "x", "1e9"]) {
    expect(hansard(["bench", "--dir", folder, "--seconds", seconds])).toMatchObject({ status: 2, stdout: "" })
  }
  writeFileSync(join(folder, "file"), "")
  expect(hansard(["bench", "--dir", join(folder, "file")])).toMatchObject({ status: 2, stdout: "" })
})
