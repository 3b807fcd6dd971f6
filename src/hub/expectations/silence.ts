import { parseTime } from "../../core/system.ts"
import type { Expectation, JsonObject, JsonValue } from "../../model/index.ts"
import type { ExpectationContext, ExpectationEvaluator } from "./evaluator.ts"
import { binds, isContent, secondsBetween, secondsOf } from "./promise.ts"

const DEFAULT_SILENCE_SECONDS = 3600
const DEFAULT_TURN_SECONDS = 120

/**
 * Somebody says something every `seconds` (3600). Judged while the channel is active.
 *
 * The channel as a whole breaks it, so no violator is named and `applies_to` narrows nothing.
 */
export const maxSilence: ExpectationEvaluator = {
  name: "max_silence",

  evaluate(expectation, context) {
    const detail = brokenSilence(expectation, context, DEFAULT_SILENCE_SECONDS)
    return detail && { expectation, violator_ids: [], detail }
  },

  checkParams(params) {
    secondsOf(params, DEFAULT_SILENCE_SECONDS)
  },
}

/**
 * The one whose turn it is speaks within `seconds` (120) of what was said last. Judged while the channel is active.
 *
 * Whose turn it is stands in the adapter's state as `expected_next_speaker`; without that, the channel as a whole
 * breaks the promise.
 */
export const turnWithin: ExpectationEvaluator = {
  name: "turn_within",

  evaluate(expectation, context) {
    const detail = brokenSilence(expectation, context, DEFAULT_TURN_SECONDS)
    if (detail === undefined) return undefined
    const speaker = expectedSpeaker(context.state)
    if (speaker !== null && !binds(expectation, context.metadata, speaker)) return undefined
    return {
      expectation,
      violator_ids: speaker === null ? [] : [speaker],
      detail: { ...detail, expected_speaker: speaker },
    }
  },

  checkParams(params) {
    secondsOf(params, DEFAULT_TURN_SECONDS)
  },
}

/** The detail of a silence that is too long, counted from the latest content or else from the channel's creation. */
function brokenSilence(
  { params }: Expectation,
  { metadata, wal, nowMs }: ExpectationContext,
  missing: number,
): JsonObject | undefined {
  const threshold = secondsOf(params, missing)
  if (metadata.state !== "active") return undefined
  const sinceMs = parseTime(wal.findLast(isContent)?.created_at ?? metadata.created_at)
  if (sinceMs === undefined) return undefined
  const elapsed = secondsBetween(sinceMs, nowMs)
  if (elapsed < threshold) return undefined
  return { elapsed_seconds: elapsed, threshold_seconds: threshold }
}

function expectedSpeaker(state: JsonValue): string | null {
  if (typeof state !== "object" || state === null || !("expected_next_speaker" in state)) return null
  const speaker = state.expected_next_speaker
  return typeof speaker === "string" && speaker !== "" ? speaker : null
}
