import { expect } from "vitest"
import type { Hub } from "../../src/hub/index.ts"
import { MAX_DELIVERY_TRIES } from "../../src/hub/delivery.ts"
import { recipientsOf } from "../../src/hub/channel.ts"
import { type Delivery, type Envelope, INVITE, INVITE_ACK, isParticipant } from "../../src/model/index.ts"
import type { Agent } from "../hub/world.ts"
import { settle } from "../support/fake-time.ts"

type Answer = (self: Agent, envelope: Envelope) => Promise<void>

/** One agent over all its connections and all the lives of its hub. */
interface Life {
  readonly name: string
  readonly answer: Answer
  /** Per channel, in the order in which they first came. */
  readonly got: Map<string, string[]>
  readonly settled: Set<string>
  readonly nacks: Map<string, number>
}

/** Agents that refuse, forget to acknowledge, and come back on another connection; and what they were handed. */
export class Network {
  readonly #random: () => number
  readonly #lives = new Map<string, Life>()
  /** No more mischief: everything is acknowledged. */
  #calm = false

  constructor(random: () => number) {
    this.#random = random
  }

  async join(hub: Hub, name: string, answer: Answer): Promise<Agent> {
    const life: Life = { name, answer, got: new Map(), settled: new Set(), nacks: new Map() }
    const early: Delivery[] = []
    let agent: Agent | undefined
    const connection = await hub.connect(async (delivery) => {
      if (agent === undefined) early.push(delivery)
      else await this.#receive(agent, life, delivery)
    })
    const passport = await connection.registerIdentity({ passport: { name } })
    agent = { id: passport.agent_id, passport, connection, got: [] }
    this.#lives.set(agent.id, life)
    for (const delivery of early) void this.#receive(agent, life, delivery)
    return agent
  }

  /** The same agent on a new connection. */
  async attach(hub: Hub, { id }: Pick<Agent, "id">): Promise<void> {
    const life = this.#lives.get(id)
    if (life === undefined) return
    const connection = await hub.connect((delivery) => this.#receive(agent, life, delivery))
    const agent = { id, connection } as Agent
    await connection.attach(life.name)
  }

  /** After the last life of the hub: everybody comes back once, and by then has everything. */
  async check(hub: Hub): Promise<void> {
    const channels = await hub.listChannels({ limit: 100_000 })
    const known = new Set((await hub.listAgents({ limit: 100_000 })).map(({ agent_id }) => agent_id))
    for (const [id, life] of this.#lives) {
      if (!known.has(id)) continue
      for (const { channel_id, ...metadata } of channels) {
        const cursor = hub.inboxCursor(id, channel_id)
        for (const envelope of await hub.readWal(channel_id)) {
          const { envelope_id } = envelope
          const isMine = recipientsOf(envelope, { channel_id, ...metadata }).includes(id)
          if (!isMine || envelope_id > cursor) continue
          const dead = (life.nacks.get(envelope_id) ?? 0) >= MAX_DELIVERY_TRIES
          expect(life.settled.has(envelope_id) || dead, `the cursor passed ${envelope_id}, open`).toBe(true)
        }
      }
      this.#calm = true
      await this.attach(hub, { id })
    }
    await settle(40)
    for (const [id, life] of this.#lives) {
      if (!known.has(id)) continue
      for (const metadata of channels) {
        if (!isParticipant(metadata, id)) continue
        const mine = (await hub.readWal(metadata.channel_id)).filter((envelope) =>
          recipientsOf(envelope, metadata).includes(id),
        )
        const got = life.got.get(metadata.channel_id) ?? []
        expect(got, "everything came, and first in the order of the log").toEqual(
          mine.map(({ envelope_id }) => envelope_id),
        )
      }
    }
  }

  async #receive(agent: Agent, life: Life, { envelope, recipient_id }: Delivery): Promise<void> {
    const { channel_id, envelope_id, event_type } = envelope
    const got = life.got.get(channel_id) ?? []
    life.got.set(channel_id, got)
    const isNew = !got.includes(envelope_id)
    if (isNew) got.push(envelope_id)
    if (this.#calm) return
    if (event_type === INVITE) {
      const event_data = { channel_id }
      const answer = { channel_id, sender_id: recipient_id, event_type: INVITE_ACK, event_data }
      await agent.connection.postEnvelope(answer).catch(() => {})
    } else if (isNew && !event_type.startsWith("ag2.channel.")) {
      await life.answer(agent, envelope)
    }
    const receipt = { envelope_id, recipient_id, channel_id }
    const roll = this.#random()
    if (roll < 0.1) return
    if (roll < 0.25) {
      life.nacks.set(envelope_id, (life.nacks.get(envelope_id) ?? 0) + 1)
      await agent.connection.receipt({ ...receipt, status: "nack", reason: "sim" }).catch(() => {})
      return
    }
    life.settled.add(envelope_id)
    await agent.connection.receipt({ ...receipt, status: "ack" }).catch(() => {})
  }
}
