import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { beforeAll, expect, test } from "vitest"
import { signCheckpoint } from "../../src/core/checkpoint.ts"
import { TreeFrontier } from "../../src/core/frontier.ts"
import { formatVerifierKey } from "../../src/core/key.ts"
import { noteSigner } from "../../src/core/note.ts"
import {
  makeLog,
  ORIGIN,
  OTHER_SIGNER,
  recordLine,
  recordLines,
  SIGNER,
  rowsOf,
  VKEY,
  WITNESS,
  type MadeLog,
} from "../ledger/make-log.ts"
import { build, hansard, Running, tempFolder, type Done } from "./run.ts"

beforeAll(build, 120_000)

const lines = recordLines(300)

function put(folder: string, { lines: bytes, checkpoint, tiles }: MadeLog): void {
  const audit = join(folder, "store/audit")
  const own: [string, Uint8Array][] = [
    ["audit.jsonl", bytes],
    ["checkpoint", checkpoint],
  ]
  // As a static tree too, for those who have nothing but files.
  const files = new Map<string, Uint8Array>([...tiles, ...rowsOf(tiles), ...own])
  for (const [path, content] of files) {
    mkdirSync(dirname(join(audit, path)), { recursive: true })
    writeFileSync(join(audit, path), content)
  }
}

interface Told {
  readonly good: boolean
  readonly fork_evidence: string | null
  readonly claims: Readonly<Record<string, { readonly status: string; readonly first_bad_index?: number }>>
}

function verify(folder: string, ...args: string[]): Done & { told: Told } {
  const done = hansard(["verify", "--dir", folder, "--state", join(folder, "state.json"), "--json", ...args])
  return { ...done, told: JSON.parse(done.stdout || "{}") as Told }
}

test("verify: from proved to false, with the index, and without a word too many", () => {
  const folder = tempFolder()
  put(folder, makeLog(lines))
  const good = verify(folder, "--key", VKEY)
  expect(good).toMatchObject({ status: 0, stderr: "" })
  expect(good.told.claims).toMatchObject({ integrity: { status: "proved" }, tiles: { status: "proved" } })
  expect(statSync(join(folder, "state.json")).mode & 0o777).toBe(0o600)

  const log = join(folder, "store/audit/audit.jsonl")
  const text = readFileSync(log, "utf8")
  writeFileSync(log, text.replace("agent-123", "agent-999"))
  const bad = verify(folder, "--key", VKEY)
  expect(bad.status).toBe(1)
  expect(bad.told.claims["integrity"]).toMatchObject({ status: "false", first_bad_index: 123 })
  const human = hansard(["verify", "--dir", folder, "--state", join(folder, "state.json"), "--key", VKEY])
  expect(human.stdout).toContain("record 123")
  expect(human.stdout).toContain("VERIFICATION FAILED")
})

test("verify: what was accepted is remembered, a rollback is found, and a fork makes evidence", () => {
  const folder = tempFolder()
  put(folder, makeLog(lines))
  expect(verify(folder, "--key", VKEY).status).toBe(0)
  put(folder, makeLog(lines.slice(0, 200)))
  const back = verify(folder, "--key", VKEY)
  expect(back).toMatchObject({ status: 1, told: { claims: { no_truncation: { status: "false" } } } })
  put(folder, makeLog(lines.with(3, recordLine(3, { exc_type: "Other" }))))
  const forked = verify(folder, "--key", VKEY)
  expect(forked.status).toBe(1)
  const evidence = forked.told.fork_evidence ?? ""
  expect(readFileSync(evidence, "utf8")).toContain("hansard-fork-evidence@v1")
  // Anyone can check it, with the key and nothing else.
  const told = hansard(["check", evidence, "--key", VKEY])
  expect(told).toMatchObject({ status: 0, stderr: "" })
  expect(told.stdout).toContain(`a fork: ${ORIGIN} has signed two histories`)
  expect(told.stdout).toContain("does not prove which of the two is true")
  expect(JSON.parse(hansard(["check", evidence, "--key", VKEY, "--json"]).stdout)).toMatchObject({
    fork: true,
    origin: ORIGIN,
    older_size: 300,
    newer_size: 300,
  })
  const other = formatVerifierKey(OTHER_SIGNER)
  expect(hansard(["check", evidence, "--key", other])).toMatchObject({ status: 1, stdout: "" })
  expect(hansard(["check", evidence])).toMatchObject({ status: 2, stdout: "" })
  expect(hansard(["check", evidence, "--key", VKEY, "--record", evidence]).status).toBe(2)
  const bytes = readFileSync(evidence)
  for (const [at, statuses] of [
    [0, [2]],
    [30, [2]],
    [120, [1, 2]],
    [bytes.length - 10, [1]],
  ] as const) {
    const broken = Buffer.from(bytes)
    broken[at] = (broken[at] ?? 0) ^ 1
    const { status, stdout } = hansard(["check", "-", "--key", VKEY], { input: broken })
    expect([at, statuses.includes(status as never), stdout]).toEqual([at, true, ""])
  }
  // A failed verification is not what is remembered.
  put(folder, makeLog(lines))
  expect(verify(folder, "--key", VKEY)).toMatchObject({
    status: 0,
    told: { claims: { no_truncation: { status: "proved" } } },
  })
})

test("verify: a key found beside the log is a condition, and plain files do as well as a folder", () => {
  const folder = tempFolder()
  put(folder, makeLog(lines))
  mkdirSync(join(folder, "keys"))
  writeFileSync(join(folder, "keys/log.vkey"), `${VKEY}\n`)
  expect(verify(folder).told.claims["authorship"]).toMatchObject({ status: "conditional" })
  const audit = join(folder, "store/audit")
  const files = [join(audit, "audit.jsonl"), "--checkpoint", join(audit, "checkpoint"), "--tiles", audit]
  expect(verify(folder, ...files, "--key", VKEY).told.claims).toMatchObject({
    integrity: { status: "proved" },
    tiles: { status: "proved" },
  })
})

test("verify: --key and --policy as `check` takes them", () => {
  const folder = tempFolder()
  put(folder, makeLog(lines, { witness: true }))
  const witness = formatVerifierKey(WITNESS)
  const policy = join(folder, "policy")
  const other = formatVerifierKey(OTHER_SIGNER)
  writeFileSync(policy, `log ${VKEY}\nwitness w ${witness}\nquorum w\n`)
  const quorum = { no_split_view: { status: "proved" }, authorship: { status: "proved" } }
  expect(verify(folder, "--policy", policy).told.claims).toMatchObject(quorum)
  expect(verify(folder, "--policy", policy, "--key", VKEY).told.claims).toMatchObject(quorum)
  expect(verify(folder, "--policy", policy, "--key", other).status).toBe(2)
  writeFileSync(policy, `witness w ${witness}\nquorum w\n`)
  expect(verify(folder, "--policy", policy, "--key", other, "--key", VKEY).told.claims).toMatchObject(quorum)
  expect(verify(folder, "--policy", policy, "--key", other).status).toBe(1)
  writeFileSync(join(folder, "vkey"), `${VKEY}\n`)
  expect(verify(folder, "--key", join(folder, "vkey")).told.claims).toMatchObject({
    authorship: { status: "proved" },
  })
})

test("verify: without a checkpoint a line that is no record is all that can be found, and is", () => {
  const folder = tempFolder()
  const file = join(folder, "lines")
  writeFileSync(file, [...lines.slice(0, 5), "no record", ...lines.slice(5)].join("\n") + "\n")
  const { status, told } = verify(folder, file)
  expect([status, told.claims["integrity"]]).toMatchObject([1, { status: "false", first_bad_index: 5 }])
})

test("verify: wrong use is status 2", () => {
  const folder = tempFolder()
  expect(verify(folder).status).toBe(2)
  put(folder, makeLog(lines))
  expect(verify(folder, "--key", "nonsense").status).toBe(2)
  expect(verify(folder, "--url", "ftp://x/").status).toBe(2)
  writeFileSync(join(folder, "state.json"), "{}")
  expect(verify(folder)).toMatchObject({ status: 2, stderr: expect.stringContaining("state.json") })
})

test("fsck: names the first bad byte, and changes nothing", () => {
  const folder = tempFolder()
  const made = makeLog(lines)
  put(folder, made)
  expect(hansard(["fsck", "--dir", folder])).toMatchObject({ status: 0 })
  const row = join(folder, "store/audit/tree/0")
  const bytes = readFileSync(row)
  bytes[77] = (bytes[77] ?? 0) ^ 1
  writeFileSync(row, bytes)
  const bad = hansard(["fsck", "--dir", folder])
  expect(bad).toMatchObject({ status: 1, stdout: expect.stringContaining("audit/tree/0, byte 77") })
  expect(readFileSync(row)).toEqual(bytes)
})

test("verify: interrupted, it goes on from there, and says what that is conditional on", async () => {
  const folder = tempFolder()
  put(folder, makeLog(lines))
  // A log that takes a while: 24 MiB of lines that are no records, under a checkpoint of their own.
  const log = join(folder, "store/audit/audit.jsonl")
  const tree = new TreeFrontier()
  const line = Buffer.from(`{"x": "${"y".repeat(90)}"}`)
  for (let i = 0; i < 240_000; i++) tree.appendRecord(line)
  writeFileSync(log, Buffer.alloc(240_000 * (line.length + 1), `${line.toString()}\n`))
  const head = { origin: ORIGIN, size: tree.size, root: tree.root() }
  writeFileSync(join(folder, "store/audit/checkpoint"), signCheckpoint(head, [noteSigner(SIGNER)]))
  const state = join(folder, "state.json")
  const args = ["verify", "--dir", folder, "--state", state, "--key", VKEY, "--records"]
  for (let delay = 300; ; delay *= 1.3) {
    rmSync(state, { force: true })
    const running = new Running(args)
    await sleep(delay)
    running.child.kill("SIGINT")
    const status = await running.ended
    // `null`: before it could listen to signals.
    expect([0, 1, 2, null], running.stderr).toContain(status)
    if (existsSync(state) && running.stderr.includes("interrupted after")) {
      expect(running.stderr).toMatch(
        /interrupted after \d+ records \(.*\)\n {2}hint: The same command goes on/,
      )
      break
    }
    // Too early: nothing was read; or too late. The machine decides.
    if (delay > 20_000) throw new Error("never interrupted in the middle")
    if (status === 0) delay = 300
  }
  expect(statSync(state).mode & 0o777).toBe(0o600)
  const done = hansard([...args, "--json"])
  const { claims } = JSON.parse(done.stdout) as Told
  expect(claims["integrity"]).toMatchObject({
    status: "conditional",
    on: expect.stringMatching(/^the first \d+ lines being as an interrupted run read them at 20/) as string,
  })
  expect(JSON.parse(readFileSync(state, "utf8"))).toMatchObject({ unfinished: {} })
  expect((JSON.parse(hansard([...args, "--json"]).stdout) as Told).claims["integrity"]).toMatchObject({
    status: "proved",
  })
}, 120_000)
