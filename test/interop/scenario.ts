/** The same steps that `differential.py` runs on AG2's hub, on ours. */
import { HansardError } from "../../src/core/errors.ts"
import { Hub } from "../../src/hub/index.ts"
import {
  INVITE_ACK,
  INVITE_REJECT,
  TEXT,
  type AgentKind,
  type JsonObject,
  type JsonValue,
  type ResumeRequest,
  type TaskOutcome,
  type TaskState,
} from "../../src/model/index.ts"
import { MemoryStore } from "../../src/store/memory.ts"
import { readText } from "../../src/store/text.ts"
import { FakeTime, seededBytes, settle } from "../support/fake-time.ts"

export type Step = { readonly do: string } & JsonObject

/** What a scenario leaves behind. */
export interface Left {
  /** Of each step: `ok` or the code of its refusal. */
  readonly outcomes: readonly string[]
  /** The audit log, as it lies in its file. */
  readonly audit: string
  /** The types of the envelopes in each channel's log. */
  readonly logs: Readonly<Record<string, unknown>>
  /** State and reason of each channel. */
  readonly states: Readonly<Record<string, readonly string[]>>
  /** The keys of the last envelope's data, in each channel's log. */
  readonly last: Readonly<Record<string, readonly string[]>>
  /** All of them, as they lie in their files. */
  readonly passports: string
  /** Each agent's track record, as it lies in its file. */
  readonly observed: Readonly<Record<string, unknown>>
}

export async function runHere(steps: readonly Step[]): Promise<Left> {
  const scenario = new Scenario()
  await scenario.open()
  const outcomes: string[] = []
  for (const step of steps) {
    try {
      await scenario.run(step)
      outcomes.push("ok")
    } catch (error) {
      if (!(error instanceof HansardError)) throw error
      outcomes.push(error.code)
    }
    await settle(5)
  }
  return { outcomes, ...(await scenario.left()) }
}

class Scenario {
  readonly #time = new FakeTime()
  readonly #store = new MemoryStore()
  readonly #agents = new Map<string, string>()
  readonly #channels = new Map<string, string>()
  readonly #envelopes = new Map<string, string>()
  #hub: Hub | undefined

  async open(): Promise<void> {
    this.#hub = await Hub.open(this.#store, {
      clock: this.#time.clock,
      timers: this.#time.timers,
      random: seededBytes(5),
      ttlSweepSeconds: 0,
      expectationSweepSeconds: 0,
    })
  }

  async left(): Promise<Omit<Left, "outcomes">> {
    const logs: Record<string, string[]> = {}
    const states: Record<string, readonly string[]> = {}
    const last: Record<string, string[]> = {}
    for (const [name, id] of this.#channels) {
      const lines = (await this.#text(`/channels/${id}/wal.jsonl`)).split("\n")
      const envelope = lines.findLast((line) => line.startsWith("{"))
      const { event_data = {} } = JSON.parse(envelope ?? "{}") as { event_data?: object }
      last[name] = Object.keys(event_data).sort()
      try {
        logs[name] = (await this.hub.readWal(id)).map(({ event_type }) => event_type)
        const { state, close_reason } = await this.hub.getChannel(id)
        states[name] = [state, close_reason]
      } catch (error) {
        if (!(error instanceof HansardError)) throw error
        states[name] = [error.code, ""]
      }
    }
    await this.hub.close()
    let passports = ""
    const observed: Record<string, unknown> = {}
    for (const [name, id] of this.#agents) {
      passports += await this.#text(`/agents/${id}/passport.json`)
      const resume = JSON.parse((await this.#text(`/agents/${id}/resume.json`)) || "{}") as object
      observed[name] = "observed" in resume ? resume.observed : {}
    }
    return { audit: await this.#text("/audit/audit.jsonl"), logs, states, last, passports, observed }
  }

  async #text(path: string): Promise<string> {
    return (await readText(this.#store, path)) ?? ""
  }

  get hub(): Hub {
    if (this.#hub === undefined) throw new Error("the hub is not open")
    return this.#hub
  }

  async run(step: Step): Promise<void> {
    const { hub } = this
    const text = (key: string, missing = ""): string => String(step[key] ?? missing)
    switch (step.do) {
      case "register": {
        const resume = { claimed_capabilities: (step["can"] ?? []) as string[] }
        const auth = { scheme: "none", claim: (step["claim"] ?? {}) as JsonObject }
        const kind = step["kind"] === undefined ? {} : { kind: step["kind"] as AgentKind }
        const passport = { name: text("name"), auth, ...kind }
        const { agent_id } = await hub.registerIdentity({ passport, resume })
        this.#agents.set(text("name"), agent_id)
        return
      }
      case "unregister":
        return await hub.unregister(this.#id(step["name"]))
      case "resume":
        return void (await hub.setResume(this.#id(step["name"]), step["resume"] as ResumeRequest))
      case "rule": {
        const { depth = 5, pending = 1000 } = step
        const overflow = text("overflow", "reject") as "reject" | "drop_oldest"
        const inbox = { max_pending: Number(pending), overflow }
        const limits = { delegation_depth: Number(depth), inbox }
        return void (await hub.setRule(this.#id(step["name"]), { limits }))
      }
      case "skill":
        return await hub.setSkill(this.#id(step["name"]), step["skill"] as string | null)
      case "create":
        return await this.#create(step)
      case "post":
        return await this.#post(step)
      case "close":
        return void (await hub.closeChannel(this.#channel(step), text("reason")))
      case "observe": {
        const now = this.#time.clock()
        await hub.observeTask({
          task_id: text("task"),
          owner_id: this.#id(step["by"]),
          spec: { title: text("task"), capability: (step["capability"] ?? null) as string | null },
          state: "running",
          started_at: new Date(now).toISOString(),
          expires_at: new Date(now + Number(step["seconds"] ?? 900) * 1000).toISOString(),
          channel_id: this.#channels.get(text("channel")) ?? null,
        })
        return
      }
      case "update": {
        const state = text("state") as TaskState
        const { error } = step
        return void (await hub.updateTask(
          text("task"),
          error === undefined ? { state } : { state, error: String(error) },
        ))
      }
      case "count":
        return await hub.recordObservation({
          owner_id: this.#id(step["by"]),
          capability: text("capability"),
          outcome: text("outcome") as TaskOutcome,
          latency_ms: Number(step["ms"] ?? 5),
          task_id: (step["task"] ?? null) as string | null,
        })
      case "fail": {
        const error = Object.assign(new Error(text("message")), { name: "ValueError" })
        const envelope = this.#envelopes.get(text("envelope")) ?? ""
        return await hub.reportTurnFailure(this.#channel(step), this.#id(step["by"]), envelope, error)
      }
      case "append":
        return void (await hub.auditLog.append(step["record"] as JsonObject))
      case "wait":
        // The clock alone: time passes, and nobody has looked yet.
        return this.#time.set(this.#time.clock() + Number(step["seconds"]) * 1000)
      case "expire":
        return await hub.expireDue()
      case "check":
        return await hub.checkExpectations()
      case "spoil": {
        const path = `/channels/${this.#channel(step)}/wal.jsonl`
        return void (await this.#store.append(path, "no JSON\n"))
      }
      case "reopen":
        await hub.close()
        return await this.open()
      default:
        throw new Error(`unknown step ${step.do}`)
    }
  }

  async #create(step: Step): Promise<void> {
    const { hub } = this
    const before = new Set((await hub.listChannels({ limit: 1000 })).map(({ channel_id }) => channel_id))
    const creating = hub.createChannel({
      creator_id: this.#id(step["by"]),
      manifest_type: String(step["type"]),
      participants: this.#ids(step["with"] ?? []) as string[],
      ...(step["ttl"] === undefined ? {} : { ttl: step["ttl"] as string }),
      ...(step["knobs"] === undefined ? {} : { knobs: this.#ids(step["knobs"]) as JsonObject }),
      ...(step["intent"] === undefined ? {} : { intent: String(step["intent"]) }),
    })
    creating.catch(() => {})
    await settle(5)
    const made = (await hub.listChannels({ limit: 1000 })).find(({ channel_id }) => !before.has(channel_id))
    if (made !== undefined) {
      const channel = String(step["as"])
      this.#channels.set(channel, made.channel_id)
      const accepts = (step["accepts"] ?? step["with"]) as string[]
      for (const from of accepts.filter((name) => name !== step["by"])) {
        await this.#post({ do: "post", channel, from, type: INVITE_ACK, data: {} })
      }
      for (const from of (step["rejects"] ?? []) as string[]) {
        await this.#post({ do: "post", channel, from, type: INVITE_REJECT, data: {} })
      }
    }
    if (step["leave"] !== true) await creating
  }

  async #post(step: Step): Promise<void> {
    const envelope_id = await this.hub.postEnvelope({
      channel_id: this.#channel(step),
      sender_id: this.#id(step["from"]),
      audience: (step["to"] === undefined ? null : this.#ids(step["to"])) as string[] | null,
      event_type: String(step["type"] ?? TEXT),
      event_data: this.#ids(step["data"] ?? { text: "hello" }) as JsonObject,
      causation_id: this.#envelopes.get(String(step["cause"])) ?? null,
      idempotency_key: (step["key"] ?? null) as string | null,
      depth: Number(step["depth"] ?? 0),
    })
    if (step["as"] !== undefined) this.#envelopes.set(String(step["as"]), envelope_id)
  }

  #id(name: JsonValue | undefined): string {
    return this.#agents.get(String(name)) ?? String(name)
  }

  #channel(step: Step): string {
    return this.#channels.get(String(step["channel"])) ?? ""
  }

  /** Names of agents become ids, wherever they stand. */
  #ids(value: JsonValue): JsonValue {
    if (typeof value === "string") return this.#id(value)
    if (Array.isArray(value)) return value.map((one: JsonValue) => this.#ids(one))
    if (typeof value !== "object" || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, this.#ids(one as JsonValue)]))
  }
}

/** The lines with each id as the number of its first appearance: ids are random in both. */
export function normalised(audit: string): string[] {
  const seen = new Map<string, string>()
  const number = (id: string): string => {
    const known = seen.get(id) ?? `id-${seen.size + 1}`
    seen.set(id, known)
    return known
  }
  return audit
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.replaceAll(/[0-9a-f]{32}/g, number))
}
