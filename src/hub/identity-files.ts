import { InvalidInputError } from "../core/errors.ts"
import { DEFAULT_RULE, EMPTY_RESUME } from "../model/index.ts"
import type { JsonObject, Passport, Resume, Rule } from "../model/index.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import type { StoredCredential } from "./auth/index.ts"
import { copyObject, deepFreeze, unknownFields } from "./plain-json.ts"
import { readPassport, readResume, readRule } from "./records.ts"
import { readJson, writeJson } from "./stored-json.ts"

/** One agent as the hub holds it. What it points at is frozen and replaced, never changed. */
export interface Identity {
  readonly passport: Passport
  resume: Resume
  rule: Rule
  /** `undefined`: not read yet. */
  skill: string | null | undefined
  /** What proves the agent; never shown to anybody. */
  readonly credential: StoredCredential | null
  /** Fields of a newer version, kept when the file is written again. */
  readonly extras: { readonly resume?: JsonObject; readonly rule?: JsonObject }
}

export function agentPath(agentId: string, file: string): string {
  return `/agents/${agentId}/${file}`
}

/** The files of identities: section 3.4 of SPEC.md. */
export class IdentityFiles {
  readonly #store: KnowledgeStore

  constructor(store: KnowledgeStore) {
    this.#store = store
  }

  /** The passport comes last: with it, the identity exists. */
  async create(identity: Identity): Promise<void> {
    const { agent_id } = identity.passport
    try {
      await this.writeResume(identity, identity.resume)
      await this.writeRule(identity, identity.rule)
      if (typeof identity.skill === "string") await this.writeSkill(agent_id, identity.skill)
      if (identity.credential !== null) {
        await writeJson(this.#store, agentPath(agent_id, "credential.json"), identity.credential as object)
      }
      await writeJson(this.#store, agentPath(agent_id, "passport.json"), identity.passport)
    } catch (error) {
      // Nobody can read it without a passport; what is left when this fails as well is passed over on opening.
      await this.#store.delete(`/agents/${agent_id}`).catch(() => {})
      throw error
    }
  }

  /** The passport goes first: without it, there is no identity. */
  async remove(agentId: string): Promise<void> {
    await this.#store.delete(agentPath(agentId, "passport.json"))
    // What stays behind belongs to nobody; ids are never used again.
    await this.#store.delete(`/agents/${agentId}`).catch(() => {})
  }

  async writeResume(identity: Identity, resume: Resume): Promise<void> {
    await writeJson(
      this.#store,
      agentPath(identity.passport.agent_id, "resume.json"),
      resume,
      identity.extras.resume,
    )
  }

  async writeRule(identity: Identity, rule: Rule): Promise<void> {
    await writeJson(
      this.#store,
      agentPath(identity.passport.agent_id, "rule.json"),
      rule,
      identity.extras.rule,
    )
  }

  async writeSkill(agentId: string, skill: string | null): Promise<void> {
    const path = agentPath(agentId, "SKILL.md")
    if (skill === null) await this.#store.delete(path)
    else await this.#store.write(path, skill)
  }

  /**
   * The identity as it is stored; `undefined` without a passport. A missing rule or resume is an empty one.
   *
   * @throws whatever is wrong with a file.
   */
  async load(agentId: string): Promise<Identity | undefined> {
    const stored = await readJson(this.#store, agentPath(agentId, "passport.json"))
    if (stored === undefined) return undefined
    const passport = deepFreeze(readPassport(stored))
    if (passport.agent_id !== agentId) {
      throw new InvalidInputError(`the passport is that of ${passport.agent_id}`)
    }
    const resume = copyObject(
      (await readJson(this.#store, agentPath(agentId, "resume.json"))) ?? {},
      "resume",
    )
    const rule = copyObject((await readJson(this.#store, agentPath(agentId, "rule.json"))) ?? {}, "rule")
    const credential = await readJson(this.#store, agentPath(agentId, "credential.json"))
    return {
      passport,
      resume: deepFreeze(readResume(resume)),
      rule: deepFreeze(readRule(rule)),
      skill: undefined,
      credential:
        credential === undefined
          ? null
          : (copyObject(credential, "credential") as unknown as StoredCredential),
      extras: { resume: unknownFields(resume, EMPTY_RESUME), rule: unknownFields(rule, DEFAULT_RULE) },
    }
  }
}
