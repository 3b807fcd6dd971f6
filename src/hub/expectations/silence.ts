import { parseTime } from "../../core/system.ts"
import { parseObject } from "../../model/index.ts"
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
 * The one whose turn it is speaks within `seconds` (120) of getting it. Judged while the channel is active, and once a turn.
 *
 * Whose turn it is stands in the adapter's state as `expected_next_speaker`, what gave it as `last_envelope_id` and how
 * many there were as `turn_count`. Without a speaker, the channel as a whole breaks the promise; without such an
 * envelope, the time runs from what was said last.
 */
export const turnWithin: ExpectationEvaluator = {
  name: "turn_within",

  evaluate(expectation, context) {
    const { state, metadata, wal } = context
    const turn = parseObject(state) ?? {}
    const given = wal.findLast(({ envelope_id }) => envelope_id === turn["last_envelope_id"])
    const detail = brokenSilence(expectation, context, DEFAULT_TURN_SECONDS, given?.created_at)
    if (detail === undefined) return undefined
    const speaker = expectedSpeaker(state)
    if (speaker !== null && !binds(expectation, metadata, speaker)) return undefined
    return {
      expectation,
      violator_ids: speaker === null ? [] : [speaker],
      detail: { ...detail, expected_speaker: speaker, turn: turn["turn_count"] ?? null },
    }
  },

  occasion({ state }) {
    const { turn_count = "" } = parseObject(state) ?? {}
    return String(turn_count)
  },

  checkParams(params) {
    secondsOf(params, DEFAULT_TURN_SECONDS)
  },
}

/** The detail of a silence that is too long, counted from `since`, else the latest content, else the channel's creation. */
function brokenSilence(
  { params }: Expectation,
  { metadata, wal, nowMs }: ExpectationContext,
  missing: number,
  since?: string,
): JsonObject | undefined {
  const threshold = secondsOf(params, missing)
  if (metadata.state !== "active") return undefined
  const sinceMs = parseTime(since ?? wal.findLast(isContent)?.created_at ?? metadata.created_at)
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
