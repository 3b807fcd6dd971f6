/** The service through its real doors: `serve` in a process of its own, `--url`, `token` and `alerts`. */
import { writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { createHmac } from "node:crypto"
import { join } from "node:path"
import { beforeAll, describe, expect, onTestFinished, test } from "vitest"
import { build, hansard, Running, tempFolder } from "./run.ts"

beforeAll(build, 120_000)

async function serve(
  dir: string,
  ...args: string[]
): Promise<{ readonly url: string; readonly running: Running }> {
  const running = new Running(["serve", "--dir", dir, "--port", "0", "--json", ...args])
  await running.until(/"url".*\n/)
  const { url } = JSON.parse(running.stdout.split("\n")[0] ?? "") as { url: string }
  return { url, running }
}

async function post(url: string, ...records: object[]): Promise<void> {
  const body = records.map((record) => JSON.stringify(record)).join("\n")
  const headers = { "content-type": "application/x-ndjson" }
  const response = await fetch(`${url}/v1/records`, { method: "POST", body, headers })
  expect(response.status, await response.text()).toBe(201)
}

describe("a served log", () => {
  test("is tailed, queried, counted and verified by its address, and every line was proved", async () => {
    const dir = join(tempFolder(), "d")
    const state = { XDG_CONFIG_HOME: tempFolder() }
    const { url } = await serve(dir)
    await post(
      url,
      ...Array.from({ length: 20 }, (_, n) => ({ at: "2026-01-01T00:00:00Z", kind: "step", n })),
    )
    const own = hansard(["query", "--dir", dir, "--kind", "step"]).stdout
    const run = (...args: string[]) => hansard([...args, "--url", url], { env: state })
    const query = run("query", "--kind", "step")
    expect(query).toMatchObject({ status: 0, stdout: own })
    expect(query.stderr).toContain("on first use")
    expect(run("tail", "--last", "3").stdout).toBe(own.split("\n").slice(-4).join("\n"))
    expect(run("tail", "--from", "18").stdout.split("\n")).toHaveLength(4)
    expect(JSON.parse(run("stats", "--json").stdout)).toMatchObject({ by_kind: { step: 20 } })
    const verify = run("verify")
    expect(verify).toMatchObject({ status: 0 })
    expect(verify.stdout).toContain("nothing is false")
    // Another log at the same address is another story, and is refused.
    const other = hansard(["query", "--url", url, "--key", keyOfAnother()], { env: state })
    expect(other.status).not.toBe(0)
    expect(other.stderr).toContain("(bad_signature)")
  })

  test("takes a token that was made while it runs, and no other; says so in the access log", async () => {
    const dir = join(tempFolder(), "d")
    const state = { XDG_CONFIG_HOME: tempFolder() }
    const { url, running } = await serve(dir, "--access-log")
    await post(url, { kind: "step" })
    const made = hansard(["token", "new", "auditor", "--dir", dir, "--kind", "hub_started"])
    const token = made.stdout.trim()
    expect(token).toMatch(/^hansard_[0-9a-f]{16}_/)
    const lines = hansard(["query", "--url", url, "--token", token], { env: state }).stdout
    expect(lines).toContain("hub_started")
    expect(lines).not.toContain("step")
    expect(hansard(["query", "--url", url, "--token", `${token}x`], { env: state })).toMatchObject({
      status: 2,
    })
    const id = token.split("_")[1] ?? ""
    expect(hansard(["token", "revoke", id, "--dir", dir]).status).toBe(0)
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    expect(hansard(["query", "--url", url, "--token", token], { env: state }).stderr).toContain("auth_failed")
    running.child.kill("SIGINT")
    expect(await running.ended).toBe(0)
    const access = hansard([
      "query",
      "--dir",
      join(dir, "access-log"),
      "--text",
      '"reader": "auditor"',
    ]).stdout
    expect(access).toContain('"path": "/v1/records"')
    expect(access).not.toContain(token)
  })
})

function keyOfAnother(): string {
  const dir = join(tempFolder(), "other")
  hansard(["append", "--dir", dir], { input: '{"kind":"x"}\n' })
  return hansard(["checkpoint", "--vkey", "--dir", dir]).stdout.trim()
}

describe("alerts", () => {
  const rules = (webhook: string): object => ({
    rules: [
      {
        name: "failing",
        when: { kind: "turn_failed" },
        threshold: 2,
        within: "10m",
        quiet: "1h",
        to: { webhook, secret_env: "HOOK_SECRET" },
      },
    ],
  })

  test("reach a webhook signed, are records themselves, and keep quiet in between", async () => {
    const seen: { readonly body: string; readonly headers: Record<string, unknown> }[] = []
    const hook = createServer((request, response) => {
      let body = ""
      request.on("data", (data: Buffer) => (body += data.toString()))
      request.on("end", () => {
        seen.push({ body, headers: request.headers })
        // The first time it fails: then it is sent again.
        response.writeHead(seen.length === 1 ? 500 : 204).end()
      })
    }).listen(0, "127.0.0.1")
    onTestFinished(() => void hook.close())
    await new Promise((resolve) => hook.once("listening", resolve))
    const folder = tempFolder()
    const file = join(folder, "rules.json")
    writeFileSync(file, JSON.stringify(rules(`http://127.0.0.1:${(hook.address() as AddressInfo).port}/`)))
    const dir = join(folder, "d")
    const running = new Running(["serve", "--dir", dir, "--port", "0", "--json", "--alerts", file], {
      env: { ...process.env, HOOK_SECRET: "s3cret" },
    })
    await running.until(/"url".*\n/)
    const { url } = JSON.parse(running.stdout.split("\n")[0] ?? "") as { url: string }
    const failed = (minute: number): object => ({
      at: `2026-01-01T10:${minute}:00Z`,
      kind: "turn_failed",
      agent_id: "a",
    })
    await post(url, failed(10), failed(30), failed(31))
    await until(() => seen.length === 2)
    await post(url, failed(32), failed(33))
    const kindsOf = (): string[] =>
      [...hansard(["query", "--dir", dir, "--text", "alert_"]).stdout.matchAll(/"kind": "(\w+)"/g)].map(
        ([, kind]) => kind ?? "",
      )
    await until(() => kindsOf().length === 2)
    expect(kindsOf()).toEqual(["alert_delivered", "alert_suppressed"])
    expect(seen[0]?.body).toBe(seen[1]?.body)
    const event = JSON.parse(seen[1]?.body ?? "") as Record<string, unknown>
    expect(event).toMatchObject({
      specversion: "1.0",
      type: "hansard.alert",
      id: "failing/3",
      data: { count: 2 },
    })
    const { headers, body } = seen[1] ?? { headers: {}, body: "" }
    const signed = `${String(headers["webhook-id"])}.${String(headers["webhook-timestamp"])}.${body}`
    expect(headers["webhook-signature"]).toBe(
      `v1,${createHmac("sha256", "s3cret").update(signed).digest("base64")}`,
    )
    running.child.kill("SIGINT")
    await running.ended

    const replay = hansard(["alerts", "test", "failing", "--rules", file, "--dir", dir, "--json"]).stdout
    const alerts = replay
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(alerts).toMatchObject([
      { rule: "failing", at: "2026-01-01T10:31:00.000Z", index: 3, suppressed: false },
      { rule: "failing", at: "2026-01-01T10:33:00.000Z", suppressed: true },
    ])
  })

  test("are told again, with the same id, when the service is killed while a webhook has them", async () => {
    const seen: string[] = []
    let kills = 2
    let running: Running | undefined
    const hook = createServer((request, response) => {
      let body = ""
      request.on("data", (data: Buffer) => (body += data.toString()))
      request.on("end", () => {
        seen.push((JSON.parse(body) as { id: string }).id)
        // It has taken the alert, and its answer does not arrive.
        if (kills-- > 0) running?.child.kill("SIGKILL")
        else response.writeHead(204).end()
      })
    }).listen(0, "127.0.0.1")
    onTestFinished(() => void hook.close())
    await new Promise((resolve) => hook.once("listening", resolve))
    const folder = tempFolder()
    const file = join(folder, "rules.json")
    const webhook = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/`
    writeFileSync(file, JSON.stringify({ rules: [{ name: "x", when: { kind: "x" }, to: { webhook } }] }))
    const dir = join(folder, "d")
    const start = async (): Promise<string> => {
      running = new Running(["serve", "--dir", dir, "--port", "0", "--json", "--alerts", file])
      await running.until(/"url".*\n/)
      return (JSON.parse(running.stdout.split("\n")[0] ?? "") as { url: string }).url
    }
    await post(await start(), { kind: "x" }, { kind: "y" })
    await running?.ended
    await start()
    await running?.ended
    await start()
    const told = (): string[] =>
      [...hansard(["query", "--dir", dir, "--text", "alert_"]).stdout.matchAll(/"kind": "(\w+)"/g)].map(
        ([, kind]) => kind ?? "",
      )
    await until(() => told().length > 0)
    running?.child.kill("SIGINT")
    await running?.ended
    expect(new Set(seen).size).toBe(1)
    expect(seen).toHaveLength(3)
    expect(told()).toEqual(["alert_delivered"])
  })
})

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 100))
}
