import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { describe, expect, onTestFinished, test } from "vitest"
import { silentLogger } from "../../core/index.ts"
import type { AlertDestination } from "../../wire/alerts.ts"
import { deliver } from "./deliver.ts"
import { isPublicAddress, refusalOf } from "./destinations.ts"
import { NEW_STATE, observe } from "./engine.ts"
import { ruleOf } from "./rules.ts"

const NOT_PUBLIC = [
  "0.0.0.0",
  "10.1.2.3",
  "100.64.0.1",
  "127.0.0.1",
  "127.255.255.254",
  "169.254.169.254",
  "172.16.0.1",
  "172.31.255.255",
  "192.168.1.1",
  "198.18.0.1",
  "224.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "::7f00:1",
  "::ffff:127.0.0.1",
  "::ffff:a9fe:a9fe",
  "64:ff9b::a00:1",
  "2001:db8::1",
  "2002:7f00:1::",
  "fc00::1",
  "fd12:3456::1",
  "fe80::1",
  "ff02::1",
  "not an address",
]

describe("where a rule of the API may send", () => {
  test.each(NOT_PUBLIC)("%s is not public", (address) => {
    expect(isPublicAddress(address)).toBe(false)
  })

  test.each(["1.1.1.1", "100.63.0.1", "172.32.0.1", "192.169.0.1", "2606:4700::1111", "2a00:1450::1"])(
    "%s is public",
    (address) => {
      expect(isPublicAddress(address)).toBe(true)
    },
  )

  test.each<[string, AlertDestination, string]>([
    ["a command", { command: ["sh", "-c", "id"] }, "to.command"],
    ["without TLS", { webhook: "http://hooks.example/x" }, "to.webhook"],
    ["this machine", { webhook: "https://127.0.0.1/x" }, "to.webhook"],
    ["this machine, as a number", { webhook: "https://2130706433/x" }, "to.webhook"],
    ["this machine, in hexadecimal", { webhook: "https://0x7f.1/x" }, "to.webhook"],
    ["this machine, as IPv6", { webhook: "https://[::ffff:127.0.0.1]/x" }, "to.webhook"],
    ["the cloud's metadata", { webhook: "https://169.254.169.254/latest" }, "to.webhook"],
    ["a password", { webhook: "https://a:b@hooks.example/x" }, "to.webhook"],
    ["any variable as a secret", { webhook: "https://hooks.example/x", secret_env: "PATH" }, "to.secret_env"],
    ["an unset one", { webhook: "https://hooks.example/x", secret_env: "HANSARD_ALERT_NO" }, "to.secret_env"],
  ])("%s is refused, and the field is named", (_what, to, field) => {
    expect(refusalOf(to, { PATH: "/bin" }, { allowedHosts: [] })).toMatchObject({ field })
  })

  test.each<AlertDestination>([
    { log: true },
    { webhook: "https://hooks.example/x" },
    { webhook: "https://1.1.1.1/x", secret_env: "HANSARD_ALERT_KEY" },
    { webhook: "http://alertmanager.internal:9093/x" },
    { webhook: "http://10.0.0.7/x" },
  ])("%j may be tried, where the operator has named the private ones", (to) => {
    const allowedHosts = ["alertmanager.internal", "10.0.0.7"]
    expect(refusalOf(to, { HANSARD_ALERT_KEY: "k" }, { allowedHosts })).toBeUndefined()
  })
})

describe("a name that leads to a private address", () => {
  async function send(
    source: "file" | "api",
    host: string,
    allowedHosts: readonly string[],
  ): Promise<number> {
    let asked = 0
    const server = createServer((_request, response) => {
      asked++
      response.writeHead(204).end()
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    onTestFinished(() => void server.close())
    const webhook = `http://${host}:${(server.address() as AddressInfo).port}/`
    const rule = ruleOf("r", { when: {}, to: { webhook } }, source)
    const entry = { index: 0, offset: 0, line: "{}", record: {} }
    const { alert } = observe(rule, NEW_STATE, entry)
    if (alert === undefined) throw new Error("it fires")
    const options = {
      source: "test",
      env: {},
      policy: { allowedHosts },
      clock: () => 0,
      logger: silentLogger,
    }
    const { signal } = new AbortController()
    await deliver(alert, entry, { ...options, signal }).catch((error: unknown) => {
      expect(error).toMatchObject({ message: expect.stringContaining("not at a public address") })
    })
    return asked
  }

  test("is not connected to for a rule of the API, whatever stood in the URL", async () => {
    expect(await send("api", "localhost", [])).toBe(0)
    expect(await send("api", "127.0.0.1", [])).toBe(0)
  })

  test("is, where the operator has named it or written the rule", async () => {
    expect(await send("api", "localhost", ["localhost"])).toBe(1)
    expect(await send("file", "localhost", [])).toBe(1)
  })
})
