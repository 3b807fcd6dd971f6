import { parseTime } from "../../core/system.ts"
import type { ExpectationEvaluator } from "./evaluator.ts"
import { binds, secondsBetween, secondsOf } from "./promise.ts"

const DEFAULT_SECONDS = 30

/** All invitees answer within `seconds` (30) of the channel's creation. Judged while it is pending. */
export const acksWithin: ExpectationEvaluator = {
  name: "acks_within",

  evaluate(expectation, { metadata, nowMs }) {
    const threshold = secondsOf(expectation.params, DEFAULT_SECONDS)
    const createdMs = parseTime(metadata.created_at)
    if (metadata.state !== "pending" || createdMs === undefined) return undefined
    const elapsed = secondsBetween(createdMs, nowMs)
    const violators = metadata.pending_acks.filter((id) => binds(expectation, metadata, id))
    if (elapsed < threshold || violators.length === 0) return undefined
    return {
      expectation,
      violator_ids: violators,
      detail: { elapsed_seconds: elapsed, threshold_seconds: threshold },
    }
  },

  checkParams(params) {
    secondsOf(params, DEFAULT_SECONDS)
  },
}
