/** The hub and the service over TLS, with a certificate made here: `hansard serve` and `hansard agent` as processes. */
import { spawnSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { request } from "node:https"
import { join } from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import { HubClient, remoteHub } from "../../src/client/index.ts"
import { silentLogger } from "../../src/core/index.ts"
import { TEXT } from "../../src/model/index.ts"
import type { Envelope, JsonObject } from "../../src/model/index.ts"
import { NodeServer } from "../../src/server/index.ts"
import { build, hansard, Running, tempFolder } from "../cli/run.ts"
import { Serving } from "./serving.ts"
import { RawPeer } from "./world.ts"

const HAS_OPENSSL = spawnSync("openssl", ["version"]).status === 0

interface Certificate {
  readonly certFile: string
  readonly keyFile: string
  readonly cert: string
  readonly key: string
}

/** Self-signed, good for this machine's own address and for two days. */
function makeCertificate(folder: string, name: string): Certificate {
  const [keyFile, certFile] = [join(folder, `${name}-key.pem`), join(folder, `${name}.pem`)]
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", keyFile]
  const about = ["-days", "2", "-subj", `/CN=${name}`, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
  const done = spawnSync("openssl", ["req", "-x509", ...key, "-out", certFile, ...about], {
    encoding: "utf8",
  })
  if (done.status !== 0) throw new Error(`openssl failed:\n${done.stderr}`)
  return { certFile, keyFile, cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8") }
}

function agentArgs(url: string): string[] {
  return ["agent", "--json", "--name", "echo", "--exec", "cat", "--url", url]
}

describe.skipIf(!HAS_OPENSSL)("TLS (needs openssl to make a certificate)", () => {
  beforeAll(build, 120_000)

  test("agents and readers come over wss: and https:, and nobody else is understood", async () => {
    const folder = tempFolder()
    const { certFile, keyFile, cert } = makeCertificate(folder, "hub")
    const serving = await Serving.start(join(folder, "data"), "--tls-cert", certFile, "--tls-key", keyFile)
    expect(serving.url).toMatch(/^https:/)
    expect(serving.hubUrl).toMatch(/^wss:/)

    // Both ends in this project's own programs; the certificate is trusted as an operator does it.
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: certFile }
    await new Running(agentArgs(serving.hubUrl), { env }).until(/"agent_id"/)
    const peer = await RawPeer.connect(serving.hubUrl, { ca: cert })
    const asked = await peer.register("asker")
    const echo = await peer.ask("find_agent_id", { name: "echo" })
    const opened = (await peer.ask("create_channel", {
      creator_id: asked,
      manifest_type: "consulting",
      participants: [echo],
    })) as JsonObject
    const question = { event_type: TEXT, event_data: { text: "over TLS" } }
    const { channel_id } = opened
    await peer.ask("post_envelope", { envelope: { channel_id, sender_id: asked, ...question } })
    const answered = await peer.next(({ envelope }) => (envelope as JsonObject)?.["sender_id"] === echo)
    expect((answered["envelope"] as unknown as Envelope).event_data["text"]).toBe("over TLS")
    const { status, body } = await get(`${serving.url}/v1/records?kind=agent_registered`, cert)
    expect(status).toBe(200)
    expect(body).toContain(asked)

    // A certificate that nobody has vouched for.
    await expect(get(`${serving.url}/health`)).rejects.toMatchObject({ code: "DEPTH_ZERO_SELF_SIGNED_CERT" })
    const stranger = makeCertificate(folder, "somebody-else")
    await expect(get(`${serving.url}/health`, stranger.cert)).rejects.toMatchObject({
      code: "DEPTH_ZERO_SELF_SIGNED_CERT",
    })
    const distrusting = hansard(agentArgs(serving.hubUrl))
    expect(distrusting.status).toBe(2)
    expect(distrusting.stdout).toBe("")
    expect(distrusting.stderr).toContain("whether this machine trusts its certificate")

    // Plain words to the TLS port: told what is missing, and the hub goes on.
    const plain = HubClient.connect(remoteHub(serving.hubUrl.replace("wss:", "ws:")))
    await expect(plain).rejects.toMatchObject({
      code: "disconnected",
      hint: expect.stringContaining("wss:") as string,
    })
    await rubbish(Number(new URL(serving.url).port))
    expect((await get(`${serving.url}/health`, cert)).status).toBe(200)
    expect(await serving.stop()).toBe(0)
  }, 60_000)

  test("a certificate that cannot be used is refused at the start, in words", async () => {
    const folder = tempFolder()
    const [one, other] = [makeCertificate(folder, "one"), makeCertificate(folder, "other")]
    const bad = [
      { cert: one.cert, key: other.key },
      { cert: "no certificate", key: one.key },
      { cert: one.cert, key: "no key" },
    ]
    for (const tls of bad) {
      await expect(NodeServer.listen({ port: 0, tls })).rejects.toMatchObject({
        code: "invalid_input",
        message: expect.stringContaining("cannot be used") as string,
      })
    }
    writeFileSync(join(folder, "none.pem"), "no certificate")
    const told = hansard(
      ["serve", "--json", "--port", "0", "--tls-cert", join(folder, "none.pem"), "--tls-key", one.keyFile],
      { cwd: folder },
    )
    expect(told.status).toBe(2)
    expect(told.stderr).toContain("cannot be used")
  })

  test("what fails in a handshake is in the operator's log", async () => {
    const { cert, key } = makeCertificate(tempFolder(), "hub")
    const warned: string[] = []
    const logger = { ...silentLogger, warn: (_: object, text: string) => void warned.push(text) }
    await using server = await NodeServer.listen({ port: 0, tls: { cert, key }, hubOptions: { logger } })
    await fetch(server.url.replace("https:", "http:")).catch(() => {})
    await expect.poll(() => warned).toEqual([expect.stringContaining("where https: and wss: are spoken")])
    await rubbish(Number(new URL(server.url).port))
    await expect.poll(() => warned.length).toBe(2)
  })
})

function get(url: string, ca?: string): Promise<{ status: number | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const options = ca === undefined ? {} : { ca }
    request(url, { ...options, agent: false }, (response) => {
      let body = ""
      response.setEncoding("utf8")
      response.on("data", (text: string) => (body += text))
      response.on("end", () => resolve({ status: response.statusCode, body }))
    })
      .on("error", reject)
      .end()
  })
}

/** Neither TLS nor HTTP. */
function rubbish(port: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.end(Buffer.alloc(64, 0xff)))
    socket.on("error", () => {})
    socket.on("close", () => resolve())
    socket.resume()
  })
}
