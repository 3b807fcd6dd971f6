/**
 * The service against its own description: whatever is asked, within the description or beside it, the answer is one that
 * the description has.
 */
import { Validator } from "@seriousme/openapi-schema-validator"
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js"
import fc from "fast-check"
import { describe, expect, onTestFinished, test } from "vitest"
import { createHandler, everybody } from "../../src/server/index.ts"
import { Hub } from "../../src/hub/index.ts"
import { AuditLog } from "../../src/audit/index.ts"
import { MemoryStore } from "../../src/store/index.ts"
import { startAlerter } from "../alerts/world.ts"
import { seedProperties } from "../support/property.ts"
import { fill, logKey } from "./world.ts"

seedProperties({ numRuns: 150 })

interface Operation {
  readonly operationId: string
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: object }[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: object }>> }
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: object }>> }>
  >
}
interface Description {
  readonly openapi: string
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, object>> }
}

async function setUp() {
  const store = new MemoryStore()
  const log = await AuditLog.open(store, { ledger: { signer: logKey(), checkpointIntervalMs: 5 } })
  await fill(log, 40)
  await log.append({ at: "2026-11-24T09:00:00Z", kind: "agent_registered", agent_id: "agent-1", name: "ana" })
  await log.checkpoint()
  const rule = { name: "watch", when: { kind: "turn_failed" }, to: { log: true } }
  const alerts = await startAlerter(log, store, [rule])
  onTestFinished(() => alerts[Symbol.asyncDispose]())
  const handler = createHandler(log, {
    store,
    alerts,
    authorize: everybody,
    rate: { perSecond: 1e9, burst: 1e9 },
  })
  const description = (await (await handler(new Request("http://log/openapi.json"))).json()) as Description
  return { log, handler, description }
}

/** Values that a parameter may have, more that it may not, and what nobody thinks of. */
function valuesFor(name: string): fc.Arbitrary<string> {
  const usual: Readonly<Record<string, readonly string[]>> = {
    kind: ["turn_failed", "turn_failed,task_terminated", ""],
    agent: ["agent-1"],
    channel: ["channel-1"],
    id: ["channel-1", "agent-1", "nobody"],
    index: ["0", "7", "40", "999"],
    limit: ["1", "5", "1000", "0", "5000"],
    order: ["asc", "desc"],
    format: ["json", "ndjson", "csv"],
    lines: ["true", "false"],
    cursor: ["3", "0.0", "nothing"],
    from: ["2026-11-24T10:00:05Z", "3"],
    to: ["2026-11-24T10:00:30Z"],
    since: ["2026-11-24T10:00:05Z"],
    interval: ["auto", "1s", "5m", "1ms"],
    state: ["active", "closed"],
    rest: ["0/000.p/41", "0/000", "entries/000.p/3", "1/000"],
    checkpoint: ["0", "41"],
    name: ["watch", "r", "..", "r r"],
    "If-Match": ["*", '"abc"'],
    "If-None-Match": ["*", '"abc"'],
  }
  const known = fc.constantFrom(...(usual[name] ?? ["x"]))
  return fc.oneof(
    { weight: 4, arbitrary: known },
    fc.string({ unit: "grapheme", maxLength: 20 }),
    fc.string({ unit: "binary", maxLength: 8 }),
  )
}

describe("the description", () => {
  test("is what the official schema of OpenAPI 3.1 lets be; with a hub it tells of the WebSocket", async () => {
    const { log, description } = await setUp()
    const store = new MemoryStore()
    await using hub = await Hub.open(store, {})
    const handler = createHandler(hub.auditLog, { hub, basePath: "/audit", authorize: everybody })
    const ofHub = (await (await handler(new Request("http://log/audit/openapi.json"))).json()) as Description
    for (const each of [description, ofHub]) {
      const validator = new Validator()
      expect(await validator.validate({ ...structuredClone(each) })).toMatchObject({ valid: true })
      expect(validator.version).toBe("3.1")
    }
    expect(Object.keys(description.paths)).not.toContain("/v1/hub")
    expect(ofHub.paths["/v1/hub"]).toMatchObject({ get: { operationId: "joinHub", responses: { 101: {} } } })
    // And it is a check: what the schema does not know is found.
    const wrong = { ...structuredClone(description), pathz: {} }
    expect(await new Validator().validate(wrong)).toMatchObject({ valid: false })
    await log.close()
  })

  test("is OpenAPI 3.1: every reference leads somewhere, every schema is one, every operation has its own name", async () => {
    const { log, description } = await setUp()
    expect(description.openapi).toMatch(/^3\.1\.\d+$/)
    const ajv = new Ajv2020({
      strict: true,
      strictTypes: false,
      validateFormats: false,
      allowUnionTypes: true,
    })
    const names: string[] = []
    for (const [path, operations] of Object.entries(description.paths)) {
      for (const [method, operation] of Object.entries(operations)) {
        names.push(operation.operationId)
        expect(Object.keys(operation.responses), `${method} ${path}`).toContain("default")
        const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
        const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === "path")
        expect(declared.map(({ name }) => name).toSorted()).toEqual(inPath.toSorted())
        for (const { schema } of operation.parameters ?? []) expect(() => ajv.compile(schema)).not.toThrow()
        for (const { content = {} } of Object.values(operation.responses)) {
          for (const { schema } of Object.values(content)) {
            if (!("$ref" in schema)) expect(() => ajv.compile(schema)).not.toThrow()
            else expect(schema.$ref).toBe("#/components/schemas/Problem")
          }
        }
      }
    }
    expect(new Set(names).size).toBe(names.length)
    expect(names.length).toBeGreaterThan(14)
    await log.close()
  })

  test(
    "is kept: any request gets an answer that it has, and a problem where it is refused",
    { timeout: 120_000 },
    async () => {
      const { log, handler, description } = await setUp()
      const ajv = new Ajv2020({ strict: false, validateFormats: false })
      ajv.addSchema({ $id: "http://log/", components: description.components })
      const compiled = new Map<object, ValidateFunction>()
      const check = (schema: object, value: unknown, what: string): void => {
        const reference = "$ref" in schema ? { $ref: `http://log/${String(schema.$ref)}` } : schema
        const validate = compiled.get(schema) ?? ajv.compile(reference)
        compiled.set(schema, validate)
        expect(validate(value) ? [] : validate.errors, what).toEqual([])
      }
      const operations = Object.entries(description.paths).flatMap(([path, methods]) =>
        Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
      )
      const judge = async (request: Request, operation: Operation): Promise<number> => {
        const response = await handler(request, { remoteAddress: "127.0.0.1" })
        const what = `${request.method} ${request.url}: ${response.status}`
        // Nothing that a stranger sends is our failure.
        expect(response.status, what).toBeLessThan(500)
        const answer = operation.responses[String(response.status)] ?? operation.responses["default"]
        if (response.status === 204) {
          expect(answer?.content, what).toBeUndefined()
          return response.status
        }
        const contentType = (response.headers.get("content-type") ?? "").split(";")[0] ?? ""
        const declared = answer?.content?.[contentType]
        expect(declared, `${what} ${contentType} is described`).toBeDefined()
        if (!/json$/.test(contentType)) await response.body?.cancel()
        else check(declared?.schema ?? {}, await response.json(), what)
        return response.status
      }
      const examples: Readonly<Record<string, string>> = { index: "7", rest: "0/000.p/41" }
      const rule = '{"when":{"kind":"x"},"threshold":2,"within":"1h","to":{"log":true}}'
      // Each is answered when it is asked as it should be: else the property would be about refusals alone.
      for (const { path, method, operation } of operations) {
        if (operation.operationId === "tail") continue
        const id = operation.operationId === "getChannel" ? "channel-1" : "agent-1"
        const alert = /^(put|delete)Alert$/.test(operation.operationId) ? "r" : "watch"
        const target = path.replaceAll(/\{(\w+)\}/g, (_all, name: string) =>
          name === "id" ? id : name === "name" ? alert : (examples[name] ?? ""),
        )
        const body = operation.operationId.endsWith("Alert") ? rule : '{"kind":"x"}'
        const json = { body, headers: { "content-type": "application/json" } }
        const init = operation.requestBody === undefined ? {} : json
        const request = new Request(`http://log${target}`, { method: method.toUpperCase(), ...init })
        expect(await judge(request, operation), operation.operationId).toBeLessThan(300)
      }
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...operations).chain((one) => {
            const parameters = one.operation.parameters ?? []
            return fc.record({
              one: fc.constant(one),
              values: fc.tuple(...parameters.map(({ name }) => fc.option(valuesFor(name), { freq: 2 }))),
              stranger: fc.option(fc.string({ maxLength: 5 }), { freq: 10 }),
              body: fc.oneof(
                fc.constantFrom('{"kind":"x"}', rule, rule.replace("log", "webhook")),
                fc.json(),
                fc.string({ unit: "binary", maxLength: 30 }),
              ),
              type: fc.constantFrom("application/json", "application/x-ndjson", "text/plain"),
            })
          }),
          async ({ one: { path, method, operation }, values, stranger, body, type }) => {
            let target = path
            const url = new URL("http://log")
            const headers = new Headers()
            for (const [i, parameter] of (operation.parameters ?? []).entries()) {
              const value = values[i] ?? (parameter.in === "path" ? "0" : null)
              if (value === null) continue
              const encoded = encodeURIComponent(value.toWellFormed())
              if (parameter.in === "path")
                target = target.replace(`{${parameter.name}}`, encoded === "" ? "x" : encoded)
              else if (parameter.in === "query") url.searchParams.append(parameter.name, value.toWellFormed())
              else headers.set(parameter.name, value.replaceAll(/[^\x20-\x7e]/g, ""))
            }
            if (stranger !== null) url.searchParams.append(`x${stranger.toWellFormed()}`, "1")
            const hasBody = operation.requestBody !== undefined
            if (hasBody) headers.set("content-type", type)
            const request = new Request(`http://log${target}${url.search}`, {
              method: method.toUpperCase(),
              headers,
              ...(hasBody ? { body: body.toWellFormed() } : {}),
            })
            await judge(request, operation)
          },
        ),
      )
      await log.close()
    },
  )
})
