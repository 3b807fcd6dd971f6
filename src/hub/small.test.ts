import { readFileSync } from "node:fs"
import { expect, test } from "vitest"
import { InvalidInputError } from "../core/errors.ts"
import { makeRule } from "../model/index.ts"
import { settle } from "../../test/support/fake-time.ts"
import { RateLimits } from "./rate-limits.ts"
import { checkTaskId, readEnvelope, readMetadata, readPassport, readRule } from "./records.ts"
import { LazyFile } from "./stored-json.ts"
import { VERSION } from "./version.ts"

test("the version is the package's", () => {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8")
  expect(VERSION).toBe((JSON.parse(text) as { version: string }).version)
})

test("a lazy file: many changes share a write, and each is durable when its save resolves", async () => {
  let value = 0
  const written: number[] = []
  const file = new LazyFile(async () => {
    const now = value
    await settle(2)
    written.push(now)
  })
  const saves: Promise<void>[] = []
  for (let i = 1; i <= 10; i++) {
    value = i
    const mine = i
    saves.push(file.save().then(() => expect(written.at(-1)).toBeGreaterThanOrEqual(mine)))
  }
  await Promise.all(saves)
  expect(written).toEqual([1, 10])
})

test("a lazy file: a failed write fails those who wait for it, and no others", async () => {
  let fail = true
  const file = new LazyFile(() => (fail ? Promise.reject(new Error("disk")) : Promise.resolve()))
  await expect(file.save()).rejects.toThrow("disk")
  fail = false
  await file.save()
})

test("rates: what is not used is kept up to the burst", () => {
  let now = 0
  const rates = new RateLimits(() => now)
  const rule = makeRule({ limits: { rate: { per_minute: 6, burst: 2 } } })
  const taken = (): boolean => {
    try {
      rates.take("ann", rule)
      return true
    } catch {
      return false
    }
  }
  expect([taken(), taken(), taken()]).toEqual([true, true, false])
  now += 10_000
  expect([taken(), taken()]).toEqual([true, false])
  now += 3_600_000
  expect([taken(), taken(), taken()]).toEqual([true, true, false])
  // A clock that goes back gives nothing.
  now -= 3_600_000
  expect(taken()).toBe(false)
  expect(() => rates.take("ann", makeRule())).not.toThrow()
})

test("records with wrong fields name the field", () => {
  expect(() => readRule({ access: { inbound_from: "everybody" } })).toThrow(/rule\.access\.inbound_from/)
  expect(() => readRule({ limits: { channel_ttl_default: "soon" } })).toThrow(InvalidInputError)
  expect(() => readRule({ limits: 5 })).toThrow(/rule\.limits/)
  expect(() => readEnvelope({ channel_id: "c", sender_id: "s", event_type: "t" })).toThrow(
    /event_data.*missing/,
  )
  expect(() => readMetadata({ channel_id: "c", manifest: { type: "x" }, creator_id: "a" })).toThrow(
    /participants/,
  )
  expect(() => readPassport({ name: "ann" })).toThrow(/agent_id/)
  for (const id of ["t1", "a.b-c_d:e", "..."]) expect(checkTaskId(id)).toBe(id)
  for (const id of [".", "..", "a/b", "", "ä"]) expect(() => checkTaskId(id)).toThrow(InvalidInputError)
})

test("AG2's passports lose their claims", () => {
  const passport = readPassport({
    name: "ann",
    agent_id: "1",
    created_at: "2026-05-05T10:00:00+00:00",
    auth: { scheme: "api_key", claim: { token: "secret" } },
    future: 1,
  })
  expect(passport.auth).toEqual({ scheme: "api_key", issuer: null, audience: null, key_fingerprint: null })
})
