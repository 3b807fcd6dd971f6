import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { connect } from "node:net"
import { join } from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import { cosignatureVerifier } from "../../src/core/cosignature.ts"
import { formatSignerKey, formatVerifierKey, parseVerifierKey } from "../../src/core/key.ts"
import { openNote } from "../../src/core/note.ts"
import { collectCosignatures } from "../../src/witness/index.ts"
import { build, hansard, Running, tempFolder } from "../cli/run.ts"
import { ModelLog, ORIGIN, witnessKey } from "./world.ts"

beforeAll(build)

const log = new ModelLog()
const LOG_VKEY = formatVerifierKey(log.key)

interface Started {
  readonly running: Running
  readonly vkey: string
  readonly url: string
}

async function start(dir: string, ...more: string[]): Promise<Started> {
  const running = new Running([
    "witness",
    "--listen",
    "127.0.0.1:0",
    "--dir",
    dir,
    "--log",
    LOG_VKEY,
    ...more,
  ])
  await running.until(/\n.*\n/)
  const [vkey = "", url = ""] = running.stdout.split("\n")
  return { running, vkey, url }
}

async function stop({ running }: Started): Promise<number | null> {
  running.child.kill("SIGINT")
  return await running.ended
}

async function post(url: string, body: string): Promise<Response> {
  return await fetch(`${url}/add-checkpoint`, { method: "POST", body })
}

describe("hansard witness", () => {
  test("makes a key, prints it, cosigns, and remembers all of it across a restart", async () => {
    const dir = tempFolder()
    const first = await start(dir)
    expect(first.vkey).toMatch(/^hansard\.local\/[0-9a-f]{8}\+[0-9a-f]{8}\+B[\w+/]+=*$/)
    expect(first.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    const keyFile = join(dir, "keys/witness.key")
    expect(first.running.stderr).toBe(
      `hansard: made a signing key, ${keyFile}; its verifier key is ${first.vkey}\n`,
    )
    expect(statSync(keyFile).mode & 0o777).toBe(0o600)
    expect((await post(first.url, log.body(0, 5))).status).toBe(200)
    expect(await stop(first)).toBe(0)

    const second = await start(dir)
    expect(second.vkey).toBe(first.vkey)
    expect(second.running.stderr).toBe("")
    const verifier = cosignatureVerifier(second.vkey)
    const { note, outcomes } = await collectCosignatures(
      log.checkpoint(9),
      [{ name: "w", key: parseVerifierKey(second.vkey), url: second.url }],
      { proofFrom: log.proofFrom },
    )
    expect(outcomes).toMatchObject([{ witness: "w", status: "cosigned" }])
    expect(openNote(note, [verifier]).verified).toHaveLength(1)
    const fork = await post(second.url, new ModelLog(log.key, 2).body(9, 12))
    expect(fork.status).toBe(422)
    expect(await stop(second)).toBe(0)
    expect(second.running.stderr).toContain(
      `refused a signed checkpoint whose proof is bad: ${ORIGIN}, size 12\n`,
    )
  })

  test("answers what is no request of ours, and lives on", async () => {
    const started = await start(tempFolder())
    const { url } = started
    const { port } = new URL(url)
    const raw = (text: string): Promise<string> =>
      new Promise((done, fail) => {
        const socket = connect(Number(port), "127.0.0.1", () => socket.write(text))
        let answer = ""
        socket.on("data", (data) => (answer += data.toString()))
        socket.on("close", () => done(answer.split("\r\n")[0] ?? ""))
        socket.on("error", fail)
      })
    expect(await raw("POST // HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).toBe(
      "HTTP/1.1 400 Bad Request",
    )
    expect(await raw("OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).toMatch(/ 404 /)
    expect(await raw("TRACE / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).toMatch(/ 400 /)
    expect(await raw("nonsense\r\n\r\n")).toMatch(/ 400 /)
    // Told before it has sent everything, and the connection is closed.
    const large = await new Promise<number | undefined>((done) => {
      const sending = request(`${url}/add-checkpoint`, { method: "POST" }, (answer) => {
        answer.resume()
        done(answer.statusCode)
      })
      sending.on("error", () => {})
      sending.write("x".repeat(200_000))
    })
    expect(large).toBe(413)
    // One that breaks off.
    const broken = request(`${url}/add-checkpoint`, { method: "POST", headers: { "content-length": "1000" } })
    broken.on("error", () => {})
    broken.write("old", () => broken.destroy())
    expect((await post(url, log.body(0, 5))).status).toBe(200)
    expect(await stop(started)).toBe(0)
    expect(started.running.stderr).not.toContain("could not answer")
  })

  test("signs with the folder's key, or with --key FILE, and warns of one that others can read", async () => {
    const dir = tempFolder()
    const made = hansard(["keygen", "example.com/witness", "--type", "cosigner", "--dir", dir]).stdout.trim()
    const named = await start(dir)
    expect(named.vkey).toBe(made)
    expect(existsSync(join(dir, "keys/witness.key"))).toBe(true)
    await stop(named)
    const file = join(dir, "mine.key")
    writeFileSync(file, `${formatSignerKey(witnessKey())}\n`, { mode: 0o600 })
    chmodSync(file, 0o644)
    const started = await start(dir, "--key", file)
    expect(started.vkey).toBe(formatVerifierKey(witnessKey()))
    expect(started.running.stderr).toBe(
      `hansard: warning: others can read the signing key ${file}; run \`chmod 600 ${file}\`\n`,
    )
    expect(readFileSync(file, "utf8")).toContain("PRIVATE+KEY+")
    await stop(started)
  })

  test("a mistake is told in two lines, and no key is shown", () => {
    const dir = tempFolder()
    mkdirSync(join(dir, "keys"))
    const file = join(dir, "log.key")
    writeFileSync(file, formatSignerKey(log.key), { mode: 0o600 })
    const cases: [string[], RegExp][] = [
      [[], /required option '--log/],
      [["--log", "nonsense"], /neither a verifier key nor a file/],
      [["--log", formatVerifierKey(witnessKey())], /key of a cosigner, not of a log/],
      [["--log", LOG_VKEY, LOG_VKEY], /twice/],
      [["--log", LOG_VKEY, "--key", file], /the key of a log, not of a cosigner/],
      [["--log", LOG_VKEY, "--key", "two words"], /there is no file two words/],
      [["--log", LOG_VKEY, "--listen", "host:99999"], /is not HOST:PORT/],
      [["--log", LOG_VKEY, "--listen", "192.0.2.1:1"], /cannot listen on 192\.0\.2\.1:1/],
    ]
    for (const [args, message] of cases) {
      const { status, stdout, stderr } = hansard(["witness", "--dir", dir, ...args])
      expect([status, stdout], stderr).toEqual([2, ""])
      expect(stderr).toMatch(message)
      expect(stderr).toMatch(/\n {2}hint: \S/)
      expect(stderr).not.toContain("PRIVATE")
    }
  })

  test("two on one folder: the second is refused", async () => {
    const dir = tempFolder()
    const started = await start(dir)
    const { status, stderr } = hansard([
      "witness",
      "--dir",
      dir,
      "--listen",
      "127.0.0.1:0",
      "--log",
      LOG_VKEY,
    ])
    expect(status).toBe(2)
    expect(stderr).toContain("(log_locked)")
    await stop(started)
  })
})
