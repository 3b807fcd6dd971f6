/** Two services, each a witness of the other. */
import { writeFileSync } from "node:fs"
import { createServer, type AddressInfo } from "node:net"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { beforeAll, expect, test } from "vitest"
import { build, hansard, Running, tempFolder } from "../cli/run.ts"

beforeAll(build)

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1")
  await new Promise((listening) => server.once("listening", listening))
  const { port } = server.address() as AddressInfo
  await new Promise((closed) => server.close(closed))
  return port
}

interface Party {
  readonly dir: string
  readonly port: number
  readonly log: string
  readonly witness: string
}

async function party(name: string): Promise<Party> {
  const dir = join(tempFolder(), "data")
  const log = hansard(["keygen", `${name}.example/log`, "--dir", dir]).stdout.trim()
  const witness = hansard([
    "keygen",
    `${name}.example/witness`,
    "--type",
    "cosigner",
    "--dir",
    dir,
  ]).stdout.trim()
  return { dir, port: await freePort(), log, witness }
}

const urlOf = ({ port }: Party): string => `http://127.0.0.1:${port}`

function serve(own: Party, other: Party): Running {
  const witness = `${other.witness}@${urlOf(other)}/witness`
  const to = ["--port", String(own.port), "--dir", own.dir]
  return new Running(["serve", ...to, "--witness", witness, "--witness-for", other.log])
}

async function cosignedCheckpoint(own: Party, other: Party): Promise<string> {
  const line = `\n— ${other.witness.split("+")[0] ?? ""} `
  for (;;) {
    const text = await fetch(`${urlOf(own)}/checkpoint`).then((answer) => answer.text())
    if (text.includes(line)) return text
    // The first service came before the second; it asks again with its next checkpoint.
    const record = JSON.stringify({ kind: "noted", at: new Date().toISOString() })
    await fetch(`${urlOf(own)}/v1/records`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: record,
    })
    await sleep(300)
  }
}

test("two services cosign each other's checkpoints, and a stranger sees that neither shows two histories", async () => {
  const [a, b] = [await party("a"), await party("b")]
  const [first, second] = [serve(a, b), serve(b, a)]
  await Promise.all([first.until(/^hub /m), second.until(/^hub /m)])
  expect(second.stdout).toContain(`witness ${b.witness}@${urlOf(b)}/witness\n`)
  for (const [own, other] of [
    [a, b],
    [b, a],
  ] as const) {
    await cosignedCheckpoint(own, other)
    const policy = join(own.dir, "policy")
    writeFileSync(policy, `log ${own.log}\nwitness w ${other.witness}\nquorum w\n`)
    const args = [
      "verify",
      "--url",
      urlOf(own),
      "--policy",
      policy,
      "--state",
      join(own.dir, "state"),
      "--json",
    ]
    const verifying = new Running(args)
    expect(await verifying.ended, verifying.stdout + verifying.stderr).toBe(0)
    expect(JSON.parse(verifying.stdout)).toMatchObject({
      claims: { no_split_view: { status: "proved" }, integrity: { status: "proved" } },
    })
  }
  for (const running of [first, second]) running.child.kill("SIGINT")
  expect([await first.ended, await second.ended]).toEqual([0, 0])
}, 120_000)

test("a witness that is not there, or a key that is none, is told, and the log goes on", async () => {
  const [a, b] = [await party("a"), await party("b")]
  const alone = serve(a, b)
  await alone.until(/^hub /m)
  for (let i = 0; !alone.stderr.includes("a witness does not cosign"); i++) {
    if (i > 200) throw new Error(`nothing was told: ${alone.stderr}`)
    await sleep(100)
  }
  expect(await fetch(`${urlOf(a)}/checkpoint`).then((answer) => answer.status)).toBe(200)
  alone.child.kill("SIGINT")
  expect(await alone.ended).toBe(0)
  for (const args of [
    ["--witness", "http://127.0.0.1:1"],
    ["--witness", `${a.log}@http://127.0.0.1:1`],
    ["--witness-for", a.witness],
    ["--witness", `${b.witness}@http://127.0.0.1:1`, "--no-ledger"],
  ]) {
    const { status, stdout } = hansard(["serve", "--dir", a.dir, "--port", "0", ...args])
    expect([args, status, stdout]).toEqual([args, 2, ""])
  }
}, 120_000)
