import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, onTestFinished, test } from "vitest"
import { generateSignerKey, formatSignerKey, formatVerifierKey, parseSignerKey } from "../core/key.ts"
import { systemRandom } from "../core/system.ts"
import { keyPath, loadOrMakeSigner, loadSigner, loadVerifierKey, retireSigner } from "./keys.ts"
import { verifierKeyOf, vkeyPath, writeSigner } from "./keys.ts"

function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "hansard-keys-"))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const mode = (path: string): number => statSync(path).mode & 0o777

describe("a data folder's key", () => {
  test("is made once, for its owner alone, and is the same from then on", () => {
    const dir = tempFolder()
    const made = loadOrMakeSigner(dir)
    expect(made).toMatchObject({ made: true, isExposed: false, path: join(dir, "keys/log.key") })
    expect(made.signer.name).toMatch(/^hansard\.local\/[0-9a-f]{8}$/)
    expect([mode(join(dir, "keys")), mode(made.path), mode(vkeyPath(made.path))]).toEqual([
      0o700, 0o600, 0o600,
    ])
    expect(readdirSync(join(dir, "keys")).sort()).toEqual(["log.key", "log.vkey"])
    expect(readFileSync(vkeyPath(made.path), "utf8")).toBe(`${made.vkey}\n`)
    expect(parseSignerKey(readFileSync(made.path, "utf8").trimEnd())).toEqual(made.signer)
    expect(loadOrMakeSigner(dir, "other")).toEqual({ ...made, made: false })
  })

  test("has the name that is given when it is made, and is not another log's", () => {
    const [a, b] = [loadOrMakeSigner(tempFolder()), loadOrMakeSigner(tempFolder(), "example.com/log")]
    expect(b.signer.name).toBe("example.com/log")
    expect(a.signer.name).not.toBe(loadOrMakeSigner(tempFolder()).signer.name)
  })

  test("that others can read is told", () => {
    const dir = tempFolder()
    chmodSync(loadOrMakeSigner(dir).path, 0o640)
    expect(loadOrMakeSigner(dir).isExposed).toBe(true)
  })

  test("gets its verifier key's file back", () => {
    const dir = tempFolder()
    const { path, vkey } = loadOrMakeSigner(dir)
    rmSync(vkeyPath(path))
    expect(formatVerifierKey(loadVerifierKey(dir) ?? expect.fail())).toBe(vkey)
    loadOrMakeSigner(dir)
    expect(readFileSync(vkeyPath(path), "utf8")).toBe(`${vkey}\n`)
  })

  test("that is lost is not replaced in silence", () => {
    const dir = tempFolder()
    const { path } = loadOrMakeSigner(dir)
    rmSync(path)
    expect(() => loadOrMakeSigner(dir)).toThrow(/its signing key is not there/)
    expect(existsSync(path)).toBe(false)
  })

  test.each([
    ["empty", ""],
    ["cut short", (text: string) => text.slice(0, -3)],
    ["damaged", (text: string) => text.replace(/.(?=\n$)/, "!")],
    ["the verifier key", "x+00000000+AAAA"],
    ["two lines", (text: string) => text + text],
    ["too long", "x".repeat(10_000)],
    ["a NUL", "\0"],
  ])("that is %s is refused without being quoted", (_what, change) => {
    const dir = tempFolder()
    const { path } = loadOrMakeSigner(dir)
    const secret = readFileSync(path, "utf8")
    writeFileSync(path, typeof change === "string" ? change : change(secret))
    let error: unknown
    try {
      loadOrMakeSigner(dir)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toMatchObject({ code: "invalid_input", hint: expect.stringMatching(/\w/) as string })
    const told = [error, (error as Error).cause]
      .map((one) => (one instanceof Error ? one.message : ""))
      .join()
    expect(told).not.toContain(/\+[0-9a-f]{8}\+(\S{20})/.exec(secret)?.[1] ?? expect.fail("no key"))
  })

  test("of another type is refused", () => {
    const dir = tempFolder()
    mkdirSync(join(dir, "keys"))
    writeSigner(keyPath(dir), generateSignerKey("w", "cosigner", systemRandom))
    expect(() => loadOrMakeSigner(dir)).toThrow(/the key of a cosigner, not of a log/)
  })
})

describe("writing a pair", () => {
  test("overwrites nothing and leaves nothing else behind", () => {
    const folder = tempFolder()
    const path = join(folder, "a.key")
    writeFileSync(path, "mine")
    const signer = generateSignerKey("a", "log", systemRandom)
    expect(() => writeSigner(path, signer)).toThrow(/there is a file .* already/)
    expect(readFileSync(path, "utf8")).toBe("mine")
    expect(readdirSync(folder)).toEqual(["a.key"])
    rmSync(path)
    writeFileSync(vkeyPath(path), "mine")
    expect(() => writeSigner(path, signer)).toThrow(/there is the verifier key/)
    expect(readdirSync(folder)).toEqual(["a.vkey"])
  })

  test("retiring a key leaves its verifier key, and no secret", () => {
    const dir = tempFolder()
    const old = loadOrMakeSigner(dir)
    const nextPath = join(dir, "keys/log-next.key")
    const next = writeSigner(nextPath, generateSignerKey(old.signer.name, "log", systemRandom))
    retireSigner(old, nextPath)
    expect(loadSigner(old.path)?.vkey).toBe(next.vkey)
    const names = readdirSync(join(dir, "keys")).sort()
    expect(names).toEqual([`log-${old.signer.keyId}.vkey`, "log.key", "log.vkey"])
    const all = names.map((name) => readFileSync(join(dir, "keys", name), "utf8")).join("")
    expect(all).not.toContain(formatSignerKey(old.signer))
    expect(all).toContain(old.vkey)
  })
})

describe("a verifier key on the command line", () => {
  test("is the key itself or its file, and never the secret's", () => {
    const dir = tempFolder()
    const { path, vkey } = loadOrMakeSigner(dir)
    expect(formatVerifierKey(verifierKeyOf(vkey))).toBe(vkey)
    expect(formatVerifierKey(verifierKeyOf(vkeyPath(path)))).toBe(vkey)
    expect(() => verifierKeyOf(path)).toThrow(/holds a signing key, not a verifier key/)
    expect(() => verifierKeyOf("nonsense")).toThrow(/neither a verifier key nor a file/)
    expect(() => verifierKeyOf(dir)).toThrow(/cannot read|too long/)
  })
})
