import { capabilitiesOf } from "../model/index.ts"
import type { Resume } from "../model/index.ts"
import { sortedObject } from "./stored-json.ts"

export const CAPABILITY_INDEX_PATH = "/registry/by_capability.json"

/** Which agents claim a capability or were seen to have it. Derived from the resumes alone. */
export class CapabilityIndex {
  readonly #agents = new Map<string, Set<string>>()
  readonly #capabilities = new Map<string, readonly string[]>()

  /** Raised by every change: whether what is stored is still right. */
  version: number = 0

  /** Replaces what the agent had. */
  set(agentId: string, resume: Resume): void {
    const capabilities = capabilitiesOf(resume)
    const before = this.#capabilities.get(agentId) ?? []
    if (before.length === capabilities.length && before.every((name, i) => name === capabilities[i])) return
    this.remove(agentId)
    this.version++
    this.#capabilities.set(agentId, capabilities)
    for (const capability of capabilities) {
      const agents = this.#agents.get(capability)
      if (agents === undefined) this.#agents.set(capability, new Set([agentId]))
      else agents.add(agentId)
    }
  }

  remove(agentId: string): void {
    const capabilities = this.#capabilities.get(agentId)
    if (capabilities === undefined) return
    this.version++
    for (const capability of capabilities) {
      const agents = this.#agents.get(capability)
      agents?.delete(agentId)
      if (agents?.size === 0) this.#agents.delete(capability)
    }
    this.#capabilities.delete(agentId)
  }

  has(capability: string, agentId: string): boolean {
    return this.#agents.get(capability)?.has(agentId) ?? false
  }

  /** Sorted. */
  agentsWith(capability: string): string[] {
    return [...(this.#agents.get(capability) ?? [])].sort()
  }

  /** As it is stored. */
  toJSON(): Record<string, string[]> {
    return sortedObject(
      [...this.#agents].map(([capability, agents]) => [capability, [...agents].sort()] as const),
    )
  }
}
