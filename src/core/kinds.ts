/**
 * The records that this package writes, by kind: section 3.2 and 3.3 of SPEC.md.
 *
 * The set of kinds is open. Anybody may append a record of another kind, and a reader passes over what it does not
 * know. Every record also has `at` (ISO 8601) and `kind`; what is missing is null, never left out.
 */
export interface RecordsByKind {
  agent_registered: { agent_id: string; name: string | null }
  agent_unregistered: { agent_id: string; name: string | null }
  /** `capability` and `outcome` with source `observed` only. */
  resume_set: {
    agent_id: string
    version: number | null
    source: "tenant" | "observed"
    capability?: string | null
    outcome?: string | null
  }
  skill_set: { agent_id: string; removed: boolean }
  rule_set: { agent_id: string; version: number | null }
  channel_created: {
    channel_id: string
    manifest_type?: string
    manifest_version?: number
    creator_id?: string
    participants: readonly string[]
  }
  channel_closed: { channel_id: string; reason: string | null }
  channel_expired: { channel_id: string; reason: string | null }
  expectation_violated: {
    channel_id: string
    expectation: string
    on_violation: string
    params: object
    violators: readonly string[]
    detail: object
  }
  task_terminated: {
    task_id: string
    owner_id: string | null
    channel_id: string | null
    outcome: string
    capability: string | null
    reason: string | null
  }
  turn_failed: {
    channel_id: string
    agent_id: string
    envelope_id: string
    exc_type: string
    exc_message: string
  }

  // Full coverage only.
  hub_started: { version: string | null; size: number; torn_bytes: number }
  hub_stopped: { reason: string | null }
  quarantined: { path: string | null; reason: string | null }
  channel_opened: { channel_id: string }
  task_started: {
    task_id: string
    owner_id: string | null
    channel_id: string | null
    capability: string | null
  }
  envelope_rejected: {
    channel_id: string
    sender_id: string
    event_type: string
    code: string
    reason: string
  }
  dispatch_failed: { channel_id: string; envelope_id: string; recipient_id: string; reason: string }
  /** Refused `tries` times, and passed over from now on. */
  dead_letter: {
    channel_id: string
    envelope_id: string
    recipient_id: string
    tries: number
    reason: string
  }
  inbox_pressure: { agent_id: string; pending: number; cap: number }
  auth_failed: { name: string; scheme: string; reason: string }
  access_denied: { op: string; agent_id: string | null; reason: string }

  // In either coverage: these are about the log itself.
  /** `from` and `to`: the times of the first and the last record that could not be written. */
  audit_gap: { lost: number; cause: string; from: string; to: string }
  audit_recovered: { torn_bytes: number; torn_path: string }
  /** The log's signing key hands over to the next; `signature` is the old key's: see `key-change.ts`. */
  signing_key_set: { vkey: string; previous_vkey: string; signature: string }
}

/** A constant apart from its signatures: threads that look for such records start the faster, the less they load. */
export const SIGNING_KEY_SET = "signing_key_set"

export type KnownKind = keyof RecordsByKind
export type RecordKind = KnownKind | (string & Record<never, never>)

/** A record of one kind, as it is written. */
export type RecordOf<Kind extends KnownKind> = { at: string; kind: Kind } & RecordsByKind[Kind]
