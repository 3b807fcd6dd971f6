import type { Envelope, JsonObject } from "../../src/model/index.ts"
import type { RawPeer } from "./world.ts"

/** A conversation of two agents on one socket, which answers its own invitation. */
export async function converse(peer: RawPeer): Promise<{ channel: string; alice: string; bob: string }> {
  const alice = await peer.register("alice")
  const bob = await peer.register("bob")
  const creating = peer.ask("create_channel", {
    creator_id: alice,
    manifest_type: "conversation",
    participants: [alice, bob],
    required_acks: null,
    ttl: null,
    knobs: null,
    intent: null,
    labels: null,
  })
  const invite = await peer.next(({ kind }) => kind === "notify")
  const { channel_id, envelope_id } = invite["envelope"] as unknown as Envelope
  await peer.ask("post_envelope", {
    envelope: {
      channel_id,
      sender_id: bob,
      audience: null,
      event_type: "ag2.channel.invite.ack",
      event_data: { channel_id },
      causation_id: envelope_id,
    },
  })
  const metadata = (await creating) as JsonObject
  return { channel: String(metadata["channel_id"]), alice, bob }
}
