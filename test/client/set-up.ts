import { HubClient } from "../../src/client/index.ts"
import type { AgentClient, RegisterOptions } from "../../src/client/index.ts"
import { FakeHub, ManualTimers } from "./fake-hub.ts"

export interface SetUp {
  readonly fake: FakeHub
  readonly timers: ManualTimers
  readonly client: HubClient
  readonly agent: AgentClient
  readonly id: string
}

/** One agent on a client of a fake hub, with time that stands still. */
export async function setUp(options: RegisterOptions = {}): Promise<SetUp> {
  const fake = new FakeHub()
  const timers = new ManualTimers()
  const client = await HubClient.connect(fake, {
    timers,
    clock: () => timers.now,
    random: (length) => new Uint8Array(length),
  })
  const agent = await client.register({ name: "clerk" }, options)
  return { fake, timers, client, agent, id: agent.agentId }
}
