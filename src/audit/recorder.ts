import type { HansardError } from "../core/errors.ts"
import { isoTime } from "../core/system.ts"
import type { Clock } from "../core/system.ts"
import type { Envelope, HubListener, Violation } from "../model/index.ts"
import type { TornTail } from "./recover.ts"
import {
  agentRecord,
  channelRecord,
  envelopeRejectedRecord,
  expectationRecord,
  taskRecord,
  turnFailedRecord,
} from "./translate.ts"
import type { Draft } from "./translate.ts"
import type { Coverage } from "./types.ts"

/** The listening half of the audit log: each method turns its event into one record, or into none. */
export abstract class HubRecorder implements HubListener {
  readonly #coverage: Coverage
  readonly #clock: Clock

  constructor(coverage: Coverage, clock: Clock) {
    this.#coverage = coverage
    this.#clock = clock
  }

  /** What `hub_started` says of the log. */
  abstract get size(): number
  abstract get tornTail(): TornTail | undefined

  /** Writes it down. */
  protected abstract record(draft: Draft): Promise<void> | void

  protected now(): string {
    return isoTime(this.#clock())
  }

  onHubEvent(kind: string, payload: object): Promise<void> | void {
    if (this.#coverage !== "full") return
    const fields = payload as Draft
    const at = this.#atOf(fields)
    switch (kind) {
      case "started": {
        const { size } = this
        const tornBytes = this.tornTail?.bytes ?? 0
        return this.#told({
          at,
          kind: "hub_started",
          version: fields["version"] ?? null,
          size,
          torn_bytes: tornBytes,
        })
      }
      case "stopped":
        return this.#told({ at, kind: "hub_stopped", reason: fields["reason"] ?? null })
      case "quarantined":
        return this.#told({
          at,
          kind,
          path: fields["path"] ?? null,
          reason: fields["reason"] ?? null,
        })
    }
  }

  onAgentEvent(agentId: string, kind: string, payload: object): Promise<void> | void {
    return this.#told(agentRecord(agentId, kind, payload as Draft, this.#coverage, this.#atOf))
  }

  onChannelEvent(channelId: string, kind: string, payload: object): Promise<void> | void {
    return this.#told(channelRecord(channelId, kind, payload as Draft, this.#coverage, this.#atOf))
  }

  onTaskEvent(taskId: string, kind: string, payload: object): Promise<void> | void {
    return this.#told(taskRecord(taskId, kind, payload as Draft, this.#coverage, this.#atOf))
  }

  onExpectationFired(channelId: string, _expectation: string, violation: Violation): Promise<void> | void {
    return this.#told(expectationRecord(channelId, violation, this.now()))
  }

  onTurnFailed(channelId: string, agentId: string, envelopeId: string, error: Error): Promise<void> | void {
    return this.#told(turnFailedRecord(channelId, agentId, envelopeId, error, this.#coverage, this.now()))
  }

  onEnvelopeRejected(envelope: Envelope, reason: Error): Promise<void> | void {
    if (this.#coverage === "full") return this.#told(envelopeRejectedRecord(envelope, reason, this.now()))
  }

  onDispatchFailed(envelope: Envelope, recipientId: string, reason: Error): Promise<void> | void {
    if (this.#coverage !== "full") return
    const { channel_id, envelope_id } = envelope
    const fields = { channel_id, envelope_id, recipient_id: recipientId, reason: reason.message }
    return this.#told({ at: this.now(), kind: "dispatch_failed", ...fields })
  }

  onDeadLettered(
    envelope: Envelope,
    recipientId: string,
    tries: number,
    reason: string,
  ): Promise<void> | void {
    if (this.#coverage !== "full") return
    const { channel_id, envelope_id } = envelope
    const fields = { channel_id, envelope_id, recipient_id: recipientId, tries, reason }
    return this.#told({ at: this.now(), kind: "dead_letter", ...fields })
  }

  onInboxPressure(agentId: string, pending: number, cap: number): Promise<void> | void {
    if (this.#coverage !== "full") return
    return this.#told({ at: this.now(), kind: "inbox_pressure", agent_id: agentId, pending, cap })
  }

  onAuthFailed(name: string, scheme: string, reason: HansardError): Promise<void> | void {
    if (this.#coverage !== "full") return
    return this.#told({ at: this.now(), kind: "auth_failed", name, scheme, reason: reason.message })
  }

  onAccessDenied(op: string, agentId: string | null, reason: HansardError): Promise<void> | void {
    if (this.#coverage !== "full") return
    return this.#told({
      at: this.now(),
      kind: "access_denied",
      op,
      agent_id: agentId,
      reason: reason.message,
      ...(agentId === null ? {} : { actor_id: agentId }),
    })
  }

  #told(draft: Draft | undefined): Promise<void> | void {
    if (draft !== undefined) return this.record(draft)
  }

  /** The event's own time if it has one, else the log's. */
  readonly #atOf = (payload: Draft): string => {
    const at = payload["at"]
    return typeof at === "string" && at !== "" ? at : this.now()
  }
}
