import type { AuditLog, AuditLogOptions } from "../audit/index.ts"
import type { IdSource } from "../core/ids.ts"
import type { Logger } from "../core/logger.ts"
import type { Clock, RandomBytes, Timers } from "../core/system.ts"
import type { ChannelAdapter } from "../model/index.ts"
import type { Arbiter } from "./arbiter.ts"
import type { AuthRegistry, VerifyAdmin } from "./auth/index.ts"

export interface HubOptions {
  /** Of the audit log that the hub opens in its store. Not together with `auditLog`. */
  readonly audit?: Pick<
    AuditLogOptions,
    "coverage" | "required" | "subscriberTimeoutMs" | "retryMs" | "ledger"
  >
  /** The caller's own, which the hub does not close. */
  readonly auditLog?: AuditLog
  /** Names the hub in what keys sign, and in addresses `hub://<hub_id>/<agent_id>`. Default `"hansard"`. */
  readonly hubId?: string
  /** Default: the schemes `none`, which proves nothing, and `ed25519`. */
  readonly auth?: AuthRegistry
  /** From where the scheme `none` lets anybody in. Default `"loopback"`: this process and this machine. */
  readonly allowNone?: "never" | "loopback" | "anywhere"
  /**
   * Administrators by name: what `hashAdminToken` makes of each one's token; or who judges their tokens instead, such as
   * `tokenAdmins` of the service's. Default: nobody.
   */
  readonly admins?: Readonly<Record<string, string>> | VerifyAdmin
  /** Default: each agent's rule. */
  readonly arbiter?: Arbiter
  /** Further adapters of channels, or others of the same type and version. Those of stored channels belong here. */
  readonly adapters?: readonly ChannelAdapter[]
  /** Whether the built-in adapters, evaluators and handlers are there. Default true. */
  readonly registerDefaults?: boolean
  /** How often expired channels and tasks are looked for, in seconds. Default 30; 0: never. */
  readonly ttlSweepSeconds?: number
  /** How often expectations are checked, in seconds. Default 10; 0: never. */
  readonly expectationSweepSeconds?: number
  /** How long `createChannel` waits for the invitees, in seconds. Default 30. */
  readonly inviteAckTimeoutSeconds?: number
  readonly clock?: Clock
  readonly timers?: Timers
  readonly random?: RandomBytes
  /** Ids of agents, channels and connections. Default: increasing, of the clock and `random`. */
  readonly newId?: IdSource
  /** Default: silent. */
  readonly logger?: Logger
}

/** What `health()` returns: memory alone, no reading. */
export interface HubHealth {
  /** That have not ended, pending ones included, and whose adapter is there. */
  readonly active_channels: number
  readonly registered_agents: number
  /** Substantive envelopes that were sent and not acknowledged. */
  readonly pending_inbox_total: number
  /** Of one agent; `null` as long as nothing was ever counted. */
  readonly max_pending_inbox_depth: number | null
  /** The audit log included. */
  readonly registered_listeners: number
  readonly adapters_loaded: number
  /** That this process wrote. */
  readonly audit_log_bytes: number
  /** Always 0: there is no telemetry log yet. */
  readonly telemetry_log_bytes: number
  /** Events whose record could not be written at the first attempt. */
  readonly audit_failures: number
  /** False while the hub refuses changes because its audit log cannot be written. */
  readonly audit_available: boolean
  /** Identities, channels and tasks that could not be read back and are not served. */
  readonly quarantined: number
}
