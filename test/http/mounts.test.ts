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

/**
 * Next itself is not here: a hundred megabytes, for a function that takes a Request and gives a Response. What is tested is
 * the route module as it stands, called as Next calls it: by the name of the method, with a request that it has read the
 * address of, and a second argument.
 */
test("as a route of Next it reads, writes, streams and refuses", async () => {
  const route = (await import("../../examples/mount-next.ts")) as unknown as Readonly<
    Record<string, (request: Request, context: object) => Promise<Response>>
  > & { readonly runtime: string }
  expect(route.runtime).toBe("nodejs")
  const ask = async (method: string, path: string, init: RequestInit = {}): Promise<Response> => {
    const request = new Request(`http://localhost:3000/audit${path}`, {
      method,
      ...init,
      headers: { cookie: "session=good", ...init.headers },
    })
    const context = { params: Promise.resolve({ path: path.split("/").slice(1) }) }
    const answer = await route[method]?.(request, context)
    if (answer === undefined) throw new Error(`the route exports no ${method}`)
    return answer
  }
  const headers = { "content-type": "application/json" }
  expect((await ask("POST", "/v1/records", { body: '{"kind":"posted"}', headers })).status).toBe(201)
  const { records } = (await (await ask("GET", "/v1/records")).json()) as RecordsPage
  expect(records.map(({ record }) => record["kind"])).toEqual(["mounted", "posted"])
  const tail = await ask("GET", "/v1/tail?from=0")
  const reader = tail.body?.pipeThrough(new TextDecoderStream()).getReader()
  let text = ""
  while (!text.includes("id: 1\n")) text += (await reader?.read())?.value ?? ""
  await reader?.cancel()
  expect(text).toContain('"kind": "mounted"')
  expect((await ask("GET", "/v1/records?limit=0")).status).toBe(400)
  expect((await ask("GET", "/v1/records", { headers: { cookie: "" } })).status).toBe(403)
  expect((await ask("PUT", "/v1/records")).status).toBe(405)
  const head = await ask("HEAD", "/v1/records")
  expect([head.status, await head.text()]).toEqual([200, ""])
})
