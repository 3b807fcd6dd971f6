/** Alerts over a real log, to real sockets and programs. */
import { createHmac, randomBytes } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { describe, expect, onTestFinished, test } from "vitest"
import { AuditLog } from "../../src/audit/index.ts"
import { MemoryStore } from "../../src/store/index.ts"
import { FlakyStore } from "../support/flaky-store.ts"
import { seedProperties } from "../support/property.ts"
import { alertsIn, at, openHook, startAlerter, type Delivery, type Hook } from "./world.ts"

seedProperties({ numRuns: 40 })
const PATIENT = { timeout: 30_000 }

const NONE: Delivery = { id: "", body: "", headers: {} }

const onX = (hook: Hook, more: object = {}): object => ({
  name: "x",
  when: { kind: "x" },
  to: { webhook: hook.url },
  ...more,
})

describe("a rule", { timeout: 60_000 }, () => {
  test("about absence fires once while nothing comes, and again after something has come", async () => {
    await using hook = await openHook()
    const store = new MemoryStore()
    await using log = await AuditLog.open(store)
    let now = Date.UTC(2026, 0, 1)
    await using _alerter = await startAlerter(log, store, [onX(hook, { absence: "1m" })], {
      clock: () => now,
    })
    await log.append(at(0))
    now += 59_000
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(hook.seen).toEqual([])
    now += 1_000
    await expect.poll(() => hook.seen.length, PATIENT).toBe(1)
    now += 3_600_000
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(hook.seen).toHaveLength(1)
    await log.append(at(3_700))
    await log.append(at(3_800, "other"))
    await expect.poll(() => hook.seen.length, PATIENT).toBe(2)
    await expect.poll(() => alertsIn(log), PATIENT).toHaveLength(2)
    expect(hook.seen.map(({ body }) => JSON.parse(body) as unknown)).toMatchObject([
      { type: "hansard.alert.absence", time: "2026-01-01T00:01:00.000Z", data: { index: null, line: null } },
      { type: "hansard.alert.absence", time: "2026-01-01T01:02:40.000Z" },
    ])
  })

  test("that nobody takes is tried five times, and then on record as failed with the reason", async () => {
    await using hook = await openHook()
    hook.answer = (response) => void response.writeHead(503).end()
    const store = new MemoryStore()
    await using log = await AuditLog.open(store)
    await using _alerter = await startAlerter(log, store, [onX(hook)])
    await log.append(at(0))
    await expect.poll(() => alertsIn(log), PATIENT).toHaveLength(1)
    expect(await alertsIn(log)).toMatchObject([
      { kind: "alert_failed", rule: "x", index: 0, count: 1, reason: "the webhook answers 503" },
    ])
    expect(hook.seen.map(({ id }) => id)).toEqual(Array.from({ length: 5 }, () => "x/0"))
  })

  test("that sends us elsewhere is not followed", async () => {
    await using hook = await openHook()
    await using other = await openHook()
    hook.answer = (response) => void response.writeHead(307, { location: other.url }).end()
    const store = new MemoryStore()
    await using log = await AuditLog.open(store)
    await using _alerter = await startAlerter(log, store, [onX(hook)])
    await log.append(at(0))
    await expect.poll(() => alertsIn(log), PATIENT).toMatchObject([{ kind: "alert_failed" }])
    expect(other.seen).toEqual([])
  })

  test("that is quiet puts on record what it does not send", async () => {
    await using hook = await openHook()
    const store = new MemoryStore()
    await using log = await AuditLog.open(store)
    await using _alerter = await startAlerter(log, store, [onX(hook, { quiet: "1h" })])
    for (const second of [0, 10, 3_599, 3_600]) await log.append(at(second))
    await expect.poll(() => alertsIn(log), PATIENT).toHaveLength(4)
    const fates = (await alertsIn(log)).map(({ kind, index }) => `${String(kind)} ${String(index)}`)
    expect(fates.toSorted()).toEqual([
      "alert_delivered 0",
      expect.stringMatching(/^alert_delivered \d+$/),
      expect.stringMatching(/^alert_suppressed \d+$/),
      expect.stringMatching(/^alert_suppressed \d+$/),
    ])
    expect(hook.seen).toHaveLength(2)
  })

  test.each([
    ["as it is", "s3cret", "s3cret"],
    ["in base64", `whsec_${Buffer.from("of Standard Webhooks").toString("base64")}`, "of Standard Webhooks"],
  ])("signs what it sends, at the time of sending; a secret %s", async (_how, secret, key) => {
    await using hook = await openHook()
    const store = new MemoryStore()
    await using log = await AuditLog.open(store)
    const to = { webhook: hook.url, secret_env: "SECRET" }
    await using _alerter = await startAlerter(log, store, [onX(hook, { to })], {
      env: { SECRET: secret },
      clock: () => 1_800_000_000_999,
    })
    await log.append(at(0))
    await expect.poll(() => hook.seen.length, PATIENT).toBe(1)
    const [{ headers, body } = NONE] = hook.seen
    expect(headers["content-type"]).toBe("application/cloudevents+json")
    expect(headers["webhook-id"]).toBe("x/0")
    expect(headers["webhook-timestamp"]).toBe("1800000000")
    const mac = createHmac("sha256", key).update(`x/0.1800000000.${body}`).digest("base64")
    expect(headers["webhook-signature"]).toBe(`v1,${mac}`)
    expect(JSON.parse(body)).toMatchObject({
      specversion: "1.0",
      source: "test.example/log",
      subject: "x",
      data: { line: '{"at": "2026-01-01T00:00:00.000Z", "kind": "x"}' },
    })
  })

  test("may run a program, which reads the event from its input and is tried again when it fails", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hansard-alert-"))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const file = join(folder, "events; not a shell")
    const program = `
      const fs = require("node:fs")
      const text = fs.readFileSync(0, "utf8")
      fs.appendFileSync(process.argv[1], text + "\\n")
      process.exit(fs.readFileSync(process.argv[1], "utf8").split("\\n").length === 2 ? 3 : 0)`
    const store = new MemoryStore()
    await using log = await AuditLog.open(store)
    const to = { command: [process.execPath, "-e", program, file] }
    await using _alerter = await startAlerter(log, store, [{ name: "c", when: { kind: "x" }, to }])
    await log.append(at(0))
    await expect.poll(() => alertsIn(log), PATIENT).toMatchObject([{ kind: "alert_delivered", rule: "c" }])
    const events = readFileSync(file, "utf8").trim().split("\n")
    expect(events.map((text) => JSON.parse(text) as unknown)).toMatchObject([{ id: "c/0" }, { id: "c/0" }])
  })

  test("with a program that is not there is on record as failed", async () => {
    const store = new MemoryStore()
    await using log = await AuditLog.open(store)
    const to = { command: [`/nowhere/${randomBytes(4).toString("hex")}`] }
    await using _alerter = await startAlerter(log, store, [{ name: "c", when: { kind: "x" }, to }])
    await log.append(at(0))
    await expect
      .poll(() => alertsIn(log), PATIENT)
      .toMatchObject([{ kind: "alert_failed", reason: "the command cannot be run" }])
  })
})

describe("a destination that hangs", { timeout: 60_000 }, () => {
  test("holds up its own alerts, up to a bound, and nobody else's", async () => {
    await using stuck = await openHook()
    stuck.answer = () => {}
    await using hook = await openHook()
    const store = new MemoryStore()
    await using log = await AuditLog.open(store)
    await using alerter = await startAlerter(log, store, [onX(stuck, { name: "stuck" }), onX(hook)], {
      maxWaiting: 3,
    })
    for (let second = 0; second < 10; second++) {
      await log.append(at(second))
      await expect.poll(() => hook.seen.length, PATIENT).toBe(second + 1)
    }
    // Three wait, and no more: what does not get in is on record.
    await expect
      .poll(async () => (await alertsIn(log)).filter(({ rule }) => rule === "stuck"), PATIENT)
      .toMatchObject(
        Array.from({ length: 7 }, () => ({
          kind: "alert_failed",
          reason: "too many alerts wait for this destination",
        })),
      )
    expect(alerter.waiting.get("stuck")).toBe(3)
    expect(stuck.seen).toHaveLength(1)
  })
})

describe("at least once", { timeout: 120_000 }, () => {
  test("what was under way when it stopped is sent again, with the same id, and then in order", async () => {
    await using hook = await openHook()
    hook.answer = () => {}
    const store = new MemoryStore()
    await using log = await AuditLog.open(store)
    const first = await startAlerter(log, store, [onX(hook)])
    for (const second of [0, 1, 2]) await log.append(at(second))
    await expect.poll(() => hook.seen.length, PATIENT).toBe(1)
    await expect.poll(() => first.waiting.get("x"), PATIENT).toBe(3)
    await first[Symbol.asyncDispose]()
    expect(await alertsIn(log)).toEqual([])
    await log.append(at(3))
    hook.answer = (response) => void response.writeHead(204).end()
    await using _second = await startAlerter(log, store, [onX(hook)])
    await expect.poll(() => alertsIn(log), PATIENT).toHaveLength(4)
    expect(hook.seen.map(({ id }) => id)).toEqual(["x/0", "x/0", "x/1", "x/2", "x/3"])
  })

  test("a rule that was rewritten begins anew, and one that was deleted tells what is left as failed", async () => {
    await using hook = await openHook()
    hook.answer = () => {}
    const store = new MemoryStore()
    await using log = await AuditLog.open(store)
    const first = await startAlerter(log, store, [
      onX(hook),
      onX(hook, { name: "y", threshold: 3, within: "1h" }),
    ])
    for (const second of [0, 1]) await log.append(at(second))
    await expect.poll(() => first.waiting.get("x"), PATIENT).toBe(2)
    await first[Symbol.asyncDispose]()
    hook.answer = (response) => void response.writeHead(204).end()
    await using _second = await startAlerter(log, store, [
      onX(hook, { name: "y", threshold: 2, within: "1h" }),
    ])
    // With the two that it had seen as it was written before, this would be its third.
    await log.append(at(2))
    await expect
      .poll(() => alertsIn(log), PATIENT)
      .toMatchObject([
        { rule: "x", kind: "alert_failed", reason: "the rule is no longer there" },
        { rule: "x", kind: "alert_failed" },
      ])
    await log.append(at(3))
    await expect.poll(() => hook.seen.at(-1)?.id, PATIENT).toMatch(/^y\//)
  })

  test("wherever the store dies, each alert is sent and on record after the next start", async () => {
    await using hook = await openHook()
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 12 }),
        async (life, count) => {
          hook.seen.length = 0
          const inner = new MemoryStore()
          const dying = new FlakyStore(inner)
          const log = await AuditLog.open(dying, { retryMs: 5 })
          const rules = [onX(hook, { quiet: 2 })]
          const alerter = await startAlerter(log, dying, rules)
          // It follows the log from here on.
          await expect.poll(() => inner.exists("/service/alerts.json").then(() => true)).toBe(true)
          let operations = 0
          dying.decide = () => (++operations > life ? "not persisted" : undefined)
          let appended = 0
          for (; appended < count; appended++) {
            const done = await log.append(at(appended)).then(
              () => true,
              () => false,
            )
            if (!done) break
          }
          await new Promise((resolve) => setTimeout(resolve, 10))
          dying.decide = () => "not persisted"
          await alerter[Symbol.asyncDispose]()
          await log.close().catch(() => {})

          await using again = await AuditLog.open(inner)
          const wanted: number[] = []
          for await (const { index, record } of again.entries())
            if (record["kind"] === "x") wanted.push(index)
          await using _second = await startAlerter(again, inner, rules)
          const told = async (): Promise<unknown[]> => [
            ...new Set((await alertsIn(again)).map(({ index }) => index)),
          ]
          await expect.poll(async () => (await told()).toSorted(), PATIENT).toEqual(wanted.toSorted())
          for (const { kind, index } of await alertsIn(again)) {
            if (kind === "alert_delivered")
              expect(hook.seen.map(({ id }) => id)).toContain(`x/${String(index)}`)
          }
        },
      ),
    )
  })
})
