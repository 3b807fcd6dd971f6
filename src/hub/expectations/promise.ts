import { InvalidInputError } from "../../core/errors.ts"
import { isProtocolEvent, VIOLATED } from "../../model/index.ts"
import type { ChannelMetadata, Envelope, Expectation, JsonObject } from "../../model/index.ts"

/**
 * The parameter `seconds`.
 *
 * @throws InvalidInputError unless it is missing or a number that is not negative.
 */
export function secondsOf(params: JsonObject, missing: number): number {
  const seconds = params["seconds"] ?? (Object.hasOwn(params, "seconds") ? null : missing)
  if (typeof seconds === "number" && Number.isFinite(seconds) && seconds >= 0) return seconds
  throw new InvalidInputError(
    `an expectation's seconds must be a number from 0 up, not ${JSON.stringify(seconds)}`,
  )
}

/** Seconds from one instant to another. Never multiply the other side: 2.007 × 1000 is more than 2007. */
export function secondsBetween(fromMs: number, toMs: number): number {
  return (toMs - fromMs) / 1000
}

/** Whether the expectation binds this agent, by its id or its role. */
export function binds(expectation: Expectation, metadata: ChannelMetadata, agentId: string): boolean {
  const { applies_to } = expectation
  if (applies_to === null || applies_to.includes(agentId)) return true
  const role = metadata.participants.find((participant) => participant.agent_id === agentId)?.role
  return role !== undefined && applies_to.includes(role)
}

/** What somebody said, whatever its type: neither protocol nor the hub's own notice of a broken promise. */
export function isContent(envelope: Pick<Envelope, "event_type">): boolean {
  return !isProtocolEvent(envelope.event_type) && envelope.event_type !== VIOLATED
}
