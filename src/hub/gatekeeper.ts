import { AccessDeniedError } from "../model/index.ts"
import type { Envelope } from "../model/index.ts"
import type { Decision } from "./arbiter.ts"
import type { HubContext } from "./context.ts"
import type { Operation } from "./operation.ts"

/** Asks the arbiter, and tells what it refused. What the arbiter throws is what the operation throws. */
export class Gatekeeper {
  readonly #context: HubContext

  constructor(context: HubContext) {
    this.#context = context
  }

  /**
   * @param agentId who asks; `null` when nobody is known.
   * @throws the decision's error, AccessDeniedError by default.
   */
  async require(
    op: string,
    agentId: string | null,
    decision: Decision | Promise<Decision>,
    operation: Operation,
  ): Promise<void> {
    const answer = await decision
    if (answer.allowed) return
    const error = answer.error ?? new AccessDeniedError(answer.reason)
    // A full inbox or a rate is a limit, not a denial of access; the rejected envelope tells of it.
    if (error.code === "access_denied") operation.events.accessDenied(op, agentId, error)
    throw error
  }

  /** The part of `recipients` that the arbiter lets the envelope through to. A failing arbiter lets nothing through. */
  async permitted(
    envelope: Envelope,
    recipients: readonly string[],
    operation: Operation,
  ): Promise<readonly string[]> {
    const permitted: string[] = []
    for (const recipient of recipients) {
      if (recipient === envelope.sender_id) {
        permitted.push(recipient)
        continue
      }
      try {
        const answer = await this.#context.arbiter().authorizeDispatch(envelope, recipient)
        if (answer.allowed) permitted.push(recipient)
        else {
          const error = answer.error ?? new AccessDeniedError(answer.reason)
          operation.events.accessDenied("dispatch", envelope.sender_id, error)
        }
      } catch (error) {
        this.#context.logger.error(
          { err: error, recipient_id: recipient },
          "the arbiter failed; nothing is dispatched",
        )
      }
    }
    return permitted
  }
}
