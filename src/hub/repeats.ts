import { isTerminalChannel, sameJson, type Envelope, type JsonValue } from "../model/index.ts"
import { repeatKey, type Channel } from "./channel.ts"

/**
 * The envelope that the sender has posted already, when it posts it once more: after a lost answer, or a turn that was
 * run again.
 *
 * The same `idempotency_key` is the same envelope, whatever else it says: the first one stays. Without a key, the same
 * answer (cause, type, audience and data) to the same envelope is. Of a channel that has ended, the answer that ended it
 * may be among them: that costs a read of its log.
 */
export async function earlierPost(channel: Channel, draft: Envelope): Promise<Envelope | undefined> {
  const key = repeatKey(draft)
  if (key === undefined) return undefined
  if (isTerminalChannel(channel.metadata.state)) {
    return (await channel.wal.read()).find((envelope) => isRepeat(envelope, draft))
  }
  const position = channel.causation.get(key)
  if (position === undefined) return undefined
  const [envelope] = await channel.wal.read(position, position + 1)
  return envelope !== undefined && isRepeat(envelope, draft) ? envelope : undefined
}

/** Whether `draft` is `earlier` once more. */
export function isRepeat(earlier: Envelope, draft: Envelope): boolean {
  if (earlier.sender_id !== draft.sender_id) return false
  if (draft.idempotency_key !== null) return earlier.idempotency_key === draft.idempotency_key
  return (
    earlier.causation_id === draft.causation_id &&
    earlier.event_type === draft.event_type &&
    sameJson(earlier.audience as JsonValue, draft.audience as JsonValue) &&
    sameJson(earlier.event_data, draft.event_data)
  )
}
