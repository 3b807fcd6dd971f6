import { agentsOf } from "../audit/index.ts"
import type { AuditRecord } from "../audit/index.ts"
import { shortId } from "../model/index.ts"
import { readText } from "../store/index.ts"
import type { KnowledgeStore } from "../store/index.ts"

/** How many unknown ids are remembered, so that a long log costs no more memory than a short one. */
const MAX_NAMES = 10_000

/** Names of agents: from the registrations that went by, else from the passports of those who are still registered. */
export class Names {
  readonly #store: KnowledgeStore
  readonly #names = new Map<string, string>()

  constructor(store: KnowledgeStore) {
    this.#store = store
  }

  /** Call it for each record, in order, before it is told. Reads a passport the first time it meets an id. */
  async learn(record: AuditRecord): Promise<void> {
    const { kind, agent_id, name } = record
    if (kind === "agent_registered" && typeof agent_id === "string" && typeof name === "string") {
      this.#keep(agent_id, name)
    }
    for (const id of agentsOf(record)) {
      if (!this.#names.has(id)) this.#keep(id, (await this.#passportName(id)) ?? shortId(id))
    }
  }

  of(id: unknown): string {
    return this.#names.get(String(id)) ?? shortId(id)
  }

  #keep(id: string, name: string): void {
    if (this.#names.size >= MAX_NAMES) this.#names.clear()
    this.#names.set(id, name)
  }

  async #passportName(id: string): Promise<string | undefined> {
    if (!/^[\w-]+$/.test(id)) return undefined
    try {
      const text = await readText(this.#store, `/agents/${id}/passport.json`)
      const passport: unknown = text === undefined ? undefined : JSON.parse(text)
      if (typeof passport !== "object" || passport === null || !("name" in passport)) return undefined
      return typeof passport.name === "string" ? passport.name : undefined
    } catch {
      // A name is a convenience: an unreadable passport must not hide the record.
      return undefined
    }
  }
}
