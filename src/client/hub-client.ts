import { unlessAborted, type CallOptions } from "../core/abort.ts"
import { ClosedError, NotFoundError } from "../core/errors.ts"
import { idSource } from "../core/ids.ts"
import { silentLogger } from "../core/logger.ts"
import type { Logger } from "../core/logger.ts"
import { systemClock, systemRandom, systemTimers } from "../core/system.ts"
import type { Clock, RandomBytes, Timers } from "../core/system.ts"
import { InboxFullError } from "../model/errors.ts"
import type { Delivery, HubApi, HubConnection, HubLink } from "../model/hub-api.ts"
import type { AuthClaim, Passport, PassportRequest } from "../model/passport.ts"
import type { ResumeRequest } from "../model/resume.ts"
import type { RuleRequest } from "../model/rule.ts"
import type { AgentKey } from "./agent-key.ts"
import { AgentClient } from "./agent-client.ts"
import type { AgentHandlers } from "./agent-client.ts"
import { toError } from "./context.ts"
import { HumanClient, HumanInbox } from "./human-client.ts"
import type { HumanOptions } from "./human-client.ts"
import type { ClientContext } from "./context.ts"
import { MAX_QUEUED_ENVELOPES } from "./mailbox.ts"

/** The signal gives up connecting. */
export interface HubClientOptions extends CallOptions {
  /** The hub that is meant: keys sign for no other. Default: whichever answers. */
  readonly hubId?: string
  /** Default: silent. */
  readonly logger?: Logger
  readonly clock?: Clock
  readonly timers?: Timers
  readonly random?: RandomBytes
}

export interface RegisterOptions extends AgentHandlers, CallOptions {
  readonly resume?: ResumeRequest
  /** Markdown. */
  readonly skill?: string
  readonly rule?: RuleRequest
  /** Proves the identity, now and whenever it attaches: the passport's auth block is made of it. */
  readonly key?: AgentKey
}

export interface AttachOptions extends AgentHandlers, CallOptions {
  readonly auth?: AuthClaim
  /** In place of `auth`. */
  readonly key?: AgentKey
  /** Replays what came after this envelope; `null`: nothing. Default: all that was not acknowledged. */
  readonly sinceEnvelopeId?: string | null
}

/** One connection to a hub, and the agents on it. */
export class HubClient implements AsyncDisposable {
  readonly #context: ClientContext
  readonly #agents: Map<string, AgentClient>
  readonly #receiver: Receiver

  readonly #hubId: string | undefined

  private constructor(
    context: ClientContext,
    agents: Map<string, AgentClient>,
    receiver: Receiver,
    hubId: string | undefined,
  ) {
    this.#hubId = hubId
    this.#context = context
    this.#agents = agents
    this.#receiver = receiver
  }

  static async connect(link: HubLink, options: HubClientOptions = {}): Promise<HubClient> {
    const {
      logger = silentLogger,
      clock = systemClock,
      timers = systemTimers,
      random = systemRandom,
      signal,
    } = options
    const agents = new Map<string, AgentClient>()
    const receiver = new Receiver(agents)
    const forget = (agentId: string, reason: Error): void => {
      agents.get(agentId)?.stop(reason)
      agents.delete(agentId)
    }
    const detached = (agentId: string, reason: string): void =>
      forget(agentId, new ClosedError(`the attachment (${reason})`))
    const connecting = async (): Promise<HubConnection> => {
      const made = await link.connect((delivery) => receiver.receive(delivery), { detached, signal })
      if (signal?.aborted === true) await made[Symbol.asyncDispose]()
      return made
    }
    const hub = await unlessAborted(connecting, signal)
    const newId = idSource(clock, random)
    return new HubClient({ hub, logger, clock, timers, newId, forget }, agents, receiver, options.hubId)
  }

  /** Everything else that can be asked of the hub, in the name of the agents on this connection. */
  get hub(): HubApi {
    return this.#context.hub
  }

  /**
   * Aborted when the hub has registered it already, it is unregistered again as soon as that is heard: both are on record.
   * Nobody is left behind, unless the connection is lost meanwhile.
   *
   * @throws ProtocolError when the name is taken, AuthError when the claim does not prove it; the signal's reason.
   */
  async register(passport: PassportRequest, options: RegisterOptions = {}): Promise<AgentClient> {
    const { resume, skill, rule, key } = options
    const bind = async (hub: HubConnection): Promise<Passport> =>
      hub.registerIdentity({
        passport: key === undefined ? passport : { ...passport, auth: await this.#claim(passport.name, key) },
        ...(resume === undefined ? {} : { resume }),
        ...(skill === undefined ? {} : { skill_md: skill }),
        ...(rule === undefined ? {} : { rule }),
      })
    return await this.#join(options, bind, ({ agent_id }) => this.#context.hub.unregister(agent_id))
  }

  /**
   * Takes over an identity that exists, with what it has not acknowledged yet. Another client that holds it gets
   * nothing more.
   *
   * Aborted when the hub has moved it here already, it stays: what comes for it is not acknowledged, and comes again to
   * whoever attaches it next.
   *
   * @throws NotFoundError for an unknown name, AuthError for a claim that does not prove it; the signal's reason.
   */
  async attach(name: string, options: AttachOptions = {}): Promise<AgentClient> {
    const { auth, key, sinceEnvelopeId: since_envelope_id } = options
    const bind = async (hub: HubConnection): Promise<Passport> =>
      hub.attach(
        name,
        key === undefined ? auth : await this.#claim(name, key),
        since_envelope_id === undefined ? {} : { since_envelope_id },
      )
    return await this.#join(options, bind, async () => {})
  }

  /** A participant without a model. Its kind is `human`. @throws as {@link register}. */
  async registerHuman(
    passport: Omit<PassportRequest, "kind">,
    options: Omit<RegisterOptions, keyof AgentHandlers> & HumanOptions = {},
  ): Promise<HumanClient> {
    return await this.#human(options, (handlers) =>
      this.register({ ...passport, kind: "human" }, { ...options, ...handlers }),
    )
  }

  /** @throws as {@link attach}. */
  async attachHuman(
    name: string,
    options: Omit<AttachOptions, keyof AgentHandlers> & HumanOptions = {},
  ): Promise<HumanClient> {
    return await this.#human(options, (handlers) => this.attach(name, { ...options, ...handlers }))
  }

  /**
   * Unregisters everybody on this connection, humans included, and closes it. What fails is logged. Aborted, it closes it
   * at once: whoever was not unregistered stays registered.
   */
  async shutdown({ signal }: CallOptions = {}): Promise<void> {
    for (const agent of [...this.#agents.values()]) {
      await agent.unregister({ signal }).catch((err: unknown) => {
        this.#context.logger.warn({ err, agent_id: agent.agentId }, "not unregistered")
      })
    }
    await this.close()
    signal?.throwIfAborted()
  }

  /** From now on this client is an administrator's as well. @throws AuthError */
  async proveAdmin(name: string, token: string, options?: CallOptions): Promise<void> {
    await this.#context.hub.proveAdmin(name, token, options)
  }

  /** Tells running turns to stop and closes the connection. Registrations stay. */
  async close(): Promise<void> {
    if (this.#receiver.isClosed) return
    this.#receiver.isClosed = true
    for (const id of [...this.#agents.keys()]) this.#context.forget(id, new ClosedError("the hub client"))
    await this.#context.hub[Symbol.asyncDispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** @param undo what is done when the identity is bound and nobody waits for it any more. */
  async #join(
    options: AgentHandlers & CallOptions,
    bind: (hub: HubConnection) => Promise<Passport>,
    undo: (passport: Passport) => Promise<void>,
  ): Promise<AgentClient> {
    const { signal } = options
    if (this.#receiver.isClosed) throw new ClosedError("the hub client")
    return await unlessAborted(async () => {
      const done = this.#receiver.hold()
      try {
        const passport = await bind(this.#context.hub)
        if (signal?.aborted === true) {
          this.#receiver.abandoned.add(passport.agent_id)
          await undo(passport)
          signal.throwIfAborted()
        }
        const agent = new AgentClient(passport, this.#context, options)
        this.#context.forget(passport.agent_id, new ClosedError("the earlier attachment"))
        this.#agents.set(passport.agent_id, agent)
        this.#receiver.abandoned.delete(passport.agent_id)
        return agent
      } finally {
        for (const { delivery, error } of done()) this.#refuse(delivery, error)
      }
    }, signal)
  }

  async #human(
    options: HumanOptions,
    join: (handlers: AgentHandlers) => Promise<AgentClient>,
  ): Promise<HumanClient> {
    const inbox = new HumanInbox(options)
    const agent = await join({
      onEnvelope: (envelope, next) => inbox.receive(envelope, next, this.#context),
    })
    agent.onStop((reason) => inbox.close(reason))
    return new HumanClient(agent, this.#context, inbox)
  }

  async #claim(name: string, key: AgentKey): Promise<AuthClaim> {
    return key.answer(name, await this.#context.hub.challenge(name), this.#hubId)
  }

  #refuse({ envelope, recipient_id }: Delivery, error: Error): void {
    const { hub, logger } = this.#context
    const { envelope_id, channel_id } = envelope
    const receipt = { envelope_id, status: "nack", recipient_id, channel_id, reason: error.message } as const
    hub.receipt(receipt).catch((err: unknown) => logger.warn({ err, ...receipt }, "receipt not taken"))
  }
}

interface Refused {
  readonly delivery: Delivery
  readonly error: Error
}

/** Routes deliveries by recipient. While an identity is being bound, it holds what comes for a recipient it does not know yet. */
class Receiver {
  isClosed = false
  /** Bound here for nobody: what comes for them has no receipt, neither way, and so comes again. */
  readonly abandoned = new Set<string>()
  readonly #agents: ReadonlyMap<string, AgentClient>
  /** Owned by `hold`. */
  #binding = 0
  /** Each once, however often it came: two attachments that overlap replay the same. */
  #held = new Map<string, Delivery>()

  constructor(agents: ReadonlyMap<string, AgentClient>) {
    this.#agents = agents
  }

  /** Queues and returns. A throw is the hub's failed dispatch. */
  receive(delivery: Delivery): void {
    if (this.isClosed) throw new ClosedError("the hub client")
    const { recipient_id, envelope } = delivery
    const agent = this.#agents.get(recipient_id)
    if (agent !== undefined) {
      agent.receive(envelope)
    } else if (this.#binding === 0) {
      if (this.abandoned.has(recipient_id)) return
      throw new NotFoundError(`no agent ${recipient_id} on this connection`)
    } else if (this.#held.size >= MAX_QUEUED_ENVELOPES) {
      throw new InboxFullError(`${this.#held.size} envelopes wait for agents that are being attached`)
    } else {
      this.#held.set(`${recipient_id} ${envelope.envelope_id}`, delivery)
    }
  }

  /** @returns ends the holding, routes what was held, and returns what could not be. */
  hold(): () => Refused[] {
    this.#binding++
    return () => {
      this.#binding--
      const held = this.#held
      this.#held = new Map()
      const refused: Refused[] = []
      for (const delivery of held.values()) {
        try {
          this.receive(delivery)
        } catch (error) {
          refused.push({ delivery, error: toError(error) })
        }
      }
      return refused
    }
  }
}
