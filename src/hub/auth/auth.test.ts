import { inspect } from "node:util"
import { describe, expect, test } from "vitest"
import { seededBytes } from "../../../test/support/fake-time.ts"
import { AuthError } from "../../model/index.ts"
import type { JsonObject } from "../../model/index.ts"
import type { ApiKeyOptions, AuthAdapter, StoredCredential } from "./index.ts"
import { ApiKeyAuth, AuthRegistry, MAX_TOKEN_LENGTH, noneAuth } from "./index.ts"

const TOKEN = "sk-alice-0123456789abcdef"
const claim = { token: TOKEN }

function apiKey(options: ApiKeyOptions): AuthRegistry {
  return new AuthRegistry([new ApiKeyAuth({ random: seededBytes(1), ...options })])
}

async function enrolled(registry: AuthRegistry): Promise<StoredCredential> {
  const stored = await registry.enroll("api_key", "alice", claim)
  if (stored === null) throw new Error("nothing to store")
  return stored
}

/** The refusal, which must be an AuthError that shows no token anywhere. */
async function refusal(attempt: Promise<unknown>): Promise<string> {
  const error: unknown = await attempt.then(
    () => new Error("was allowed"),
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(AuthError)
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("sk-")
  return (error as AuthError).message
}

describe("the registry", () => {
  test("knows none by default, and nothing else", async () => {
    const registry = new AuthRegistry()
    expect(await registry.enroll("none", "alice", undefined)).toBeNull()
    await registry.verify("none", "alice", { anything: 1 }, null)
    const message = 'no adapter is registered for the auth scheme "api_key"'
    expect(await refusal(registry.enroll("api_key", "alice", claim))).toBe(message)
    expect(await refusal(registry.verify("api_key", "alice", claim, null))).toBe(message)
    expect(await refusal(registry.enroll("constructor", "alice", claim))).toContain('"constructor"')
  })

  test("can do without none", async () => {
    expect(await refusal(new AuthRegistry([]).enroll("none", "alice", undefined))).toContain('"none"')
  })

  test("replaces the adapter of the same scheme", async () => {
    const registry = new AuthRegistry()
    const strict: AuthAdapter = { ...noneAuth, enroll: () => Promise.reject(new AuthError("not even that")) }
    registry.register(strict)
    expect(await refusal(registry.enroll("none", "alice", undefined))).toBe("not even that")
  })

  test("refuses a credential of another scheme: none is no way round a key", async () => {
    const registry = new AuthRegistry([noneAuth, new ApiKeyAuth({ allowEnrolment: true })])
    const stored = await enrolled(registry)
    expect(await refusal(registry.verify("none", "alice", claim, stored))).toContain(
      "not a credential of its scheme",
    )
  })

  test("turns what an adapter throws into an AuthError and keeps the cause", async () => {
    const cause = new Error("vault is down")
    const registry = apiKey({ resolve: () => Promise.reject(cause) })
    await expect(registry.enroll("api_key", "alice", claim)).rejects.toMatchObject({
      code: "auth_failed",
      cause,
    })
    const broken: AuthAdapter = {
      scheme: "broken",
      enroll: noneAuth.enroll,
      verify: () => {
        throw cause
      },
    }
    registry.register(broken)
    await expect(registry.verify("broken", "alice", claim, null)).rejects.toMatchObject({
      code: "auth_failed",
      cause,
    })
  })
})

describe("API keys", () => {
  test("keep a salted hash and nothing that holds the token", async () => {
    const stored = await enrolled(apiKey({ allowEnrolment: true }))
    expect(stored).toEqual({
      scheme: "api_key",
      algorithm: "scrypt-4096-8-1",
      salt: Buffer.from(seededBytes(1)(16)).toString("hex"),
      hash: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown,
    })
    expect(inspect(stored)).not.toContain("sk-")
    const other = await enrolled(apiKey({ allowEnrolment: true, random: seededBytes(2) }))
    expect(other["salt"]).not.toBe(stored["salt"])
    expect(other["hash"]).not.toBe(stored["hash"])
  })

  test("draw the salt from the system unless told otherwise", async () => {
    const [one, two] = [new ApiKeyAuth({ allowEnrolment: true }), new ApiKeyAuth({ allowEnrolment: true })]
    expect((await one.enroll("alice", claim))["salt"]).not.toBe((await two.enroll("alice", claim))["salt"])
  })

  test("verify against what was stored, after a trip through a file", async () => {
    const registry = apiKey({ allowEnrolment: true })
    const stored = JSON.parse(JSON.stringify(await enrolled(registry))) as StoredCredential
    await registry.verify("api_key", "alice", claim, stored)
    for (const token of [`${TOKEN}x`, TOKEN.slice(1), TOKEN.toUpperCase()]) {
      expect(await refusal(registry.verify("api_key", "alice", { token }, stored))).toBe(
        'the API key does not prove "alice"',
      )
    }
  })

  test("refuse claims without a token that is text", async () => {
    const registry = apiKey({ allowEnrolment: true })
    const stored = await enrolled(registry)
    const claims: (JsonObject | undefined)[] = [
      undefined,
      {},
      { token: "" },
      { token: 7 },
      { token: null },
      { token: [TOKEN] },
      { token: "sk-\ud800" },
      { token: "sk-".padEnd(MAX_TOKEN_LENGTH + 1, "x") },
    ]
    for (const bad of claims) {
      expect(await refusal(registry.enroll("api_key", "alice", bad))).toContain("token")
      expect(await refusal(registry.verify("api_key", "alice", bad, stored))).toContain("token")
    }
    await registry.enroll("api_key", "alice", { token: "x".repeat(MAX_TOKEN_LENGTH) })
  })

  test("refuse what no longer is a credential", async () => {
    const registry = apiKey({ allowEnrolment: true })
    const stored = await enrolled(registry)
    const broken: (StoredCredential | null)[] = [
      null,
      { scheme: "api_key" },
      { ...stored, algorithm: "plain" },
      { ...stored, salt: "" },
      { ...stored, hash: "" },
      { ...stored, hash: `${String(stored["hash"]).slice(0, -1)}g` },
      { ...stored, hash: [stored["hash"] ?? null] },
    ]
    for (const each of broken) {
      expect(await refusal(registry.verify("api_key", "alice", claim, each))).toContain(
        "no API key that this hub",
      )
    }
  })

  test("cannot be enrolled unless the hub says so", async () => {
    expect(await refusal(apiKey({}).enroll("api_key", "alice", claim))).toContain("enrolment is off")
  })

  const configured: [string, ApiKeyOptions][] = [
    ["a map", { tokens: { alice: TOKEN } }],
    ["a resolver", { resolve: async (name) => (name === "alice" ? TOKEN : null) }],
    ["both", { tokens: { bob: "sk-bob" }, resolve: async (name) => (name === "alice" ? TOKEN : undefined) }],
  ]
  test.each(configured)("must be the configured ones, with %s", async (_, options) => {
    const registry = apiKey(options)
    const stored = await enrolled(registry)
    await registry.verify("api_key", "alice", claim, stored)
    const wrong = { token: "sk-wrong" }
    expect(await refusal(registry.enroll("api_key", "alice", wrong))).toContain("does not prove")
    expect(await refusal(registry.verify("api_key", "alice", wrong, stored))).toContain("does not prove")
    expect(await refusal(registry.enroll("api_key", "mallory", claim))).toContain("does not prove")
    expect(await refusal(registry.enroll("api_key", "toString", claim))).toContain("does not prove")
  })

  test("are not enrolled freely next to configured ones", async () => {
    for (const options of [{ tokens: {} }, { resolve: async () => null }]) {
      const registry = apiKey({ ...options, allowEnrolment: true })
      expect(await refusal(registry.enroll("api_key", "alice", claim))).toContain("does not prove")
    }
  })

  test("end when the configured one changes, and do not move to the new one", async () => {
    const tokens = { alice: TOKEN }
    const stored = await enrolled(apiKey({ tokens }))
    const rotated = apiKey({ tokens: { alice: "sk-new" } })
    expect(await refusal(rotated.verify("api_key", "alice", claim, stored))).toContain("does not prove")
    expect(await refusal(rotated.verify("api_key", "alice", { token: "sk-new" }, stored))).toContain(
      "does not prove",
    )
    const copied = apiKey({ tokens })
    tokens.alice = "sk-later"
    await copied.verify("api_key", "alice", claim, stored)
  })
})
