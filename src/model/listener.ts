import type { HansardError } from "../core/errors.ts"
import type { ChannelMetadata } from "./channel.ts"
import type { Envelope } from "./envelope.ts"
import type { Violation } from "./expectation.ts"
import type { JsonObject } from "./json.ts"
import type { Passport } from "./passport.ts"
import type { Resume } from "./resume.ts"
import type { Rule } from "./rule.ts"
import type { TaskOutcome } from "./task.ts"

/** Who asked for the change, where the hub knows: an agent id. Absent for what the hub does by itself. */
interface Attributed {
  readonly actor_id?: string
}

/** Payloads of `onAgentEvent`, by kind. `at` is ISO 8601, read from the hub's clock at the change. */
export type AgentEvents = {
  readonly registered: Attributed & { readonly passport: Passport; readonly at: string }
  readonly unregistered: Attributed & { readonly name: string; readonly at: string }
  readonly resume_set: Attributed & { readonly resume: Resume; readonly version: number; readonly at: string }
  readonly skill_set: Attributed & { readonly removed: boolean; readonly at: string }
  readonly rule_set: Attributed & { readonly rule: Rule; readonly version: number; readonly at: string }
  readonly observation_recorded: Attributed & {
    readonly resume: Resume
    readonly version: number
    readonly capability: string
    readonly outcome: TaskOutcome
    readonly at: string
  }
}

/** Payloads of `onChannelEvent`, by kind. */
export type ChannelEvents = {
  readonly created: Attributed & {
    readonly metadata: ChannelMetadata
    readonly participants: readonly string[]
    readonly at: string
  }
  readonly opened: Attributed & { readonly metadata: ChannelMetadata; readonly at: string }
  readonly closed: Attributed & {
    readonly reason: string
    readonly metadata: ChannelMetadata
    readonly at: string
  }
  readonly expired: Attributed & {
    readonly reason: string
    readonly metadata: ChannelMetadata
    readonly at: string
  }
}

/** How a task ended. */
export type TaskEnd = Attributed & {
  readonly owner_id: string
  readonly channel_id: string | null
  readonly reason: string
  readonly capability: string | null
  readonly outcome: TaskOutcome
  readonly started_at: string | null
  readonly at: string
}

/** Payloads of `onTaskEvent`, by kind. */
export type TaskEvents = {
  readonly started: Attributed & {
    readonly owner_id: string
    readonly channel_id: string | null
    readonly capability: string | null
    readonly at: string
  }
  readonly completed: TaskEnd
  readonly failed: TaskEnd
  readonly expired: TaskEnd
  readonly cancelled: TaskEnd
  readonly mirror_failed: Attributed & {
    readonly op: string
    readonly owner_id: string
    readonly channel_id: string | null
    readonly exc_type: string
    readonly exc_message: string
  }
}

/** Payloads of `onHubEvent`, by kind: what a hub says about itself. */
export type HubEvents = {
  /** `version` of the package; sizes as the audit log found them on opening. */
  readonly started: { readonly version: string; readonly at: string }
  readonly stopped: { readonly reason: string; readonly at: string }
  /** A stored file that could not be read back was left where it is, and its owner is not served. */
  readonly quarantined: { readonly path: string; readonly reason: string; readonly at: string }
}

/** The payload of a known kind, or an open object for any other. */
export type PayloadOf<Events, Kind extends string> = Kind extends keyof Events ? Events[Kind] : JsonObject

/**
 * Hears what happens in a hub. It observes; the arbiter decides.
 *
 * The hub awaits each listener in the order of registration, one at a time, for every event; the audit log is first,
 * before the hub's own hooks. A listener that throws is logged and stops nobody. Methods are optional, and a kind that
 * a listener does not know must be ignored: the sets are open.
 *
 * Payloads are frozen snapshots: they do not change later, and nothing in the hub changes through them.
 *
 * Within one operation the order of events is fixed; those of different operations may interleave, except that one
 * agent's, one channel's and one task's events always come in the order in which the changes happened.
 *
 * Not promised: replay. A listener hears what happens after its registration.
 */
export interface HubListener {
  onHubEvent?<K extends string>(kind: K, payload: PayloadOf<HubEvents, K>): Promise<void> | void

  /** `registered`, `unregistered`, `resume_set`, `skill_set`, `rule_set`, `observation_recorded`, after the change. */
  onAgentEvent?<K extends string>(
    agentId: string,
    kind: K,
    payload: PayloadOf<AgentEvents, K>,
  ): Promise<void> | void

  /** `created`, `opened`, `closed`, `expired`, after the change. */
  onChannelEvent?<K extends string>(
    channelId: string,
    kind: K,
    payload: PayloadOf<ChannelEvents, K>,
  ): Promise<void> | void

  /** Every envelope that entered a write-ahead log, the hub's own included, after its dispatch. */
  onEnvelopePosted?(envelope: Envelope, metadata: ChannelMetadata): Promise<void> | void

  /** An envelope that was refused and is in no write-ahead log. */
  onEnvelopeRejected?(envelope: Envelope, reason: Error): Promise<void> | void

  /** The envelope is in the write-ahead log, but this recipient did not get it. */
  onDispatchFailed?(envelope: Envelope, recipientId: string, reason: Error): Promise<void> | void

  /** The recipient has refused the envelope `tries` times, last for this reason; it is not handed out again. */
  onDeadLettered?(
    envelope: Envelope,
    recipientId: string,
    tries: number,
    reason: string,
  ): Promise<void> | void

  /**
   * Once per (channel, expectation, violator), of `turn_within` once per turn, before the handler runs; the violation names
   * that violator alone.
   */
  onExpectationFired?(channelId: string, expectation: string, violation: Violation): Promise<void> | void

  /** An agent's handler threw while it answered this envelope. */
  onTurnFailed?(channelId: string, agentId: string, envelopeId: string, error: Error): Promise<void> | void

  /** `started`, `completed`, `failed`, `expired`, `cancelled`, `mirror_failed`, and whatever `fireTaskEvent` is given. */
  onTaskEvent?<K extends string>(
    taskId: string,
    kind: K,
    payload: PayloadOf<TaskEvents, K>,
  ): Promise<void> | void

  /** The count of unacknowledged envelopes reached the high-water mark of the agent's rule. */
  onInboxPressure?(agentId: string, pending: number, cap: number): Promise<void> | void

  /** Somebody could not prove to be `name`. */
  onAuthFailed?(name: string, scheme: string, reason: HansardError): Promise<void> | void

  /** Somebody known was refused an operation; `agentId` is who asked, `null` when unknown. */
  onAccessDenied?(op: string, agentId: string | null, reason: HansardError): Promise<void> | void
}

/** Hears everything and does nothing: extend it, and override what matters. */
export class BaseHubListener implements Required<HubListener> {
  onHubEvent(_kind: string, _payload: object): Promise<void> | void {}
  onAgentEvent(_agentId: string, _kind: string, _payload: object): Promise<void> | void {}
  onChannelEvent(_channelId: string, _kind: string, _payload: object): Promise<void> | void {}
  onEnvelopePosted(_envelope: Envelope, _metadata: ChannelMetadata): Promise<void> | void {}
  onEnvelopeRejected(_envelope: Envelope, _reason: Error): Promise<void> | void {}
  onDispatchFailed(_envelope: Envelope, _recipientId: string, _reason: Error): Promise<void> | void {}
  onDeadLettered(
    _envelope: Envelope,
    _recipientId: string,
    _tries: number,
    _reason: string,
  ): Promise<void> | void {}
  onExpectationFired(_channelId: string, _expectation: string, _violation: Violation): Promise<void> | void {}
  onTurnFailed(
    _channelId: string,
    _agentId: string,
    _envelopeId: string,
    _error: Error,
  ): Promise<void> | void {}
  onTaskEvent(_taskId: string, _kind: string, _payload: object): Promise<void> | void {}
  onInboxPressure(_agentId: string, _pending: number, _cap: number): Promise<void> | void {}
  onAuthFailed(_name: string, _scheme: string, _reason: HansardError): Promise<void> | void {}
  onAccessDenied(_op: string, _agentId: string | null, _reason: HansardError): Promise<void> | void {}
}

/** Narrows a payload: `if (isEvent<AgentEvents, "registered">("registered", kind, payload)) payload.passport`. */
export function isEvent<Events, K extends keyof Events & string>(
  wanted: K,
  kind: string,
  payload: object,
): payload is Events[K] & object {
  return kind === wanted && typeof payload === "object"
}
