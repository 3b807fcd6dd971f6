import type { Envelope, EnvelopeRequest } from "../../src/model/envelope.ts"
import { makeEnvelope } from "../../src/model/envelope.ts"
import type { ChannelMetadata } from "../../src/model/channel.ts"
import type { Delivery, HubConnection, HubLink, Receipt } from "../../src/model/hub-api.ts"
import { makePassport } from "../../src/model/passport.ts"

type Call = readonly [method: string, ...args: unknown[]]

/**
 * A connection that writes down what it is asked and answers with the least that a client needs. One channel, `c1`,
 * active, whose log is `wal`. Any method can be replaced.
 */
export class FakeHub implements HubLink {
  readonly calls: Call[] = []
  readonly wal: Envelope[] = []
  state: ChannelMetadata["state"] = "active"
  #deliver: (delivery: Delivery) => Promise<void> | void = () => {}
  #agents = 0
  #envelopes = 0
  readonly answers: Partial<Record<keyof HubConnection, (...args: never[]) => unknown>> = {}

  connect(deliver: (delivery: Delivery) => Promise<void> | void): Promise<HubConnection> {
    this.#deliver = deliver
    const connection = new Proxy({} as HubConnection, {
      get: (_target, method) => (method === "then" ? undefined : this.#method(method)),
    })
    return Promise.resolve(connection)
  }

  /** Writes an envelope to the log and delivers it. Throws what the client throws. */
  deliver(recipientId: string, request: Partial<EnvelopeRequest> = {}): Envelope {
    const envelope = this.log(request)
    void this.#deliver({ envelope, recipient_id: recipientId })
    return envelope
  }

  log(request: Partial<EnvelopeRequest> = {}): Envelope {
    const envelope = makeEnvelope({
      channel_id: "c1",
      sender_id: "other",
      event_type: "ag2.msg.text",
      event_data: { text: "hello" },
      ...request,
      envelope_id: `e${String(++this.#envelopes).padStart(6, "0")}`,
    })
    this.wal.push(envelope)
    return envelope
  }

  of(method: keyof HubConnection): unknown[][] {
    return this.calls.filter(([name]) => name === method).map(([, ...args]) => args)
  }

  get receipts(): Receipt[] {
    return this.of("receipt").map(([receipt]) => receipt as Receipt)
  }

  get posted(): EnvelopeRequest[] {
    return this.of("postEnvelope").map(([envelope]) => envelope as EnvelopeRequest)
  }

  #method(method: string | symbol): (...args: never[]) => Promise<unknown> {
    return async (...args) => {
      if (typeof method === "symbol") return undefined
      // An option that was not given is not what a test is about.
      this.calls.push([method, ...args.slice(0, args.findLastIndex((arg) => arg !== undefined) + 1)])
      const answer = this.answers[method as keyof HubConnection]
      if (answer !== undefined) return answer(...args)
      return this.#defaults(method, args)
    }
  }

  #defaults(method: string, args: readonly unknown[]): unknown {
    switch (method) {
      case "registerIdentity": {
        const { passport } = args[0] as { passport: { name: string } }
        return makePassport(passport, `agent-${++this.#agents}`, "2026-01-01T00:00:00.000Z")
      }
      case "attach":
        return makePassport({ name: String(args[0]) }, `agent-${String(args[0])}`, "2026-01-01T00:00:00.000Z")
      case "getAgent":
        return makePassport({ name: String(args[0]) }, `id-of-${String(args[0])}`, "2026-01-01T00:00:00.000Z")
      case "getChannel":
      case "createChannel":
      case "closeChannel":
        return { channel_id: "c1", state: this.state, creator_id: "other", participants: [] }
      case "findEnvelopeByCausation":
        return null
      case "pendingTurnsFor":
        return []
      case "canSend":
        return true
      case "namesFor":
        return Object.fromEntries((args[0] as string[]).map((id) => [id, `name of ${id}`]))
      case "readWal":
        return [...this.wal]
      case "postEnvelope":
        return this.log(args[0] as EnvelopeRequest).envelope_id
      default:
        return undefined
    }
  }
}

/** Timers that fire when they are told to. */
export class ManualTimers {
  #pending: { at: number; callback: () => void }[] = []
  now = 1_000_000

  readonly after = (milliseconds: number, callback: () => void): (() => void) => {
    const timer = { at: this.now + milliseconds, callback }
    this.#pending.push(timer)
    return () => {
      this.#pending = this.#pending.filter((other) => other !== timer)
    }
  }

  get pending(): number {
    return this.#pending.length
  }

  advance(milliseconds: number): void {
    this.now += milliseconds
    const due = this.#pending.filter(({ at }) => at <= this.now)
    this.#pending = this.#pending.filter(({ at }) => at > this.now)
    for (const { callback } of due) callback()
  }
}

/** Lets everything run that waits for nothing outside. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve))
}
