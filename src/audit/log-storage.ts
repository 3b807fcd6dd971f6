import type { Logger } from "../core/logger.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import { LogExtent } from "./extent.ts"
import { Follower } from "./follow.ts"
import { Compaction } from "./compaction.ts"
import { LogFiles } from "./log-files.ts"
import { LogState } from "./log-state.ts"
import { recover } from "./recover.ts"
import type { TornTail } from "./recover.ts"
import { DEFAULT_ROTATE, Rotation } from "./rotation.ts"
import type { AuditLogOptions } from "./types.ts"

export type LogStorageOptions = Pick<AuditLogOptions, "rotate" | "compress"> & {
  readonly readOnly: boolean
  readonly logger: Logger
}

/**
 * How a log lies in its store, and how far it reaches: its files, their measure, and what is done to them beside
 * appending. What the lines mean is the business of others.
 *
 * For reading only, nothing is changed and nobody is kept out: what another process writes is followed.
 */
export class LogStorage {
  readonly files: LogFiles
  readonly extent: LogExtent = new LogExtent()
  readonly #store: KnowledgeStore
  readonly #state: LogState
  readonly #rotation: Rotation
  /** Without the option there is none. */
  readonly #compaction: Compaction | undefined
  readonly #follower: Follower
  readonly #readOnly: boolean

  constructor(store: KnowledgeStore, { readOnly, rotate, compress, logger }: LogStorageOptions) {
    this.#store = store
    this.#readOnly = readOnly
    this.files = new LogFiles(store, { shared: readOnly })
    this.#state = new LogState(store, this.files, this.extent, (error) => {
      logger.warn(
        { err: error },
        "the state of the audit log could not be written; opening it will take longer",
      )
    })
    this.#compaction =
      compress === true && !readOnly
        ? new Compaction(store, this.files, (error) => {
            logger.warn({ err: error }, "a sealed segment could not be compressed; it stays as it is")
          })
        : undefined
    this.#rotation = new Rotation(this.files, this.extent, {
      every: rotate ?? DEFAULT_ROTATE,
      onSealed: () => this.#compaction?.start(),
      onError: (error, what) => logger.warn({ err: error }, what),
    })
    this.#follower = new Follower(this.files, this.extent, (error) => {
      logger.error({ err: error }, "the audit log cannot be followed")
    })
  }

  /**
   * Measures the log. For writing it recovers: a torn tail is set aside.
   *
   * @param check runs when the measure is known, before anything is changed; what it throws stops everything
   * @returns the torn tail that is still to be told in a record, if any
   */
  async open(check: () => Promise<void>): Promise<TornTail | undefined> {
    await this.files.look()
    await this.#state.load()
    if (this.#readOnly) {
      await this.#follower.look()
      return undefined
    }
    const torn = await recover(this.#store, this.files, this.extent, check)
    await this.#rotation.guardNewest()
    this.#compaction?.start()
    return torn
  }

  /** For reading only: how far the log reaches now. */
  async look(): Promise<void> {
    if (this.#readOnly) await this.#follower.look()
  }

  /** For reading only: from now on, looks whenever the store says that the log has changed. */
  async follow(): Promise<void> {
    if (!this.#readOnly) return
    await this.#follower.start()
    await this.#follower.look()
  }

  /** To be awaited before the next batch, if it is a promise; when it rejects, nothing can be written. */
  beforeBatch(): Promise<void> | undefined {
    return this.#rotation.ifDue()
  }

  /** A batch is durable. */
  grown(): void {
    this.#state.grown()
  }

  /** Whoever waits for more is woken, and finds nothing. */
  async close(): Promise<void> {
    await this.#compaction?.close()
    if (!this.#readOnly) await this.#state.close()
    this.extent.wakeAll()
    await this.#follower[Symbol.asyncDispose]()
  }
}
