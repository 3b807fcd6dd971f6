/** The examples of mounting, each in a process of its own, as they stand. */
import { spawn } from "node:child_process"
import { join } from "node:path"
import { expect, onTestFinished, test } from "vitest"
import type { RecordsPage } from "../../src/wire/http.ts"
import { readEvents } from "./world.ts"

async function start(example: string): Promise<string> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "../../examples", example), "0"])
  onTestFinished(() => void child.kill("SIGKILL"))
  let output = ""
  for await (const data of child.stdout) {
    output += String(data)
    if (output.includes("\n")) break
  }
  return output.trim()
}

test.each(["node", "express", "fastify", "hono"])(
  "mounted in %s it reads, writes, streams and refuses",
  async (name) => {
    const url = await start(`mount-${name}.ts`)
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/audit$/)
    const reading = readEvents(`${url}/v1/tail?from=0`, (events) => events.length >= 2)
    const body = '{"kind":"posted"}'
    const posted = await fetch(`${url}/v1/records`, {
      method: "POST",
      body,
      headers: { "content-type": "application/json" },
    })
    expect(posted.status).toBe(201)
    const { records } = (await (await fetch(`${url}/v1/records`)).json()) as RecordsPage
    expect(records.map(({ record }) => record["kind"])).toEqual(["mounted", "posted"])
    expect((await reading).map(({ id }) => id)).toEqual(["0", "1"])
    expect((await fetch(`${url}/v1/records?limit=0`)).status).toBe(400)
    expect(await (await fetch(new URL("/", url))).text()).toBe("the application\n")
    // A name that is not this machine's own is nobody's who is on it.
    const { status } = await fetch(`${url}/v1/records`, { headers: { "sec-fetch-site": "cross-site" } })
    expect(status).toBe(401)
  },
)
