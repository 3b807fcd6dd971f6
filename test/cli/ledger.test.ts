/** Keys, proofs and sealed logs, from the command line: what a user of the ledger meets. */
import { createHash } from "node:crypto"
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import { parseSignerKey } from "../../src/core/key.ts"
import { noteSigner, parseNote, signNote } from "../../src/core/note.ts"
import { build, hansard, jsonLines, logText, records, Running, tempFolder } from "./run.ts"

beforeAll(build)

const VKEY = /^[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+\n$/

/** A data folder with `count` records. */
function dataFolder(count = 5): string {
  const dir = join(tempFolder(), "data")
  expect(hansard(["append", "--dir", dir], { input: records(count) })).toMatchObject({
    status: 0,
    stderr: "",
  })
  return dir
}

/** What must be seen nowhere: the seed in a signer's text. Base64 has the `+` that joins its parts. */
const seedIn = (signer: string): string =>
  /\+[0-9a-f]{8}\+(\S{20,})/.exec(signer)?.[1] ?? expect.fail("no key")

const sizeOfCheckpoint = (text: string): number => Number(text.split("\n")[1])

/** The one file of the log. */
const logPath = (dir: string): string => join(dir, "store/audit/audit.jsonl")

function flip(path: string, at: number): void {
  const bytes = readFileSync(path)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(path, bytes)
}

test("the whole story: a key, records, a proof checked elsewhere with three files, tampering found", () => {
  const home = tempFolder()
  const dir = join(home, "data")

  const made = hansard(["keygen", "example.com/log", "--dir", dir])
  expect(made.status).toBe(0)
  expect(made.stdout).toMatch(VKEY)
  expect(made.stdout).toMatch(/^example\.com\/log\+/)

  const appended = hansard(["append", "--dir", dir], { input: records(300), keyNotice: true })
  expect(appended).toEqual({
    status: 0,
    stdout: '{"appended":300,"first_index":0,"size":300}\n',
    stderr: "",
  })
  const checkpoint = hansard(["checkpoint", "--dir", dir]).stdout
  expect(checkpoint).toMatch(/^example\.com\/log\n300\n\S{44}\n\n— example\.com\/log \S+\n$/)
  expect(hansard(["checkpoint", "--vkey", "--dir", dir]).stdout).toBe(made.stdout)

  const elsewhere = tempFolder()
  const [proof, record, vkey] = ["proof", "record", "vkey"].map((name) => join(elsewhere, name)) as [
    string,
    string,
    string,
  ]
  expect(hansard(["prove", "77", "--dir", dir, "--out", proof, "--record", record]).status).toBe(0)
  writeFileSync(vkey, made.stdout)
  expect(readFileSync(record, "utf8")).toBe(`${logText(dir).split("\n")[77] ?? ""}\n`)
  renameSync(dir, `${dir}-away`)
  const check = ["check", "proof", "--record", "record", "--key", "vkey"]
  const good = hansard(check, { cwd: elsewhere })
  expect({ status: good.status, stderr: good.stderr }).toEqual({ status: 0, stderr: "" })
  expect(good.stdout).toContain(
    "good: this is record 77 of example.com/log, in its checkpoint of 300 records\n",
  )
  writeFileSync(record, readFileSync(record, "utf8").trimEnd())
  expect(hansard(check, { cwd: elsewhere }).status).toBe(0)

  flip(record, 20)
  const bad = hansard(check, { cwd: elsewhere })
  expect({ status: bad.status, stdout: bad.stdout }).toEqual({ status: 1, stdout: "" })
  expect(bad.stderr).toContain("the proof for record 77 leads to another root (bad_proof)\n")

  renameSync(`${dir}-away`, dir)
  flip(logPath(dir), logText(dir).indexOf('"n": 123') + 5)
  const verified = hansard([
    "verify",
    "--dir",
    dir,
    "--key",
    made.stdout.trim(),
    "--state",
    join(home, "state"),
  ])
  expect(verified.status).toBe(1)
  expect(verified.stdout).toContain("record 123")
})

describe("every command that writes", () => {
  test("keeps a ledger, makes a key on first use and says so, and covers all that it wrote", () => {
    const dir = join(tempFolder(), "data")
    const first = hansard(["append", "--dir", dir], { input: records(3), keyNotice: true })
    const vkey = hansard(["checkpoint", "--vkey", "--dir", dir]).stdout
    expect(first.stderr).toBe(
      `hansard: made a signing key, ${join(dir, "keys/log.key")}; its verifier key is ${vkey}`,
    )
    expect(first.stderr + first.stdout).not.toContain(seedIn(readFileSync(join(dir, "keys/log.key"), "utf8")))
    const stored = (): string => readFileSync(join(dir, "store/audit/checkpoint"), "utf8")
    expect(sizeOfCheckpoint(stored())).toBe(3)
    const file = join(tempFolder(), "more.jsonl")
    writeFileSync(file, records(4))
    const imported = hansard(["import", file, "--dir", dir], { keyNotice: true })
    expect(imported.stderr).not.toContain("key")
    expect(sizeOfCheckpoint(stored())).toBe(7)
    expect(hansard(["demo", "--dir", dir]).status).toBe(0)
    expect(sizeOfCheckpoint(stored())).toBe(logText(dir).split("\n").length - 1)
    expect(statSync(join(dir, "keys")).mode & 0o777).toBe(0o700)
    expect(existsSync(join(dir, "store/keys"))).toBe(false)
  })

  test("says in JSON what it made when it is to speak JSON", () => {
    const dir = join(tempFolder(), "data")
    const { stderr } = hansard(["append", "--json", "--dir", dir], { input: records(1), keyNotice: true })
    const vkey = hansard(["checkpoint", "--vkey", "--dir", dir]).stdout.trim()
    expect(jsonLines(stderr)).toEqual([{ made_key: { path: join(dir, "keys/log.key"), vkey } }])
  })

  test("keeps a plain log with --no-ledger, which can be put under a ledger at any time", () => {
    const dir = join(tempFolder(), "data")
    const plain = hansard(["append", "--no-ledger", "--dir", dir], { input: records(300), keyNotice: true })
    expect(plain.stderr).toBe("")
    expect(readdirSync(dir)).toEqual(["store"])
    expect(readdirSync(join(dir, "store/audit"))).toEqual(["audit.jsonl"])
    expect(hansard(["checkpoint", "--vkey", "--dir", dir])).toMatchObject({ status: 2, stdout: "" })
    expect(sizeOfCheckpoint(hansard(["checkpoint", "--dir", dir]).stdout)).toBe(300)
    hansard(["append", "--no-ledger", "--dir", dir], { input: records(2) })
    expect(sizeOfCheckpoint(readFileSync(join(dir, "store/audit/checkpoint"), "utf8"))).toBe(300)
    expect(sizeOfCheckpoint(hansard(["checkpoint", "--dir", dir]).stdout)).toBe(302)
  })

  test("warns of a key that others can read, and names the fix", () => {
    const dir = dataFolder()
    const path = join(dir, "keys/log.key")
    chmodSync(path, 0o644)
    const { status, stderr } = hansard(["append", "--dir", dir], { input: records(1) })
    expect(status).toBe(0)
    expect(stderr).toBe(
      `hansard: warning: others can read the signing key ${path}; run \`chmod 600 ${path}\`\n`,
    )
  })

  test("refuses a damaged key, a lost one, and another log's, and appends nothing", () => {
    const dir = dataFolder()
    const path = join(dir, "keys/log.key")
    const key = readFileSync(path, "utf8")
    const before = logText(dir)
    const append = (): ReturnType<typeof hansard> => hansard(["append", "--dir", dir], { input: records(1) })
    writeFileSync(path, key.slice(0, -9))
    const damaged = append()
    expect(damaged).toMatchObject({ status: 2, stdout: "" })
    expect(damaged.stderr).toMatch(/holds no signing key: .*\(invalid_input\)\n {2}hint: /)
    expect(damaged.stderr).not.toContain(seedIn(key).slice(0, 16))
    rmSync(path)
    expect(append().stderr).toMatch(/the key that signs them is not there: .*\(not_found\)/)
    rmSync(join(dir, "keys"), { recursive: true })
    hansard(["keygen", "other", "--dir", dir])
    expect(append()).toMatchObject({ status: 1, stdout: "" })
    expect(logText(dir)).toBe(before)
  })
})

describe("keygen", () => {
  test("writes a signer for its owner alone, never over another, and prints the verifier key", () => {
    const folder = tempFolder()
    const out = join(folder, "w.key")
    const made = hansard(["keygen", "w.example/1", "--type", "cosigner", "--out", out])
    expect(made.stdout).toMatch(VKEY)
    expect(statSync(out).mode & 0o777).toBe(0o600)
    const secret = readFileSync(out, "utf8")
    expect(secret).toMatch(/^PRIVATE\+KEY\+w\.example\/1\+/)
    expect(made.stdout + made.stderr).not.toContain(seedIn(secret))
    expect(hansard(["keygen", "w.example/1", "--out", out])).toMatchObject({ status: 2, stdout: "" })
    expect(readFileSync(out, "utf8")).toBe(secret)
  })

  test.each([
    ["no name", []],
    ["an empty name", [""]],
    ["a name with a space", ["a b"]],
    ["a name with a plus", ["a+b"]],
    ["a folder that is not there", ["a", "--out", "/no/such/folder/k"]],
    ["a type that is none", ["a", "--type", "rsa"]],
    ["a name for --rotate", ["a", "--rotate"]],
  ])("refuses %s", (_what, args) => {
    const { status, stdout, stderr } = hansard(["keygen", ...args], { cwd: tempFolder() })
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" })
    expect(stderr).toMatch(/\(invalid_input\)\n {2}hint: \S/)
  })

  test("--rotate changes the key in a record that the old key signs, and the log goes on", () => {
    const dir = dataFolder()
    const old = hansard(["checkpoint", "--vkey", "--dir", dir]).stdout.trim()
    const rotated = hansard(["keygen", "--rotate", "--dir", dir])
    expect(rotated.status).toBe(0)
    const next = rotated.stdout.trim()
    expect(next).not.toBe(old)
    expect(next.split("+")[0]).toBe(old.split("+")[0])
    expect(JSON.parse(logText(dir).trimEnd().split("\n").at(-1) ?? "")).toMatchObject({
      kind: "signing_key_set",
      vkey: next,
      previous_vkey: old,
    })
    const proof = join(tempFolder(), "proof")
    const record = `${proof}-record`
    const check = (index: number, key: string): number | null => {
      expect(hansard(["prove", String(index), "--dir", dir, "--out", proof, "--record", record]).status).toBe(
        0,
      )
      return hansard(["check", proof, "--record", record, "--key", key]).status
    }
    // The next key has signed at once: a proof is good under it alone.
    expect([check(5, old), check(5, next)]).toEqual([1, 0])
    expect(hansard(["append", "--dir", dir], { input: records(1) }).status).toBe(0)
    expect([check(6, old), check(6, next)]).toEqual([1, 0])
    expect(hansard(["keygen", "--rotate", "--dir", dir]).status).toBe(0)
    expect(hansard(["append", "--dir", dir], { input: records(1) }).status).toBe(0)
  })

  test("--rotate may be done again and again; who knows the first key follows, from folder, files and URL", async () => {
    const dir = dataFolder()
    const first = hansard(["checkpoint", "--vkey", "--dir", dir]).stdout.trimEnd()
    for (let i = 0; i < 3; i++) {
      expect(hansard(["keygen", "--rotate", "--dir", dir]).status).toBe(0)
      // The second time with no record between.
      if (i !== 1) expect(hansard(["append", "--dir", dir], { input: records(1) }).status).toBe(0)
    }
    const tree = join(tempFolder(), "tree")
    expect(hansard(["export", "--tiles", tree, "--dir", dir]).status).toBe(0)
    await using server = createServer((request, response) => {
      const path = join(tree, request.url ?? "")
      if (existsSync(path)) response.end(readFileSync(path))
      else response.writeHead(404).end()
    }).listen(0, "127.0.0.1")
    await new Promise((done) => server.once("listening", done))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    const audit = join(dir, "store/audit")
    const files = [logPath(dir), "--checkpoint", join(audit, "checkpoint"), "--tiles", audit]
    for (const way of [["--dir", dir], files, ["--url", url]]) {
      const state = join(tempFolder(), "state.json")
      const running = new Running(["verify", ...way, "--key", first, "--state", state])
      expect([await running.ended, running.stderr]).toEqual([0, ""])
      expect(running.stdout).toMatch(/authorship +PROVED +signed by .*, which took over/)
    }
    // With the wrong first key nothing is followed.
    const stranger = hansard(["keygen", first.split("+")[0] ?? "", "--out", join(tempFolder(), "key")]).stdout
    const wrong = hansard([
      "verify",
      "--dir",
      dir,
      "--key",
      stranger.trimEnd(),
      "--state",
      join(dir, "state"),
    ])
    expect(wrong.status).toBe(1)
    expect(wrong.stdout).toMatch(/authorship +FALSE/)
  })

  test("verify says once on what several claims depend", () => {
    const dir = dataFolder()
    const { stdout } = hansard(["verify", "--dir", dir, "--state", join(dir, "state")])
    const conditions = [...stdout.matchAll(/^ +on (.*)$/gm)].map(([, on]) => on)
    const said = conditions.filter((on) => on?.startsWith("the same as") === false)
    expect(said.length).toBeGreaterThan(1)
    expect(new Set(said).size).toBe(said.length)
    expect(conditions).toContain('the same as "integrity"')
  })

  test("prove without a tree says that it is missing, and not that the record is false", () => {
    const dir = dataFolder()
    const tree = join(dir, "store/audit/tree")
    renameSync(tree, join(dir, "aside"))
    const missing = hansard(["prove", "1", "--dir", dir])
    expect([missing.status, missing.stdout]).toEqual([2, ""])
    expect(missing.stderr).not.toMatch(/tampered/i)
    expect(missing.stderr).toContain("hansard append /dev/null")
    const verdict = hansard(["verify", "--dir", dir, "--state", join(dir, "state"), "--json"])
    expect(verdict.status).toBe(0)
    expect((JSON.parse(verdict.stdout) as { claims: object }).claims).toMatchObject({
      integrity: { status: "conditional" },
      tiles: { status: "unprovable" },
    })
    // A tree that says something else is another matter.
    mkdirSync(tree)
    writeFileSync(join(tree, "0"), readFileSync(join(dir, "aside/0")).fill(1, 0, 1))
    const false_ = hansard(["prove", "1", "--dir", dir])
    expect([false_.status, false_.stdout]).toEqual([1, ""])
    expect(false_.stderr).toMatch(/tampered/i)
    rmSync(tree, { recursive: true })
    expect(hansard(["append", "/dev/null", "--dir", dir]).status).toBe(0)
    expect(hansard(["prove", "1", "--dir", dir])).toMatchObject({ status: 0, stderr: "" })
  })

  test("check follows changes of key from the first one: an old proof needs none, a new one the records", () => {
    const dir = dataFolder()
    const files = tempFolder()
    const first = hansard(["checkpoint", "--vkey", "--dir", dir]).stdout.trimEnd()
    const proofOf = (name: string): string[] => {
      const [proof, record] = [join(files, `${name}.tlog-proof`), join(files, `${name}.record`)]
      expect(hansard(["prove", "1", "--dir", dir, "--out", proof, "--record", record]).status).toBe(0)
      return ["check", proof, "--record", record, "--key", first]
    }
    const old = proofOf("old")
    for (let i = 0; i < 2; i++) expect(hansard(["keygen", "--rotate", "--dir", dir]).status).toBe(0)
    const changes = join(files, "changes.jsonl")
    const lines = hansard(["export", "--format", "jsonl", "--kind", "signing_key_set", "--dir", dir]).stdout
    writeFileSync(changes, lines)

    expect(hansard(old).status).toBe(0)
    const now = proofOf("now")
    const lost = hansard(now)
    expect([lost.status, lost.stdout]).toEqual([1, ""])
    expect(lost.stderr).toContain("--changes")
    const followed = hansard([...now, "--changes", changes])
    expect([followed.status, followed.stderr]).toEqual([0, ""])
    expect(followed.stdout).toContain("which took over by a record that an earlier key signed")
    const json = JSON.parse(hansard([...now, "--changes", "-", "--json"], { input: lines }).stdout)
    expect(json).toMatchObject({
      good: true,
      vkey: hansard(["checkpoint", "--vkey", "--dir", dir]).stdout.trimEnd(),
    })

    // One link short, a signature that is not the old key's, and what is no record at all.
    const links = lines.trimEnd().split("\n")
    const forged = lines.replace(
      /"signature": "(.)/,
      (_, first) => `"signature": "${first === "A" ? "B" : "A"}`,
    )
    for (const broken of [links.slice(1), links.slice(0, 1), [forged]]) {
      writeFileSync(changes, broken.join("\n"))
      expect(hansard([...now, "--changes", changes]).status, broken.join("\n")).toBe(1)
    }
    writeFileSync(changes, "rubbish\n")
    expect(hansard([...now, "--changes", changes])).toMatchObject({ status: 2, stdout: "" })
  })

  test("--rotate goes on where a crash stopped it, and so does everything else", () => {
    const dir = dataFolder()
    const keys = join(dir, "keys")
    const checkpoint = join(dir, "store/audit/checkpoint")
    const before = readFileSync(join(keys, "log.key"))
    const rotated = hansard(["keygen", "--rotate", "--dir", dir]).stdout
    const size = logText(dir).split("\n").length
    const after = readFileSync(checkpoint, "utf8")
    const oldKey = parseSignerKey(before.toString().trimEnd())
    const { text } = parseNote(after)
    const byOldKey = signNote(text, [noteSigner(oldKey)])
    // As if it had crashed before the new key signed: readers read, and the next writer signs.
    writeFileSync(checkpoint, byOldKey)
    expect(hansard(["prove", "1", "--dir", dir])).toMatchObject({ status: 0, stderr: "" })
    expect(hansard(["verify", "--dir", dir, "--state", join(dir, "state")]).status).toBe(0)
    expect(hansard(["append", "--dir", dir], { input: "" }).status).toBe(0)
    expect(readFileSync(checkpoint, "utf8")).toBe(after)
    // As if it had crashed before the new key took the old one's place.
    writeFileSync(checkpoint, byOldKey)
    renameSync(join(keys, "log.key"), join(keys, "log-next.key"))
    writeFileSync(join(keys, "log.key"), before, { mode: 0o600 })
    expect(hansard(["keygen", "--rotate", "--dir", dir]).stdout).toBe(rotated)
    expect(logText(dir).split("\n")).toHaveLength(size)
    expect(readFileSync(checkpoint, "utf8")).toBe(after)
    expect(hansard(["append", "--dir", dir], { input: records(1) }).status).toBe(0)
  })
})

describe("prove and checkpoint beside a running writer", () => {
  test("wait for its next checkpoint, and read the stored one", async () => {
    const dir = join(tempFolder(), "data")
    const writer = new Running(["append", "--dir", dir, "--ack"])
    writer.child.stdin.write(records(3))
    await writer.until(/"index":2/)
    const proof = hansard(["prove", "2", "--dir", dir])
    expect(proof).toMatchObject({ status: 0, stderr: "" })
    expect(proof.stdout).toMatch(/^c2sp\.org\/tlog-proof@v1\nindex 2\n/)
    expect(sizeOfCheckpoint(hansard(["checkpoint", "--dir", dir]).stdout)).toBe(3)
    writer.child.stdin.end()
    expect(await writer.ended).toBe(0)
  })
})

describe("prove", () => {
  test("refuses a record that is not there, one that was changed, and a folder without a log", () => {
    const dir = dataFolder()
    expect(hansard(["prove", "5", "--dir", dir])).toMatchObject({
      status: 2,
      stdout: "",
      stderr: "hansard: there is no record 5; the log has 5 (not_found)\n  hint: Records count from 0.\n",
    })
    expect(hansard(["prove", "-1", "--dir", dir]).status).toBe(2)
    expect(hansard(["prove", "1e3", "--dir", dir]).status).toBe(2)
    expect(hansard(["prove", "0", "--dir", join(dir, "no")])).toMatchObject({ status: 2, stdout: "" })
    flip(logPath(dir), logText(dir).indexOf('"n": 2') + 5)
    const changed = hansard(["prove", "2", "--dir", dir])
    expect(changed).toMatchObject({ status: 1, stdout: "" })
    expect(changed.stderr).toMatch(
      /^hansard: record 2, at byte \d+, cannot be proved: .*\(tampered\)\n {2}hint: /,
    )
    expect(hansard(["prove", "1", "--dir", dir]).status).toBe(0)
  })

  test("refuses damaged tiles and checkpoints", () => {
    const dir = dataFolder()
    const row = join(dir, "store/audit/tree/0")
    const checkpoint = join(dir, "store/audit/checkpoint")
    for (const [path, at] of [
      [row, 33],
      [checkpoint, 40],
      [checkpoint, 130],
    ] as const) {
      const before = readFileSync(path)
      flip(path, at)
      const { status, stdout, stderr } = hansard(["prove", "1", "--dir", dir])
      expect({ status, stdout }).toEqual({ status: 1, stdout: "" })
      expect(stderr).toContain("(tampered)\n  hint: ")
      writeFileSync(path, before)
    }
    expect(hansard(["prove", "1", "--dir", dir]).status).toBe(0)
  })
})

describe("check", () => {
  function material(): {
    folder: string
    vkey: string
    check: (...args: string[]) => ReturnType<typeof hansard>
  } {
    const dir = dataFolder()
    const folder = tempFolder()
    hansard(["prove", "3", "--dir", dir, "--out", join(folder, "proof"), "--record", join(folder, "record")])
    const vkey = hansard(["checkpoint", "--vkey", "--dir", dir]).stdout.trim()
    return { folder, vkey, check: (...args) => hansard(["check", ...args], { cwd: folder }) }
  }

  test("takes a policy, with or without a key, and asks for its quorum", () => {
    const { folder, vkey, check } = material()
    const witness = hansard([
      "keygen",
      "w",
      "--type",
      "cosigner",
      "--out",
      join(folder, "w.key"),
    ]).stdout.trim()
    writeFileSync(join(folder, "none"), `log ${vkey}\nquorum none\n`)
    writeFileSync(join(folder, "one"), `log ${vkey}\nwitness w ${witness}\nquorum w\n`)
    const args = ["proof", "--record", "record"]
    expect(check(...args, "--policy", "none").status).toBe(0)
    expect(check(...args, "--policy", "none", "--key", vkey).status).toBe(0)
    const other = hansard(["keygen", "x", "--out", join(folder, "x.key")]).stdout.trim()
    expect(check(...args, "--policy", "none", "--key", other).status).toBe(2)
    expect(check(...args, "--policy", "none", "--key", vkey, "--key", other).status).toBe(2)
    writeFileSync(join(folder, "any"), "quorum none\n")
    expect(check(...args, "--policy", "any", "--key", other, "--key", vkey).status).toBe(0)
    expect(check(...args, "--policy", "any", "--key", other).status).toBe(1)
    expect(check(...args, "--policy", "any").status).toBe(1)
    const lacking = check(...args, "--policy", "one", "--json")
    expect(lacking).toMatchObject({ status: 1, stdout: "" })
    expect(JSON.parse(lacking.stderr)).toMatchObject({ error: { code: "bad_signature" } })
    expect(JSON.parse(check(...args, "--key", vkey, "--json").stdout)).toMatchObject({
      good: true,
      index: 3,
      size: 5,
      vkey,
    })
  })

  test("answers 1 to what is false and 2 to what is malformed, never 0", () => {
    const { folder, vkey, check } = material()
    const other = hansard(["keygen", "x", "--out", join(folder, "x.key")]).stdout.trim()
    const proof = readFileSync(join(folder, "proof"), "utf8")
    const variant = (name: string, text: string): string => (writeFileSync(join(folder, name), text), name)
    const record = ["--record", "record", "--key", vkey]
    const cases: readonly [number, readonly string[]][] = [
      [1, ["proof", "--record", "record", "--key", other]],
      [1, [variant("index", proof.replace("index 3", "index 2")), ...record]],
      [1, [variant("far", proof.replace("index 3", "index 5")), ...record]],
      [
        1,
        [
          "proof",
          "--record",
          variant("two", `${readFileSync(join(folder, "record"), "utf8")}\n`),
          "--key",
          vkey,
        ],
      ],
      [2, [variant("empty", ""), ...record]],
      [2, [variant("header", proof.replace("@v1", "@v2")), ...record]],
      [2, [variant("cut", proof.slice(0, 60)), ...record]],
      [2, ["record", ...record]],
      [2, ["no-such-file", ...record]],
      [2, ["proof", "--record", "no-such-file", "--key", vkey]],
      [2, ["proof", "--record", "record", "--key", vkey.slice(0, -2)]],
      [2, ["proof", "--record", "record", "--key", "x.key"]],
      [2, ["proof", "--record", "record", "--policy", "proof"]],
      [2, ["proof", "--record", "record"]],
      [2, ["-", "--record", "-", "--key", vkey]],
      [2, [".", ...record]],
    ]
    for (const [status, args] of cases) {
      const done = check(...args)
      expect([args, done.status, done.stdout]).toEqual([args, status, ""])
      expect(done.stderr).toMatch(/^hansard: .+ \([a-z_]+\)\n {2}hint: \S/)
    }
    expect(check("proof", ...record).status).toBe(0)
  })

  test("refuses every flipped byte of a proof", () => {
    const { folder, vkey } = material()
    const proof = readFileSync(join(folder, "proof"))
    // Some bytes of each line, as each takes a process.
    for (let at = 0; at < proof.length; at += 29) {
      const bytes = Buffer.from(proof)
      bytes[at] = (bytes[at] ?? 0) ^ 1
      const args = ["check", "-", "--record", join(folder, "record"), "--key", vkey]
      const { status, stderr } = hansard(args, { input: bytes })
      expect([at, [1, 2].includes(status ?? 0)]).toEqual([at, true])
      expect(stderr).not.toContain("(internal)")
    }
  })
})

describe("seal", () => {
  const LINES = Array.from({ length: 600 }, (_, n) => `{"kind": "k", "n": ${n}, "text": "é"}\n`)

  function foreign(count: number): string {
    const path = join(tempFolder(), "audit.jsonl")
    writeFileSync(path, LINES.slice(0, count).join(""))
    return path
  }

  test("keeps tree and checkpoint of another program's file, without its lines, and goes on with what is added", () => {
    const file = foreign(300)
    const dir = join(tempFolder(), "sealed")
    const seal = (): ReturnType<typeof hansard> => hansard(["seal", file, "--dir", dir])
    expect(seal()).toEqual({ status: 0, stdout: '{"sealed":300,"size":300}\n', stderr: "" })
    expect(readdirSync(join(dir, "store/audit")).sort()).toEqual(["checkpoint", "sealed.json", "tree"])
    expect(seal().stdout).toBe('{"sealed":0,"size":300}\n')
    appendFileSync(file, LINES.slice(300).join("") + '{"torn')
    expect(seal().stdout).toBe('{"sealed":300,"size":600}\n')
    expect(readFileSync(file, "utf8")).toBe(`${LINES.join("")}{"torn`)
    const plain = join(tempFolder(), "plain")
    writeFileSync(`${plain}.jsonl`, LINES.join(""))
    hansard(["import", `${plain}.jsonl`, "--dir", plain])
    const roots = [dir, plain].map(
      (folder) => readFileSync(join(folder, "store/audit/checkpoint"), "utf8").split("\n")[2],
    )
    expect(roots[0]).toBe(roots[1])
    const proof = join(tempFolder(), "proof")
    expect(hansard(["prove", "599", "--dir", dir, "--out", proof]).status).toBe(0)
    const vkey = hansard(["checkpoint", "--vkey", "--dir", dir]).stdout.trim()
    const check = ["check", proof, "--record", "-", "--key", vkey]
    expect(hansard(check, { input: LINES[599] ?? "" }).status).toBe(0)
    expect(hansard(["append", "--dir", dir], { input: records(1) })).toMatchObject({ status: 2, stdout: "" })
  })

  test("is read by every command that reads, and followed", async () => {
    const file = foreign(300)
    const dir = join(tempFolder(), "sealed")
    hansard(["seal", file, "--dir", dir])
    appendFileSync(file, `${LINES[300] ?? ""}{"torn`)
    const read = (...args: string[]): string => {
      const { status, stdout, stderr } = hansard([...args, "--dir", dir])
      expect([args, status, stderr]).toEqual([args, 0, ""])
      return stdout
    }
    expect(read("tail", "--last", "2")).toBe(LINES.slice(299, 301).join(""))
    expect(read("export")).toBe(LINES.slice(0, 301).join(""))
    expect(JSON.parse(read("query", "--kind", "k", "--limit", "1", "--json"))).toMatchObject({ size: 301 })
    expect(JSON.parse(read("stats", "--json"))).toMatchObject({ total: 301 })
    expect(read("fsck")).toContain("nothing is wrong")
    const verify = ["verify", "--json", "--state", join(dir, "state")]
    expect(JSON.parse(read(...verify))).toMatchObject({ records: 301, size: 300, uncovered: 1, good: true })
    const tail = new Running(["tail", "--follow", "--last", "1", "--dir", dir])
    await tail.until(/"n": 300/)
    appendFileSync(file, `": 1}\n${LINES[301] ?? ""}`)
    await tail.until(/"torn": 1}\n.*"n": 301/)
    flip(file, 30)
    expect(hansard([...verify, "--dir", dir]).status).toBe(1)
    renameSync(file, `${file}.moved`)
    for (const command of ["tail", "query", "stats", "verify", "fsck", "export"]) {
      const gone = hansard([command, "--dir", dir])
      expect([command, gone.status, gone.stdout]).toEqual([command, 2, ""])
      expect(gone.stderr).toContain("the sealed log is gone")
    }
  })

  test("refuses when lines were taken away or have changed, and signs nothing", () => {
    const file = foreign(300)
    const dir = join(tempFolder(), "sealed")
    const seal = (): ReturnType<typeof hansard> => hansard(["seal", file, "--dir", dir])
    seal()
    const checkpoint = readFileSync(join(dir, "store/audit/checkpoint"), "utf8")
    const good = readFileSync(file)
    truncateSync(file, good.length - 5)
    expect(seal()).toMatchObject({ status: 1, stdout: "" })
    expect(seal().stderr).toContain("the file has 299 whole lines, and 300 of them are sealed (tampered)")
    writeFileSync(file, good.toString().replace('"n": 7,', '"n": 8,') + LINES.slice(300).join(""))
    expect(seal()).toMatchObject({ status: 1, stdout: "" })
    const offset = Buffer.byteLength(LINES.slice(0, 7).join(""))
    expect(seal().stderr).toContain(
      `record 7, at byte ${offset}, is not the one that the checkpoint covers (tampered)`,
    )
    expect(readFileSync(join(dir, "store/audit/checkpoint"), "utf8")).toBe(checkpoint)
    writeFileSync(file, good)
    expect(seal().stdout).toBe('{"sealed":0,"size":300}\n')
  })

  test("--follow seals what comes until it is interrupted, and stops when the file shrinks", async () => {
    const file = foreign(10)
    const dir = join(tempFolder(), "sealed")
    const args = ["seal", file, "--follow", "--interval", "20", "--dir", dir]
    const size = (): number => sizeOfCheckpoint(readFileSync(join(dir, "store/audit/checkpoint"), "utf8"))
    const running = new Running(args)
    await expect.poll(() => running.stderr, { timeout: 10_000 }).toContain("following it")
    appendFileSync(file, LINES.slice(10, 290).join(""))
    await expect.poll(size, { timeout: 10_000 }).toBe(290)
    appendFileSync(file, LINES.slice(290, 300).join(""))
    running.child.kill("SIGINT")
    expect(await running.ended).toBe(0)
    expect(running.stdout).toBe('{"sealed":300,"size":300}\n')
    const again = new Running(args)
    await expect.poll(() => again.stderr, { timeout: 10_000 }).toContain("300 records")
    truncateSync(file, 100)
    expect(await again.ended).toBe(1)
    expect(again.stderr).toContain("(tampered)")
    expect(size()).toBe(300)
  })

  test("works where AG2 keeps its log, and until it is taken over nobody else writes there", () => {
    const dir = tempFolder()
    mkdirSync(join(dir, "store/audit"), { recursive: true })
    writeFileSync(logPath(dir), LINES.slice(0, 20).join(""))
    expect(hansard(["seal", logPath(dir), "--dir", dir]).stdout).toBe('{"sealed":20,"size":20}\n')
    const refused = hansard(["append", "--dir", dir], { input: records(1) })
    expect(refused.status).toBe(2)
    expect(refused.stderr).toContain("sealed.json")
    rmSync(join(dir, "store/audit/sealed.json"))
    expect(hansard(["append", "--dir", dir], { input: records(1) }).status).toBe(0)
    expect(sizeOfCheckpoint(hansard(["checkpoint", "--dir", dir]).stdout)).toBe(21)
  })

  test("refuses a second file, a folder with a log of its own, and what is no file", () => {
    const dir = join(tempFolder(), "sealed")
    hansard(["seal", foreign(3), "--dir", dir])
    expect(hansard(["seal", foreign(3), "--dir", dir])).toMatchObject({ status: 2, stdout: "" })
    expect(hansard(["seal", foreign(3), "--dir", dataFolder()]).stderr).toContain("has a log of its own")
    expect(hansard(["seal", tempFolder(), "--dir", dir]).status).toBe(2)
    expect(hansard(["seal", "/no/such/file", "--dir", dir]).status).toBe(2)
  })
})

describe("export", () => {
  test("writes the verbatim lines, or a table, of what the filters let through", () => {
    const dir = join(tempFolder(), "data")
    hansard(["append", "--dir", dir], { input: records(2, "noted") + records(1, "other") })
    expect(hansard(["export", "--dir", dir]).stdout).toBe(logText(dir))
    expect(hansard(["export", "--format", "jsonl", "--kind", "other", "--dir", dir]).stdout).toBe(
      `${logText(dir).split("\n")[2] ?? ""}\n`,
    )
    const out = join(tempFolder(), "log.csv")
    expect(hansard(["export", "--format", "csv", "--out", out, "--dir", dir]).stdout).toBe("")
    expect(statSync(out).mode & 0o777).toBe(0o600)
    const rows = readFileSync(out, "utf8").split("\r\n")
    expect(rows[0]).toBe("index,at,kind,agent_id,channel_id,task_id,outcome,record")
    expect(rows[3]).toMatch(/^2,2026-05-05T10:00:00\.000Z,other,,,,,"\{""at""/)
    expect(rows).toHaveLength(5)
  })

  test("hands no formula to a spreadsheet", () => {
    const dir = join(tempFolder(), "data")
    const texts = [
      "=1+1",
      "+1",
      "-1",
      "@A1",
      "\t=1",
      "\r=1",
      " =1",
      "＝1",
      '=HYPERLINK("x","y")',
      "a,b",
      'a"b',
      "a\nb",
    ]
    const input = texts.map((kind) => JSON.stringify({ kind, agent_id: kind })).join("\n")
    expect(hansard(["append", "--dir", dir], { input }).status).toBe(0)
    const table = parseCsv(hansard(["export", "--format", "csv", "--dir", dir]).stdout)
    expect(table).toHaveLength(texts.length + 1)
    for (const [i, row] of table.slice(1).entries()) {
      expect(row).toHaveLength(8)
      for (const cell of row) expect(cell).not.toMatch(/^\s*[=+\-@\t\r＝]/)
      expect(row[2]?.replace(/^'/, "")).toBe(texts[i])
      expect(JSON.parse(row[7] ?? "")).toMatchObject({ kind: texts[i] })
    }
  })

  test.each([0, 1, 255, 256, 257, 700])("--tiles of %i records is a tree that anyone can walk", (count) => {
    const dir = dataFolder(count)
    const tiles = join(tempFolder(), "tiles")
    const done = hansard(["export", "--tiles", tiles, "--dir", dir])
    expect([done.status, done.stderr]).toEqual([0, ""])
    const [origin, size, root] = readFileSync(join(tiles, "checkpoint"), "utf8").split("\n")
    expect([origin, size]).toEqual([JSON.parse(done.stdout).origin, String(count)])
    const { lines, leaves } = walk(tiles, count)
    expect(lines.map((line) => `${line}\n`).join("")).toBe(count === 0 ? "" : logText(dir))
    expect(rootOf(leaves).toString("base64")).toBe(root)
    expect(readdirSync(tiles, { recursive: true }).filter((name) => String(name).endsWith(".new"))).toEqual(
      [],
    )
  })

  test("--tiles brings an earlier export up to date, and refuses what is none of this log", () => {
    const dir = dataFolder(200)
    const tiles = join(tempFolder(), "tiles")
    hansard(["export", "--tiles", tiles, "--dir", dir])
    hansard(["append", "--dir", dir], { input: records(100) })
    expect(hansard(["export", "--tiles", tiles, "--dir", dir]).status).toBe(0)
    expect(walk(tiles, 300).lines).toHaveLength(300)
    expect(walk(tiles, 200).lines).toHaveLength(200)
    expect(hansard(["export", "--tiles", tiles, "--dir", dataFolder(1)])).toMatchObject({
      status: 2,
      stdout: "",
    })
    expect(hansard(["export", "--tiles", dir, "--dir", dir])).toMatchObject({ status: 2, stdout: "" })
    expect(hansard(["export", "--tiles", tiles, "--kind", "x", "--dir", dir])).toMatchObject({
      status: 2,
      stdout: "",
    })
  })

  test("--tiles of a log that was changed writes no checkpoint, and names the record", () => {
    const dir = dataFolder(10)
    const tiles = join(tempFolder(), "tiles")
    flip(logPath(dir), logText(dir).indexOf('"n": 4') + 5)
    const { status, stdout, stderr } = hansard(["export", "--tiles", tiles, "--dir", dir])
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" })
    expect(stderr).toMatch(/record 4, at byte \d+, is not the one that the checkpoint covers \(tampered\)/)
    expect(existsSync(join(tiles, "checkpoint"))).toBe(false)
  })
})

const hash = (...parts: readonly (Buffer | string)[]): Buffer => {
  const sha = createHash("sha256")
  for (const part of parts) sha.update(part)
  return sha.digest()
}

/** RFC 6962, written again. */
function rootOf(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return hash()
  const [only] = leaves
  if (leaves.length === 1 && only !== undefined) return only
  let half = 1
  while (half * 2 < leaves.length) half *= 2
  return hash("\u0001", rootOf(leaves.slice(0, half)), rootOf(leaves.slice(half)))
}

/** Reads a tree of `size` as its specification says, with nothing of ours: every tile against what lies below it. */
function walk(folder: string, size: number): { lines: string[]; leaves: Buffer[] } {
  const nameOf = (index: number, width: number): string =>
    String(index).padStart(3, "0") + (width === 256 ? "" : `.p/${width}`)
  const lines: string[] = []
  let row: Buffer[] = []
  for (let index = 0; index * 256 < size; index++) {
    const width = Math.min(256, size - index * 256)
    const bundle = readFileSync(join(folder, "tile/entries", nameOf(index, width)))
    let at = 0
    for (; at < bundle.length; at += 2 + bundle.readUInt16BE(at)) {
      const entry = bundle.subarray(at + 2, at + 2 + bundle.readUInt16BE(at))
      lines.push(entry.toString())
      row.push(hash("\u0000", entry))
    }
    expect(at).toBe(bundle.length)
  }
  const leaves = row
  expect(leaves).toHaveLength(size)
  for (let level = 0; row.length > 0; level++) {
    const above: Buffer[] = []
    for (let index = 0; index * 256 < row.length; index++) {
      const hashes = row.slice(index * 256, (index + 1) * 256)
      const tile = readFileSync(join(folder, `tile/${level}`, nameOf(index, hashes.length)))
      expect(tile.equals(Buffer.concat(hashes))).toBe(true)
      if (hashes.length === 256) above.push(rootOf(hashes))
    }
    row = above
  }
  return { lines, leaves }
}

/** RFC 4180. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = []
  let row: string[] = []
  const cell = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/y
  for (let match = cell.exec(text); match !== null; match = cell.exec(text)) {
    row.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? "")
    if (match[3] !== ",") {
      rows.push(row)
      row = []
    }
  }
  expect(cell.lastIndex).toBe(0)
  return rows
}
