import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { beforeAll, expect, test } from "vitest"
import type { StatsAnswer } from "../../src/wire/http.ts"
import { build, hansard, jsonLines, logText, Running, tempFolder } from "./run.ts"

beforeAll(build)

test("serve --demo: agents in processes of their own are at work, and leave with the service", async () => {
  const dir = join(tempFolder(), "data")
  const serving = new Running(["serve", "--demo", "--port", "0", "--dir", dir, "--json"])
  await serving.until(/"url"/)
  const { url } = jsonLines(serving.stdout)[0] as { url: string }
  const stats = async (): Promise<StatsAnswer> =>
    (await (await fetch(`${url}/v1/stats`)).json()) as StatsAnswer
  // They join from outside, and after a while one of them has crashed and one task has failed.
  const wanted = ["agent_registered", "task_terminated", "turn_failed"]
  let seen = await stats()
  while (wanted.some((kind) => seen.by_kind[kind] === undefined)) {
    await sleep(200)
    seen = await stats()
  }
  expect(seen.by_kind["agent_registered"]).toBe(5)

  serving.child.kill("SIGINT")
  expect(await serving.ended).toBe(0)
  const kinds = (jsonLines(logText(dir)) as { kind: string }[]).map(({ kind }) => kind)
  expect(kinds[0]).toBe("hub_started")
  expect(kinds.at(-1)).toBe("hub_stopped")
  expect(hansard(["verify", "--dir", dir]).status).toBe(0)
})

test("serve: where somebody listens already it says so and ends", async () => {
  const first = new Running(["serve", "--port", "0", "--dir", join(tempFolder(), "a"), "--json"])
  await first.until(/"url"/)
  const { port } = new URL((jsonLines(first.stdout)[0] as { url: string }).url)
  const second = hansard(["serve", "--port", port, "--dir", join(tempFolder(), "b")])
  expect(second.status).toBe(2)
  expect(second.stderr).toContain(`cannot listen on 127.0.0.1:${port}`)
  first.child.kill("SIGINT")
  expect(await first.ended).toBe(0)
})
