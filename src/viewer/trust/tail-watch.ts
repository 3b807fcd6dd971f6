/** Holds what the tail shows against what is signed, as it flows. */
import { TailVerifier } from "../../client/audit-client/tail-verifier.ts"
import type { TrustedLog } from "../../client/audit-client/trusted-log.ts"
import type { TailCheckpoint } from "../../wire/http.ts"

/**
 * The page shows a record when it comes, and not when a checkpoint covers it: a second later it is known whether it was
 * true. `AuditClient` waits; somebody who looks at a list is told what was wrong with it.
 */
export class TailWatch {
  readonly #verifier: TailVerifier
  readonly #failed: (error: unknown) => void
  /** One after another, as they came. */
  #turn: Promise<void> = Promise.resolve()
  #isOver = false

  /**
   * @param next the first index that the tail was asked for.
   * @param isWhole nothing is filtered out, and nothing may be missing.
   * @param failed gets what was wrong, once; then this watches no longer.
   */
  constructor(
    log: TrustedLog,
    options: {
      readonly next: number
      readonly isWhole: boolean
      readonly failed: (error: unknown) => void
    },
  ) {
    this.#verifier = new TailVerifier(log, options)
    this.#failed = options.failed
    void this.#then(() => this.#verifier.begin())
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** In the order in which they come. */
  receive(index: number, line: string): void {
    if (this.#isOver) return
    try {
      this.#verifier.receive({ index, line })
    } catch (error) {
      void this.#then(() => this.#verifier.blame(error))
    }
  }

  /** Resolves when all before it is checked. */
  async checkpoint(event: TailCheckpoint): Promise<void> {
    await this.#then(() => this.#verifier.advance(event))
  }

  async #then(work: () => Promise<unknown>): Promise<void> {
    const turn = this.#turn.then(async () => {
      if (this.#isOver) return
      try {
        await work()
      } catch (error) {
        this.#isOver = true
        this.#failed(error)
      }
    })
    this.#turn = turn
    await turn
  }
}
