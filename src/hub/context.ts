import type { CallOptions } from "../core/abort.ts"
import type { IdSource, IncreasingIds } from "../core/ids.ts"
import type { Logger } from "../core/logger.ts"
import type { Clock, Timers } from "../core/system.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import type { Arbiter } from "./arbiter.ts"
import type { FanOut } from "./fan-out.ts"
import type { KeyedLocks } from "./locks.ts"

/** What every part of one hub shares. */
export interface HubContext {
  readonly store: KnowledgeStore
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
  /** Of agents, channels and connections. By default they increase, so that folders list in the order of creation. */
  readonly newId: IdSource
  /** What is stored already: the default source goes on above it. */
  readonly newIdsAbove: (id: string) => void
  readonly envelopeIds: IncreasingIds
  /**
   * Keys, in the order in which one section may take several: `opening:<creator>`, `name:<name>`, `agent:<id>`,
   * `channel:<id>`, `tasks:<owner>`, `task:<id>`. Nothing of a listener's runs under any of them.
   */
  readonly locks: KeyedLocks
  readonly fanOut: FanOut
  readonly arbiter: () => Arbiter
  /** The clock as text. */
  readonly now: () => string
}

export interface OperationOptions extends CallOptions {
  /** Who asks for it, where that is known: an agent id, or `admin:` and a name. */
  readonly actor?: string
}

/** The attribution of an event. */
export function attributed(actor: string | undefined): { actor_id?: string } {
  return actor === undefined ? {} : { actor_id: actor }
}
