import { parseTime } from "../../core/system.ts"
import { isVisibleTo, participantIds, TEXT } from "../../model/index.ts"
import type { Envelope } from "../../model/index.ts"
import type { ExpectationEvaluator } from "./evaluator.ts"
import { binds, isContent, secondsBetween, secondsOf } from "./promise.ts"

const DEFAULT_SECONDS = 600

/**
 * Whoever is addressed answers within `seconds` (600). Judged while the channel is active.
 *
 * A text or a packet asks, and any content of one's own answers: AG2 saw texts alone, so that an answering packet
 * counted as silence. Other content (`ag2.context.set`, applications' own events) asks nothing of anybody. What counts
 * is the latest question: a further one starts the time anew. An answer is what comes later in the write-ahead log
 * or, as in AG2, bears the same time.
 *
 * Walks back over the write-ahead log for each participant, as far as its latest question and its latest content.
 */
export const replyWithin: ExpectationEvaluator = {
  name: "reply_within",

  evaluate(expectation, { metadata, wal, nowMs }) {
    const threshold = secondsOf(expectation.params, DEFAULT_SECONDS)
    if (metadata.state !== "active") return undefined
    const violators = participantIds(metadata).filter((id) => {
      if (!binds(expectation, metadata, id)) return false
      const asked = wal.findLastIndex((envelope) => asks(envelope, id))
      const askedMs = parseTime(wal[asked]?.created_at)
      if (askedMs === undefined || secondsBetween(askedMs, nowMs) < threshold) return false
      const said = wal.findLastIndex((envelope) => envelope.sender_id === id && isContent(envelope))
      return said < asked && (parseTime(wal[said]?.created_at) ?? -Infinity) < askedMs
    })
    if (violators.length === 0) return undefined
    return { expectation, violator_ids: violators, detail: { threshold_seconds: threshold } }
  },

  checkParams(params) {
    secondsOf(params, DEFAULT_SECONDS)
  },
}

function asks(envelope: Envelope, agentId: string): boolean {
  if (envelope.event_type !== TEXT && envelope.event_type !== "ag2.packet") return false
  return envelope.sender_id !== agentId && isVisibleTo(envelope, agentId)
}
