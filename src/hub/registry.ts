import { HansardError, InvalidInputError, NotFoundError } from "../core/errors.ts"
import {
  addObservation,
  AuthError,
  effectiveKind,
  EMPTY_RESUME,
  isTaskOutcome,
  makePassport,
  ProtocolError,
  type AuthClaim,
  type ListAgentsFilter,
  type Observation,
  type Passport,
  type Registration,
  type Resume,
  type ResumeRequest,
  type Rule,
  type RuleRequest,
} from "../model/index.ts"
import { readText } from "../store/text.ts"
import type { AuthRegistry } from "./auth/index.ts"
import { CAPABILITY_INDEX_PATH, CapabilityIndex } from "./capability-index.ts"
import type { HubContext } from "./context.ts"
import { attributed } from "./context.ts"
import type { Gatekeeper } from "./gatekeeper.ts"
import { agentPath, IdentityFiles, type Identity } from "./identity-files.ts"
import type { Operation } from "./operation.ts"
import { copyObject, deepFreeze } from "./plain-json.ts"
import { readAskedRule, readPassport, readResume } from "./records.ts"
import { LazyFile } from "./stored-json.ts"
import { TrackRecords } from "./track-records.ts"

/** By what way somebody comes in. */
export interface Door {
  /** Whether the scheme `none` proves anybody. */
  readonly noneAllowed: boolean
  /** Code that holds the hub itself, which may register peers of other hubs that prove nothing here. */
  readonly trusted: boolean
  /** Called before anybody else can meet the new identity. */
  inserted?(agentId: string): void
}

export const INSIDE: Door = { noneAllowed: true, trusted: true }

/** Of one SKILL.md, in UTF-16 units. */
const MAX_SKILL_LENGTH = 1_048_576

/**
 * Who there is. An identity exists exactly while its passport does: it is written last and deleted first, so that no
 * crash leaves half of one.
 *
 * Changes to one identity happen one at a time, and its events come in their order.
 */
export class Registry {
  readonly #context: HubContext
  readonly #gatekeeper: Gatekeeper
  readonly #auth: AuthRegistry
  readonly files: IdentityFiles
  readonly capabilities: CapabilityIndex = new CapabilityIndex()
  /** Owned by `register`, `unregister` and `adopt`, in the order of registration. */
  readonly #identities = new Map<string, Identity>()
  readonly #ids = new Map<string, string>()
  readonly #tracks: TrackRecords
  readonly #indexFile: LazyFile
  /** Of the capability index, as the file has it. */
  #savedVersion = 0

  constructor(context: HubContext, gatekeeper: Gatekeeper, auth: AuthRegistry) {
    this.#context = context
    this.#gatekeeper = gatekeeper
    this.#auth = auth
    this.files = new IdentityFiles(context.store)
    this.#tracks = new TrackRecords(context)
    this.#indexFile = new LazyFile(async () => {
      const { version } = this.capabilities
      await context.store.write(CAPABILITY_INDEX_PATH, JSON.stringify(this.capabilities))
      this.#savedVersion = version
    })
  }

  get size(): number {
    return this.#identities.size
  }

  has(agentId: string): boolean {
    return this.#identities.has(agentId)
  }

  find(agentId: string): Identity | undefined {
    return this.#identities.get(agentId)
  }

  /** @throws NotFoundError */
  require(agentId: string): Identity {
    const identity = this.#identities.get(agentId)
    if (identity === undefined) throw new NotFoundError(`agent ${agentId} is not registered`)
    return identity
  }

  /** By name first, then by id. @throws NotFoundError */
  named(nameOrId: string): Identity {
    return this.require(this.#ids.get(nameOrId) ?? nameOrId)
  }

  idOf(name: string): string | undefined {
    return this.#ids.get(name)
  }

  nameOf(agentId: string): string | undefined {
    return this.#identities.get(agentId)?.passport.name
  }

  names(): ReadonlyMap<string, string> {
    return this.#ids
  }

  /** Takes in an identity that is in the store already. @returns false if its name is taken. */
  adopt(identity: Identity): boolean {
    const { agent_id, name } = identity.passport
    if (this.#ids.has(name) || this.#identities.has(agent_id)) return false
    this.#insert(identity)
    return true
  }

  async register(registration: Registration, operation: Operation, door: Door = INSIDE): Promise<Passport> {
    const { passport: request, skill_md = null } = registration
    const { claim, ...block } = (request.auth ?? {}) as AuthClaim
    const given = copyObject({ ...request, auth: block }, "passport") as unknown as typeof request
    const asker = deepFreeze(readPassport(makePassport(given, this.#context.newId(), this.#context.now())))
    const asked = deepFreeze(readResume(copyObject(registration.resume ?? {}, "resume")))
    const resume = deepFreeze({ ...asked, observed: EMPTY_RESUME.observed })
    const rule = deepFreeze(readAskedRule(copyObject(registration.rule ?? {}, "rule")))
    const skill = checkSkill(skill_md)
    await this.#gatekeeper.require(
      "register",
      operation.actor ?? null,
      this.#context.arbiter().authorizeRegister(asker),
      operation,
    )
    const { name, agent_id, auth } = asker
    return await this.#context.locks.run(`name:${name}`, async () => {
      if (this.#ids.has(name))
        throw new ProtocolError(`the name ${JSON.stringify(name)} is already registered`)
      const credential = await this.#authenticate(name, auth.scheme, operation, () => {
        if (door.trusted && effectiveKind(asker) === "remote_agent") return null
        requireDoor(auth.scheme, name, door)
        return this.#auth.enroll(auth.scheme, name, copyObject(claim ?? {}, "claim"), auth)
      })
      const key_fingerprint = credential?.key_fingerprint ?? auth.key_fingerprint
      const passport = deepFreeze({ ...asker, auth: { ...auth, key_fingerprint } })
      const identity: Identity = { passport, resume, rule, skill, credential, extras: {} }
      await this.#context.locks.run(`agent:${agent_id}`, async () => {
        await this.files.create(identity)
        this.#insert(identity)
        door.inserted?.(agent_id)
        this.#context.logger.info({ agent_id, name }, "agent registered")
        const actor = attributed(operation.actor ?? agent_id)
        operation.events.agentEvent(agent_id, "registered", { passport, at: passport.created_at, ...actor })
      })
      await this.saveIndex()
      return passport
    })
  }

  /** @param removed is called as soon as nobody can meet the identity any more. */
  async unregister(agentId: string, operation: Operation, removed: () => void): Promise<void> {
    await this.#change(agentId, async (identity) => {
      const { name } = identity.passport
      await this.files.remove(agentId)
      this.#identities.delete(agentId)
      this.#ids.delete(name)
      this.capabilities.remove(agentId)
      this.#tracks.forget(agentId)
      removed()
      this.#context.logger.info({ agent_id: agentId, name }, "agent unregistered")
      const at = this.#context.now()
      operation.events.agentEvent(agentId, "unregistered", { name, at, ...attributed(operation.actor) })
    })
    await this.saveIndex()
  }

  async setResume(agentId: string, request: ResumeRequest, operation: Operation): Promise<Resume> {
    const asked = readResume(copyObject(request, "resume"))
    const resume = await this.#change(agentId, async (identity) => {
      const { observed, version } = identity.resume
      const at = this.#context.now()
      const next = deepFreeze({ ...asked, observed, version: version + 1, last_updated: at })
      await this.#saveResume(identity, next)
      const actor = attributed(operation.actor)
      operation.events.agentEvent(agentId, "resume_set", {
        resume: next,
        version: next.version,
        at,
        ...actor,
      })
      return next
    })
    await this.saveIndex()
    return resume
  }

  async setRule(agentId: string, request: RuleRequest, operation: Operation): Promise<Rule> {
    const asked = readAskedRule(copyObject(request, "rule"))
    return await this.#change(agentId, async (identity) => {
      const rule = deepFreeze({ ...asked, version: identity.rule.version + 1 })
      await this.files.writeRule(identity, rule)
      identity.rule = rule
      const at = this.#context.now()
      const actor = attributed(operation.actor)
      operation.events.agentEvent(agentId, "rule_set", { rule, version: rule.version, at, ...actor })
      return rule
    })
  }

  async setSkill(agentId: string, skillMd: string | null, operation: Operation): Promise<void> {
    const skill = checkSkill(skillMd)
    await this.#change(agentId, async (identity) => {
      await this.files.writeSkill(agentId, skill)
      identity.skill = skill
      const at = this.#context.now()
      const actor = attributed(operation.actor)
      operation.events.agentEvent(agentId, "skill_set", { removed: skill === null, at, ...actor })
    })
  }

  /** From the store once, then from memory. */
  async skill(agentId: string): Promise<string | null> {
    const identity = this.require(agentId)
    if (identity.skill === undefined) {
      const stored = (await readText(this.#context.store, agentPath(agentId, "SKILL.md"))) ?? null
      // A change may have come in between.
      identity.skill ??= stored
    }
    return identity.skill
  }

  /**
   * @param countOnce says whether this task was not counted yet, and remembers it; `undefined` for one that the hub has not
   *   seen. Called under the agent's lock.
   */
  async recordObservation(
    observation: Observation,
    countOnce: (taskId: string) => Promise<boolean | undefined>,
    operation: Operation,
  ): Promise<void> {
    const { owner_id, capability, outcome, latency_ms = null, task_id = null } = observation
    if (!isTaskOutcome(outcome) || !this.has(owner_id)) return
    if (typeof capability !== "string" || capability === "" || capability === "__proto__") {
      throw new InvalidInputError("an observation needs the name of a capability")
    }
    if (latency_ms !== null && !Number.isFinite(latency_ms))
      throw new InvalidInputError("latency_ms must be a number")
    await this.#context.locks.run(`agent:${owner_id}`, async () => {
      const identity = this.#identities.get(owner_id)
      if (identity === undefined) return
      if (task_id !== null && (await this.#tracks.has(owner_id, task_id))) return
      const isFirst = task_id === null ? true : await countOnce(task_id)
      if (isFirst === false) return
      const at = this.#context.now()
      const { observed, version } = identity.resume
      const before = Object.hasOwn(observed, capability) ? observed[capability] : undefined
      const seen = {
        capability,
        latencyMs: latency_ms,
        ...(isFirst === undefined && task_id !== null ? { unseen: task_id } : {}),
      }
      const p50 = await this.#tracks.add(owner_id, seen, before?.p50_latency_ms ?? null)
      const resume = deepFreeze({
        ...identity.resume,
        observed: { ...observed, [capability]: addObservation(before, outcome, p50) },
        version: version + 1,
        last_updated: at,
      })
      await this.#saveResume(identity, resume)
      operation.events.agentEvent(owner_id, "observation_recorded", {
        resume,
        version: resume.version,
        capability,
        outcome,
        at,
        ...attributed(operation.actor),
      })
    })
    await this.saveIndex()
  }

  /** @throws NotFoundError for an unknown name, AuthError for a claim that does not prove it. */
  async prove(
    name: string,
    auth: AuthClaim | undefined,
    operation: Operation,
    door: Door,
  ): Promise<Identity> {
    const agentId = this.#ids.get(name)
    if (agentId === undefined) {
      const error = new NotFoundError(`no agent is registered as ${JSON.stringify(name)}`)
      operation.events.authFailed(name, auth?.scheme ?? "none", error)
      throw error
    }
    const identity = this.require(agentId)
    // The scheme is the stored one: a client that could choose would choose `none`.
    const { scheme } = identity.passport.auth
    await this.#authenticate(name, scheme, operation, async () => {
      if (auth?.scheme !== undefined && auth.scheme !== scheme) {
        throw new AuthError(`${JSON.stringify(name)} proves itself by ${scheme}, not by ${auth.scheme}`)
      }
      requireDoor(scheme, name, door)
      await this.#auth.verify(scheme, name, copyObject(auth?.claim ?? {}, "claim"), identity.credential)
    })
    return this.require(agentId)
  }

  list(filter: ListAgentsFilter = {}): Passport[] {
    const { capability, query, kind, sort_by, limit = 50 } = filter
    const needle = query?.toLowerCase()
    const found = [...this.#identities.values()].filter(
      ({ passport, resume }) =>
        (capability === undefined || this.capabilities.has(capability, passport.agent_id)) &&
        (needle === undefined || resume.summary.toLowerCase().includes(needle)) &&
        (kind === undefined || effectiveKind(passport) === kind),
    )
    const passports = found.map(({ passport }) => passport)
    if (sort_by === "name") passports.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
    return passports.slice(0, Math.max(0, limit))
  }

  /** The file is derived: that it cannot be written is logged and stops nothing. */
  async saveIndex(): Promise<void> {
    if (this.capabilities.version === this.#savedVersion) return
    try {
      await this.#indexFile.save()
    } catch (error) {
      this.#context.logger.error({ err: error }, "the capability index could not be written")
    }
  }

  async #authenticate<T>(
    name: string,
    scheme: string,
    operation: Operation,
    prove: () => Promise<T> | T,
  ): Promise<T> {
    try {
      return await prove()
    } catch (error) {
      if (error instanceof HansardError) operation.events.authFailed(name, scheme, error)
      throw error
    }
  }

  #change<T>(agentId: string, change: (identity: Identity) => Promise<T>): Promise<T> {
    this.require(agentId)
    return this.#context.locks.run(`agent:${agentId}`, () => change(this.require(agentId)))
  }

  async #saveResume(identity: Identity, resume: Resume): Promise<void> {
    await this.files.writeResume(identity, resume)
    identity.resume = resume
    this.capabilities.set(identity.passport.agent_id, resume)
  }

  #insert(identity: Identity): void {
    const { agent_id, name } = identity.passport
    this.#identities.set(agent_id, identity)
    this.#ids.set(name, agent_id)
    this.capabilities.set(agent_id, identity.resume)
  }
}

function requireDoor(scheme: string, name: string, door: Door): void {
  if (scheme !== "none" || door.noneAllowed) return
  throw new AuthError(`${JSON.stringify(name)} has to prove itself: this hub takes no strangers from there`, {
    hint: "Use an api_key or an ed25519 key, or connect from the hub's own machine.",
  })
}

function checkSkill(skill: unknown): string | null {
  if (skill === null) return null
  if (typeof skill !== "string") throw new InvalidInputError("a skill document is text or null")
  if (skill.length > MAX_SKILL_LENGTH) {
    throw new InvalidInputError(`a skill document has at most ${MAX_SKILL_LENGTH} characters`)
  }
  return skill
}
