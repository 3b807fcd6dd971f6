/**
 * Agents behind a network that cuts, delays and repeats. Whatever it does: what the hub has accepted is delivered at least
 * once to each recipient, handled at most once, and in the order of its channel; and each change is made once.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { describe, expect, onTestFinished, test } from "vitest"
import { HubClient, remoteHub } from "../../src/client/index.ts"
import type { AgentClient } from "../../src/client/index.ts"
import type { Hub } from "../../src/hub/index.ts"
import { INVITE_ACK, textOf } from "../../src/model/index.ts"
import type { Envelope } from "../../src/model/index.ts"
import { seeded, testSeed } from "../support/fake-time.ts"
import { Relay } from "./relay.ts"
import type { Fault } from "./relay.ts"
import { serveHub } from "./world.ts"

const PASS: Fault = { kind: "pass" }

/** Handled envelopes by channel, of one agent. */
class Ledger {
  readonly handled = new Map<string, string[]>()

  readonly onEnvelope = async (envelope: Envelope, next: () => Promise<void>): Promise<void> => {
    const of = this.handled.get(envelope.channel_id) ?? []
    this.handled.set(envelope.channel_id, [...of, envelope.envelope_id])
    await next()
  }
}

interface Play {
  readonly hub: Hub
  readonly relay: Relay
  readonly ledgers: readonly Ledger[]
  /** Ids that `send` returned. */
  readonly accepted: readonly string[]
}

/** Three agents, each on a socket of its own, two channels, and messages in both; then waits until all is quiet. */
async function play(
  fault: Relay["fault"],
  options: { readonly graceMs: number; readonly messages: number },
): Promise<Play> {
  const { hub, server } = await serveHub({ endpoint: { sessionGraceMs: options.graceMs, heartbeatMs: 0 } })
  const relay = await Relay.open(server.hubUrl)
  const ledgers = [new Ledger(), new Ledger(), new Ledger()]
  const agents: AgentClient[] = []
  for (const [i, ledger] of ledgers.entries()) {
    const link = remoteHub(relay.url, {
      backoffMs: 1,
      maxBackoffMs: 8,
      heartbeatMs: 0,
      requestTimeoutMs: 15_000,
    })
    const client = await HubClient.connect(link)
    onTestFinished(() => client.close())
    agents.push(await client.register({ name: `agent-${i}` }, { onEnvelope: ledger.onEnvelope }))
  }
  const [ann, bob, cat] = agents
  if (ann === undefined || bob === undefined || cat === undefined) throw new Error("three agents are needed")
  const channels = [await ann.open({ target: bob.name }), await bob.open({ target: cat.name })]
  relay.frames = 0
  relay.fault = fault
  const accepted = await Promise.all(
    channels.flatMap((channel, c) =>
      Array.from({ length: options.messages }, (_, i) => channel.send(`${c}-${i}`)),
    ),
  )
  const done: Play = { hub, relay, ledgers, accepted }
  for (
    let i = 0;
    i < 500 && (await dueOf(done)).some(({ due, handled }) => handled.length < due.length);
    i++
  ) {
    await sleep(10)
  }
  // What would come twice comes now.
  relay.fault = () => PASS
  await sleep(20)
  return done
}

/** What each agent should have handled of each channel, and what it has. */
async function dueOf({ hub, ledgers }: Play): Promise<{ who: string; due: string[]; handled: string[] }[]> {
  const found: { who: string; due: string[]; handled: string[] }[] = []
  for (const { channel_id, participants } of await hub.listChannels()) {
    const wal = await hub.readWal(channel_id)
    for (const [i, ledger] of ledgers.entries()) {
      const id = (await hub.findAgentId(`agent-${i}`)) ?? ""
      if (!participants.some(({ agent_id }) => agent_id === id)) continue
      const due = wal
        // The hub takes the answer to an invitation for itself, and delivers it to nobody.
        .filter(({ event_type }) => event_type !== INVITE_ACK)
        .filter(({ sender_id, audience }) => (audience === null ? sender_id !== id : audience.includes(id)))
        .map(({ envelope_id }) => envelope_id)
      found.push({ who: `agent-${i}`, due, handled: ledger.handled.get(channel_id) ?? [] })
    }
  }
  return found
}

async function check(played: Play, label: string): Promise<void> {
  const { hub, accepted } = played
  for (const { who, due, handled } of await dueOf(played)) {
    expect(handled, `${label}: ${who} handles each envelope once, in order`).toEqual(due)
  }
  const posted: Envelope[] = []
  for (const { channel_id } of await hub.listChannels()) {
    posted.push(...(await hub.readWal(channel_id)).filter((envelope) => textOf(envelope) !== undefined))
  }
  expect(
    posted.map(({ envelope_id }) => envelope_id).toSorted(),
    `${label}: what was accepted is logged`,
  ).toEqual(accepted.toSorted())
  expect(new Set(posted.map(textOf)).size, `${label}: each message is logged once`).toBe(posted.length)
}

describe("a network that cuts, delays and repeats", () => {
  const KINDS = ["cut before", "cut after", "cut inside", "twice"] as const
  const forgets = [60_000, 0]

  for (const graceMs of forgets) {
    const session = graceMs > 0 ? "a session that is remembered" : "a session that is forgotten"
    test.each(KINDS)(`%s, at every frame boundary, with ${session}`, { timeout: 120_000 }, async (kind) => {
      // Without faults, to learn how many frames there are.
      const quiet = await play(() => PASS, { graceMs, messages: 2 })
      await check(quiet, "quiet")
      const { frames } = quiet.relay
      expect(frames).toBeGreaterThan(20)
      for (let at = 0; at < frames; at++) {
        const fault: Relay["fault"] = (n) => (n === at ? { kind } : PASS)
        const played = await play(fault, { graceMs, messages: 2 })
        await check(played, `${kind} at frame ${at}`)
        // Fewer frames may come by than in the quiet run, by a few.
        if (kind !== "twice" && at < frames - 8) expect(played.relay.cuts).toBe(1)
      }
    })
  }

  const seeds = Number(process.env["HANSARD_SEEDS"] ?? 100) / 10
  test(`at random: ${seeds} runs`, { timeout: 240_000 }, async () => {
    const first = testSeed()
    console.info(`HANSARD_SEED=${first}`)
    for (let seed = first; seed < first + seeds; seed++) {
      const random = seeded(seed)
      const graceMs = random() < 0.5 ? 60_000 : 0
      const fault: Relay["fault"] = () => {
        const dice = random()
        if (dice < 0.01) return { kind: "cut inside", part: random() }
        if (dice < 0.03) return { kind: KINDS[Math.floor(random() * 2)] ?? "cut before" }
        if (dice < 0.08) return { kind: "twice" }
        if (dice < 0.13) return { kind: "delay", ms: Math.floor(random() * 10) }
        return PASS
      }
      await check(await play(fault, { graceMs, messages: 8 }), `seed ${seed}`)
    }
  })
})
