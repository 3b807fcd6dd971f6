import type { JsonObject, Open } from "./json.ts"

/** A promise that a channel's participants make by joining it, watched by the hub. */
export interface Expectation {
  /** Names an evaluator. */
  readonly name: Open<"acks_within" | "reply_within" | "max_silence" | "turn_within">
  /** Names a handler. */
  readonly on_violation: Open<"audit" | "notify_channel" | "warn" | "hide" | "auto_close">
  readonly params: JsonObject
  /** Roles or agent ids that it binds; `null` binds all. */
  readonly applies_to: readonly string[] | null
}

/** A promise that was not kept. */
export interface Violation {
  readonly expectation: Expectation
  /** Empty: the channel as a whole. */
  readonly violator_ids: readonly string[]
  readonly detail: JsonObject
}
