import { LazyFile, sortedObject } from "./stored-json.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import { agentPath } from "./identity-files.ts"

interface AgentCursors {
  readonly channels: Map<string, string>
  readonly file: LazyFile
  /** A cursor has moved since the file was last written. */
  unsaved: boolean
}

/** How far each agent has acknowledged each channel: `/agents/<id>/inbox.cursors.json`. */
export class Cursors {
  readonly #store: KnowledgeStore
  readonly #agents = new Map<string, AgentCursors>()

  constructor(store: KnowledgeStore) {
    this.#store = store
  }

  /** The id of the last acknowledged envelope; empty when there is none. */
  get(agentId: string, channelId: string): string {
    return this.#agents.get(agentId)?.channels.get(channelId) ?? ""
  }

  /** Moves a cursor on, never back. Durable when it resolves; many at once share one write. */
  async advance(agentId: string, channelId: string, envelopeId: string): Promise<void> {
    const agent = this.#agent(agentId)
    if (envelopeId > (agent.channels.get(channelId) ?? "")) {
      agent.channels.set(channelId, envelopeId)
      agent.unsaved = true
    }
    if (!agent.unsaved) return
    agent.unsaved = false
    try {
      await agent.file.save()
    } catch (error) {
      agent.unsaved = true
      throw error
    }
  }

  /** Takes over what was stored. */
  adopt(agentId: string, stored: Readonly<Record<string, string>>): void {
    const { channels } = this.#agent(agentId)
    for (const [channelId, envelopeId] of Object.entries(stored)) channels.set(channelId, envelopeId)
  }

  forget(agentId: string): void {
    this.#agents.delete(agentId)
  }

  #agent(agentId: string): AgentCursors {
    const known = this.#agents.get(agentId)
    if (known !== undefined) return known
    const channels = new Map<string, string>()
    const file = new LazyFile(async () => {
      // Not after the agent has gone: the file would bring its folder back.
      if (this.#agents.get(agentId)?.channels !== channels) return
      await this.#store.write(
        agentPath(agentId, "inbox.cursors.json"),
        JSON.stringify(sortedObject(channels)),
      )
    })
    const agent = { channels, file, unsaved: false }
    this.#agents.set(agentId, agent)
    return agent
  }
}
