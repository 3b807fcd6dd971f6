/** The built client as a script of a page, in a real browser: a participant like any other, over lost connections too. */
import { connect, createServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import { join } from "node:path"
import { chromium } from "playwright-core"
import type { Page } from "playwright-core"
import { build as bundle } from "vite"
import { beforeAll, describe, expect, onTestFinished, test } from "vitest"
import { HubClient } from "../../src/client/index.ts"
import { Hub } from "../../src/hub/index.ts"
import { NodeServer } from "../../src/server/index.ts"
import { MemoryStore } from "../../src/store/index.ts"
import { build, ROOT } from "../cli/run.ts"
import { CHROMIUM } from "../viewer/page.ts"

/** What a developer's bundler makes of `hansard/client`: one file, for browsers. */
let clientScript = ""

/** Nothing but files of the page's own origin, and its own WebSocket. */
const CSP = "default-src 'none'; script-src 'self'; connect-src 'self'"

const PAGE = `<!doctype html><title>A participant</title><script type="module" src="/page.js"></script>`

/** Proves its name by a key, answers turns, and asks when it is told to. */
const PAGE_SCRIPT = `
import { AgentKey, HubClient, remoteHub } from "/client.js"
const key = new AgentKey(crypto.getRandomValues(new Uint8Array(32)))
const prove = (name, challenge) => key.answer(name, challenge)
const client = await HubClient.connect(remoteHub(location.origin, { backoffMs: 20, maxBackoffMs: 100, prove }))
const heard = []
const agent = await client.register({ name: "page" }, {
  key,
  onTurn: ({ text, senderName }) => {
    heard.push(text)
    return senderName + ", here is the page: " + text
  },
})
globalThis.participant = {
  heard,
  id: agent.agentId,
  ask: (name, text) => agent.delegate(name, text),
  skill: async (text) => (await agent.setSkill(text), await client.hub.getSkill(agent.agentId)),
  close: () => client.close(),
}
`

/** One address for page and hub, which outlives the server and whose connections can be cut. */
class Front implements AsyncDisposable {
  target = 0
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer((socket) => {
    const onward = connect(this.target, "127.0.0.1")
    for (const [from, to] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      this.#sockets.add(from)
      from.on("error", () => {})
      from.on("close", () => {
        this.#sockets.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
  })

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cutAll()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

function serve(hub: Hub): Promise<NodeServer> {
  const files: Readonly<Record<string, readonly [string, string]>> = {
    "/": ["text/html", PAGE],
    "/page.js": ["text/javascript", PAGE_SCRIPT],
    "/client.js": ["text/javascript", clientScript],
  }
  return NodeServer.listen({
    port: 0,
    hub,
    listener: async (request, response) => {
      const [type, text] = files[request.url ?? ""] ?? []
      if (type === undefined) return void response.writeHead(404).end()
      response.writeHead(200, { "content-type": type, "content-security-policy": CSP }).end(text)
    },
  })
}

/** The page, once it has joined. What goes wrong in it fails the test. */
async function openPage(url: string): Promise<{ page: Page; troubles: string[] }> {
  const browser = await chromium.launch({ executablePath: CHROMIUM ?? "", args: ["--no-sandbox"] })
  onTestFinished(() => browser.close())
  const page = await browser.newPage()
  const troubles: string[] = []
  page.on("pageerror", (error) => troubles.push(error.message))
  page.on("console", (message) => {
    // A browser tells of every connection that it could not make.
    if (message.type() === "error" && !message.text().startsWith("WebSocket connection"))
      troubles.push(message.text())
  })
  await page.goto(url)
  // Not `waitForFunction`, which the page's policy would not allow.
  await expect
    .poll(() => page.evaluate("globalThis.participant !== undefined"), { timeout: 10_000 })
    .toBe(true)
  return { page, troubles }
}

describe.skipIf(CHROMIUM === undefined)("in a browser (needs Chromium: apt-get install chromium)", () => {
  beforeAll(async () => {
    build()
    const made = await bundle({
      configFile: false,
      logLevel: "error",
      root: ROOT,
      build: {
        write: false,
        minify: false,
        lib: { entry: join(ROOT, "dist/client/index.js"), formats: ["es"], fileName: "client" },
      },
    })
    const outputs = [made].flat().flatMap((one) => ("output" in one ? one.output : []))
    clientScript = outputs.map((one) => ("code" in one ? one.code : "")).join("")
  }, 180_000)

  test("a page takes part: it proves itself by a key, is asked and asks, and comes back when connections or the hub are lost", async () => {
    // Nothing of Node's, and no name that a browser could not resolve.
    expect(clientScript).not.toMatch(/from\s*"(node:|#|@)/)
    await using hub = await Hub.open(new MemoryStore(), { audit: { coverage: "full" } })
    await using front = new Front()
    const url = await front.listen()
    const first = await serve(hub)
    front.target = Number(new URL(first.url).port)
    const { page, troubles } = await openPage(url)
    await using here = await HubClient.connect(hub)
    const ana = await here.register(
      { name: "ana" },
      { onTurn: ({ text, senderName }) => `${senderName}, here is ana: ${text}` },
    )

    // A turn each way.
    expect(await ana.delegate("page", "one")).toBe("ana, here is the page: one")
    expect(await page.evaluate('participant.ask("ana", "two")')).toBe("page, here is ana: two")
    expect(await hub.getAgent("page")).toMatchObject({ auth: { scheme: "ed25519" } })

    // The connections are cut: what was asked meanwhile is answered on the next one.
    const meanwhile = page.evaluate('participant.skill("# waited")')
    front.cutAll()
    expect(await meanwhile).toBe("# waited")
    expect(await ana.delegate("page", "three")).toBe("ana, here is the page: three")

    // The server is another one, which knows of no session: the page proves itself again.
    await first.close(100)
    const pending = ana.delegate("page", "four")
    await using second = await serve(hub)
    front.target = Number(new URL(second.url).port)
    expect(await pending).toBe("ana, here is the page: four")
    expect(await page.evaluate('participant.ask("ana", "five")')).toBe("page, here is ana: five")

    // Each was handled once.
    expect(await page.evaluate("participant.heard")).toEqual(["one", "three", "four"])
    await page.evaluate("participant.close()")
    await expect.poll(() => second.endpoint?.size).toBe(0)
    expect(troubles).toEqual([])
  }, 60_000)
})
