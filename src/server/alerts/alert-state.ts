import { z } from "zod"
import type { Logger } from "../../core/index.ts"
import type { KnowledgeStore } from "../../store/contract.ts"
import type { Alert, RuleState } from "./engine.ts"

const STATE_PATH = "/service/alerts.json"

/** An alert that fired and has not been dealt with. Its rule by name: it is told as the rule says when it is told. */
export type PendingAlert = Omit<Alert, "rule" | "isSuppressed"> & { readonly rule: string }

/** What survives: how far the rules have come, and what is still to be told. */
export interface AlertState {
  /** The first record that no rule has seen; `null`: no rule is followed, and the next one begins where the log ends. */
  readonly next: number | null
  /** By name. With the tag of the rule's text: a rule that was rewritten begins anew. */
  readonly rules: Readonly<Record<string, RuleState & { readonly tag: string }>>
  /** In the order in which they fired. */
  readonly pending: readonly PendingAlert[]
}

const time = z.number()
const stored: z.ZodType<AlertState> = z.object({
  next: z.int().min(0).nullable(),
  rules: z.record(
    z.string(),
    z.object({
      tag: z.string(),
      times: z.array(time),
      firedAt: time.nullable(),
      lastMatch: time.nullable(),
      isAbsent: z.boolean(),
    }),
  ),
  pending: z.array(
    z.object({ rule: z.string(), at: time, index: z.int().min(0).nullable(), count: z.int().min(0) }),
  ),
})

/** @returns `undefined` when there is none, or none that can be read: then the rules begin where the log ends. */
export async function readAlertState(store: KnowledgeStore, logger: Logger): Promise<AlertState | undefined> {
  const bytes = await store.read(STATE_PATH)
  if (bytes === undefined) return undefined
  try {
    return stored.parse(JSON.parse(new TextDecoder().decode(bytes)))
  } catch (error) {
    logger.error(
      { err: error, path: STATE_PATH },
      "the alerts' state cannot be read; rules begin where the log ends",
    )
    return undefined
  }
}

/** Writes the state again and again, one writing at a time: who waits has what is there now written, or what came after. */
export class AlertStateWriter {
  readonly #store: KnowledgeStore
  readonly #state: () => AlertState
  #writing: Promise<void> | undefined
  #next: Promise<void> | undefined

  constructor(store: KnowledgeStore, state: () => AlertState) {
    this.#store = store
    this.#state = state
  }

  /** Resolves once the state as it is now is durable. @throws the store's errors. */
  save(): Promise<void> {
    if (this.#writing === undefined) return (this.#writing = this.#write())
    // What is being written was read before this call.
    this.#next ??= this.#writing
      .catch(() => {})
      .then(() => {
        this.#next = undefined
        return (this.#writing = this.#write())
      })
    return this.#next
  }

  async #write(): Promise<void> {
    try {
      await this.#store.write(STATE_PATH, JSON.stringify(this.#state()))
    } finally {
      this.#writing = undefined
    }
  }
}
