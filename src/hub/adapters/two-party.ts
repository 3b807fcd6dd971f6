import { isParticipant, ProtocolError } from "../../model/index.ts"
import type { ChannelManifest, ChannelMetadata, Envelope } from "../../model/index.ts"

/** What the manifests of both shipped adapters say of who takes part. */
export const TWO_PARTIES: ChannelManifest["participants"] = {
  min: 2,
  max: 2,
  roles: ["initiator", "respondent"],
}

/** @throws ProtocolError unless there is an initiator, a respondent and nobody else. */
export function requireTwoParties(metadata: ChannelMetadata): void {
  const { manifest, participants } = metadata
  if (participants.length !== 2) {
    throw new ProtocolError(
      `a ${manifest.type} channel takes exactly 2 participants, the creator among them, not ${participants.length}`,
    )
  }
  for (const role of TWO_PARTIES.roles) {
    if (!participants.some((participant) => participant.role === role)) {
      throw new ProtocolError(`a ${manifest.type} channel needs a participant in the role of ${role}`)
    }
  }
}

/**
 * Every type of envelope is held to this, not only texts: AG2 let anybody put any other event into any channel.
 *
 * @throws ProtocolError unless the sender takes part.
 */
export function requireParticipant(metadata: ChannelMetadata, envelope: Envelope): void {
  if (isParticipant(metadata, envelope.sender_id)) return
  throw new ProtocolError(`${envelope.sender_id} is not a participant of channel ${metadata.channel_id}`)
}

/** The one who was asked. `undefined` in a channel that {@link requireTwoParties} would refuse. */
export function respondentOf(metadata: ChannelMetadata): string | undefined {
  return metadata.participants.find((participant) => participant.role === "respondent")?.agent_id
}
