import type { HansardError } from "../core/errors.ts"
import { AccessDeniedError, InboxFullError, matchesAnyGlob } from "../model/index.ts"
import type { Envelope, PassportRequest, Rule } from "../model/index.ts"

export type Decision =
  | { readonly allowed: true }
  | {
      readonly allowed: false
      readonly reason: string
      /** What the refused operation throws; default `AccessDeniedError` with the reason. */
      readonly error?: HansardError
    }

export const ALLOW: Decision = { allowed: true }

export function deny(reason: string, error?: HansardError): Decision {
  return error === undefined ? { allowed: false, reason } : { allowed: false, reason, error }
}

/** @throws the decision's error, AccessDeniedError by default, unless it allows. */
export function enforce(decision: Decision): void {
  if (!decision.allowed) throw decision.error ?? new AccessDeniedError(decision.reason)
}

/**
 * Decides; listeners only observe. A hub has exactly one.
 *
 * The hub asks before the change and waits for the answer. What an arbiter throws refuses the operation too.
 */
export interface Arbiter {
  /** Asked before the identity proves itself. */
  authorizeRegister(passport: PassportRequest): Promise<Decision>

  authorizeChannelOpen(
    creatorId: string,
    inviteeIds: readonly string[],
    manifestType: string,
  ): Promise<Decision>

  /** `recipientIds`: whom an explicit audience names, without the sender and the unknown; empty for a broadcast. */
  authorizeSend(envelope: Envelope, recipientIds: readonly string[]): Promise<Decision>

  /** Asked for each recipient of a substantive envelope, who has `pending` unacknowledged ones. One refusal stops all. */
  authorizeInbox(recipientId: string, pending: number, envelope: Envelope): Promise<Decision>

  /** Asked for each recipient before the envelope is written, and on replay. A refusal passes over that one alone. */
  authorizeDispatch(envelope: Envelope, recipientId: string): Promise<Decision>

  /** Asked when a task is first observed. */
  authorizeTask(ownerId: string): Promise<Decision>

  /** Who stands in for an id that is not registered; `null`: the envelope is refused; `[]`: the id is dropped. */
  resolveUnknownAudience(envelope: Envelope, unknownId: string): Promise<readonly string[] | null>
}

/** Allows everything: extend it, and override what matters. */
export class BaseArbiter implements Arbiter {
  async authorizeRegister(_passport: PassportRequest): Promise<Decision> {
    return ALLOW
  }

  async authorizeChannelOpen(
    _creatorId: string,
    _inviteeIds: readonly string[],
    _manifestType: string,
  ): Promise<Decision> {
    return ALLOW
  }

  async authorizeSend(_envelope: Envelope, _recipientIds: readonly string[]): Promise<Decision> {
    return ALLOW
  }

  async authorizeInbox(_recipientId: string, _pending: number, _envelope: Envelope): Promise<Decision> {
    return ALLOW
  }

  async authorizeDispatch(_envelope: Envelope, _recipientId: string): Promise<Decision> {
    return ALLOW
  }

  async authorizeTask(_ownerId: string): Promise<Decision> {
    return ALLOW
  }

  async resolveUnknownAudience(_envelope: Envelope, _unknownId: string): Promise<readonly string[] | null> {
    return null
  }
}

/** What a {@link RuleArbiter} sees of its hub. */
export interface HubView {
  /** `undefined` for the unregistered, whom no rule binds or protects. */
  ruleOf(id: string): Rule | undefined
  nameOf(id: string): string | undefined
  /** Channels that this agent created and that have not ended. */
  openChannelCount(creatorId: string): number
  /** Tasks of this agent that have not ended. */
  openTaskCount(ownerId: string): number
}

/**
 * The hub's own arbiter: each agent's rule, as it is now. It lets everybody register.
 *
 * `limits.rate` is not judged here. `limits.inbox.overflow` is `reject`: no other can be asked for, and one that is stored
 * acts as it, as in AG2.
 */
export class RuleArbiter extends BaseArbiter {
  readonly #view: HubView

  constructor(view: HubView) {
    super()
    this.#view = view
  }

  override async authorizeChannelOpen(
    creatorId: string,
    inviteeIds: readonly string[],
    manifestType: string,
  ): Promise<Decision> {
    const own = this.#view.ruleOf(creatorId)
    const creator = this.#name(creatorId)
    if (own !== undefined && !matchesAnyGlob(manifestType, own.access.channel_types.initiate)) {
      return deny(`${creator} may not open ${manifestType} channels (its access.channel_types.initiate)`)
    }
    for (const id of inviteeIds) {
      const access = id === creatorId ? undefined : this.#view.ruleOf(id)?.access
      if (access === undefined) continue
      if (!matchesAnyGlob(creator, access.inbound_from)) {
        return deny(`${this.#name(id)} takes nothing from ${creator} (its access.inbound_from)`)
      }
      if (!matchesAnyGlob(manifestType, access.channel_types.accept)) {
        return deny(`${this.#name(id)} joins no ${manifestType} channels (its access.channel_types.accept)`)
      }
    }
    const cap = own?.limits.max_concurrent_channels ?? 0
    if (cap > 0 && this.#view.openChannelCount(creatorId) >= cap) {
      return deny(`${creator} has ${cap} open channels already (its limits.max_concurrent_channels)`)
    }
    return ALLOW
  }

  override async authorizeSend(envelope: Envelope, recipientIds: readonly string[]): Promise<Decision> {
    const { sender_id, depth } = envelope
    const rule = this.#view.ruleOf(sender_id)
    if (rule === undefined) return ALLOW
    const sender = this.#name(sender_id)
    for (const id of recipientIds) {
      if (id !== sender_id && !matchesAnyGlob(this.#name(id), rule.access.outbound_to)) {
        return deny(`${sender} may not address ${this.#name(id)} (its access.outbound_to)`)
      }
    }
    const cap = rule.limits.delegation_depth
    if (cap > 0 && depth > cap) {
      return deny(`${sender} works ${depth} delegations deep, at most ${cap} (its limits.delegation_depth)`)
    }
    return ALLOW
  }

  override async authorizeInbox(
    recipientId: string,
    pending: number,
    _envelope: Envelope,
  ): Promise<Decision> {
    const cap = this.#view.ruleOf(recipientId)?.limits.inbox.max_pending ?? 0
    if (cap <= 0 || pending < cap) return ALLOW
    const reason = `${this.#name(recipientId)} has ${pending} unacknowledged envelopes, at most ${cap} (its limits.inbox)`
    return deny(reason, new InboxFullError(reason))
  }

  override async authorizeDispatch(envelope: Envelope, recipientId: string): Promise<Decision> {
    const { sender_id } = envelope
    const access = sender_id === recipientId ? undefined : this.#view.ruleOf(recipientId)?.access
    if (access === undefined || matchesAnyGlob(this.#name(sender_id), access.inbound_from)) return ALLOW
    return deny(
      `${this.#name(recipientId)} takes nothing from ${this.#name(sender_id)} (its access.inbound_from)`,
    )
  }

  override async authorizeTask(ownerId: string): Promise<Decision> {
    const cap = this.#view.ruleOf(ownerId)?.limits.max_concurrent_tasks ?? 0
    if (cap <= 0 || this.#view.openTaskCount(ownerId) < cap) return ALLOW
    return deny(`${this.#name(ownerId)} has ${cap} open tasks already (its limits.max_concurrent_tasks)`)
  }

  /** Someone unregistered goes by the id. */
  #name(id: string): string {
    return this.#view.nameOf(id) ?? id
  }
}
